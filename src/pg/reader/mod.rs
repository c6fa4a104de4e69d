//! From a model's name to its stored bytes, by direct scans of the catalog.
//!
//! Calls come from queries of every kind: parallel workers, standbys, read-only transactions,
//! functions inside functions. So nothing here goes through SPI, takes a transaction id, or
//! switches the user; what is seen is what the active snapshot sees.

use std::ffi::CStr;

use pgrx::prelude::*;
use sha2::{Digest, Sha256};

use super::access::{Right, invoker};
use super::catalog::names::{self, Reference};
use super::error::{Report, Result};
use super::interrupt;

/// A stored version, found by name or by its bytes' hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) model_id: i64,
    pub(crate) version_id: i64,
    pub(crate) number: i32,
    pub(crate) sha256: [u8; 32],
    /// Length of the artifact.
    pub(crate) size: usize,
    /// Multiplications that a row takes, about.
    pub(crate) products: usize,
    /// The model's name when it was resolved, for messages.
    pub(crate) model: String,
    /// Whether the invoker may do everything with the model, or only use it.
    pub(crate) right: Right,
}

impl Resolved {
    /// How messages name it.
    pub(crate) fn label(&self) -> &str {
        &self.model
    }
}

/// A row of `neural.model`.
#[derive(Debug, Clone)]
pub(crate) struct ModelRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) owner: pg_sys::Oid,
    pub(crate) grantees: Vec<pg_sys::Oid>,
    /// The id of the deployed version.
    pub(crate) deployed: Option<i64>,
}

impl ModelRow {
    /// What a user may do with the model.
    pub(crate) fn right(&self, user: pg_sys::Oid) -> Right {
        Right::of(user, self.owner, self.grantees.iter().copied())
    }
}

/// Finds the version that `name` or `name@3` means under the active snapshot, for a user who may
/// use it.
pub(crate) fn resolve(reference: &str) -> Result<Resolved> {
    let Reference {
        model: name,
        version,
    } = names::parse(reference)?;
    let model = find_model(name)?.ok_or_else(|| no_such_model(name))?;
    let right = model.right(invoker());
    right.require(Right::Use, name)?;
    let version = match version {
        Some(number) => find_version_number(model.id, number)?
            .ok_or_else(|| no_such_version(name, &number.to_string()))?,
        None => {
            let deployed = model.deployed.ok_or_else(|| {
                Report::not_in_state(format!("model \"{name}\" has no deployed version")).hint(
                    "Deploy one with neural.deploy(model, version), or name it as 'model@version'.",
                )
            })?;
            find_version(deployed)?.ok_or_else(|| {
                Report::damaged(format!(
                    "the deployed version of model \"{name}\" is missing"
                ))
            })?
        }
    };
    Ok(version.resolved(model.name, right))
}

/// Finds a version with these bytes among the models that the invoker may use.
pub(crate) fn resolve_sha256(sha256: &[u8]) -> Result<Resolved> {
    let table = Table::open(c"version")?;
    let mut denied = None;
    let mut scan = table.scan(c"version_sha256_index", &[Key::bytes(4, sha256)])?;
    while let Some(row) = scan.next() {
        let version = VersionRow::read(&row)?;
        let Some(model) = model_by_id(version.model)? else {
            continue;
        };
        let right = model.right(invoker());
        if right >= Right::Use {
            return Ok(version.resolved(model.name, right));
        }
        denied = Some(());
    }
    let hex = hex(sha256);
    Err(match denied {
        Some(()) => Report::denied(format!("permission denied for the model with sha256 {hex}"))
            .hint("Ask the model's owner for it: SELECT neural.grant_model(model, role)."),
        None => Report::undefined(format!("no version has the sha256 {hex}"))
            .hint("neural.model_versions lists the hashes of the versions you may use."),
    })
}

/// The artifact of a version, reassembled from its chunks and checked against its hash.
pub(crate) fn load(version: &Resolved) -> Result<Vec<u8>> {
    let damaged = |what: &str| {
        Report::damaged(format!(
            "version {} of model \"{}\" is damaged: {what}",
            version.number, version.model
        ))
    };
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(version.size).map_err(|_| {
        Report::out_of_memory(format!(
            "out of memory for the {} bytes of model \"{}\"",
            version.size, version.model
        ))
    })?;
    let table = Table::open(c"chunk")?;
    let mut hash = Sha256::new();
    let mut scan = table.ordered_scan(c"chunk_pkey", &[Key::int8(1, version.version_id)])?;
    let mut expected = 0;
    while let Some(row) = scan.next() {
        interrupt::check();
        if row.get::<i32>(2)? != expected {
            return Err(damaged(&format!("piece {expected} is missing")));
        }
        expected += 1;
        row.with_bytes(3, |piece| {
            if bytes.len() + piece.len() > version.size {
                return Err(damaged("it is longer than it was"));
            }
            hash.update(piece);
            bytes.extend_from_slice(piece);
            Ok(())
        })??;
    }
    if bytes.len() != version.size {
        return Err(damaged("its end is missing"));
    }
    if hash.finalize().as_slice() != version.sha256 {
        return Err(damaged("its bytes have changed"));
    }
    Ok(bytes)
}

/// The model of that name, whatever the invoker's rights on it.
pub(crate) fn find_model(name: &str) -> Result<Option<ModelRow>> {
    let table = Table::open(c"model")?;
    let mut scan = table.scan(c"model_name_key", &[Key::text(2, name)])?;
    scan.next().map(|row| read_model(&row)).transpose()
}

/// 42704 for a model that is not there, with the nearest name among those the invoker may use.
pub(crate) fn no_such_model(name: &str) -> Report {
    let report = Report::undefined(format!("model \"{name}\" does not exist"));
    match nearest_model(name) {
        Ok(Some(nearest)) => report.hint(format!("Perhaps you meant \"{nearest}\".")),
        _ => report.hint("neural.models lists the models you may use."),
    }
}

/// 42704 for a version that is not there.
pub(crate) fn no_such_version(model: &str, version: &str) -> Report {
    Report::undefined(format!("model \"{model}\" has no version {version}"))
        .hint("neural.model_versions lists the versions of the models you may use.")
}

/// The owner of the closed tables, as whom they are written.
pub(crate) fn table_owner() -> Result<pg_sys::Oid> {
    let table = Table::open(c"model")?;
    // SAFETY: an open relation has its pg_class row.
    Ok(unsafe { (*(*table.relation).rd_rel).relowner })
}

fn nearest_model(name: &str) -> Result<Option<String>> {
    let user = invoker();
    let table = Table::open(c"model")?;
    let mut scan = table.scan_all();
    let mut nearest: Option<(f64, String)> = None;
    while let Some(row) = scan.next() {
        interrupt::check();
        let model = read_model(&row)?;
        let likeness = strsim::jaro_winkler(&model.name.to_lowercase(), &name.to_lowercase());
        if likeness > nearest.as_ref().map_or(0.7, |(best, _)| *best)
            && model.right(user) >= Right::Use
        {
            nearest = Some((likeness, model.name));
        }
    }
    Ok(nearest.map(|(_, name)| name))
}

fn model_by_id(id: i64) -> Result<Option<ModelRow>> {
    let table = Table::open(c"model")?;
    let mut scan = table.scan(c"model_pkey", &[Key::int8(1, id)])?;
    scan.next().map(|row| read_model(&row)).transpose()
}

fn read_model(row: &Row<'_>) -> Result<ModelRow> {
    let grantees = row.get::<Array<'_, pg_sys::Oid>>(4)?;
    Ok(ModelRow {
        id: row.get(1)?,
        name: row.get(2)?,
        owner: row.get(3)?,
        grantees: grantees.iter().flatten().collect(),
        deployed: row.optional(5),
    })
}

fn find_version(id: i64) -> Result<Option<VersionRow>> {
    let table = Table::open(c"version")?;
    let mut scan = table.scan(c"version_pkey", &[Key::int8(1, id)])?;
    scan.next().map(|row| VersionRow::read(&row)).transpose()
}

fn find_version_number(model: i64, number: i32) -> Result<Option<VersionRow>> {
    let table = Table::open(c"version")?;
    let keys = [Key::int8(2, model), Key::int4(3, number)];
    let mut scan = table.scan(c"version_number_key", &keys)?;
    scan.next().map(|row| VersionRow::read(&row)).transpose()
}

/// The columns of `neural.version` that finding one takes.
struct VersionRow {
    id: i64,
    model: i64,
    number: i32,
    sha256: [u8; 32],
    size: usize,
    products: usize,
}

impl VersionRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let number = row.get(3)?;
        let sha256 = row.with_bytes(4, |bytes| <[u8; 32]>::try_from(bytes))?;
        let size = usize::try_from(row.get::<i64>(5)?);
        let (Ok(sha256), Ok(size)) = (sha256, size) else {
            return Err(Report::damaged(format!(
                "the record of version {number} is damaged"
            )));
        };
        // Rows of a database that had no such column: each weight is multiplied at least once.
        let products = match row.optional::<i64>(24) {
            Some(products) => products,
            None => row.get(13)?,
        };
        Ok(Self {
            id: row.get(1)?,
            model: row.get(2)?,
            number,
            sha256,
            size,
            products: usize::try_from(products).unwrap_or(0),
        })
    }

    fn resolved(self, model: String, right: Right) -> Resolved {
        Resolved {
            model_id: self.model,
            version_id: self.id,
            number: self.number,
            sha256: self.sha256,
            size: self.size,
            products: self.products,
            model,
            right,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(32)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A table of schema `neural`, open for reading.
struct Table {
    relation: pg_sys::Relation,
}

impl Table {
    fn open(name: &CStr) -> Result<Self> {
        let oid = relation_oid(name)?;
        // SAFETY: the OID is a table's; the weakest lock, which workers and standbys may take.
        let relation = unsafe { pg_sys::table_open(oid, pg_sys::AccessShareLock as i32) };
        Ok(Self { relation })
    }

    /// The rows with these key values, by an index on just these columns in this order.
    fn scan(&self, index: &CStr, keys: &[Key]) -> Result<Scan<'_>> {
        let index = relation_oid(index)?;
        let mut keys: Vec<_> = keys.iter().map(Key::scan_key).collect();
        let snapshot = Snapshot::active();
        // SAFETY: the scan copies the keys; the snapshot is active as long as the scan lives.
        let scan = unsafe {
            pg_sys::systable_beginscan(
                self.relation,
                index,
                true,
                snapshot.0,
                keys.len() as i32,
                keys.as_mut_ptr(),
            )
        };
        Ok(Scan {
            table: self,
            scan,
            index: None,
            _snapshot: snapshot,
        })
    }

    /// The same, in the order of the index.
    fn ordered_scan(&self, index: &CStr, keys: &[Key]) -> Result<Scan<'_>> {
        let index = relation_oid(index)?;
        let mut keys: Vec<_> = keys.iter().map(Key::scan_key).collect();
        let snapshot = Snapshot::active();
        // SAFETY: as in `scan`; the index stays open until the scan ends.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
            let scan = pg_sys::systable_beginscan_ordered(
                self.relation,
                index,
                snapshot.0,
                keys.len() as i32,
                keys.as_mut_ptr(),
            );
            Ok(Scan {
                table: self,
                scan,
                index: Some(index),
                _snapshot: snapshot,
            })
        }
    }

    fn scan_all(&self) -> Scan<'_> {
        let snapshot = Snapshot::active();
        // SAFETY: no keys, no index.
        let scan = unsafe {
            pg_sys::systable_beginscan(
                self.relation,
                pg_sys::InvalidOid,
                false,
                snapshot.0,
                0,
                std::ptr::null_mut(),
            )
        };
        Scan {
            table: self,
            scan,
            index: None,
            _snapshot: snapshot,
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // After an error the resource owner closes it.
        if !std::thread::panicking() {
            // SAFETY: opened by `open`. The lock stays to the end of the transaction, as it does
            // for a table that a query names.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) };
        }
    }
}

fn relation_oid(name: &CStr) -> Result<pg_sys::Oid> {
    // SAFETY: syscache lookups by name; InvalidOid where there is none.
    let oid = unsafe {
        let schema = pg_sys::get_namespace_oid(c"neural".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if oid == pg_sys::InvalidOid {
        let name = name.to_string_lossy();
        return Err(
            Report::undefined(format!("relation \"neural.{name}\" does not exist"))
                .hint("Run CREATE EXTENSION pg_neural, or ALTER EXTENSION pg_neural UPDATE."),
        );
    }
    Ok(oid)
}

/// The active snapshot, or the transaction's where none is active.
struct Snapshot(pg_sys::Snapshot, bool);

impl Snapshot {
    fn active() -> Self {
        // SAFETY: called inside a transaction; what is pushed is popped by `drop`.
        unsafe {
            let pushed = !pg_sys::ActiveSnapshotSet();
            if pushed {
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            Self(pg_sys::GetActiveSnapshot(), pushed)
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.1 && !std::thread::panicking() {
            // SAFETY: pushed by `active`; scans end before their snapshot.
            unsafe { pg_sys::PopActiveSnapshot() };
        }
    }
}

/// `column = value`.
struct Key {
    column: i16,
    function: u32,
    value: pg_sys::Datum,
}

impl Key {
    fn text(column: i16, value: &str) -> Self {
        let value = value.into_datum().unwrap_or(pg_sys::Datum::null());
        Self {
            column,
            function: pg_sys::F_TEXTEQ,
            value,
        }
    }

    fn bytes(column: i16, value: &[u8]) -> Self {
        let value = value.into_datum().unwrap_or(pg_sys::Datum::null());
        Self {
            column,
            function: pg_sys::F_BYTEAEQ,
            value,
        }
    }

    fn int8(column: i16, value: i64) -> Self {
        Self {
            column,
            function: pg_sys::F_INT8EQ,
            value: value.into(),
        }
    }

    fn int4(column: i16, value: i32) -> Self {
        Self {
            column,
            function: pg_sys::F_INT4EQ,
            value: value.into(),
        }
    }

    fn scan_key(&self) -> pg_sys::ScanKeyData {
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: fills the key; the function is a built-in equality of the column's type. Its
        // collation is "C", which the text column has.
        unsafe {
            pg_sys::ScanKeyInit(
                &mut key,
                self.column,
                pg_sys::BTEqualStrategyNumber as u16,
                self.function.into(),
                self.value,
            );
        }
        key
    }
}

struct Scan<'t> {
    table: &'t Table,
    scan: pg_sys::SysScanDesc,
    /// Open for an ordered scan.
    index: Option<pg_sys::Relation>,
    _snapshot: Snapshot,
}

impl Scan<'_> {
    /// The next row; it stays readable until the next call.
    fn next(&mut self) -> Option<Row<'_>> {
        // SAFETY: the scan is open; the tuple lives until the scan moves on, which the borrow
        // keeps from happening.
        unsafe {
            let tuple = match self.index {
                None => pg_sys::systable_getnext(self.scan),
                Some(_) => pg_sys::systable_getnext_ordered(
                    self.scan,
                    pg_sys::ScanDirection::ForwardScanDirection,
                ),
            };
            if tuple.is_null() {
                return None;
            }
            let descriptor = (*self.table.relation).rd_att;
            let columns = (*descriptor).natts as usize;
            let mut values = vec![pg_sys::Datum::null(); columns];
            let mut nulls = vec![true; columns];
            pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            Some(Row {
                values,
                nulls,
                _tuple: std::marker::PhantomData,
            })
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: ends what began the scan.
        unsafe {
            match self.index {
                None => pg_sys::systable_endscan(self.scan),
                Some(index) => {
                    pg_sys::systable_endscan_ordered(self.scan);
                    pg_sys::index_close(index, pg_sys::NoLock as i32);
                }
            }
        }
    }
}

/// The columns of a row, by their place from 1 as in `sql/01_schema.sql`.
struct Row<'s> {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    _tuple: std::marker::PhantomData<&'s ()>,
}

impl Row<'_> {
    fn optional<T: FromDatum>(&self, column: usize) -> Option<T> {
        let index = column.checked_sub(1)?;
        let (value, null) = (*self.values.get(index)?, *self.nulls.get(index)?);
        // SAFETY: callers name the type that the column has in the extension's own schema.
        unsafe { T::from_datum(value, null) }
    }

    fn get<T: FromDatum>(&self, column: usize) -> Result<T> {
        self.optional(column)
            .ok_or_else(|| Report::damaged(format!("column {column} of a catalog row is NULL")))
    }

    /// Hands a bytea column to `action` without keeping a copy of it.
    fn with_bytes<T>(&self, column: usize, action: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let value = column
            .checked_sub(1)
            .and_then(|index| Some((*self.values.get(index)?, *self.nulls.get(index)?)));
        let Some((value, false)) = value else {
            return Err(Report::damaged(format!(
                "column {column} of a catalog row is NULL"
            )));
        };
        // SAFETY: the column is a bytea of the current row. Detoasting makes a copy where it was
        // out of line, which is freed again.
        unsafe {
            let stored: *mut pg_sys::varlena = value.cast_mut_ptr();
            let plain = pg_sys::pg_detoast_datum_packed(stored);
            let bytes = pgrx::varlena::varlena_to_byte_slice(plain);
            let result = action(bytes);
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
            Ok(result)
        }
    }
}

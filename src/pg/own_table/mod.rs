//! A table of schema `_neural`, read by scans of its own.

pub(crate) mod columns;

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::pg::encoding;
use crate::pg::error::{Report, Result};

/// A table of schema `_neural`, open for reading.
pub(crate) struct Table {
    relation: pg_sys::Relation,
}

impl Table {
    pub(crate) fn open(name: &CStr) -> Result<Self> {
        encoding::check()?;
        let oid = relation_oid(name)?;
        // SAFETY: the OID is a table's; the weakest lock, which workers and standbys may take.
        let relation = unsafe { pg_sys::table_open(oid, pg_sys::AccessShareLock as i32) };
        Ok(Self { relation })
    }

    pub(crate) fn owner(&self) -> pg_sys::Oid {
        // SAFETY: an open relation has its pg_class row.
        unsafe { (*(*self.relation).rd_rel).relowner }
    }

    /// The rows with these key values, by an index on just these columns in this order.
    pub(crate) fn scan(&self, index: &CStr, keys: &[Key]) -> Result<Scan<'_>> {
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
    pub(crate) fn ordered_scan(&self, index: &CStr, keys: &[Key]) -> Result<Scan<'_>> {
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

    /// All rows, in no order.
    pub(crate) fn scan_all(&self) -> Scan<'_> {
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
        let schema = pg_sys::get_namespace_oid(c"_neural".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if oid == pg_sys::InvalidOid {
        let name = name.to_string_lossy();
        return Err(
            Report::undefined(format!("relation \"_neural.{name}\" does not exist"))
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
pub(crate) struct Key {
    column: i16,
    function: u32,
    value: pg_sys::Datum,
}

impl Key {
    pub(crate) fn text(column: i16, value: &str) -> Self {
        let value = value.into_datum().unwrap_or(pg_sys::Datum::null());
        Self {
            column,
            function: pg_sys::F_TEXTEQ,
            value,
        }
    }

    pub(crate) fn bytes(column: i16, value: &[u8]) -> Self {
        let value = value.into_datum().unwrap_or(pg_sys::Datum::null());
        Self {
            column,
            function: pg_sys::F_BYTEAEQ,
            value,
        }
    }

    pub(crate) fn int8(column: i16, value: i64) -> Self {
        Self {
            column,
            function: pg_sys::F_INT8EQ,
            value: value.into(),
        }
    }

    pub(crate) fn oid(column: i16, value: pg_sys::Oid) -> Self {
        Self {
            column,
            function: pg_sys::F_OIDEQ,
            value: value.into(),
        }
    }

    pub(crate) fn int4(column: i16, value: i32) -> Self {
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

pub(crate) struct Scan<'t> {
    table: &'t Table,
    scan: pg_sys::SysScanDesc,
    /// Open for an ordered scan.
    index: Option<pg_sys::Relation>,
    _snapshot: Snapshot,
}

impl Scan<'_> {
    /// The next row; it stays readable until the next call.
    pub(crate) fn next(&mut self) -> Option<Row<'_>> {
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
                is_of_this_transaction: is_of_this_transaction(&*(*tuple).t_data),
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

/// Whether the transaction at hand, or one within it, wrote this row.
fn is_of_this_transaction(header: &pg_sys::HeapTupleHeaderData) -> bool {
    let frozen = pg_sys::HEAP_XMIN_FROZEN as u16;
    // SAFETY: a stored row's header is that of a heap tuple; asks what this backend knows.
    header.t_infomask & frozen != frozen
        && unsafe { pg_sys::TransactionIdIsCurrentTransactionId(header.t_choice.t_heap.t_xmin) }
}

/// The columns of a row, by their places ([`columns`]).
pub(crate) struct Row<'s> {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// Whether the transaction at hand wrote it, and may still be undone.
    pub(crate) is_of_this_transaction: bool,
    _tuple: std::marker::PhantomData<&'s ()>,
}

impl Row<'_> {
    /// A column that may be NULL, or that the row is too old to have.
    pub(crate) fn optional<T: FromDatum>(&self, column: i16) -> Option<T> {
        // SAFETY: callers name the type that the column has in the extension's own schema.
        unsafe { T::from_datum(self.value(column)?, false) }
    }

    pub(crate) fn get<T: FromDatum>(&self, column: i16) -> Result<T> {
        self.optional(column).ok_or_else(|| is_null(column))
    }

    /// Hands a bytea column to `action` without keeping a copy of it.
    pub(crate) fn with_bytes<T>(&self, column: i16, action: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let value = self.value(column).ok_or_else(|| is_null(column))?;
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

    /// What is there that is not NULL.
    fn value(&self, column: i16) -> Option<pg_sys::Datum> {
        let index = usize::try_from(column).ok()?.checked_sub(1)?;
        let null = *self.nulls.get(index)?;
        self.values.get(index).filter(|_| !null).copied()
    }
}

fn is_null(column: i16) -> Report {
    Report::damaged(format!("column {column} of a catalog row is NULL"))
}

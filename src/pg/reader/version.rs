//! Rows of `_neural.version`.

use pgrx::{JsonB, pg_sys};
use serde_json::Value;

use super::model::model_by_id;
use super::resolved::Resolved;
use crate::encryption::KeyId;
use crate::pg::access::Right;
use crate::pg::encryption::{self, Part};
use crate::pg::error::{Report, Result};
use crate::pg::learnt_from::LearntFrom;
use crate::pg::own_table::columns::{model, version as columns};
use crate::pg::own_table::{Key, Row, Table};

/// The columns of `_neural.version` that finding one takes.
pub(super) struct VersionRow {
    id: i64,
    pub(super) model: i64,
    number: i32,
    sha256: [u8; 32],
    key: Option<KeyId>,
    size: usize,
    products: usize,
    undoable: bool,
}

impl VersionRow {
    pub(super) fn read(row: &Row<'_>) -> Result<Self> {
        let number: i32 = row.get(columns::NUMBER)?;
        let sha256 = row.with_bytes(columns::SHA256, |bytes| <[u8; 32]>::try_from(bytes))?;
        let size = usize::try_from(row.get::<i64>(columns::SIZE_BYTES)?);
        let (Ok(sha256), Ok(size)) = (sha256, size) else {
            let model = model_by_id(row.get(columns::MODEL)?)?.map(|model| model.name);
            return Err(Report::damaged(format!(
                "the record of version {number} of model \"{}\" is damaged",
                model.unwrap_or_default()
            )));
        };
        // Rows of a database that had no such column: each weight is multiplied at least once.
        let products = match row.optional::<i64>(columns::PRODUCTS) {
            Some(products) => products,
            None => row.get(columns::PARAMETERS)?,
        };
        Ok(Self {
            id: row.get(columns::ID)?,
            model: row.get(columns::MODEL)?,
            number,
            sha256,
            key: encryption::key_id(row.optional(columns::ENCRYPTION_KEY))?,
            size,
            products: usize::try_from(products).unwrap_or(0),
            undoable: row.is_of_this_transaction,
        })
    }

    /// The version of the model of that name, for a user with that right on it.
    pub(super) fn resolved(self, model: String, right: Right) -> Resolved {
        Resolved {
            model_id: self.model,
            version_id: self.id,
            number: self.number,
            sha256: self.sha256,
            key: self.key,
            size: self.size,
            products: self.products,
            undoable: self.undoable,
            model,
            right,
        }
    }
}

/// The version of that number among all models'.
pub(super) fn find_version(id: i64) -> Result<Option<VersionRow>> {
    let table = Table::open(c"version")?;
    let mut scan = table.scan(c"version_pkey", &[Key::int8(columns::ID, id)])?;
    scan.next().map(|row| VersionRow::read(&row)).transpose()
}

/// The version that a model calls by that number.
pub(super) fn find_version_number(model: i64, number: i32) -> Result<Option<VersionRow>> {
    let table = Table::open(c"version")?;
    let keys = [
        Key::int8(columns::MODEL, model),
        Key::int4(columns::NUMBER, number),
    ];
    let mut scan = table.scan(c"version_number_key", &keys)?;
    scan.next().map(|row| VersionRow::read(&row)).transpose()
}

/// The ids and hashes of a model's versions.
pub(super) fn versions_of(model: i64) -> Result<Vec<(i64, [u8; 32])>> {
    let table = Table::open(c"version")?;
    let keys = [Key::int8(columns::MODEL, model)];
    let mut scan = table.scan(c"version_number_key", &keys)?;
    let mut versions = Vec::new();
    while let Some(row) = scan.next() {
        let version = VersionRow::read(&row)?;
        versions.push((version.id, version.sha256));
    }
    Ok(versions)
}

/// What a version keeps of the rows that it was trained with; nothing of one that was imported, or
/// stored where there was no such column.
pub(crate) fn seen(resolved: &Resolved) -> Result<Option<Vec<u8>>> {
    let table = Table::open(c"version")?;
    let mut scan = table.scan(
        c"version_pkey",
        &[Key::int8(columns::ID, resolved.version_id)],
    )?;
    let seen = scan.next().and_then(|row| row.optional(columns::SEEN));
    seen.map(|stored| open_seen(resolved, stored)).transpose()
}

/// What a version keeps of the rows, from how it is stored.
pub(crate) fn open_seen(version: &Resolved, stored: Vec<u8>) -> Result<Vec<u8>> {
    let Some(key) = version.key else {
        return Ok(stored);
    };
    let mut seen = Vec::new();
    let label = || version.full_label();
    encryption::open(key, &version.sha256, Part::Seen, &stored, &mut seen, label)?;
    Ok(seen)
}

/// What is recorded of how a version was trained, and of what came of it.
pub(crate) struct TrainingRecord {
    pub(crate) created_by: pg_sys::Oid,
    /// Whether all else is what a file from outside says.
    pub(crate) claimed: bool,
    pub(crate) query: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) options: Option<Value>,
    pub(crate) seed: Option<i64>,
    pub(crate) data_hash: Option<Vec<u8>>,
    /// The number of the version that it followed.
    pub(crate) follows: Option<i32>,
    pub(crate) rows_trained: Option<i64>,
    pub(crate) rows_validated: Option<i64>,
    pub(crate) epochs: Option<i32>,
    pub(crate) train_loss: Option<f64>,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) metrics: Option<Value>,
    pub(crate) extension_version: Option<String>,
    pub(crate) blas: Option<String>,
    /// The settings under which the query was run; nothing where they were not recorded.
    pub(crate) settings: Option<Value>,
}

/// How a version was trained; nothing where it is gone.
pub(crate) fn training_record(resolved: &Resolved) -> Result<Option<TrainingRecord>> {
    let table = Table::open(c"version")?;
    let key = Key::int8(columns::ID, resolved.version_id);
    let mut scan = table.scan(c"version_pkey", &[key])?;
    let Some(row) = scan.next() else {
        return Ok(None);
    };
    let json = |column| row.optional::<JsonB>(column).map(|JsonB(value)| value);
    Ok(Some(TrainingRecord {
        created_by: row.get(columns::CREATED_BY)?,
        claimed: row.get(columns::CLAIMED)?,
        query: row.optional(columns::QUERY),
        target: row.optional(columns::TARGET),
        options: json(columns::OPTIONS),
        seed: row.optional(columns::SEED),
        data_hash: row.optional(columns::DATA_BLAKE3),
        follows: row.optional(columns::FOLLOWS),
        rows_trained: row.optional(columns::ROWS_TRAINED),
        rows_validated: row.optional(columns::ROWS_VALIDATED),
        epochs: row.optional(columns::EPOCHS),
        train_loss: row.optional(columns::TRAIN_LOSS),
        validation_loss: row.optional(columns::VALIDATION_LOSS),
        metrics: json(columns::METRICS),
        extension_version: row.optional(columns::EXTENSION_VERSION),
        blas: row.optional(columns::BLAS),
        settings: json(columns::SETTINGS),
    }))
}

/// The columns of tables that the versions of a model were trained from, those included that were
/// dropped.
pub(crate) fn learnt_from(resolved: &Resolved) -> Result<Vec<LearntFrom>> {
    let mut found = Vec::new();
    let mut add = |origins: Option<JsonB>| {
        let Some(JsonB(origins)) = origins else {
            return Ok(());
        };
        // Taken for nothing, it would let a table's column be written over that was learnt from.
        if !LearntFrom::is_readable(&origins) {
            return Err(Report::damaged(format!(
                "what model \"{}\" keeps of where it was trained from is damaged",
                resolved.model
            )));
        }
        found.extend(LearntFrom::all_from(origins));
        Ok(())
    };
    let table = Table::open(c"model")?;
    let mut scan = table.scan(c"model_pkey", &[Key::int8(model::ID, resolved.model_id)])?;
    add(scan.next().and_then(|row| row.optional(model::ORIGINS)))?;
    let table = Table::open(c"version")?;
    let keys = [Key::int8(columns::MODEL, resolved.model_id)];
    let mut scan = table.scan(c"version_number_key", &keys)?;
    while let Some(row) = scan.next() {
        add(row.optional(columns::ORIGINS))?;
    }
    Ok(found)
}

/// 42704 for a version that is not there.
pub(crate) fn no_such_version(model: &str, version: &str) -> Report {
    Report::undefined(format!("model \"{model}\" has no version {version}"))
        .hint("neural.model_versions lists the versions of the models you may use.")
}

//! Rows of `_neural.model`.

use pgrx::prelude::*;

use crate::nearest::{likeness, perhaps};
use crate::pg::access::{Right, invoker};
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;
use crate::pg::own_table::columns::model as columns;
use crate::pg::own_table::{Key, Row, Table};

/// A row of `_neural.model`.
#[derive(Debug, Clone)]
pub(crate) struct ModelRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) owner: pg_sys::Oid,
    /// The id of the deployed version.
    pub(crate) deployed: Option<i64>,
}

impl ModelRow {
    /// What a user may do with the model.
    pub(crate) fn right(&self, user: pg_sys::Oid) -> Result<Right> {
        Right::of(user, self.id, self.owner)
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get(columns::ID)?,
            name: row.get(columns::NAME)?,
            owner: row.get(columns::OWNER)?,
            deployed: row.optional(columns::DEPLOYED),
        })
    }
}

/// The model of that name, whatever the invoker's rights on it.
pub(crate) fn find_model(name: &str) -> Result<Option<ModelRow>> {
    let table = Table::open(c"model")?;
    let mut scan = table.scan(c"model_name_key", &[Key::text(columns::NAME, name)])?;
    scan.next().map(|row| ModelRow::read(&row)).transpose()
}

/// The model of that number, whatever the invoker's rights on it.
pub(super) fn model_by_id(id: i64) -> Result<Option<ModelRow>> {
    let table = Table::open(c"model")?;
    let mut scan = table.scan(c"model_pkey", &[Key::int8(columns::ID, id)])?;
    scan.next().map(|row| ModelRow::read(&row)).transpose()
}

/// 42704 for a model that is not there, with the nearest name among those the invoker may use.
pub(crate) fn no_such_model(name: &str) -> Report {
    let report = Report::undefined(format!("model \"{name}\" does not exist"));
    match nearest_model(name) {
        Ok(Some(nearest)) => report.hint(perhaps(Some(&nearest), "")),
        _ => report.hint("neural.models lists the models you may use."),
    }
}

fn nearest_model(name: &str) -> Result<Option<String>> {
    let user = invoker();
    let table = Table::open(c"model")?;
    let mut scan = table.scan_all();
    let mut nearest: Option<(f64, String)> = None;
    while let Some(row) = scan.next() {
        interrupt::check();
        let model = ModelRow::read(&row)?;
        if let Some(likeness) = likeness(name, &model.name)
            && nearest.as_ref().is_none_or(|(best, _)| likeness > *best)
            && model.right(user)? >= Right::Use
        {
            nearest = Some((likeness, model.name));
        }
    }
    Ok(nearest.map(|(_, name)| name))
}

/// The models that the invoker manages: the one of that name, or all.
pub(super) fn managed_models(name: Option<&str>) -> Result<Vec<i64>> {
    let user = invoker();
    let table = Table::open(c"model")?;
    let mut scan = match name {
        Some(name) => table.scan(c"model_name_key", &[Key::text(columns::NAME, name)])?,
        None => table.scan_all(),
    };
    let mut managed = Vec::new();
    while let Some(row) = scan.next() {
        interrupt::check();
        let model = ModelRow::read(&row)?;
        if model.right(user)? >= Right::Manage {
            managed.push(model.id);
        }
    }
    Ok(managed)
}

/// The owner of the closed tables, as whom they are written.
pub(crate) fn table_owner() -> Result<pg_sys::Oid> {
    Ok(Table::open(c"model")?.owner())
}

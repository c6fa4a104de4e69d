//! The models kept in the database: storing versions, deploying them, giving rights.
//!
//! Everything here runs in the caller's transaction. The tables are closed, so their owner writes
//! them (`AsTableOwner`), after the caller's own right has been checked.

pub(crate) mod checkpoint;
mod chunks;
pub(crate) mod deployment;
pub(crate) mod description;
mod holding;
mod ids;
pub(crate) mod job;
pub(crate) mod model;
pub(crate) mod names;
pub(crate) mod reencrypt;
pub(crate) mod store;
mod table_owner;
mod users;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::access::Right;
use super::error::{Report, Result};
use super::reader;

use table_owner::AsTableOwner;

pub(crate) use description::Description;
pub(crate) use store::{
    Epoch, NewVersion, Training, copy_history, existing, hash, is_claimed, recorded, store_version,
};
pub(crate) use users::keep_version;

/// Runs one of our own statements as the tables' owner; the number of rows it touched.
fn execute(_owner: &AsTableOwner, sql: &str, arguments: &[DatumWithOid<'_>]) -> Result<usize> {
    Spi::connect_mut(|client| Ok(client.update(sql, None, arguments)?.len()))
}

/// The same, for a statement that returns at most one value.
fn fetch<T: FromDatum + IntoDatum>(
    _owner: &AsTableOwner,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<T>> {
    Spi::connect_mut(|client| {
        let rows = client.update(sql, None, arguments)?;
        if rows.is_empty() {
            Ok(None)
        } else {
            Ok(rows.first().get_one()?)
        }
    })
}

/// A model whose row this transaction holds locked.
struct LockedModel {
    id: i64,
    name: String,
    owner: pg_sys::Oid,
    deployed: Option<i64>,
    signature: serde_json::Value,
    positive_class: Option<String>,
}

impl LockedModel {
    /// Locks the row of that name, waiting for whoever holds it.
    fn find(owner: &AsTableOwner, name: &str) -> Result<Option<Self>> {
        let sql = "SELECT id, owner::oid, deployed, signature, positive_class
                   FROM _neural.model WHERE name = $1 FOR UPDATE";
        Spi::connect_mut(|client| {
            let rows = client.update(sql, None, &[name.into()])?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            let missing = || Report::damaged(format!("the record of model \"{name}\" is damaged"));
            let model = Self {
                id: row.get(1)?.ok_or_else(missing)?,
                name: name.to_owned(),
                owner: row.get(2)?.ok_or_else(missing)?,
                deployed: row.get(3)?,
                signature: row.get::<pgrx::JsonB>(4)?.ok_or_else(missing)?.0,
                positive_class: row.get(5)?,
            };
            let right = Right::of(owner.invoker(), model.id, model.owner)?;
            right.require(Right::Manage, name)?;
            Ok(Some(model))
        })
    }

    /// The same for a model that has to be there.
    fn get(owner: &AsTableOwner, name: &str) -> Result<Self> {
        names::check(name)?;
        Self::find(owner, name)?.ok_or_else(|| reader::no_such_model(name))
    }

    /// The id of one of its versions.
    fn version(&self, owner: &AsTableOwner, number: i32) -> Result<i64> {
        let sql = "SELECT id FROM _neural.version WHERE model = $1 AND number = $2";
        fetch(owner, sql, &[self.id.into(), number.into()])?
            .ok_or_else(|| reader::no_such_version(&self.name, &number.to_string()))
    }
}

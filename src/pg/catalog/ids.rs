//! Numbers for new rows of the extension's tables.

use super::{AsTableOwner, fetch};
use crate::pg::error::{Report, Result};

/// The tables whose rows are numbered by a sequence, which is named after the table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Model,
    Version,
    Deployment,
}

/// The next number, above those of all rows.
///
/// A sequence may be behind its table: logical replication carries rows and no sequences. A free
/// number is not enough then, since the numbers of deployments tell their order.
pub(super) fn next(owner: &AsTableOwner, table: Table) -> Result<i64> {
    let table = match table {
        Table::Model => "model",
        Table::Version => "version",
        Table::Deployment => "deployment",
    };
    let given = |id: Option<i64>| id.ok_or_else(|| Report::internal("no number was given"));
    let next = format!("nextval('_neural.{table}_id')");
    let id = given(fetch(owner, &format!("SELECT {next}"), &[])?)?;
    let highest = format!("SELECT max(id) FROM _neural.{table}");
    match fetch::<i64>(owner, &highest, &[])? {
        Some(highest) if highest >= id => {
            // So many more that the last is above, whoever else takes some at this moment.
            let sql = format!("SELECT max({next}) FROM generate_series($1, $2)");
            given(fetch(owner, &sql, &[id.into(), highest.into()])?)
        }
        _ => Ok(id),
    }
}

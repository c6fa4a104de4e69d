//! What belongs to no model, and the sequences.

use std::collections::HashSet;
use std::ffi::CStr;

use super::problems::Problems;
use crate::pg::error::Result;
use crate::pg::interrupt;
use crate::pg::own_table::Table;
use crate::pg::own_table::columns::{
    chunk, deployment, epoch, model, model_grant, sequence, version,
};

/// Ids that are named; more are only counted.
const NAMED: usize = 5;

/// Checks the tables as wholes.
pub(super) fn check(found: &mut Problems) -> Result<()> {
    let models = ids(c"model", model::ID)?;
    let versions = ids(c"version", version::ID)?;
    let deployments = ids(c"deployment", deployment::ID)?;
    for (table, column, known, what) in [
        (c"version", version::MODEL, &models, "models"),
        (c"model_grant", model_grant::MODEL, &models, "models"),
        (c"deployment", deployment::MODEL, &models, "models"),
        (c"deployment", deployment::VERSION, &versions, "versions"),
        (c"chunk", chunk::VERSION, &versions, "versions"),
        (c"epoch", epoch::VERSION, &versions, "versions"),
    ] {
        orphans(table, column, known, what, found)?;
    }
    for (name, given) in [
        (c"model_id", &models),
        (c"version_id", &versions),
        (c"deployment_id", &deployments),
    ] {
        check_sequence(name, given.iter().max().copied(), found)?;
    }
    Ok(())
}

fn ids(table: &CStr, column: i16) -> Result<HashSet<i64>> {
    let table = Table::open(table)?;
    let mut scan = table.scan_all();
    let mut ids = HashSet::new();
    while let Some(row) = scan.next() {
        interrupt::check();
        ids.insert(row.get(column)?);
    }
    Ok(ids)
}

/// Finds the rows of what is not there.
fn orphans(
    name: &CStr,
    column: i16,
    known: &HashSet<i64>,
    what: &str,
    found: &mut Problems,
) -> Result<()> {
    let table = Table::open(name)?;
    let mut scan = table.scan_all();
    let (mut rows, mut lost) = (0_u64, Vec::new());
    while let Some(row) = scan.next() {
        interrupt::check();
        let id: i64 = row.get(column)?;
        if !known.contains(&id) {
            rows += 1;
            if lost.len() < NAMED && !lost.contains(&id) {
                lost.push(id);
            }
        }
    }
    if rows > 0 {
        let lost: Vec<String> = lost.iter().map(i64::to_string).collect();
        found.add(format!(
            "table _neural.{} has {rows} rows of {what} that are not there, such as id {}",
            name.to_string_lossy(),
            lost.join(", ")
        ));
    }
    Ok(())
}

/// A sequence must not give an id that was given.
fn check_sequence(name: &CStr, highest: Option<i64>, found: &mut Problems) -> Result<()> {
    let table = Table::open(name)?;
    let mut scan = table.scan_all();
    let Some(row) = scan.next() else {
        return Ok(());
    };
    let is_called: bool = row.get(sequence::IS_CALLED)?;
    let next = row.get::<i64>(sequence::LAST_VALUE)? + i64::from(is_called);
    if let Some(highest) = highest.filter(|&highest| highest >= next) {
        let name = name.to_string_lossy();
        found.add(format!(
            "sequence _neural.{name} would give {next} next, and ids up to {highest} are taken: \
             SELECT setval('_neural.{name}', {highest})"
        ));
    }
    Ok(())
}

//! From a model's name to its stored bytes, by direct scans of the catalog.
//!
//! Calls come from queries of every kind: parallel workers, standbys, read-only transactions,
//! functions inside functions. So nothing here goes through SPI, takes a transaction id, or
//! switches the user; what is seen is what the active snapshot sees.

mod artifact;
mod model;
mod reference;
mod resolved;
mod version;

use super::access::{Right, invoker};
use super::error::{Report, Result};
use super::interrupt;
use super::own_table::{Key, Table, columns};
use crate::hex::hex;
use crate::memory;

use model::{managed_models, model_by_id};
use version::{VersionRow, find_version, find_version_number, versions_of};

pub(crate) use artifact::{load, load_pieces};
pub(crate) use model::{find_model, no_such_model, table_owner};
pub(crate) use reference::{Reference, parse};
pub(crate) use resolved::Resolved;
pub(crate) use version::{
    TrainingRecord, learnt_from, no_such_version, open_seen, seen, training_record,
};

/// Finds the version that `name` or `name@3` means under the active snapshot, for a user who may
/// use it.
pub(crate) fn resolve(reference: &str) -> Result<Resolved> {
    let _work = interrupt::begin(memory::SMALL)?;
    let Reference {
        model: name,
        version,
    } = parse(reference)?;
    let model = find_model(name)?.ok_or_else(|| no_such_model(name))?;
    let right = model.right(invoker())?;
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
                Report::not_there_yet(format!(
                    "the deployed version of model \"{name}\" is missing"
                ))
            })?
        }
    };
    Ok(version.resolved(model.name, right))
}

/// Finds a version with these bytes among the models that the invoker may use.
pub(crate) fn resolve_sha256(sha256: &[u8]) -> Result<Resolved> {
    let _work = interrupt::begin(memory::SMALL)?;
    let table = Table::open(c"version")?;
    let mut denied = None;
    let mut scan = table.scan(
        c"version_sha256_index",
        &[Key::bytes(columns::version::SHA256, sha256)],
    )?;
    while let Some(row) = scan.next() {
        let version = VersionRow::read(&row)?;
        let Some(model) = model_by_id(version.model)? else {
            continue;
        };
        let right = model.right(invoker())?;
        if right >= Right::Use {
            return Ok(version.resolved(model.name, right));
        }
        denied = Some(());
    }
    let hex = hex(&sha256[..sha256.len().min(32)]);
    Err(match denied {
        Some(()) => Report::denied(format!("permission denied for the model with sha256 {hex}"))
            .hint("Ask the model's owner for it: SELECT neural.grant_model(model, role)."),
        None => Report::undefined(format!("no version has the sha256 {hex}"))
            .hint("neural.model_versions lists the hashes of the versions you may use."),
    })
}

/// The ids and hashes of the versions that the invoker manages: of the model of that name, or of all.
pub(crate) fn managed_versions(name: Option<&str>) -> Result<Vec<(i64, [u8; 32])>> {
    let mut versions = Vec::new();
    for model in managed_models(name)? {
        versions.extend(versions_of(model)?);
    }
    Ok(versions)
}

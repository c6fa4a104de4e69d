//! Which version a bare model name means, and which it meant before.

use super::{AsTableOwner, LockedModel, execute, fetch, ids};
use crate::pg::error::{Report, Result};
use crate::pg::role;

/// Deploys a version of a model; its number.
pub(crate) fn deploy(model: &str, number: i32) -> Result<i32> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    let version = model.version(&owner, number)?;
    if model.deployed != Some(version) {
        record(&owner, model.id, version)?;
    }
    Ok(number)
}

/// Goes back to the version that was deployed before the present one, past versions that have
/// been dropped since; its number.
pub(crate) fn rollback(model: &str) -> Result<i32> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    // Dropping a version can bring two entries of another one together, so those of the present
    // one at the end are popped together.
    let before = fetch::<i64>(
        &owner,
        "SELECT id FROM _neural.deployment
         WHERE model = $1 AND version IS DISTINCT FROM $2 ORDER BY id DESC LIMIT 1",
        &[model.id.into(), model.deployed.into()],
    )?;
    let Some(before) = before else {
        return Err(Report::not_in_state(format!(
            "model \"{}\" has no earlier deployment to go back to",
            model.name
        ))
        .hint("Choose a version with neural.deploy(model, version)."));
    };
    execute(
        &owner,
        "DELETE FROM _neural.deployment WHERE model = $1 AND id > $2",
        &[model.id.into(), before.into()],
    )?;
    let number = fetch(
        &owner,
        "UPDATE _neural.model m SET deployed = v.id
         FROM _neural.deployment d JOIN _neural.version v ON v.id = d.version
         WHERE m.id = $1 AND d.id = $2 RETURNING v.number",
        &[model.id.into(), before.into()],
    )?;
    number.ok_or_else(|| {
        Report::damaged(format!(
            "the deployments of model \"{}\" are damaged",
            model.name
        ))
    })
}

/// Makes a version the deployed one of its model.
pub(super) fn record(owner: &AsTableOwner, model: i64, version: i64) -> Result<()> {
    let id = ids::next(owner, ids::Table::Deployment)?;
    execute(
        owner,
        "INSERT INTO _neural.deployment (id, model, version, deployed_by)
         VALUES ($1, $2, $3, $4::_neural.role)",
        &[
            id.into(),
            model.into(),
            version.into(),
            role::argument(owner.invoker()),
        ],
    )?;
    execute(
        owner,
        "UPDATE _neural.model SET deployed = $2 WHERE id = $1",
        &[model.into(), version.into()],
    )?;
    Ok(())
}

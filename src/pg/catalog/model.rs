//! Dropping, renaming, giving away and sharing whole models.

use pgrx::prelude::*;

use super::{AsTableOwner, LockedModel, execute, fetch, names};
use crate::pg::error::{Report, Result};
use crate::pg::role;
use crate::pg::shared_models;

/// Drops one version of a model, or the model with all of them.
pub(crate) fn drop(model: &str, version: Option<i32>) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    let Some(number) = version else {
        forget(&owner, "model", model.id)?;
        for table in ["chunk", "epoch"] {
            let sql = format!(
                "DELETE FROM _neural.{table} WHERE version IN
                     (SELECT id FROM _neural.version WHERE model = $1)"
            );
            execute(&owner, &sql, &[model.id.into()])?;
        }
        for (table, column) in [
            ("deployment", "model"),
            ("version", "model"),
            ("model", "id"),
        ] {
            let sql = format!("DELETE FROM _neural.{table} WHERE {column} = $1");
            execute(&owner, &sql, &[model.id.into()])?;
        }
        return Ok(());
    };
    let version = model.version(&owner, number)?;
    if model.deployed == Some(version) {
        return Err(Report::not_in_state(format!(
            "version {number} of model \"{}\" is deployed",
            model.name
        ))
        .hint("Deploy another version first, or drop the whole model."));
    }
    forget(&owner, "id", version)?;
    for table in ["chunk", "epoch", "deployment"] {
        let sql = format!("DELETE FROM _neural.{table} WHERE version = $1");
        execute(&owner, &sql, &[version.into()])?;
    }
    execute(
        &owner,
        "DELETE FROM _neural.version WHERE id = $1",
        &[version.into()],
    )?;
    Ok(())
}

/// Lets go of what connections share of the versions with this value, which are about to be dropped,
/// where no other version has the same bytes.
fn forget(owner: &AsTableOwner, column: &str, value: i64) -> Result<()> {
    let sql = format!(
        "SELECT string_agg(DISTINCT v.sha256, ''::bytea) FROM _neural.version v
         WHERE v.{column} = $1 AND NOT EXISTS
             (SELECT FROM _neural.version o WHERE o.sha256 = v.sha256 AND o.{column} <> $1)"
    );
    let hashes: Vec<u8> = fetch(owner, &sql, &[value.into()])?.unwrap_or_default();
    shared_models::remove_at_commit(hashes.as_chunks().0.to_vec());
    Ok(())
}

/// Gives a model a new name. Its versions keep their numbers, and those of either name are not
/// given again.
pub(crate) fn rename(model: &str, new_name: &str) -> Result<()> {
    names::check(new_name)?;
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    // Waits for a training that is making a model of the new name.
    execute(
        &owner,
        "INSERT INTO _neural.numbering AS n (name, last)
         SELECT $2, o.last FROM _neural.numbering o WHERE o.name = $1
         ON CONFLICT (name) DO UPDATE SET last = greatest(n.last, excluded.last)",
        &[model.name.as_str().into(), new_name.into()],
    )?;
    let taken = "SELECT true FROM _neural.model WHERE name = $1";
    if fetch::<bool>(&owner, taken, &[new_name.into()])?.is_some() {
        return Err(Report::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("model \"{new_name}\" already exists"),
        )
        .hint("Choose another name, or drop or rename that model first."));
    }
    execute(
        &owner,
        "UPDATE _neural.model SET name = $2 WHERE id = $1",
        &[model.id.into(), new_name.into()],
    )?;
    Ok(())
}

/// Gives a model to another role, which the giver must be able to become, as for a table.
pub(crate) fn set_owner(model: &str, new_owner: pg_sys::Oid) -> Result<()> {
    check_role(new_owner)?;
    if new_owner == role::PUBLIC {
        return Err(Report::invalid("a model cannot be owned by PUBLIC")
            .hint("Name a role, and use neural.grant_model(model, '-') to share with everybody."));
    }
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    if !may_become(owner.invoker(), new_owner) {
        let name = role::name(new_owner).unwrap_or_default();
        return Err(
            Report::denied(format!("must be able to SET ROLE \"{name}\""))
                .hint("Ask a superuser, or become a member of the new owner."),
        );
    }
    execute(
        &owner,
        "UPDATE _neural.model SET owner = $2::_neural.role WHERE id = $1",
        &[model.id.into(), role::argument(new_owner)],
    )?;
    Ok(())
}

/// Lets a role, or everybody, use a model.
pub(crate) fn grant(model: &str, grantee: pg_sys::Oid) -> Result<()> {
    check_role(grantee)?;
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    execute(
        &owner,
        "UPDATE _neural.model SET grantees = (grantees::oid[] || $2)::_neural.role[]
         WHERE id = $1 AND NOT $2 = ANY (grantees::oid[])",
        &[model.id.into(), role::argument(grantee)],
    )?;
    Ok(())
}

/// Takes back what `grant` gave to this very role.
pub(crate) fn revoke(model: &str, grantee: pg_sys::Oid) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    execute(
        &owner,
        "UPDATE _neural.model SET grantees = array_remove(grantees::oid[], $2)::_neural.role[]
         WHERE id = $1",
        &[model.id.into(), role::argument(grantee)],
    )?;
    Ok(())
}

/// 42704 unless the role is PUBLIC or exists: `regrole` takes any number.
fn check_role(role: pg_sys::Oid) -> Result<()> {
    if role == role::PUBLIC || role::name(role).is_some() {
        return Ok(());
    }
    Err(
        Report::undefined(format!("role with OID {} does not exist", role.to_u32()))
            .hint("Name the role, or '-' for PUBLIC where everybody is meant."),
    )
}

fn may_become(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: a membership test between two roles.
    #[cfg(feature = "pg15")]
    unsafe {
        pg_sys::is_member_of_role(user, role)
    }
    // SAFETY: the same; since 16 a membership may come without the right to SET ROLE.
    #[cfg(not(feature = "pg15"))]
    unsafe {
        pg_sys::member_can_set_role(user, role)
    }
}

//! Dropping, renaming, giving away and sharing whole models.

use pgrx::JsonB;
use pgrx::prelude::*;

use super::{AsTableOwner, LockedModel, execute, fetch, holding, names, users};
use crate::pg::error::{Report, Result};
use crate::pg::shared_models;
use crate::pg::{learnt_from, role};

/// Drops one version of a model, or the model with all of them.
///
/// 2BP01 where functions, indexes and the like are pinned to what shall go; with `force` a WARNING.
pub(crate) fn drop(model: &str, version: Option<i32>, force: bool) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    let version = match version {
        Some(number) => Some((number, model.version(&owner, number)?)),
        None => None,
    };
    if let Some((number, id)) = version
        && model.deployed == Some(id)
    {
        return Err(Report::not_in_state(format!(
            "version {number} of model \"{}\" is deployed",
            model.name
        ))
        .hint("Deploy another version first, or drop the whole model."));
    }
    let id = version.map(|(_, id)| id);
    users::wait_for_new(&owner, model.id, id)?;
    let pinned = users::pinned(&owner, model.id, id)?;
    if !pinned.is_empty() {
        let what = match version {
            Some((number, _)) => format!("version {number} of model \"{}\"", model.name),
            None => format!("model \"{}\"", model.name),
        };
        refuse_or_warn(&what, pinned, force)?;
    }
    tell_of_names(&owner, &model, version)?;
    let (column, value) = match id {
        Some(id) => ("id", id),
        None => ("model", model.id),
    };
    forget(&owner, column, value)?;
    if let Some(id) = id {
        keep_origins(&owner, model.id, id)?;
    }
    for table in ["chunk", "epoch", "deployment"] {
        let sql = format!(
            "DELETE FROM _neural.{table} WHERE version IN
                 (SELECT id FROM _neural.version WHERE {column} = $1)"
        );
        execute(&owner, &sql, &[value.into()])?;
    }
    let sql = format!("DELETE FROM _neural.version WHERE {column} = $1");
    execute(&owner, &sql, &[value.into()])?;
    if id.is_none() {
        let mut roles = grantees(&owner, &model)?;
        roles.push(model.owner);
        for (table, column) in [("model_grant", "model"), ("model", "id")] {
            let sql = format!("DELETE FROM _neural.{table} WHERE {column} = $1");
            execute(&owner, &sql, &[model.id.into()])?;
        }
        holding::release(&owner, &roles)?;
        names::give_up(&owner, &model)?;
    }
    Ok(())
}

fn refuse_or_warn(what: &str, pinned: Vec<String>, force: bool) -> Result<()> {
    let detail = users::listed(pinned);
    if force {
        Report::warning(format!("{what} is gone, and what is pinned to it fails"))
            .detail(detail)
            .hint("Drop these objects, or make them anew for another version.")
            .send();
        return Ok(());
    }
    Err(Report::new(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {what}, because other objects are pinned to it"),
    )
    .detail(detail)
    .hint("Drop these objects first, or say force => true: then whatever calls them fails."))
}

/// Says which objects name a model, or its version, that is about to be dropped.
fn tell_of_names(
    owner: &AsTableOwner,
    model: &LockedModel,
    version: Option<(i32, i64)>,
) -> Result<()> {
    let named = users::named(owner, model.id, version.map(|(_, id)| id))?;
    if named.is_empty() {
        return Ok(());
    }
    let name = &model.name;
    match version {
        // A number is not given again.
        Some((number, _)) => Report::warning(format!(
            "version {number} of model \"{name}\" is gone, and what names it fails"
        ))
        .hint("Drop these objects, or define them anew with another version."),
        None => Report::notice(format!(
            "objects that name model \"{name}\" fail until there is a model of that name again"
        )),
    }
    .detail(users::listed(named.into_iter().map(|user| user.object)))
    .send();
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

/// Keeps for a model what a version of it, which is about to be dropped, was trained from.
fn keep_origins(owner: &AsTableOwner, model: i64, version: i64) -> Result<()> {
    let sql = "SELECT origins FROM _neural.version WHERE id = $1 AND origins <> '[]'";
    let Some(JsonB(of_version)) = fetch(owner, sql, &[version.into()])? else {
        return Ok(());
    };
    let sql = "SELECT origins FROM _neural.model WHERE id = $1";
    let of_model = fetch::<JsonB>(owner, sql, &[model.into()])?.map(|JsonB(kept)| kept);
    let kept = JsonB(learnt_from::with_dropped(of_model, of_version));
    let sql = "UPDATE _neural.model SET origins = $2 WHERE id = $1";
    execute(owner, sql, &[model.into(), kept.into()])?;
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
    names::check_free(&owner, new_name)?;
    names::give_up(&owner, &model)?;
    let named = users::named(&owner, model.id, None)?;
    execute(
        &owner,
        "UPDATE _neural.model SET name = $2 WHERE id = $1",
        &[model.id.into(), new_name.into()],
    )?;
    if !named.is_empty() {
        offer_anew(&model.name, new_name, named);
    }
    Ok(())
}

/// Says which objects still name a model by its old name, and how to make them name the new one.
fn offer_anew(old: &str, new: &str, named: Vec<users::Named>) {
    let statements: Vec<String> = named
        .iter()
        .filter_map(|user| user.made.as_ref())
        .map(|made| {
            format!(
                "SELECT neural.create_function({}, {}, {}, replace => true);",
                pgrx::spi::quote_literal(&made.function),
                pgrx::spi::quote_literal(new),
                pgrx::spi::quote_literal(&made.returns),
            )
        })
        .collect();
    let others = statements.len() < named.len();
    let mut hint = Vec::new();
    if !statements.is_empty() {
        hint.push(format!("Make them anew: {}", statements.join(" ")));
    }
    if others {
        let which = if hint.is_empty() {
            "them"
        } else {
            "the others"
        };
        hint.push(format!("Define {which} with the new name."));
    }
    Report::notice(format!(
        "objects that name model \"{old}\" do not follow it to \"{new}\" and fail from now on"
    ))
    .detail(users::listed(named.into_iter().map(|user| user.object)))
    .hint(hint.join(" "))
    .send();
}

/// Gives a model to another role, which the giver must be able to become, as for a table.
pub(crate) fn set_owner(model: &str, new_owner: pg_sys::Oid) -> Result<()> {
    if new_owner == role::PUBLIC {
        return Err(Report::invalid("a model cannot be owned by PUBLIC")
            .hint("Name a role, and use neural.grant_model(model, '-') to share with everybody."));
    }
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    let Some(name) = role::name(new_owner) else {
        return Err(holding::missing(new_owner));
    };
    if !may_become(owner.invoker(), new_owner) {
        return Err(
            Report::denied(format!("must be able to SET ROLE \"{name}\""))
                .hint("Ask a superuser, or become a member of the new owner."),
        );
    }
    holding::hold(&owner, new_owner)?;
    execute(
        &owner,
        "UPDATE _neural.model SET owner = $2::_neural.role WHERE id = $1",
        &[model.id.into(), role::argument(new_owner)],
    )?;
    holding::release(&owner, &[model.owner])
}

/// Lets a role, or everybody, use a model.
pub(crate) fn grant(model: &str, grantee: pg_sys::Oid) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    holding::hold(&owner, grantee)?;
    forget_void_grants(&owner, &model)?;
    execute(
        &owner,
        "INSERT INTO _neural.model_grant (model, grantee, granted_by)
         SELECT $1, $2::_neural.role, $3::_neural.role
         WHERE NOT EXISTS (SELECT FROM _neural.model_grant WHERE model = $1 AND grantee::oid = $2)",
        &[
            model.id.into(),
            role::argument(grantee),
            role::argument(owner.invoker()),
        ],
    )?;
    Ok(())
}

/// Takes back what `grant` gave to this very role.
pub(crate) fn revoke(model: &str, grantee: pg_sys::Oid) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    let model = LockedModel::get(&owner, model)?;
    forget_void_grants(&owner, &model)?;
    execute(
        &owner,
        "DELETE FROM _neural.model_grant WHERE model = $1 AND grantee::oid = $2",
        &[model.id.into(), role::argument(grantee)],
    )?;
    holding::release(&owner, &[grantee])
}

/// The roles that a model was granted to.
fn grantees(owner: &AsTableOwner, model: &LockedModel) -> Result<Vec<pg_sys::Oid>> {
    let sql = "SELECT array_agg(grantee::oid) FROM _neural.model_grant WHERE model = $1";
    Ok(fetch(owner, sql, &[model.id.into()])?.unwrap_or_default())
}

/// Removes the grants to roles that DROP OWNED took them from, or that are gone.
fn forget_void_grants(owner: &AsTableOwner, model: &LockedModel) -> Result<()> {
    execute(
        owner,
        "DELETE FROM _neural.model_grant WHERE model = $1 AND NOT _neural.is_granted(grantee)",
        &[model.id.into()],
    )?;
    Ok(())
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

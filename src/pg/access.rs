//! Who may do what with a model.

use pgrx::prelude::*;

use super::error::{OrRaise, Report, Result};
use super::own_table::columns::model_grant;
use super::own_table::{Key, Table};
use super::{holders, role};

/// The role whose rights count: the invoker, or the owner inside a SECURITY DEFINER function.
pub(crate) fn invoker() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetUserId() }
}

/// What a user may do with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Nothing, not even see it.
    None,
    /// Call it, judge it, and see its description.
    Use,
    /// Everything: the user has the owner's privileges or is a superuser.
    Manage,
}

impl Right {
    /// What `user` may do with the model of that number and owner, under the active snapshot.
    pub(crate) fn of(user: pg_sys::Oid, model: i64, owner: pg_sys::Oid) -> Result<Self> {
        if manages(user, owner)? {
            return Ok(Self::Manage);
        }
        let granted = grantees(model)?.into_iter().any(|role| {
            role == role::PUBLIC
                || (role != role::NOBODY && acts_as(user, role) && holders::counts(role))
        });
        Ok(if granted { Self::Use } else { Self::None })
    }

    /// An error unless this is at least `needed`.
    pub(crate) fn require(self, needed: Self, model: &str) -> Result<()> {
        if self >= needed {
            return Ok(());
        }
        Err(match self {
            Self::None => Report::denied(format!("permission denied for model \"{model}\""))
                .hint("Ask the model's owner for it: SELECT neural.grant_model(model, role)."),
            _ => Report::denied(format!("must be owner of model \"{model}\""))
                .hint("The owner can give the model away with neural.set_owner(model, role)."),
        })
    }
}

/// To whom a model was granted, PUBLIC and roles that are gone included.
fn grantees(model: i64) -> Result<Vec<pg_sys::Oid>> {
    let table = Table::open(c"model_grant")?;
    let mut scan = table.scan(
        c"model_grant_model_index",
        &[Key::int8(model_grant::MODEL, model)],
    )?;
    let mut grantees = Vec::new();
    while let Some(row) = scan.next() {
        grantees.push(row.get(model_grant::GRANTEE)?);
    }
    Ok(grantees)
}

/// Whether `user` has the rights of who owns a model or asked for a job, and these are any.
pub(crate) fn manages(user: pg_sys::Oid, owner: pg_sys::Oid) -> Result<bool> {
    // SAFETY: a syscache lookup, of a role that may be gone.
    let superuser = unsafe { pg_sys::superuser_arg(user) };
    Ok(superuser || acts_as(user, owner) && holders::owns(owner)?)
}

/// Whether `user` has the rights of `role`.
///
/// Inherited membership counts, the mere right to SET ROLE or to administer does not: that is what
/// `pg_has_role(…, 'USAGE')` asks for.
pub(crate) fn acts_as(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: a membership test between OIDs, existing or not.
    unsafe { pg_sys::has_privs_of_role(user, role) }
}

/// `_neural.may_manage`, for the views.
#[pg_extern(sql = false)]
fn may_manage(owner: Option<pg_sys::Oid>) -> bool {
    owner.is_some_and(|owner| manages(invoker(), owner).or_raise())
}

/// `_neural.may_use`, for the views.
#[pg_extern(sql = false)]
fn may_use(model: Option<i64>, owner: Option<pg_sys::Oid>) -> bool {
    match (model, owner) {
        (Some(model), Some(owner)) => Right::of(invoker(), model, owner).or_raise() >= Right::Use,
        _ => false,
    }
}

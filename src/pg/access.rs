//! Who may do what with a model.

use pgrx::prelude::*;

use super::error::{Report, Result};
use super::role;

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
    /// What `user` may do with a model of that owner and those grantees.
    ///
    /// Inherited membership counts, the mere right to SET ROLE or to administer does not: that is
    /// what `pg_has_role(…, 'USAGE')` asks for.
    pub(crate) fn of(
        user: pg_sys::Oid,
        owner: pg_sys::Oid,
        grantees: impl IntoIterator<Item = pg_sys::Oid>,
    ) -> Self {
        // SAFETY: a membership test between OIDs, existing or not.
        let acts_as = |role| unsafe { pg_sys::has_privs_of_role(user, role) };
        if acts_as(owner) {
            Self::Manage
        } else if grantees
            .into_iter()
            .any(|role| role == role::PUBLIC || (role != role::NOBODY && acts_as(role)))
        {
            Self::Use
        } else {
            Self::None
        }
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

/// `_neural.may_manage`, for the views.
#[pg_extern(sql = false)]
fn may_manage(owner: Option<pg_sys::Oid>) -> bool {
    owner.is_some_and(|owner| Right::of(invoker(), owner, []) == Right::Manage)
}

/// `_neural.may_use`, for the views.
#[pg_extern(sql = false)]
fn may_use(owner: Option<pg_sys::Oid>, grantees: Option<Array<'_, pg_sys::Oid>>) -> bool {
    let grantees = grantees.iter().flat_map(|list| list.iter().flatten());
    owner.is_some_and(|owner| Right::of(invoker(), owner, grantees) >= Right::Use)
}

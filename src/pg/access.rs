//! Who may do what with a model, and as whom the closed tables are written.

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

/// `neural.may_manage`, for the views.
#[pg_extern(sql = false)]
fn may_manage(owner: Option<pg_sys::Oid>) -> bool {
    owner.is_some_and(|owner| Right::of(invoker(), owner, []) == Right::Manage)
}

/// `neural.may_use`, for the views.
#[pg_extern(sql = false)]
fn may_use(owner: Option<pg_sys::Oid>, grantees: Option<Array<'_, pg_sys::Oid>>) -> bool {
    let grantees = grantees.iter().flat_map(|list| list.iter().flatten());
    owner.is_some_and(|owner| Right::of(invoker(), owner, grantees) >= Right::Use)
}

/// While it lives, the backend acts as the owner of the extension's tables, and finds names in
/// `pg_catalog` only. For our own statements on these tables, never around a user's query.
pub(crate) struct AsTableOwner {
    invoker: pg_sys::Oid,
    security_context: i32,
    settings_level: i32,
}

impl AsTableOwner {
    /// Becomes the owner of `neural.model`.
    pub(crate) fn enter() -> Result<Self> {
        // Before anything takes a transaction id, whose refusal on a standby is no clear error.
        // SAFETY: raises an error or does nothing; the string is a constant.
        unsafe { pg_sys::PreventCommandDuringRecovery(c"UPDATE".as_ptr()) };
        let owner = super::reader::table_owner()?;
        let mut invoker = pg_sys::InvalidOid;
        let mut security_context = 0;
        // SAFETY: the user id is switched the way PostgreSQL's own index and referential
        // machinery does, and given back by `drop`; the settings of the nested level end there,
        // or with the transaction in case of an error.
        let settings_level = unsafe {
            pg_sys::GetUserIdAndSecContext(&mut invoker, &mut security_context);
            let level = pg_sys::NewGUCNestLevel();
            pg_sys::SetUserIdAndSecContext(
                owner,
                security_context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
            );
            level
        };
        let guard = Self {
            invoker,
            security_context,
            settings_level,
        };
        // SAFETY: static strings; an error unwinds through the guard.
        unsafe {
            pg_sys::set_config_option(
                c"search_path".as_ptr(),
                c"pg_catalog, pg_temp".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        Ok(guard)
    }

    /// The user who called.
    pub(crate) fn invoker(&self) -> pg_sys::Oid {
        self.invoker
    }
}

impl Drop for AsTableOwner {
    fn drop(&mut self) {
        // SAFETY: gives back what `enter` took. After an error the (sub)transaction's abort ends
        // the nested settings; here they end in the ordinary case.
        unsafe {
            pg_sys::SetUserIdAndSecContext(self.invoker, self.security_context);
            if !std::thread::panicking() {
                pg_sys::AtEOXact_GUC(true, self.settings_level);
            }
        }
    }
}

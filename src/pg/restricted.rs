//! Statements of others, run with their rights and no more.

use pgrx::pg_sys;

use super::access::invoker;

/// While it lives, the backend acts as another role, in what PostgreSQL calls a security-restricted
/// operation, as while it refreshes a materialized view of others: what is run cannot become the
/// caller again, leave temporary objects behind, or leave settings changed.
///
/// Where the role is the caller, nothing is restricted.
pub(crate) struct Operation(Option<Before>);

/// What is given back.
struct Before {
    user: pg_sys::Oid,
    security_context: i32,
    settings_level: i32,
}

impl Operation {
    /// Becomes the role, of which the caller must be a member.
    pub(crate) fn enter(role: pg_sys::Oid) -> Operation {
        if role == invoker() {
            return Operation(None);
        }
        let mut before = Before {
            user: pg_sys::InvalidOid,
            security_context: 0,
            settings_level: 0,
        };
        // SAFETY: as PostgreSQL does around REFRESH MATERIALIZED VIEW; given back by `drop`, or with
        // the transaction in case of an error.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.user, &mut before.security_context);
            pg_sys::SetUserIdAndSecContext(
                role,
                before.security_context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32,
            );
            before.settings_level = pg_sys::NewGUCNestLevel();
        }
        Operation(Some(before))
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(before) = &self.0 else {
            return;
        };
        // SAFETY: gives back what `enter` took. After an error the (sub)transaction's abort ends the
        // nested settings.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::AtEOXact_GUC(false, before.settings_level);
            }
            pg_sys::SetUserIdAndSecContext(before.user, before.security_context);
        }
    }
}

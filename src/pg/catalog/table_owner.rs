//! As whom the closed tables are written.

use pgrx::pg_sys;

use crate::pg::error::Result;
use crate::pg::reader;
use crate::pg::search_path::CatalogNames;

/// While it lives, the backend acts as the owner of the extension's tables, and finds names in
/// `pg_catalog` only. For our own statements on these tables, never around a user's query.
pub(crate) struct AsTableOwner {
    invoker: pg_sys::Oid,
    security_context: i32,
    _names: CatalogNames,
}

impl AsTableOwner {
    /// Becomes the owner of `_neural.model`.
    pub(crate) fn enter() -> Result<Self> {
        // Before anything takes a transaction id, whose refusal on a standby is no clear error.
        // SAFETY: raises an error or does nothing; the string is a constant.
        unsafe { pg_sys::PreventCommandDuringRecovery(c"UPDATE".as_ptr()) };
        let owner = reader::table_owner()?;
        let names = CatalogNames::enter();
        let mut invoker = pg_sys::InvalidOid;
        let mut security_context = 0;
        // SAFETY: the user id is switched the way PostgreSQL's own index and referential
        // machinery does, and given back by `drop`.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut invoker, &mut security_context);
            pg_sys::SetUserIdAndSecContext(
                owner,
                security_context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
            );
        }
        Ok(Self {
            invoker,
            security_context,
            _names: names,
        })
    }

    /// The user who called.
    pub(crate) fn invoker(&self) -> pg_sys::Oid {
        self.invoker
    }
}

impl Drop for AsTableOwner {
    fn drop(&mut self) {
        // SAFETY: gives back what `enter` took.
        unsafe { pg_sys::SetUserIdAndSecContext(self.invoker, self.security_context) };
    }
}

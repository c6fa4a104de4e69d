//! As whom the closed tables are written.

use pgrx::pg_sys;

use crate::pg::error::Result;
use crate::pg::reader;

/// While it lives, the backend acts as the owner of the extension's tables, and finds names in
/// `pg_catalog` only. For our own statements on these tables, never around a user's query.
pub(crate) struct AsTableOwner {
    invoker: pg_sys::Oid,
    security_context: i32,
    settings_level: i32,
}

impl AsTableOwner {
    /// Becomes the owner of `_neural.model`.
    pub(crate) fn enter() -> Result<Self> {
        // Before anything takes a transaction id, whose refusal on a standby is no clear error.
        // SAFETY: raises an error or does nothing; the string is a constant.
        unsafe { pg_sys::PreventCommandDuringRecovery(c"UPDATE".as_ptr()) };
        let owner = reader::table_owner()?;
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

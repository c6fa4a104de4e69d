//! Names that are PostgreSQL's own, whatever the session's search path.

use pgrx::pg_sys;

/// While it lives, names are found in `pg_catalog` only. For statements of our own, never around a
/// user's.
pub(crate) struct CatalogNames {
    settings_level: i32,
}

impl CatalogNames {
    /// Sets `search_path` until the value is dropped.
    pub(crate) fn enter() -> CatalogNames {
        // SAFETY: the settings of the nested level end when the guard is dropped, or with the
        // transaction in case of an error.
        let settings_level = unsafe { pg_sys::NewGUCNestLevel() };
        let guard = CatalogNames { settings_level };
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
        guard
    }
}

impl Drop for CatalogNames {
    fn drop(&mut self) {
        // After an error the (sub)transaction's abort ends the nested settings.
        if !std::thread::panicking() {
            // SAFETY: the level that `enter` began.
            unsafe { pg_sys::AtEOXact_GUC(true, self.settings_level) };
        }
    }
}

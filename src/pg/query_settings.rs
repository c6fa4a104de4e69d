//! Settings of the session that change which rows a query gives: kept with the version that was trained
//! from them, and given back while it is trained again.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use serde_json::{Map, Value};

use super::encoding;
use super::error::{Report, Result};

/// What names mean, how literals are read and how values become texts. The settings of applications are
/// none of them: row-level security may go by them, and they may be secrets.
const RECORDED: &[&CStr] = &[
    c"search_path",
    c"TimeZone",
    c"timezone_abbreviations",
    c"DateStyle",
    c"IntervalStyle",
    c"extra_float_digits",
    c"bytea_output",
    c"lc_monetary",
    c"lc_numeric",
    c"lc_time",
    c"default_text_search_config",
    c"array_nulls",
    c"transform_null_equals",
    c"standard_conforming_strings",
    c"xmlbinary",
    c"xmloption",
    c"row_security",
];

/// The settings of the session that are recorded, by name. One whose value is no UTF-8, as a database in
/// SQL_ASCII may have, is null.
pub(crate) fn of_session() -> Value {
    let of_name = |&name: &&CStr| {
        // SAFETY: the name of a setting; its value is read before anything else is asked.
        let value = unsafe {
            let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
        };
        let value = value.and_then(|value| encoding::utf8(value, "a setting").ok());
        (name.to_string_lossy().into_owned(), value.into())
    };
    RECORDED.iter().map(of_name).collect::<Map<_, _>>().into()
}

/// Whether what a version's row says are settings as [`of_session`] gives them.
pub(crate) fn is_readable(recorded: &Value) -> bool {
    let known = |name: &str| {
        RECORDED
            .iter()
            .any(|known| known.to_bytes() == name.as_bytes())
    };
    recorded.as_object().is_some_and(|settings| {
        let mut settings = settings.iter();
        settings.all(|(name, value)| known(name) && (value.is_string() || value.is_null()))
    })
}

/// While it lives, the session has the settings of a training. What the query sets goes with it.
pub(crate) struct Settings {
    level: i32,
}

impl Settings {
    /// Sets them. One that cannot be set here, as a locale that the machine does not know, stays what it
    /// is: [`of_session`] then tells.
    ///
    /// # Errors
    /// XX001 where they are no settings; `label` names whose they are.
    pub(crate) fn enter(recorded: Option<&Value>, label: &str) -> Result<Settings> {
        let damaged = || Report::damaged(format!("the settings that {label} keeps are damaged"));
        if !recorded.is_none_or(is_readable) {
            return Err(damaged());
        }
        // SAFETY: the settings of the nested level end when the guard is dropped, or with the
        // transaction in case of an error.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        let guard = Settings { level };
        for (name, value) in recorded.and_then(Value::as_object).into_iter().flatten() {
            let Some(value) = value.as_str() else {
                continue;
            };
            let text = |text: &str| CString::new(text).map_err(|_| damaged());
            let (name, value) = (text(name)?, text(value)?);
            // SAFETY: both live through the call; an error unwinds through the guard.
            unsafe {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    // Not an error.
                    pg_sys::DEBUG1 as i32,
                    false,
                );
            }
        }
        Ok(guard)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // After an error the (sub)transaction's abort ends the nested settings.
        if !std::thread::panicking() {
            // SAFETY: the level that `enter` began.
            unsafe { pg_sys::AtEOXact_GUC(false, self.level) };
        }
    }
}

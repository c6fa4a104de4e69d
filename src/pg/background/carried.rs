//! A requester's settings, carried to the worker: what changes a query's rows or a training's result, and
//! those of applications that row-level security goes by.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use serde_json::{Map, Value};

use crate::pg::encoding;
use crate::pg::error::{Report, Result};

/// Settings of the connection, the transaction or the log, which stay where they are.
const NOT_CARRIED: &[&str] = &[
    "application_name",
    "client_connection_check_interval",
    "client_encoding",
    "client_min_messages",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "is_superuser",
    "role",
    "seed",
    "session_authorization",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
];
/// Beginnings and ends of names of such settings.
const NOT_CARRIED_BEGINNINGS: &[&str] = &["debug_", "log_", "tcp_", "trace_"];
const NOT_CARRIED_ENDS: &[&str] = &["_timeout"];

fn is_carried(name: &str) -> bool {
    !NOT_CARRIED.contains(&name)
        && !NOT_CARRIED_BEGINNINGS
            .iter()
            .any(|part| name.starts_with(part))
        && !NOT_CARRIED_ENDS.iter().any(|part| name.ends_with(part))
}

/// Whether a user may set the setting.
fn may_set(setting: &pg_sys::config_generic) -> bool {
    // SAFETY: looks the user up.
    let is_superuser = || unsafe { pg_sys::superuser() };
    setting.context == pg_sys::GucContext::PGC_USERSET
        || setting.context == pg_sys::GucContext::PGC_SUSET && is_superuser()
}

/// The settings of the session, by name.
pub(crate) fn of_session() -> Result<Value> {
    // Where the user is not the one of the session, the worker's session has other defaults.
    // SAFETY: variables of the backend.
    let all = unsafe { pg_sys::GetUserId() != pg_sys::GetSessionUserId() };
    let mut settings = Map::new();
    for setting in known() {
        let (name, value) = (setting.name, setting.source);
        if !all && value == pg_sys::GucSource::PGC_S_DEFAULT || !may_set(setting) {
            continue;
        }
        // SAFETY: the setting's name; the value lives until the next call.
        let value = unsafe {
            let value = pg_sys::GetConfigOption(name, true, false);
            (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
        };
        // SAFETY: the name of a setting.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        if let Some(value) = value.filter(|_| is_carried(&name)) {
            let value = encoding::utf8(value, &format!("setting \"{name}\""))?;
            settings.insert(name.into_owned(), value.into());
        }
    }
    Ok(settings.into())
}

/// Gives the session these settings, in a transaction after whose commit they stay.
pub(crate) fn apply(settings: &Value) -> Result<()> {
    let text = |text: &str| {
        CString::new(text).map_err(|_| Report::internal("a setting holds a zero byte"))
    };
    // SAFETY: variables and functions of the backend; errors are PostgreSQL's own.
    unsafe {
        let context = match pg_sys::superuser() {
            true => pg_sys::GucContext::PGC_SUSET,
            false => pg_sys::GucContext::PGC_USERSET,
        };
        for (name, value) in settings.as_object().into_iter().flatten() {
            let (name, value) = (text(name)?, text(value.as_str().unwrap_or_default())?);
            let present = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            if !present.is_null() && CStr::from_ptr(present) == value.as_c_str() {
                continue;
            }
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                context,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SET,
                true,
                0,
                false,
            );
        }
    }
    Ok(())
}

/// All settings there are.
fn known() -> Vec<&'static pg_sys::config_generic> {
    // SAFETY: the records live as long as the backend does, and are only read while nothing is set.
    unsafe {
        #[cfg(feature = "pg15")]
        let (settings, count) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (settings, count) = {
            let mut count = 0;
            (pg_sys::get_guc_variables(&mut count), count)
        };
        (0..usize::try_from(count).unwrap_or(0))
            .map(|place| &**settings.add(place))
            .collect()
    }
}

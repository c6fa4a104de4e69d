//! Which encodings of a database the extension works in.

use pgrx::{PgSqlErrorCode, pg_sys};

use super::error::{Report, Result};

/// 0A000 in a database whose texts are neither UTF-8 nor taken as they come.
///
/// CREATE EXTENSION refuses such a database already; this holds where the functions were made there
/// by other means.
pub(crate) fn check() -> Result<()> {
    // SAFETY: reads what the backend knows of its database.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    if [pg_sys::pg_enc::PG_UTF8, pg_sys::pg_enc::PG_SQL_ASCII].contains(&(encoding as u32)) {
        return Ok(());
    }
    Err(Report::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        "pg_neural works in databases whose encoding is UTF8 or SQL_ASCII only",
    )
    .hint("Create a database for it: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0."))
}

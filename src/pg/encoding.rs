//! Which encodings of a database the extension works in.

use pgrx::{PgSqlErrorCode, pg_sys};

use super::error::{Report, Result};

/// A text of the database's as UTF-8; 22021 where it is none, as SQL_ASCII lets pass. `what` names it.
pub(crate) fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| {
        let shown: String = bytes.escape_ascii().take(100).map(char::from).collect();
        Report::new(
            PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
            format!("{what} is not valid UTF-8: \"{shown}\""),
        )
        .hint(
            "In an SQL_ASCII database pg_neural takes texts in UTF-8: convert it before, or move the \
             data to a database of encoding UTF8.",
        )
    })
}

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

//! Arguments of type jsonb.

use std::ffi::CStr;

use pgrx::{direct_function_call, pg_sys};
use serde_json::Value;

use crate::memory;
use crate::pg::encoding;
use crate::pg::error::{Report, Result};

/// Bytes that a byte of a document may take: as a text, and once it is read.
const READ: usize = 16;

/// What a document says; `argument` names it in errors.
///
/// pgrx's own conversion ends in an internal error where serde reads less than PostgreSQL does: more
/// than some hundred levels, numbers beyond double precision, and texts that are no UTF-8.
///
/// # Errors
/// 22023 if it cannot be taken, 22021 if it is no UTF-8, 53200 if there is no memory for it.
///
/// # Safety
/// The datum is a jsonb.
pub(super) unsafe fn read(datum: pg_sys::Datum, argument: &str) -> Result<Value> {
    // SAFETY: a jsonb, as the caller says; its size stands before it, wherever it is stored. Its output
    // function takes it as it is stored, and the text that it returns lives until the function's
    // memory context goes.
    let text = unsafe {
        let size = pg_sys::toast_raw_datum_size(datum);
        memory::ask_for_many(size.saturating_mul(READ))?;
        direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(datum)])
    };
    let text = text.map_or(&b"null"[..], CStr::to_bytes);
    let what = format!("argument \"{argument}\"");
    serde_json::from_str(encoding::utf8(text, &what)?).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line").next().unwrap_or(&message);
        Report::invalid(format!("{what} cannot be taken: {message}")).hint(
            "It may be nested a hundred levels deep, and its numbers are those of double precision.",
        )
    })
}

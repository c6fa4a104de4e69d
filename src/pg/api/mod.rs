//! The SQL functions, thin: parse arguments, call, return rows.

/// Makes a function that PostgreSQL can call by its name, with its record: a raw one, where
/// `#[pg_extern]` would take too long for each row, or not show how the function was called.
macro_rules! raw_function {
    ($(#[$documented:meta])* $name:ident, $info:ident, $body:expr $(, $when_found:expr)?) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $info() -> &'static pgrx::pg_sys::Pg_finfo_record {
            $($when_found;)?
            const RECORD: pgrx::pg_sys::Pg_finfo_record =
                pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }

        $(#[$documented])*
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        #[pgrx::pg_guard]
        pub unsafe extern "C-unwind" fn $name(
            fcinfo: pgrx::pg_sys::FunctionCallInfo,
        ) -> pgrx::pg_sys::Datum {
            // SAFETY: PostgreSQL calls it with the arguments that the extension's SQL declares.
            unsafe { ($body)(fcinfo) }
        }
    };
}
mod aggregates;
mod architectures;
mod calibration_rows;
pub(super) mod calling;
mod check;
mod cost;
mod create_function;
mod document;
mod encryption;
mod exchange;
mod function_parameters;
mod jobs;
mod judged_rows;
mod judged_target;
mod judging;
mod judging_sequences;
mod keeping;
mod met;
mod model_cache;
mod model_users;
mod quantize;
mod score_table;
mod set_threshold;
mod stat_models;
mod training;

use pgrx::prelude::*;

use pgrx::AnyElement;
use serde_json::Value;

use super::encoding;
use super::error::{Report, Result};

/// 22004 for an argument that must be given.
fn given<T>(value: Option<T>, argument: &str) -> Result<T> {
    value.ok_or_else(|| {
        Report::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("argument \"{argument}\" must not be NULL"),
        )
        .hint("Give it a value.")
    })
}

/// A text that may be given. Taken as bytes: pgrx's own conversion names neither the argument nor
/// what is wrong where a database does not check its texts.
fn text<'a>(value: Option<&'a [u8]>, argument: &str) -> Result<Option<&'a str>> {
    value
        .map(|bytes| encoding::utf8(bytes, &format!("argument \"{argument}\"")))
        .transpose()
}

/// A jsonb that may be given, read once the function's work has begun
/// ([`begin`](crate::pg::interrupt::begin)): pgrx would read it before, when an error for want of memory
/// has no reserve to be told from.
///
/// # Errors
/// There is no memory for what it is read into, or it cannot be taken.
///
/// # Safety
/// The argument is a jsonb.
unsafe fn json(value: Option<AnyElement>, argument: &str) -> Result<Option<Value>> {
    let Some(value) = value else {
        return Ok(None);
    };
    // SAFETY: a jsonb, as the caller says.
    unsafe { document::read(value.datum(), argument) }.map(Some)
}

/// A text that must be given.
fn given_text<'a>(value: Option<&'a [u8]>, argument: &str) -> Result<&'a str> {
    given(text(value, argument)?, argument)
}

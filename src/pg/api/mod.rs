//! The SQL functions, thin: parse arguments, call, return rows.

mod aggregates;
mod architectures;
pub(super) mod calling;
mod cost;
mod create_function;
mod document;
mod exchange;
mod function_parameters;
mod judged_target;
mod judging;
mod judging_sequences;
mod keeping;
mod met;
mod model_cache;
mod model_users;
mod score_table;
mod set_threshold;
mod training;

use pgrx::prelude::*;

use serde_json::Value;

use self::document::Document;
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

/// A document that may be given.
fn document(value: Option<Document>, argument: &str) -> Result<Option<Value>> {
    value.map(|document| document.parse(argument)).transpose()
}

/// A text that must be given.
fn given_text<'a>(value: Option<&'a [u8]>, argument: &str) -> Result<&'a str> {
    given(text(value, argument)?, argument)
}

//! The SQL functions, thin: parse arguments, call, return rows.

mod aggregates;
mod architectures;
pub(super) mod calling;
mod cost;
mod create_function;
mod exchange;
mod function_parameters;
mod judged_target;
mod judging;
mod judging_sequences;
mod keeping;
mod model_cache;
mod model_users;
mod score_table;
mod set_threshold;
mod training;

use pgrx::prelude::*;

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

//! The SQL functions, thin: parse arguments, call, return rows.

mod aggregates;
mod architectures;
pub(super) mod calling;
mod cost;
mod create_function;
mod exchange;
mod judged_target;
mod judging;
mod judging_sequences;
mod keeping;
mod model_cache;
mod score_table;
mod training;

use pgrx::prelude::*;

use super::error::{Report, Result};

extension_sql_file!("../../../sql/01_schema.sql", name = "schema", bootstrap);
extension_sql_file!(
    "../../../sql/02_keeping.sql",
    name = "keeping",
    requires = ["schema"]
);
extension_sql_file!(
    "../../../sql/10_training.sql",
    name = "training",
    requires = ["keeping"]
);
extension_sql_file!(
    "../../../sql/20_calling.sql",
    name = "calling",
    requires = ["training"]
);
extension_sql_file!(
    "../../../sql/25_judging.sql",
    name = "judging",
    requires = ["calling"]
);
extension_sql_file!(
    "../../../sql/26_score_table.sql",
    name = "score_table",
    requires = ["judging"]
);
extension_sql_file!(
    "../../../sql/90_privileges.sql",
    name = "privileges",
    finalize
);

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

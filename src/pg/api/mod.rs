//! The SQL functions, thin: parse arguments, call, return rows.

use pgrx::prelude::*;

extension_sql_file!("../../../sql/01_schema.sql", name = "schema", bootstrap);

/// probe
#[pg_extern(sql = false)]
fn probe(a: i32) -> i32 {
    a + 1
}

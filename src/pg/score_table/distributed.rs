//! Tables that Citus has distributed: their rows are on other servers, in tables of other names.
//!
//! The table of the call has no pages and no row versions by which its rows could be told apart,
//! and an UPDATE with a STABLE function of its columns is refused there. One with an IMMUTABLE
//! function runs where the rows are.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::extent::heirs;
use crate::pg::error::{Report, Result};

/// # Errors
/// 42809, with `update` as what to do instead, for a table in the catalog of Citus.
pub(super) fn check(table: pg_sys::Oid, name: &str, update: impl FnOnce() -> String) -> Result<()> {
    if !heirs(table).into_iter().any(is_distributed) {
        return Ok(());
    }
    Err(Report::new(
        Code::ERRCODE_WRONG_OBJECT_TYPE,
        format!("table {name} is distributed by Citus, and its rows are on other servers"),
    )
    .hint(update()))
}

/// Whether a table is in the catalog of Citus, where there is one. Read as PostgreSQL reads its
/// own catalogs, whatever the invoker's rights.
fn is_distributed(table: pg_sys::Oid) -> bool {
    // SAFETY: names are constants; the catalog is locked while it is looked at, and has the column.
    unsafe {
        let catalog = pg_sys::get_relname_relid(
            c"pg_dist_partition".as_ptr(),
            pg_sys::Oid::from(pg_sys::PG_CATALOG_NAMESPACE),
        );
        if catalog == pg_sys::InvalidOid {
            return false;
        }
        let relation = pg_sys::table_open(catalog, pg_sys::AccessShareLock as i32);
        let column = pg_sys::get_attnum(catalog, c"logicalrelid".as_ptr());
        let mut found = false;
        if column > 0 {
            let mut key = pg_sys::ScanKeyData::default();
            pg_sys::ScanKeyInit(
                &mut key,
                column,
                pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                pg_sys::Oid::from(pg_sys::F_OIDEQ),
                pg_sys::Datum::from(table),
            );
            let snapshot = std::ptr::null_mut();
            let scan = pg_sys::systable_beginscan(
                relation,
                pg_sys::InvalidOid,
                false,
                snapshot,
                1,
                &mut key,
            );
            found = !pg_sys::systable_getnext(scan).is_null();
            pg_sys::systable_endscan(scan);
        }
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        found
    }
}

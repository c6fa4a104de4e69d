//! Running statements with what they must know of the call.

use std::ffi::CString;

use pgrx::pg_sys;

use crate::pg::error::{Report, Result};

/// Which row versions this call has written, and which were there when it last walked the table.
pub(super) struct Written {
    /// The transactions that wrote this call's batches.
    pub(super) by: Vec<pg_sys::TransactionId>,
    /// The oldest transaction that ran when the last walk began.
    pub(super) horizon: pg_sys::TransactionId,
}

/// Runs a SELECT of one count.
pub(super) fn count(sql: &str, written: &Written) -> Result<u64> {
    run(sql, written)?;
    // SAFETY: a count is a bigint that is not NULL, in the one row of the result.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        let mut is_null = false;
        let datum = pg_sys::SPI_getbinval(*(*table).vals, (*table).tupdesc, 1, &mut is_null);
        pg_sys::SPI_freetuptable(table);
        Ok(datum.value() as u64)
    }
}

/// Runs a statement in the open SPI connection, with `written.by` as `$1` and `written.horizon` as
/// `$2`; how many rows it returned or changed.
pub(super) fn run(sql: &str, written: &Written) -> Result<u64> {
    let sql = CString::new(sql).map_err(|_| Report::internal("a statement holds a zero byte"))?;
    let mut elements: Vec<pg_sys::Datum> = written
        .by
        .iter()
        .copied()
        .map(pg_sys::Datum::from)
        .collect();
    let mut types = [pg_sys::XIDARRAYOID, pg_sys::XIDOID];
    // SAFETY: connected to SPI. The array is of transaction ids, four bytes by value, and lives in
    // the current memory context until the statement has run.
    let code = unsafe {
        let array = pg_sys::construct_array(
            elements.as_mut_ptr(),
            elements.len() as i32,
            pg_sys::XIDOID,
            4,
            true,
            b'i' as _,
        );
        let mut values = [
            pg_sys::Datum::from(array),
            pg_sys::Datum::from(written.horizon),
        ];
        let code = pg_sys::SPI_execute_with_args(
            sql.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            std::ptr::null(),
            false,
            0,
        );
        pg_sys::pfree(array.cast());
        code
    };
    if code < 0 {
        return Err(Report::internal(format!("a statement was refused: {code}")));
    }
    // SAFETY: reads a variable of this backend.
    Ok(unsafe { pg_sys::SPI_processed })
}

//! `neural.score_table`.
//!
//! A raw fmgr function rather than `#[pg_extern]`: a procedure that commits has to see how it was
//! called.

use std::ffi::CStr;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::{given, given_text};
use crate::memory;
use crate::pg::cache;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::score_table::{self, Order};
use crate::pg::{interrupt, reader};

/// Rows a batch where the call says NULL: the declared default.
const BATCH_ROWS: i32 = 50_000;

/// `CALL neural.score_table(model, target_table, output_column, batch_rows, only_missing)`.
///
/// # Safety
/// Called as its SQL declares.
unsafe fn score_table_of(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: a frame of this procedure, whose arguments are of these types.
    unsafe {
        check_may_commit(fcinfo).or_raise();
        // A name ends in a zero byte.
        let column = pgrx::fcinfo::pg_getarg::<&CStr>(fcinfo, 2);
        score(
            pgrx::fcinfo::pg_getarg(fcinfo, 0),
            pgrx::fcinfo::pg_getarg(fcinfo, 1),
            column.map(CStr::to_string_lossy).as_deref(),
            pgrx::fcinfo::pg_getarg(fcinfo, 3),
            pgrx::fcinfo::pg_getarg(fcinfo, 4),
        )
        .or_raise();
        (*fcinfo).isnull = true;
    }
    pg_sys::Datum::null()
}

raw_function!(
    neural_score_table,
    pg_finfo_neural_score_table,
    score_table_of
);

fn score(
    model: Option<&[u8]>,
    table: Option<pg_sys::Oid>,
    column: Option<&str>,
    batch_rows: Option<i32>,
    only_missing: Option<bool>,
) -> Result<()> {
    let model = given_text(model, "model")?;
    let table = given(table, "target_table")?;
    let column = given(column, "output_column")?;
    let batch_rows = u32::try_from(batch_rows.unwrap_or(BATCH_ROWS)).unwrap_or(0);
    if batch_rows == 0 {
        return Err(Report::invalid("\"batch_rows\" must be at least 1")
            .hint("Leave it out for batches of about 50000 rows."));
    }
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.score_table()".as_ptr()) };
    let _work = interrupt::begin(memory::LARGE)?;
    let resolved = reader::resolve(model)?;
    let model = cache::model(&resolved)?;
    score_table::run(&Order {
        model,
        resolved,
        table,
        column: column.to_owned(),
        batch_rows,
        only_missing: only_missing.unwrap_or(false),
    })
}

/// 2D000 where the procedure may not end the transaction it was called in.
///
/// # Safety
/// `fcinfo` is the frame of a call.
unsafe fn check_may_commit(fcinfo: pg_sys::FunctionCallInfo) -> Result<()> {
    // SAFETY: CALL gives a node of this type; what it is, is looked at first.
    let may_commit = unsafe {
        let context = (*fcinfo).context;
        !context.is_null()
            && (*context).type_ == pg_sys::NodeTag::T_CallContext
            && !(*context.cast::<pg_sys::CallContext>()).atomic
            && !pg_sys::IsSubTransaction()
    };
    if may_commit {
        return Ok(());
    }
    Err(Report::new(
        Code::ERRCODE_INVALID_TRANSACTION_TERMINATION,
        "neural.score_table commits batch by batch and cannot run inside a transaction block",
    )
    .hint(
        "CALL it by itself: not between BEGIN and COMMIT (drivers begin a transaction unless \
         autocommit is on), in a function, or in a block with an EXCEPTION clause. Inside a \
         transaction, use UPDATE with neural.predict.",
    ))
}

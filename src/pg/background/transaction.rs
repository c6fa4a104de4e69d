//! The transactions of a background worker, and errors that it survives.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::{self, panic::CaughtError};
use pgrx::{PgSqlErrorCode, PgTryBuilder};

use crate::pg::error::{OrRaise, Result};

/// Does `work` in a transaction of its own, and commits it.
///
/// It is READ COMMITTED and may write, whatever the role's or database's default: only so a statement
/// follows a row that another session has changed meanwhile.
pub(crate) fn transaction<T>(work: impl FnOnce() -> Result<T>) -> T {
    // SAFETY: no transaction is open; an error leaves it to `caught`.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED as i32;
        pg_sys::XactReadOnly = false;
        pg_sys::XactDeferrable = false;
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = work().or_raise();
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
        pg_sys::pgstat_report_stat(true);
        result
    }
}

/// The same without a snapshot: for work that waits.
pub(crate) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: as in `transaction`.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        let result = work();
        pg_sys::CommitTransactionCommand();
        result
    }
}

/// Lets the commit of the transaction at hand not wait for the disk or a standby: what it tells may be
/// lost in a crash.
pub(crate) fn hasty() {
    // SAFETY: static strings; the setting lasts until the transaction ends.
    unsafe {
        pg_sys::set_config_option(
            c"synchronous_commit".as_ptr(),
            c"off".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
    }
}

/// Does `work`, and after an error ends whatever transaction it was in.
///
/// # Errors
/// That which the work ended with.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
        .catch_others(|error| Err(Failure::of(&error)))
        .execute();
    if result.is_err() {
        // SAFETY: as PostgreSQL's own loops do after an error.
        unsafe {
            pg_sys::error_context_stack = std::ptr::null_mut();
            pg_sys::AbortOutOfAnyTransaction();
        }
    }
    result
}

/// Keeps a cancel and a termination waiting while it lives.
pub(crate) struct Undisturbed(());

impl Undisturbed {
    pub(crate) fn begin() -> Undisturbed {
        // SAFETY: a counter of the main thread's.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        Undisturbed(())
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        // SAFETY: an error of PostgreSQL's has set it to zero.
        unsafe {
            pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1);
        }
    }
}

/// What an error said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) sqlstate: String,
    /// The message, and what else there is in lines of their own.
    pub(crate) text: String,
    /// Whether somebody asked for it.
    pub(crate) is_cancel: bool,
}

impl Failure {
    fn of(error: &CaughtError) -> Failure {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic {
            ereport: report, ..
        }) = error;
        let mut text = report.message().to_string();
        for (title, more) in [("DETAIL", report.detail()), ("HINT", report.hint())] {
            if let Some(more) = more {
                text.push_str(&format!("\n{title}:  {more}"));
            }
        }
        let code = report.sql_error_code();
        Failure {
            sqlstate: unpack(code as u32),
            text,
            is_cancel: code == PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
        }
    }
}

/// The five characters of an SQLSTATE as PostgreSQL packs them.
pub(super) fn unpack(code: u32) -> String {
    (0..5)
        .map(|place| ((code >> (6 * place) & 0x3f) as u8 + b'0') as char)
        .collect()
}

//! What the caller is told while it goes on.

use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgLogLevel, PgSqlErrorCode as Code};

use crate::pg::duration::duration;

/// Between two notices at least.
const PAUSE: Duration = Duration::from_secs(1);

/// Notices how far a call has come.
pub(super) struct Progress {
    began: Instant,
    told: Instant,
}

impl Progress {
    pub(super) fn begin() -> Self {
        let began = Instant::now();
        Self { began, told: began }
    }

    /// After a batch that is not the last, when `share` of the table (0 to 1) has been walked: once
    /// a second, as what is told of less tells nothing.
    pub(super) fn batch(&mut self, rows: u64, share: f64) {
        if self.told.elapsed() < PAUSE || rows == 0 {
            return;
        }
        self.told = Instant::now();
        let spent = self.began.elapsed().as_secs_f64();
        let left = duration(spent * (1.0 - share).max(0.0) / share.max(1e-6));
        notice!(
            "{} scored, {:.0}% of the table, {:.0} rows/s, {left} left",
            count(rows),
            100.0 * share.min(1.0),
            rows as f64 / spent.max(1e-3)
        );
    }

    /// When all is done; `again` rows were scored once more because others had changed them.
    pub(super) fn end(&self, rows: u64, again: u64) {
        match again {
            0 => notice!("{} scored", count(rows)),
            _ => notice!(
                "{} scored, and {} that changed or came meanwhile",
                count(rows),
                count(again)
            ),
        }
    }

    /// Before the error that ends the call early.
    pub(super) fn stopped(&self, rows: u64) {
        if rows == 0 {
            return;
        }
        ErrorReport::new(
            Code::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("stopped, with {} scored and committed", count(rows)),
            "pg_neural",
        )
        .set_hint(
            "What was scored stays. The same call with only_missing => true scores the rows \
             whose column is still NULL.",
        )
        .report(PgLogLevel::NOTICE);
    }
}

/// So many rows, in words.
fn count(rows: u64) -> String {
    let s = if rows == 1 { "" } else { "s" };
    format!("{rows} row{s}")
}

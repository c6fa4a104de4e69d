//! Worker threads in a backend: they see no signals and never touch PostgreSQL.

use super::error::{Report, Result};
use super::settings;
use crate::nn::signals::without_signals;

/// Threads that a training shall compute with: as asked for, else the setting, and no more than may be.
pub(crate) fn usable(asked: Option<usize>) -> usize {
    asked
        .unwrap_or_else(settings::threads)
        .clamp(1, settings::max_threads())
}

/// A pool of `threads` worker threads.
///
/// Made where it is needed and dropped after: threads do not survive a fork, and a backend that
/// idles shall not keep them.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let threads = threads.max(1);
    without_signals(|| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("neural {number}"))
            .build()
    })
    .map_err(|error| {
        Report::new(
            pgrx::PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
            format!("could not start {threads} threads: {error}"),
        )
        .hint("Lower neural.threads.")
    })
}

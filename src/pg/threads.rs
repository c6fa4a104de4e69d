//! Worker threads in a backend: they see no signals and never touch PostgreSQL.

use super::error::{Report, Result};
use super::settings;
use crate::nn::signals::without_signals;

/// Threads that a training shall compute with: as asked for, else the setting, and no more than
/// there are processors, as threads that wait for each other's turn only slow it down.
pub(crate) fn usable(asked: Option<usize>) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    asked
        .unwrap_or_else(|| settings::threads().min(processors))
        .clamp(1, 1024)
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

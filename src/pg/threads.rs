//! Worker threads in a backend: they see no signals and never touch PostgreSQL.

use super::error::{Report, Result};
use super::settings;
use crate::memory;
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
    // The C library ends the process where a thread has no room for what is its own.
    let own = threads.saturating_mul(THREAD);
    memory::ask(own)?;
    let pool = without_signals(|| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("neural {number}"))
            .build()
    })
    .map_err(|error| match memory::ask(own) {
        Err(refused) => refused.into(),
        Ok(()) => Report::new(
            pgrx::PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
            format!("could not start {threads} threads: {error}"),
        )
        .hint("Lower neural.threads."),
    })?;
    // Each takes now what it keeps for what it allocates: later it would be of what others asked for.
    pool.broadcast(|_| drop(std::hint::black_box(Box::new(0_u8))));
    Ok(pool)
}

/// What a thread takes of the address space, at least: its stack, and what it has for itself.
const THREAD: usize = 3 << 20;

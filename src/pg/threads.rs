//! Worker threads in a backend: they see no signals and never touch PostgreSQL.

use std::mem::MaybeUninit;

use super::blas;
use super::error::{Report, Result};
use super::settings;

/// Runs `action` with every signal blocked, so that threads it starts never run a handler of
/// PostgreSQL's: they inherit the mask.
pub(crate) fn without_signals<T>(action: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask was filled by pthread_sigmask.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }

    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills `all`, pthread_sigmask fills `before`; neither fails on valid
    // pointers and a valid `how`.
    let _restore = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    action()
}

/// Threads that a training shall compute with: as asked for, else the setting, and no more than
/// there are processors, as threads that wait for each other's turn only slow it down.
pub(crate) fn usable(asked: Option<usize>) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    asked
        .unwrap_or_else(|| settings::threads().min(processors))
        .clamp(1, 1024)
}

/// A pool of `threads` worker threads, or of one where OpenBLAS bears no more.
///
/// Made where it is needed and dropped after: threads do not survive a fork, and a backend that
/// idles shall not keep them.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let threads = if blas::is_thread_safe() {
        threads.max(1)
    } else {
        1
    };
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

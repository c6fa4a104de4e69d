//! Backtraces stay out of what clients are sent.

use std::backtrace::Backtrace;
use std::env;

/// Settles for this process that errors carry none.
///
/// Every error passes as a panic through pgrx, which puts a backtrace into its DETAIL where
/// `RUST_BACKTRACE` is set in the server's environment: a hundred lines, with the paths of the machine
/// that built the library, for an ordinary mistake in a call. The standard library looks at the
/// environment once and remembers what it saw, and this library has a copy of it that is its own.
pub(super) fn keep_out_of_errors() {
    /// Comes before `RUST_BACKTRACE`, where errors are concerned.
    const NAME: &str = "RUST_LIB_BACKTRACE";
    let before = env::var_os(NAME);
    if before.is_none() && env::var_os("RUST_BACKTRACE").is_none() {
        // It will not be set later, either: PostgreSQL has no setting for it.
        return;
    }
    // SAFETY: the main thread of the process while it loads libraries; PostgreSQL starts no others.
    unsafe { env::set_var(NAME, "0") };
    let _ = Backtrace::capture();
    // SAFETY: as above. Other libraries find what was there.
    unsafe {
        match before {
            Some(value) => env::set_var(NAME, value),
            None => env::remove_var(NAME),
        }
    }
}

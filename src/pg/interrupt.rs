//! Cancel, statement timeout and termination.

use pgrx::pg_sys;

/// Whether the statement shall end, read without calling into PostgreSQL: for the main thread
/// while worker threads compute, when it must not handle the interrupt yet.
pub(crate) fn pending() -> bool {
    // SAFETY: two plain flags that signal handlers set; a volatile read sees them change.
    unsafe {
        (&raw const pg_sys::QueryCancelPending).read_volatile() != 0
            || (&raw const pg_sys::ProcDiePending).read_volatile() != 0
    }
}

/// Ends the statement when that was asked for. Not to be called while worker threads run:
/// termination leaves the process without unwinding.
pub(crate) fn check() {
    pgrx::check_for_interrupts!();
}

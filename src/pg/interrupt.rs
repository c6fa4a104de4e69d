//! What PostgreSQL wants of a backend at once: cancel, timeouts, termination, a barrier, a lost client,
//! a look at its memory.

use pgrx::pg_sys;

use crate::nn::Stop;

/// Whether there is anything, read without calling into PostgreSQL: for the main thread while worker
/// threads compute, who have to pause before it is handled.
pub(crate) fn wanted() -> bool {
    // SAFETY: a plain flag that signal handlers set; a volatile read sees it change.
    unsafe { (&raw const pg_sys::InterruptPending).read_volatile() != 0 }
}

/// Whether the statement shall end. All else that PostgreSQL wants is done here, while no worker
/// thread runs: it may raise an error, or end the process without unwinding.
///
/// A cancel and a termination are left to [`check`], so that what was begun is put away first.
pub(crate) fn pending() -> bool {
    if !wanted() {
        return false;
    }
    // SAFETY: as above.
    let ends = unsafe {
        (&raw const pg_sys::QueryCancelPending).read_volatile() != 0
            || (&raw const pg_sys::ProcDiePending).read_volatile() != 0
    };
    if !ends {
        check();
    }
    ends
}

/// Does what PostgreSQL wants, and ends the statement when that was asked for. Not to be called
/// while worker threads run: termination leaves the process without unwinding.
pub(crate) fn check() {
    pgrx::check_for_interrupts!();
}

/// A look of the main thread in the midst of a computation, while no worker thread runs: it does
/// [`check`], which does not return where the statement ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checks;

impl Stop for Checks {
    fn is_set(&self) -> bool {
        check();
        false
    }
}

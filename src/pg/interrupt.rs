//! What PostgreSQL wants of a backend at once: cancel, timeouts, termination, a barrier, a lost client,
//! a look at its memory; and that a statement ends whose memory the system refuses.

use std::cell::Cell;

use pgrx::pg_sys;

use super::error::{OrRaise, Report, Result};
use crate::memory::{self, Refused};

thread_local! {
    /// Why the statement at hand cannot go on.
    static REFUSED: Cell<Option<Refused>> = const { Cell::new(None) };
}

/// Makes sure of the memory that lets work end by an error when the system refuses more
/// ([`memory::SMALL`], [`memory::LARGE`]): where work begins that takes memory.
pub(crate) fn begin(reserve: usize) -> Result<()> {
    REFUSED.set(None);
    Ok(memory::secure(reserve)?)
}

/// The same once a row, where work has begun before: at most times a look at a flag.
#[inline]
pub(crate) fn go_on() -> Result<()> {
    match memory::is_short() {
        true => begin(memory::SMALL),
        false => Ok(()),
    }
}

/// Whether there is anything, read without calling into PostgreSQL: for the main thread while worker
/// threads compute, who have to pause before it is handled.
pub(crate) fn wanted() -> bool {
    // SAFETY: a plain flag that signal handlers set; a volatile read sees it change.
    unsafe { (&raw const pg_sys::InterruptPending).read_volatile() != 0 || memory::is_short() }
}

/// Whether the statement shall end. All else that PostgreSQL wants is done here, while no worker
/// thread runs: it may raise an error, or end the process without unwinding.
///
/// A cancel and a termination are left to [`check`], so that what was begun is put away first; and so
/// is the end for want of memory.
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
        pgrx::check_for_interrupts!();
    }
    ends || is_refused()
}

/// Does what PostgreSQL wants, and ends the statement when that was asked for, or when there is no
/// memory to go on with. Not to be called while worker threads run: termination leaves the process
/// without unwinding.
#[inline]
pub(crate) fn check() {
    pgrx::check_for_interrupts!();
    if memory::is_short() || REFUSED.get().is_some() {
        is_refused();
        refusal().map_or(Ok(()), Err).or_raise();
    }
}

/// Whether what the reserve was for has happened and the reserve cannot be made anew.
fn is_refused() -> bool {
    if REFUSED.get().is_none() && memory::is_short() {
        REFUSED.set(memory::secure_again().err());
    }
    REFUSED.get().is_some()
}

/// The error that ends the statement for want of memory, if that is why it ends.
pub(crate) fn refusal() -> Option<Report> {
    REFUSED.take().map(Report::refused)
}

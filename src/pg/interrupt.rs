//! What PostgreSQL wants of a backend at once: cancel, timeouts, termination, a barrier, a lost client,
//! a look at its memory; and that a statement ends whose memory the system refuses.

use std::ffi::{c_int, c_void};

use pgrx::{PgSqlErrorCode, pg_sys};

use super::error::{OrRaise, Report, Result};
use super::refused;
use crate::memory;

/// Makes sure of the memory that lets work end by an error when the system refuses more
/// ([`memory::SMALL`], [`memory::LARGE`]): where work begins that takes memory.
pub(crate) fn begin(reserve: usize) -> Result<Work> {
    refused::forget();
    memory::secure(reserve)?;
    Ok(Work::enter())
}

/// While work goes on, an error of PostgreSQL's for want of memory gives the reserve back: pgrx copies
/// it once for each of its guards, and where there is no memory for a copy either, so many errors
/// come upon each other that PostgreSQL panics.
pub(crate) struct Work(bool);

/// The entry of PostgreSQL's stack of error contexts: one is enough, however deep the work is nested.
static mut ENTRY: pg_sys::ErrorContextCallback = pg_sys::ErrorContextCallback {
    previous: std::ptr::null_mut(),
    callback: Some(release_reserve),
    arg: std::ptr::null_mut(),
};

impl Work {
    fn enter() -> Work {
        let own = &raw mut ENTRY;
        // SAFETY: the main thread; the entries of the stack are alive, and this one always is.
        unsafe {
            let mut entry = pg_sys::error_context_stack;
            while !entry.is_null() {
                if entry == own {
                    return Work(false);
                }
                entry = (*entry).previous;
            }
            (*own).previous = pg_sys::error_context_stack;
            pg_sys::error_context_stack = own;
        }
        Work(true)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // After an error it stays on the stack; whoever catches the error takes it off.
        if !self.0 || std::thread::panicking() {
            return;
        }
        let own = &raw mut ENTRY;
        // SAFETY: as in `enter`.
        unsafe {
            if pg_sys::error_context_stack == own {
                pg_sys::error_context_stack = (*own).previous;
            }
        }
    }
}

/// Called by PostgreSQL for each message that is raised during the work.
unsafe extern "C-unwind" fn release_reserve(_: *mut c_void) {
    // SAFETY: asks for the message's code, as callbacks may.
    if unsafe { geterrcode() } == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int {
        memory::release();
    }
}

unsafe extern "C-unwind" {
    fn geterrcode() -> c_int;
}

/// The same once a row, where work has begun before: at most times a look at a flag. Raises the error
/// itself, so that nothing of it is carried through every row.
#[inline]
pub(crate) fn go_on() {
    if memory::is_short() {
        go_on_short();
    }
}

#[cold]
fn go_on_short() {
    begin(memory::SMALL).map(drop).or_raise();
}

use crate::nn::Stop;

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
    if memory::is_short() || refused::is_known() {
        is_refused();
        refusal().map_or(Ok(()), Err).or_raise();
    }
}

/// Whether what the reserve was for has happened and the reserve cannot be made anew.
fn is_refused() -> bool {
    if !refused::is_known() && memory::is_short() {
        refused::remember(memory::secure_again());
    }
    refused::is_known()
}

/// The error that ends the statement for want of memory, if that is why it ends.
pub(crate) fn refusal() -> Option<Report> {
    refused::take().map(Report::refused)
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

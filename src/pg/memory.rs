//! Where this library's memory comes from in a backend, and what happens when there is none at all.

use std::ffi::{c_char, c_int};

use pgrx::{PgSqlErrorCode, pg_sys};

use crate::memory::{Reserving, set_last_resort};

#[global_allocator]
static MEMORY: Reserving = Reserving;

unsafe extern "C-unwind" {
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errcode(code: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errdetail(format: *const c_char, ...) -> c_int;
    fn errhint(format: *const c_char, ...) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

/// Ends the connection rather than the server where memory is refused that nothing provides for: the
/// process would end by a signal, and the server restart.
pub(super) fn end_the_connection_at_worst() {
    set_last_resort(end_the_connection);
}

fn end_the_connection(bytes: usize) {
    // SAFETY: the main thread, in a process that may end. A FATAL error ends it in order and unwinds
    // nothing: neither the allocator, in which this is, nor whoever called that. Nothing of the
    // report is on Rust's heap.
    unsafe {
        if !pg_sys::IsUnderPostmaster
            || pg_sys::proc_exit_inprogress
            || pg_sys::CritSectionCount > 0
        {
            return;
        }
        if !errstart(pg_sys::FATAL as c_int, std::ptr::null()) {
            return;
        }
        errcode(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int);
        errmsg(c"out of memory".as_ptr());
        if bytes > 0 {
            errdetail(c"The system refused the process %zu bytes.".as_ptr(), bytes);
        }
        errhint(c"Lower neural.max_memory, or let the server process have more memory.".as_ptr());
        errfinish(
            c"memory.rs".as_ptr(),
            line!() as c_int,
            c"end_the_connection".as_ptr(),
        );
    }
}

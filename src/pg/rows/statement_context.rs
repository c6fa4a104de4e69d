//! What an error of a user's query is told with: the query, and where in it a mistake stands.

use std::ffi::{CStr, c_char, c_int, c_void};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    fn errcontext_msg(format: *const c_char, ...) -> c_int;
}

/// An entry of PostgreSQL's stack of error contexts while a part of the query runs.
///
/// An error of PostgreSQL's is raised twice: where it happens, and, once the destructors of what
/// lies between have run, at the function that PostgreSQL called. Neither its context nor its place in
/// the query goes along: both are told the second time. After an error the entry stays on the stack, as
/// PostgreSQL's own do; whoever catches the error takes them off.
pub(super) struct StatementContext(*mut Entry);

#[repr(C)]
struct Entry {
    callback: pg_sys::ErrorContextCallback,
    statement: *const c_char,
    /// Where in the statement the error is; 0 where it is not known.
    position: c_int,
    part: Part,
    /// Whether destructors have run since the error.
    unwound: bool,
}

/// What is done with the statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is read and planned: PostgreSQL adds the context itself.
    Planning,
    /// Its rows are fetched.
    Fetching,
}

impl StatementContext {
    /// Enters the stack until this is dropped, or an error passes.
    pub(super) fn enter(statement: &CStr, part: Part) -> StatementContext {
        // SAFETY: the entry and the text live as long as the transaction, or until they are freed by
        // `drop`: that of SPI's connection is gone when the error is told.
        unsafe {
            let entry: *mut Entry =
                pg_sys::MemoryContextAlloc(pg_sys::TopTransactionContext, size_of::<Entry>() as _)
                    .cast();
            entry.write(Entry {
                callback: pg_sys::ErrorContextCallback {
                    previous: pg_sys::error_context_stack,
                    callback: Some(tell),
                    arg: entry.cast(),
                },
                statement: pg_sys::MemoryContextStrdup(
                    pg_sys::TopTransactionContext,
                    statement.as_ptr(),
                ),
                position: 0,
                part,
                unwound: false,
            });
            pg_sys::error_context_stack = &raw mut (*entry).callback;
            StatementContext(entry)
        }
    }
}

impl Drop for StatementContext {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // SAFETY: the memory is freed only after the error has been told.
            unsafe { (*self.0).unwound = true };
            return;
        }
        // SAFETY: what `enter` made is on top of the stack again.
        unsafe {
            pg_sys::error_context_stack = (*self.0).callback.previous;
            pg_sys::pfree((*self.0).statement.cast_mut().cast());
            pg_sys::pfree(self.0.cast());
        }
    }
}

/// Called by PostgreSQL for each message that is raised while the entry is on the stack.
unsafe extern "C-unwind" fn tell(entry: *mut c_void) {
    // SAFETY: the argument is the entry; the functions are for callbacks like this one.
    unsafe {
        let entry: *mut Entry = entry.cast();
        match (*entry).part {
            Part::Planning if !(*entry).unwound => {
                (*entry).position = pg_sys::getinternalerrposition();
            }
            Part::Planning if (*entry).position > 0 => {
                pg_sys::internalerrposition((*entry).position);
                pg_sys::internalerrquery((*entry).statement);
            }
            Part::Fetching if (*entry).unwound => {
                pg_sys::set_errcontext_domain(std::ptr::null());
                errcontext_msg(c"SQL statement \"%s\"".as_ptr(), (*entry).statement);
            }
            Part::Planning | Part::Fetching => {}
        }
    }
}

//! What is still recorded when a worker's process ends otherwise than by its end: a termination, or
//! another FATAL error, which unwinds nothing.

use std::cell::{Cell, RefCell};

use pgrx::{pg_guard, pg_sys};

use super::transaction::{Failure, caught, unpack};

/// Bytes kept of a message.
const MOST: usize = 1000;

struct Fatal {
    code: u32,
    length: usize,
    message: [u8; MOST],
}

thread_local! {
    /// What to do with them.
    static RECORD: Cell<Option<fn(&Failure)>> = const { Cell::new(None) };
    /// The FATAL error that ends the process. Its room is there before: there may be no memory then.
    static FATAL: RefCell<Fatal> = const { RefCell::new(Fatal { code: 0, length: 0, message: [0; MOST] }) };
    static OTHERS: Cell<pg_sys::emit_log_hook_type> = const { Cell::new(None) };
}

/// Calls `record` when the process ends, unless [`none`] was called before. For a process that is
/// connected to its database.
pub(crate) fn prepare(record: fn(&Failure)) {
    RECORD.set(Some(record));
    // SAFETY: the worker's main thread; both stay as long as the process. What is registered after the
    // connection was made is called before that is closed.
    unsafe {
        OTHERS.set(pg_sys::emit_log_hook);
        pg_sys::emit_log_hook = Some(listen);
        pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::null());
    }
}

/// All has been said.
pub(crate) fn none() {
    RECORD.set(None);
}

/// Called by PostgreSQL for each message that goes to the server's log.
unsafe extern "C-unwind" fn listen(error: *mut pg_sys::ErrorData) {
    // SAFETY: a whole record; its message is a C string or null.
    unsafe {
        if (*error).elevel == pg_sys::FATAL as i32 && !(*error).message.is_null() {
            let bytes = std::ffi::CStr::from_ptr((*error).message).to_bytes();
            let _ = FATAL.try_with(|fatal| {
                if let Ok(mut fatal) = fatal.try_borrow_mut() {
                    let length = bytes.len().min(MOST);
                    fatal.message[..length].copy_from_slice(&bytes[..length]);
                    fatal.length = length;
                    fatal.code = (*error).sqlerrcode.cast_unsigned();
                }
            });
        }
        if let Some(other) = OTHERS.get() {
            other(error);
        }
    }
}

/// Called by PostgreSQL while the process ends and may still use the database, as temporary tables are
/// removed.
#[pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _argument: pg_sys::Datum) {
    let Some(record) = RECORD.take() else {
        return;
    };
    let failure = FATAL.with_borrow(|fatal| match fatal.code {
        0 => Failure {
            sqlstate: "57P01".into(),
            text: "the worker has ended".into(),
            is_cancel: false,
        },
        code => Failure {
            sqlstate: unpack(code),
            text: String::from_utf8_lossy(&fatal.message[..fatal.length]).into_owned(),
            is_cancel: false,
        },
    });
    // SAFETY: ends whatever the worker was in.
    unsafe { pg_sys::AbortOutOfAnyTransaction() };
    let _ = caught(|| record(&failure));
}

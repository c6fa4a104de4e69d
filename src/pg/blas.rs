//! Makes OpenBLAS fit to live in a backend.
//!
//! Debian's OpenBLAS starts helper threads when it is loaded, with PostgreSQL's signals unblocked,
//! while the server's signal handlers assume one thread. Parallelism is above it here, so the
//! helpers go. The serial variant of the library shares the threaded one's name and is not safe to
//! call from two threads at once; which of them was loaded shows only at run time.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use super::threads;

static THREAD_SAFE: AtomicBool = AtomicBool::new(false);

/// Ends OpenBLAS's helper threads and keeps it to the calling thread from now on.
///
/// A child of the postmaster inherits the state: no helpers, one thread.
pub(crate) fn quiet() {
    threads::without_signals(|| {
        // SAFETY: the symbols are OpenBLAS's, with these signatures in cblas.h and common.h. Only
        // the threaded variant has the last one, so none is linked to. Setting the number starts
        // helpers where they are missing, so it comes first.
        unsafe {
            if let Some(set) = symbol(c"openblas_set_num_threads") {
                std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(c_int)>(set)(1);
            }
            if let Some(shut_down) = symbol(c"blas_thread_shutdown_") {
                std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn() -> c_int>(
                    shut_down,
                )();
            }
            // 0: serial, 1: threads of its own, 2: OpenMP.
            let parallel = symbol(c"openblas_get_parallel").map_or(0, |get| {
                std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn() -> c_int>(get)()
            });
            THREAD_SAFE.store(parallel != 0, Ordering::Relaxed);
        }
    });
}

/// Whether several threads may call OpenBLAS at once. Where not, a training uses one thread.
pub(crate) fn is_thread_safe() -> bool {
    THREAD_SAFE.load(Ordering::Relaxed)
}

fn symbol(name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: a lookup by name in what is loaded.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

//! Threads that take no signals: those of a host process are for its own.

#![expect(unsafe_code, reason = "the C library's signal masks")]

use std::mem::MaybeUninit;

/// Runs `action` with every signal blocked. Threads that it starts inherit the mask, and never run
/// a handler of the host's.
pub fn without_signals<T>(action: impl FnOnce() -> T) -> T {
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

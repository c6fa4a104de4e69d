//! Memory that Rust's allocator takes from the C library.

/// Gives what is free back to the system, once much has been freed in small pieces: the C library
/// would keep up to 64 MB of it for later.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and changes nothing but what free memory lies where.
    unsafe {
        libc::malloc_trim(0);
    }
}

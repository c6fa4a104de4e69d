//! Values with destructors that go with a memory context.

use std::ffi::c_void;

use pgrx::pg_sys::{self, MemoryContext, MemoryContextCallback};

/// Gives a value to a memory context, which drops it when it is reset or deleted, whichever way that
/// comes.
///
/// # Safety
/// The context is alive. What is given back is not used after it, and the destructor raises nothing.
pub(crate) unsafe fn in_context<T>(context: MemoryContext, value: T) -> *mut T {
    unsafe extern "C-unwind" fn gone<T>(value: *mut c_void) {
        // SAFETY: made by Box::into_raw below; a context calls back once.
        drop(unsafe { Box::from_raw(value.cast::<T>()) });
    }
    // SAFETY: as the caller says. The callback has its room before the value is the context's.
    unsafe {
        let size = size_of::<MemoryContextCallback>();
        let callback: *mut MemoryContextCallback = pg_sys::MemoryContextAlloc(context, size).cast();
        let value = Box::into_raw(Box::new(value));
        (*callback).func = Some(gone::<T>);
        (*callback).arg = value.cast();
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
        value
    }
}

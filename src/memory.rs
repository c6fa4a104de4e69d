//! Memory that the system refuses: an error where it can be one.
//!
//! Rust ends the process where an allocation fails, and where the process is a server's backend, the
//! server restarts all others with it. So whoever is about to take much asks first ([`ask`]), and what
//! is taken without asking is small and comes, once the system refuses, from a reserve: address space
//! that is mapped and never touched, and so takes no memory. [`Reserving`] gives it back to the system
//! and tries again; [`is_short`] then says that the work at hand must end soon, and [`secure`] makes a
//! new reserve for the next.
//!
//! What is refused nevertheless goes to the host's last resort ([`set_last_resort`]), which does not
//! return; a thread of its workers stands still there, and the host finds it [`stuck`].

#![expect(unsafe_code, reason = "an allocator, and mappings by the system")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// The reserve of whoever takes little at a time.
pub const SMALL: usize = 2 << 20;
/// The reserve of trainings, and of all that goes through many rows or a large model.
pub const LARGE: usize = 16 << 20;

/// What the C library may take beside what it is asked for.
const SLACK: usize = 1 << 20;

/// The system refused memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of memory")]
pub struct Refused {
    /// How many bytes were asked for.
    pub bytes: usize,
}

impl Refused {
    /// A full sentence with the facts.
    pub fn detail(&self) -> String {
        format!("The system refused the process {} bytes.", self.bytes)
    }

    /// A full sentence saying what to do.
    pub fn hint(&self) -> String {
        "Lower neural.max_memory, neural.threads or the batch size, or let the server process have \
         more: the machine's memory is used up, or a limit set for it (ulimit -v, \
         vm.overcommit_memory) is reached."
            .to_owned()
    }
}

/// The reserve. The lock is held for a system call, and nothing is allocated under it.
struct Reserve {
    locked: AtomicBool,
    /// Where it lies; null where there is none.
    at: AtomicPtr<c_void>,
    size: AtomicUsize,
}

static RESERVE: Reserve = Reserve {
    locked: AtomicBool::new(false),
    at: AtomicPtr::new(null_mut()),
    size: AtomicUsize::new(0),
};
/// Whether the reserve was given back and not made anew.
static SHORT: AtomicBool = AtomicBool::new(false);
/// Threads that stand still.
static STUCK: AtomicUsize = AtomicUsize::new(0);
/// The host's last resort, and the thread that it is for.
static LAST_RESORT: AtomicPtr<()> = AtomicPtr::new(null_mut());
static MAIN: AtomicUsize = AtomicUsize::new(0);

/// Maps so much as can be written to, so that it counts wherever memory is limited.
fn map(bytes: usize) -> Result<*mut c_void, Refused> {
    // SAFETY: a new mapping, which nobody's memory is part of.
    let at = unsafe {
        libc::mmap(
            null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(Refused { bytes });
    }
    Ok(at)
}

/// # Safety
/// A mapping of [`map`]'s that nobody uses.
unsafe fn unmap(at: *mut c_void, bytes: usize) {
    // SAFETY: as the caller says.
    unsafe { libc::munmap(at, bytes) };
}

impl Reserve {
    fn locked<T>(&self, action: impl FnOnce() -> T) -> T {
        while self.locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        let result = action();
        self.locked.store(false, Ordering::Release);
        result
    }

    /// Makes it as large as that, unless it is larger or has been.
    fn secure(&self, bytes: usize) -> Result<(), Refused> {
        self.locked(|| {
            let (at, size) = (
                self.at.load(Ordering::Relaxed),
                self.size.load(Ordering::Relaxed),
            );
            let bytes = bytes.max(size);
            if !at.is_null() {
                if size == bytes {
                    return Ok(());
                }
                // SAFETY: nobody uses a reserve.
                unsafe { unmap(at, size) };
                self.at.store(null_mut(), Ordering::Relaxed);
            }
            self.size.store(bytes, Ordering::Relaxed);
            self.at.store(map(bytes)?, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Gives it back to the system, if it is there.
    fn give_back(&self) {
        self.locked(|| {
            let at = self.at.swap(null_mut(), Ordering::Relaxed);
            if !at.is_null() {
                // SAFETY: nobody uses a reserve.
                unsafe { unmap(at, self.size.load(Ordering::Relaxed)) };
            }
        });
        SHORT.store(true, Ordering::Relaxed);
    }
}

/// Whether the system has so much: it is taken and given back at once. In a process where nobody else
/// allocates at that moment, as much can be taken afterwards.
///
/// # Errors
/// The system's refusal.
pub fn ask(bytes: usize) -> Result<(), Refused> {
    let size = bytes.saturating_add(SLACK);
    let at = map(size).map_err(|_| Refused { bytes })?;
    // SAFETY: mapped just now.
    unsafe { unmap(at, size) };
    Ok(())
}

/// Asks where it is more than the reserve would give anyway.
///
/// # Errors
/// The system's refusal.
pub fn ask_for_many(bytes: usize) -> Result<(), Refused> {
    match bytes > SMALL / 4 {
        true => ask(bytes),
        false => Ok(()),
    }
}

/// Makes room for as many more values in a vector whose length is the user's.
///
/// # Errors
/// The system's refusal, after which the vector is what it was.
pub fn grow<T>(values: &mut Vec<T>, more: usize) -> Result<(), Refused> {
    let needed = values.len().saturating_add(more);
    if needed > values.capacity() {
        let capacity = needed.max(2 * values.capacity());
        ask_for_many(capacity.saturating_mul(size_of::<T>()))?;
        values.reserve(more);
    }
    Ok(())
}

/// Makes sure of a reserve of at least so many bytes, before work begins that takes memory without
/// asking.
///
/// # Errors
/// The system's refusal.
pub fn secure(bytes: usize) -> Result<(), Refused> {
    RESERVE.secure(bytes)?;
    SHORT.store(false, Ordering::Relaxed);
    Ok(())
}

/// Makes the reserve anew that was given back: the work at hand may go on.
///
/// # Errors
/// The system's refusal.
pub fn secure_again() -> Result<(), Refused> {
    secure(SMALL)
}

/// Gives the reserve back to the system, for others in the process who were refused memory.
pub fn release() {
    RESERVE.give_back();
}

/// Whether the reserve is gone: what is refused next ends the process, or what the host does in its
/// place.
#[inline]
pub fn is_short() -> bool {
    SHORT.load(Ordering::Relaxed)
}

/// How many workers stand still because they were refused more than the reserve has.
#[inline]
pub fn stuck() -> usize {
    STUCK.load(Ordering::Relaxed)
}

/// What to do in this thread where memory is refused that nobody asked for. It may return where it can
/// do nothing; then the process ends.
pub fn set_last_resort(action: fn(usize)) {
    // SAFETY: asks for the thread.
    MAIN.store(unsafe { libc::pthread_self() } as usize, Ordering::Relaxed);
    LAST_RESORT.store(action as *mut (), Ordering::Release);
}

/// Does what was set by [`set_last_resort`], if anything was.
#[cold]
pub fn last_resort(bytes: usize) {
    let action = LAST_RESORT.load(Ordering::Acquire);
    if action.is_null() {
        return;
    }
    // SAFETY: asks for the thread.
    if unsafe { libc::pthread_self() } as usize != MAIN.load(Ordering::Relaxed) {
        STUCK.fetch_add(1, Ordering::Relaxed);
        loop {
            // SAFETY: waits; the process ends with the thread that finds this one stuck.
            unsafe { libc::usleep(1_000_000) };
        }
    }
    // SAFETY: stored by `set_last_resort`.
    unsafe { std::mem::transmute::<*mut (), fn(usize)>(action)(bytes) };
}

/// The system's allocator, with a reserve for when that refuses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reserving;

impl Reserving {
    /// Another attempt, with the reserve given back.
    #[cold]
    fn again(bytes: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
        // The C library may take more for itself than it is asked for.
        if bytes <= RESERVE.size.load(Ordering::Relaxed) / 2 {
            RESERVE.give_back();
            let at = allocate();
            if !at.is_null() {
                return at;
            }
        }
        last_resort(bytes);
        null_mut()
    }
}

// SAFETY: the system's allocator does the work; nothing here unwinds.
unsafe impl GlobalAlloc for Reserving {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        let at = unsafe { System.alloc(layout) };
        if at.is_null() {
            return Self::again(layout.size(), || {
                // SAFETY: the caller's.
                unsafe { System.alloc(layout) }
            });
        }
        at
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        let at = unsafe { System.alloc_zeroed(layout) };
        if at.is_null() {
            return Self::again(layout.size(), || {
                // SAFETY: the caller's.
                unsafe { System.alloc_zeroed(layout) }
            });
        }
        at
    }

    #[inline]
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        let at = unsafe { System.realloc(old, layout, size) };
        if at.is_null() {
            return Self::again(size, || {
                // SAFETY: the caller's; what was refused leaves the old memory as it was.
                unsafe { System.realloc(old, layout, size) }
            });
        }
        at
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_has_it_gives_and_what_it_has_not_is_refused() {
        assert_eq!(ask(0), Ok(()));
        assert_eq!(ask(1 << 20), Ok(()));
        assert_eq!(ask(1 << 60), Err(Refused { bytes: 1 << 60 }));
        let mut values = vec![1_u64];
        assert!(grow(&mut values, 1 << 57).is_err());
        assert_eq!(grow(&mut values, 1000), Ok(()));
        assert!(values.capacity() > 1000 && values == [1]);
    }

    #[test]
    fn a_refusal_is_answered_from_the_reserve_once() {
        secure(LARGE).unwrap();
        let attempts = std::cell::Cell::new(0);
        let mut place = 0_u8;
        let at = &raw mut place;
        let allocate = || {
            attempts.set(attempts.get() + 1);
            at
        };
        assert_eq!(Reserving::again(1000, allocate), at);
        assert_eq!(attempts.get(), 1);
        assert!(is_short());
        assert!(Reserving::again(LARGE, allocate).is_null());
        assert_eq!(attempts.get(), 1);
        assert_eq!(secure_again(), Ok(()));
        assert!(!is_short());
    }
}

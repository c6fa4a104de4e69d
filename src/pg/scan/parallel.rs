//! What parallel workers have done, told to the leader, whose EXPLAIN shows it.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgrx::pg_sys;

use super::batch::Done;
use super::node::State;

/// In the memory that a leader shares with its workers.
#[repr(C)]
struct Shared {
    batches: AtomicU64,
    rows: AtomicU64,
    nanoseconds: AtomicU64,
}

/// What a node knows of parallel workers. Zeroes are a plan without such.
#[repr(C)]
pub(super) struct Counters {
    /// Null outside of parallel execution.
    shared: *mut Shared,
    /// This process is a worker.
    worker: bool,
    /// Of workers whose memory may be gone.
    batches: u64,
    rows: u64,
    nanoseconds: u64,
}

impl Counters {
    /// Adds what a worker has just done; a leader counts for itself.
    pub(super) fn tell(&mut self, done: Done) {
        // SAFETY: the memory stays until the worker has shut the node down.
        if let (true, Some(shared)) = (self.worker, unsafe { self.shared.as_ref() }) {
            let nanoseconds = done.time.as_nanos() as u64;
            shared
                .batches
                .fetch_add(done.batches as u64, Ordering::Relaxed);
            shared.rows.fetch_add(done.rows as u64, Ordering::Relaxed);
            shared.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }

    /// What the workers have told.
    pub(super) fn done(&self) -> Done {
        Done {
            batches: self.batches as usize,
            rows: self.rows as usize,
            time: Duration::from_nanos(self.nanoseconds),
        }
    }

    /// Takes over what has been told and lets go of the memory.
    ///
    /// # Safety
    /// The memory is there while the pointer is.
    unsafe fn collect(&mut self) {
        // SAFETY: as the caller says.
        if let (false, Some(shared)) = (self.worker, unsafe { self.shared.as_ref() }) {
            self.batches += shared.batches.swap(0, Ordering::Relaxed);
            self.rows += shared.rows.swap(0, Ordering::Relaxed);
            self.nanoseconds += shared.nanoseconds.swap(0, Ordering::Relaxed);
        }
        self.shared = null_mut();
    }
}

unsafe fn counters<'a>(node: *mut pg_sys::CustomScanState) -> &'a mut Counters {
    // SAFETY: the executor calls with a node of ours.
    unsafe { &mut (*node.cast::<State>()).workers }
}

/// Bytes to share.
pub(super) unsafe extern "C-unwind" fn size(
    _node: *mut pg_sys::CustomScanState,
    _parallel: *mut pg_sys::ParallelContext,
) -> pg_sys::Size {
    size_of::<Shared>()
}

/// The leader begins.
pub(super) unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::CustomScanState,
    _parallel: *mut pg_sys::ParallelContext,
    memory: *mut c_void,
) {
    // SAFETY: as many bytes as were asked for, aligned as any.
    unsafe {
        let shared: *mut Shared = memory.cast();
        shared.write(Shared {
            batches: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        });
        counters(node).shared = shared;
    }
}

/// The leader begins anew; the workers before have ended.
pub(super) unsafe extern "C-unwind" fn begin_again(
    node: *mut pg_sys::CustomScanState,
    _parallel: *mut pg_sys::ParallelContext,
    memory: *mut c_void,
) {
    // SAFETY: the memory of the first time.
    unsafe {
        let counters = counters(node);
        counters.shared = memory.cast();
        counters.collect();
        counters.shared = memory.cast();
    }
}

/// A worker begins.
pub(super) unsafe extern "C-unwind" fn join(
    node: *mut pg_sys::CustomScanState,
    _contents: *mut pg_sys::shm_toc,
    memory: *mut c_void,
) {
    // SAFETY: the leader's memory.
    unsafe {
        let counters = counters(node);
        counters.shared = memory.cast();
        counters.worker = true;
    }
}

/// The plan has no more rows, and the memory is about to go.
pub(super) unsafe extern "C-unwind" fn end(node: *mut pg_sys::CustomScanState) {
    // SAFETY: the memory is still there.
    unsafe { counters(node).collect() }
}

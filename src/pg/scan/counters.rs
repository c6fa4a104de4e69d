//! What nodes have done, and what parallel workers have told the leader, whose EXPLAIN shows it.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a node has done so far, for EXPLAIN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) batches: usize,
    /// Through a network, of all calls.
    pub(super) rows: usize,
    /// Spent on encoding arguments and in the network.
    pub(super) time: Duration,
}

impl std::ops::Add for Done {
    type Output = Done;

    fn add(self, other: Done) -> Done {
        Done {
            batches: self.batches + other.batches,
            rows: self.rows + other.rows,
            time: self.time + other.time,
        }
    }
}

impl std::ops::Sub for Done {
    type Output = Done;

    fn sub(self, before: Done) -> Done {
        Done {
            batches: self.batches - before.batches,
            rows: self.rows - before.rows,
            time: self.time - before.time,
        }
    }
}

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
    /// Bytes that a leader shares with its workers.
    pub(super) const BYTES: usize = size_of::<Shared>();

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

    /// A leader begins, with memory of [so many bytes](Counters::BYTES).
    ///
    /// # Safety
    /// As many bytes, aligned as any.
    pub(super) unsafe fn begin(&mut self, memory: *mut c_void) {
        let shared: *mut Shared = memory.cast();
        // SAFETY: as the caller says.
        unsafe {
            shared.write(Shared {
                batches: AtomicU64::new(0),
                rows: AtomicU64::new(0),
                nanoseconds: AtomicU64::new(0),
            });
        }
        self.shared = shared;
    }

    /// A leader begins anew with that memory; the workers before have ended.
    ///
    /// # Safety
    /// The memory is still there.
    pub(super) unsafe fn begin_again(&mut self, memory: *mut c_void) {
        self.shared = memory.cast();
        // SAFETY: as the caller says.
        unsafe { self.collect() };
        self.shared = memory.cast();
    }

    /// A worker begins, with the leader's memory.
    pub(super) fn join(&mut self, memory: *mut c_void) {
        self.shared = memory.cast();
        self.worker = true;
    }

    /// Takes over what has been told and lets go of the memory.
    ///
    /// # Safety
    /// The memory is there while the pointer is.
    pub(super) unsafe fn collect(&mut self) {
        // SAFETY: as the caller says.
        if let (false, Some(shared)) = (self.worker, unsafe { self.shared.as_ref() }) {
            self.batches += shared.batches.swap(0, Ordering::Relaxed);
            self.rows += shared.rows.swap(0, Ordering::Relaxed);
            self.nanoseconds += shared.nanoseconds.swap(0, Ordering::Relaxed);
        }
        self.shared = null_mut();
    }
}

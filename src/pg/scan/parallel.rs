//! What the executor calls of a node in parallel execution.

use std::ffi::c_void;

use pgrx::pg_sys;

use super::counters::Counters;
use super::state::State;

unsafe fn counters<'a>(node: *mut pg_sys::CustomScanState) -> &'a mut Counters {
    // SAFETY: the executor calls with a node of ours.
    unsafe { &mut (*node.cast::<State>()).workers }
}

/// Bytes to share.
pub(super) unsafe extern "C-unwind" fn size(
    _node: *mut pg_sys::CustomScanState,
    _parallel: *mut pg_sys::ParallelContext,
) -> pg_sys::Size {
    Counters::BYTES
}

/// The leader begins.
pub(super) unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::CustomScanState,
    _parallel: *mut pg_sys::ParallelContext,
    memory: *mut c_void,
) {
    // SAFETY: as many bytes as were asked for, aligned as any.
    unsafe { counters(node).begin(memory) }
}

/// The leader begins anew; the workers before have ended.
pub(super) unsafe extern "C-unwind" fn begin_again(
    node: *mut pg_sys::CustomScanState,
    _parallel: *mut pg_sys::ParallelContext,
    memory: *mut c_void,
) {
    // SAFETY: the memory of the first time.
    unsafe { counters(node).begin_again(memory) }
}

/// A worker begins.
pub(super) unsafe extern "C-unwind" fn join(
    node: *mut pg_sys::CustomScanState,
    _contents: *mut pg_sys::shm_toc,
    memory: *mut c_void,
) {
    // SAFETY: the leader's memory.
    unsafe { counters(node).join(memory) }
}

/// The plan has no more rows, and the memory is about to go.
pub(super) unsafe extern "C-unwind" fn end(node: *mut pg_sys::CustomScanState) {
    // SAFETY: the memory is still there.
    unsafe { counters(node).collect() }
}

//! What the executor keeps of a node.

use pgrx::pg_sys;

use super::batch::Batch;
use super::counters::Counters;

/// What the executor keeps of a node.
#[repr(C)]
pub(super) struct State {
    pub(super) custom: pg_sys::CustomScanState,
    /// Freed with the memory context of the query.
    pub(super) batch: *mut Batch,
    /// What parallel workers have done.
    pub(super) workers: Counters,
}

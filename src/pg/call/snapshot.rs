//! Whether two moments see the same catalog.

use pgrx::pg_sys;

unsafe extern "C" {
    // Declared here because pgrx's guarded bindings cost 8 ns each, and these run once a row. None
    // of them can raise an error.
    fn GetActiveSnapshot() -> pg_sys::Snapshot;
    fn GetUserId() -> pg_sys::Oid;
    fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
    fn GetCurrentTransactionIdIfAny() -> pg_sys::TransactionId;
}

/// What a resolved name depends on. Equal keys see the same rows with the same rights: no
/// transaction ended in between, no command of this one wrote, no subtransaction was left, and the
/// user is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotKey {
    xmin: pg_sys::TransactionId,
    xmax: pg_sys::TransactionId,
    in_progress: u32,
    command: pg_sys::CommandId,
    completed: u64,
    subtransaction: pg_sys::SubTransactionId,
    user: pg_sys::Oid,
}

impl SnapshotKey {
    /// The key of this moment; none where no snapshot is active.
    #[inline]
    pub fn now() -> Option<SnapshotKey> {
        // SAFETY: null, or a snapshot that stays active while the function called under it runs.
        unsafe {
            let snapshot = GetActiveSnapshot().as_ref()?;
            Some(SnapshotKey {
                xmin: snapshot.xmin,
                xmax: snapshot.xmax,
                in_progress: snapshot.xcnt,
                command: snapshot.curcid,
                completed: snapshot.snapXactCompletionCount,
                subtransaction: GetCurrentSubTransactionId(),
                user: GetUserId(),
            })
        }
    }

    /// Whether the key also tells statements of different transactions apart: not when this
    /// transaction has written, nor in a parallel worker, whose snapshot carries no count.
    pub fn outlives_transaction(&self) -> bool {
        // SAFETY: reads this backend's transaction state.
        self.completed != 0
            && unsafe { GetCurrentTransactionIdIfAny() } == pg_sys::InvalidTransactionId
    }
}

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

/// What a resolved name depends on. Equal keys see the same rows with the same rights.
///
/// Snapshots with one `xmax` look at the same transactions below it, of which those in progress
/// can only become fewer: whatever ends either was in progress and is counted out, or moves
/// `xmax`, which is one past the latest that ended. So equal `xmin`, `xmax` and counts mean that
/// nothing ended in between. What this transaction itself did shows in its command number, and
/// what it undid in its subtransaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotKey {
    xmin: pg_sys::TransactionId,
    xmax: pg_sys::TransactionId,
    in_progress: u32,
    subtransactions_in_progress: i32,
    command: pg_sys::CommandId,
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
                subtransactions_in_progress: snapshot.subxcnt,
                command: snapshot.curcid,
                subtransaction: GetCurrentSubTransactionId(),
                user: GetUserId(),
            })
        }
    }

    /// Whether the key also tells statements of different transactions apart: not while this
    /// transaction has written, since command numbers begin anew with the next one.
    pub fn outlives_transaction(&self) -> bool {
        // SAFETY: reads this backend's transaction state.
        unsafe { GetCurrentTransactionIdIfAny() == pg_sys::InvalidTransactionId }
    }
}

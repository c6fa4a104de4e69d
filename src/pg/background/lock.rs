//! What tells that a job's worker lives: locks that it holds until its process ends, however that comes.
//!
//! They are of the kind of PostgreSQL's advisory locks, which an aborted transaction does not release,
//! but of classes that its SQL functions cannot name.

use std::ffi::c_int;

use pgrx::pg_sys;

/// The worker of a job, in the database's own numbering.
const JOB: u16 = 0x4E4A;
/// One of the places that `neural.max_jobs` counts, in the whole cluster.
const PLACE: u16 = 0x4E50;

/// The lock of a job's worker.
#[derive(Clone, Copy)]
pub(crate) struct JobLock(pg_sys::LOCKTAG);

/// The lock of a place.
#[derive(Clone, Copy)]
pub(crate) struct PlaceLock(pg_sys::LOCKTAG);

fn tag(database: pg_sys::Oid, high: u32, low: u32, class: u16) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        locktag_field1: database.to_u32(),
        locktag_field2: high,
        locktag_field3: low,
        locktag_field4: class,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

/// Takes a lock; false where it was not to wait and would have had to.
///
/// # Safety
/// Called in a transaction.
unsafe fn acquire(tag: &pg_sys::LOCKTAG, mode: u32, lasts: bool, waits: bool) -> bool {
    // SAFETY: as the caller says; an error of the lock table's is PostgreSQL's.
    let outcome = unsafe { pg_sys::LockAcquire(tag, mode as i32, lasts, !waits) };
    outcome != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

impl JobLock {
    /// That of a job of this database.
    pub(crate) fn of(job: i64) -> JobLock {
        let bits = job.cast_unsigned();
        // SAFETY: reads a variable of the backend.
        let database = unsafe { pg_sys::MyDatabaseId };
        JobLock(tag(database, (bits >> 32) as u32, bits as u32, JOB))
    }

    /// Takes it until the process ends. Nobody holds it for longer than a look.
    pub(crate) fn take(self) {
        // SAFETY: the worker is in a transaction.
        unsafe { acquire(&self.0, pg_sys::ExclusiveLock, true, true) };
    }

    /// Whether a worker holds it.
    pub(crate) fn is_held(self) -> bool {
        // Two that look at once do not take each other for the worker.
        // SAFETY: the caller is in a transaction, like all SQL.
        unsafe {
            let free = acquire(&self.0, pg_sys::ShareLock, false, false);
            if free {
                pg_sys::LockRelease(&self.0, pg_sys::ShareLock as i32, false);
            }
            !free
        }
    }

    /// The process that holds it.
    pub(crate) fn holder(self) -> Option<c_int> {
        let exclusive = 1 << pg_sys::ExclusiveLock;
        // SAFETY: the copy of the lock table is an array of so many entries.
        unsafe {
            let data = pg_sys::GetLockStatusData();
            let count = usize::try_from((*data).nelements).unwrap_or(0);
            let locks = match count {
                0 => &[],
                count => std::slice::from_raw_parts((*data).locks, count),
            };
            locks
                .iter()
                .find(|lock| is_same(&lock.locktag, &self.0) && lock.holdMask & exclusive != 0)
                .map(|lock| lock.pid)
        }
    }
}

fn is_same(one: &pg_sys::LOCKTAG, other: &pg_sys::LOCKTAG) -> bool {
    one.locktag_field1 == other.locktag_field1
        && one.locktag_field2 == other.locktag_field2
        && one.locktag_field3 == other.locktag_field3
        && one.locktag_field4 == other.locktag_field4
        && one.locktag_type == other.locktag_type
        && one.locktag_lockmethodid == other.locktag_lockmethodid
}

impl PlaceLock {
    /// That of a place, from 0.
    pub(crate) fn of(place: u32) -> PlaceLock {
        PlaceLock(tag(pg_sys::InvalidOid, 0, place, PLACE))
    }

    /// Takes it until the transaction ends, if nobody has it or waits for it.
    pub(crate) fn try_take(self) -> bool {
        // SAFETY: called at the end of a transaction, which is still in progress.
        unsafe { acquire(&self.0, pg_sys::ExclusiveLock, false, false) }
    }

    /// Waits for it, and keeps it until the process ends.
    pub(crate) fn take(self) {
        // SAFETY: the worker is in a transaction.
        unsafe { acquire(&self.0, pg_sys::ExclusiveLock, true, true) };
    }
}

//! Jobs that the transaction at hand made: their workers are ordered just before it commits, while an
//! error is still possible.

use std::cell::RefCell;
use std::ffi::c_void;

use pgrx::{PgSqlErrorCode as Code, pg_guard, pg_sys};

use super::lock::PlaceLock;
use super::ordered::{Ordered, put};
use crate::pg::catalog::job;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::settings;

/// The symbol that a worker begins with: `api::jobs::worker`.
const ENTRY: &str = "neural_job_main";

/// A job whose transaction has not ended.
#[derive(Clone, Copy)]
struct Pending {
    job: i64,
    role: pg_sys::Oid,
    /// The subtransaction that made it, or took it over.
    subtransaction: pg_sys::SubTransactionId,
}

thread_local! {
    static PENDING: RefCell<Option<Vec<Pending>>> = const { RefCell::new(None) };
}

/// Orders a worker for a job of this transaction, when it commits.
pub(crate) fn when_committed(job: i64, role: pg_sys::Oid) {
    // SAFETY: the callbacks stay for as long as the backend, and are registered once.
    unsafe {
        if PENDING.with_borrow(Option::is_none) {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_end_of_part), std::ptr::null_mut());
        }
        let subtransaction = pg_sys::GetCurrentSubTransactionId();
        PENDING.with_borrow_mut(|pending| {
            pending.get_or_insert_default().push(Pending {
                job,
                role,
                subtransaction,
            });
        });
    }
}

/// Whether the transaction at hand made this job.
pub(crate) fn is_pending(job: i64) -> bool {
    PENDING.with_borrow(|pending| pending.iter().flatten().any(|known| known.job == job))
}

fn has_pending() -> bool {
    PENDING.with_borrow(|pending| pending.iter().any(|jobs| !jobs.is_empty()))
}

fn forget() {
    PENDING.with_borrow_mut(|pending| pending.iter_mut().for_each(Vec::clear));
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => {
            let pending = PENDING.with_borrow(|pending| pending.clone().unwrap_or_default());
            if !pending.is_empty() {
                order(&pending).or_raise();
            }
        }
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE if has_pending() => {
            Report::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "cannot PREPARE a transaction that has made a job",
            )
            .hint("COMMIT it: a job's worker starts when its transaction commits.")
            .raise();
        }
        pg_sys::XactEvent::XACT_EVENT_COMMIT
        | pg_sys::XactEvent::XACT_EVENT_ABORT
        | pg_sys::XactEvent::XACT_EVENT_PREPARE => forget(),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end_of_part(
    event: pg_sys::SubXactEvent::Type,
    part: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    PENDING.with_borrow_mut(|pending| {
        let Some(pending) = pending else { return };
        match event {
            pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
                pending.retain(|known| known.subtransaction != part);
            }
            pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => {
                for known in pending
                    .iter_mut()
                    .filter(|known| known.subtransaction == part)
                {
                    known.subtransaction = parent;
                }
            }
            _ => {}
        }
    });
}

/// Orders the workers. They wait for this transaction to end, and for nothing if it fails after all.
fn order(pending: &[Pending]) -> Result<()> {
    // SAFETY: the transaction is in progress; what is pushed is popped, or goes with the transaction.
    unsafe {
        let mut places = 0..settings::max_jobs();
        for known in pending {
            let place = places.find(|&place| PlaceLock::of(place).try_take());
            let ordered = Ordered {
                job: known.job,
                database: pg_sys::MyDatabaseId,
                role: known.role,
                transaction: pg_sys::GetTopTransactionId().into_inner(),
                place: place.ok_or_else(too_many)?,
            };
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            job::ordered(known.job)?;
            pg_sys::PopActiveSnapshot();
            start(&ordered)?;
        }
    }
    Ok(())
}

fn start(ordered: &Ordered) -> Result<()> {
    let mut worker = pg_sys::BackgroundWorker {
        bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION)
            as i32,
        bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished,
        bgw_restart_time: pg_sys::BGW_NEVER_RESTART,
        ..Default::default()
    };
    put(
        &format!("pg_neural job {}", ordered.job),
        &mut worker.bgw_name,
    );
    put("pg_neural job", &mut worker.bgw_type);
    put("pg_neural", &mut worker.bgw_library_name);
    put(ENTRY, &mut worker.bgw_function_name);
    ordered.write(&mut worker.bgw_extra);
    // SAFETY: the record is whole; it is copied.
    if unsafe { pg_sys::RegisterDynamicBackgroundWorker(&mut worker, std::ptr::null_mut()) } {
        return Ok(());
    }
    Err(Report::new(
        Code::ERRCODE_TOO_MANY_CONNECTIONS,
        format!("no background worker is free for job {}", ordered.job),
    )
    .hint(
        "Try again when other jobs or parallel queries have ended, or raise max_worker_processes, \
         which takes a restart.",
    ))
}

fn too_many() -> Report {
    let message = match settings::max_jobs() {
        0 => "no jobs are taken, since neural.max_jobs is 0".to_string(),
        1 => "a job is queued or running already, and neural.max_jobs is 1".to_string(),
        most => format!("{most} jobs are queued or running, as many as neural.max_jobs allows"),
    };
    Report::new(Code::ERRCODE_TOO_MANY_CONNECTIONS, message).hint(
        "Try again when one has ended: neural.jobs shows them. A superuser can raise neural.max_jobs, \
         within max_worker_processes.",
    )
}

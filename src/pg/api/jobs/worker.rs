//! The background worker of a job: it waits for the transaction that made the job, reads the rows in one
//! transaction, computes in none, and stores the version in another.

use std::cell::Cell;
use std::ffi::c_int;

use pgrx::{log, pg_guard, pg_sys};

use super::progress::{self, Teller};
use crate::memory;
use crate::pg::api::training::{Checked, Order};
use crate::pg::background::carried;
use crate::pg::background::last_words;
use crate::pg::background::lock::{JobLock, PlaceLock};
use crate::pg::background::ordered::Ordered;
use crate::pg::background::transaction::{Failure, Undisturbed, caught, transaction, waiting};
use crate::pg::catalog::checkpoint;
use crate::pg::catalog::job::{self, End, Job};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::interrupt;
use crate::pg::rows::Lifetime;
use crate::training::Arguments;

// PostgreSQL's own handler of SIGTERM, and what installs it: not by pgrx, whose wrapper of a C function is
// none that a signal may call.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    #[cfg_attr(feature = "pg18", link_name = "pqsignal_be")]
    fn pqsignal(signal: c_int, handler: unsafe extern "C-unwind" fn(c_int)) -> *const u8;
}

thread_local! {
    /// The job of this process.
    static JOB: Cell<i64> = const { Cell::new(0) };
}

/// Where the worker begins; `background::ordering` names it.
///
/// # Safety
/// Called by PostgreSQL in a new process.
#[doc(hidden)]
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn neural_job_main(_argument: pg_sys::Datum) {
    // SAFETY: in the order that PostgreSQL asks for: handlers, signals, connection. SIGINT has the handler
    // of a cancelled statement already.
    unsafe {
        pqsignal(pg_sys::SIGTERM as c_int, die);
        pg_sys::BackgroundWorkerUnblockSignals();
        let Some(ordered) = Ordered::read(&(*pg_sys::MyBgworkerEntry).bgw_extra) else {
            return;
        };
        pg_sys::BackgroundWorkerInitializeConnectionByOid(ordered.database, ordered.role, FLAGS);
        JOB.set(ordered.job);
        last_words::prepare(record);
        if let Err(failure) = caught(|| work(&ordered)) {
            log!("job {} {}: {}", ordered.job, how(&failure), failure.text);
            if let Err(failure) = caught(|| record(&failure)) {
                log!(
                    "the end of job {} is not recorded: {}",
                    ordered.job,
                    failure.text
                );
            }
        }
        last_words::none();
    }
}

/// From PostgreSQL 17 on a role without LOGIN can have jobs as well.
#[cfg(any(feature = "pg15", feature = "pg16"))]
const FLAGS: u32 = 0;
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
const FLAGS: u32 = pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;

fn how(failure: &Failure) -> &'static str {
    if failure.is_cancel {
        "cancelled"
    } else {
        "failed"
    }
}

fn work(ordered: &Ordered) {
    let number = ordered.job;
    waiting(|| {
        JobLock::of(number).take();
        progress::show(number, "queued");
        // SAFETY: in a transaction, as it must be; the requester's may have ended.
        unsafe {
            pg_sys::XactLockTableWait(
                pg_sys::TransactionId::from(ordered.transaction),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                pg_sys::XLTW_Oper::XLTW_None,
            );
        }
        PlaceLock::of(ordered.place).take();
    });
    // The transaction that made it was rolled back, or it was cancelled since.
    let Some(job) = transaction(|| job::begin(number)) else {
        return;
    };
    transaction(|| carried::apply(&job.settings));
    let _work = interrupt::begin(memory::LARGE).or_raise();
    let order = order(&job).or_raise();
    progress::show(number, "reading");
    let (filled, kept) = transaction(|| {
        let mut filled = Checked::new(&order)?.read(Lifetime::Process, Some(reading))?;
        progress::read(filled.rows());
        job::tell(number, &progress::latest())?;
        Ok((filled, checkpoint::load(number)?))
    });
    // The query may have released all locks of this kind.
    waiting(|| JobLock::of(number).take());
    progress::show(number, "preparing");
    let mut teller = Teller::new(number);
    let mut finished = filled.train(kept.as_deref(), &mut teller).or_raise();
    drop(kept);
    progress::show(number, "storing");
    transaction(|| {
        let version = finished.store()?;
        job::tell(number, &progress::latest())?;
        checkpoint::forget(number)?;
        job::end(number, End::Succeeded(version))
    });
}

/// Shows how many rows the job of this process has read.
fn reading(rows: u64) {
    progress::show(JOB.get(), &format!("reading, {rows} rows"));
}

/// Records how the job of this process ended that did not succeed.
fn record(failure: &Failure) {
    let _undisturbed = Undisturbed::begin();
    let mut error = failure.text.clone();
    if failure.sqlstate == "42P01" && !error.contains("\nHINT:") {
        error.push_str(
            "\nHINT:  A job runs in a session of its own, where temporary tables do not exist.",
        );
    }
    let (sqlstate, error) = (failure.sqlstate.as_str(), error.as_str());
    transaction(|| {
        job::tell(JOB.get(), &progress::latest())?;
        let end = match failure.is_cancel {
            true => End::Cancelled { sqlstate, error },
            false => End::Failed { sqlstate, error },
        };
        job::end(JOB.get(), end)
    });
}

fn order(job: &Job) -> Result<Order<'_>> {
    let json = |text: &str| {
        let read = serde_json::from_str(text);
        read.map_err(|error| Report::invalid(format!("the job's record cannot be read: {error}")))
    };
    Ok(Order {
        model: &job.model,
        query: &job.query,
        target: &job.target,
        task: job.task.as_deref(),
        architecture: job.architecture.as_deref(),
        features: job.features.as_deref().map(json).transpose()?,
        options_json: json(&job.options)?,
        arguments: Arguments {
            epochs: job.epochs.map(i64::from),
            batch_size: job.batch_size.map(i64::from),
            learning_rate: job.learning_rate,
            optimizer: job.optimizer.clone(),
            validation: job.validation,
            seed: job.seed as u64,
        },
    })
}

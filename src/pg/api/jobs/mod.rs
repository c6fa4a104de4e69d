//! Trainings in the background: `neural.train_async`, `neural.cancel_job`, `neural.wait_job`,
//! `neural.resume_job`.

mod progress;
mod state;
mod worker;

use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::{AnyElement, pg_sys};

use self::state::{State, known, only_on_primary, state};
use super::given;
use super::training::{Checked, Order};
use crate::memory;
use crate::pg::access::invoker;
use crate::pg::background::lock::JobLock;
use crate::pg::background::{carried, ordering};
use crate::pg::catalog::checkpoint;
use crate::pg::catalog::job::{self, Wanted};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::{holders, interrupt, role};

/// How long `wait_job` sleeps between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Makes a job of a training.
#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "the SQL function's parameters")]
fn train_async(
    model: Option<&[u8]>,
    query: Option<&[u8]>,
    target: Option<&[u8]>,
    task: Option<&[u8]>,
    architecture: Option<&[u8]>,
    features: Option<AnyElement>,
    epochs: Option<i32>,
    batch_size: Option<i32>,
    learning_rate: Option<f64>,
    optimizer: Option<&[u8]>,
    validation: Option<f64>,
    seed: Option<i64>,
    options: Option<AnyElement>,
) -> i64 {
    let _work = interrupt::begin(memory::LARGE).or_raise();
    only_on_primary("neural.train_async()").or_raise();
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.train_async()".as_ptr()) };
    let datum = |argument: &Option<AnyElement>| argument.as_ref().map(AnyElement::datum);
    let (features_given, options_given) = (datum(&features), datum(&options));
    // SAFETY: the parameters are jsonb.
    let order = unsafe {
        Order::given(
            model,
            query,
            target,
            task,
            architecture,
            features,
            epochs,
            batch_size,
            learning_rate,
            optimizer,
            validation,
            seed,
            options,
        )
    }
    .or_raise();
    check_may_have_jobs(invoker()).or_raise();
    let mut checked = Checked::new(&order).or_raise();
    checked.check_query().or_raise();
    let wanted = Wanted {
        model: order.model,
        query: order.query,
        target: order.target,
        task: order.task,
        architecture: order.architecture,
        features: features_given,
        epochs,
        batch_size,
        learning_rate,
        optimizer: order.arguments.optimizer.as_deref(),
        validation,
        seed: order.arguments.seed as i64,
        options: options_given,
        settings: carried::of_session().or_raise(),
    };
    let job = job::insert(&wanted).or_raise();
    ordering::when_committed(job, invoker());
    job
}

/// 42501 where PostgreSQL runs code of others that may leave nothing for later, as REFRESH MATERIALIZED VIEW
/// and ANALYZE do; 55000 for a role that a worker cannot connect as.
#[cfg_attr(
    not(any(feature = "pg15", feature = "pg16")),
    expect(unused_variables, reason = "any role may have workers")
)]
fn check_may_have_jobs(role: pg_sys::Oid) -> Result<()> {
    // SAFETY: reads a variable of the backend.
    if unsafe { pg_sys::InSecurityRestrictedOperation() } {
        return Err(
            Report::denied("cannot make a job within a security-restricted operation")
                .hint("Call it by itself, not from an index, a view or a trigger."),
        );
    }
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    // SAFETY: a syscache look-up of the current role, released again.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::AUTHOID as i32,
            pg_sys::Datum::from(role),
        );
        if !tuple.is_null() {
            let row: *const pg_sys::FormData_pg_authid = pg_sys::GETSTRUCT(tuple).cast();
            let can_login = (*row).rolcanlogin;
            pg_sys::ReleaseSysCache(tuple);
            if !can_login {
                let name = crate::pg::role::name(role).unwrap_or_default();
                return Err(Report::not_in_state(format!(
                    "role \"{name}\" cannot have jobs, since it is not permitted to log in"
                ))
                .detail("Before PostgreSQL 17 a background worker needs a role with LOGIN.")
                .hint("Call neural.train_async as a role with LOGIN, or use neural.train."));
            }
        }
    }
    Ok(())
}

/// Ends a job.
#[pg_extern(sql = false)]
fn cancel_job(job: Option<i64>) -> bool {
    only_on_primary("neural.cancel_job()").or_raise();
    cancel(given(job, "job").or_raise()).or_raise()
}

fn cancel(job: i64) -> Result<bool> {
    // Between two looks a worker may have begun, or ended.
    loop {
        interrupt::check();
        match state(job, &known(job)?)? {
            State::Ended(_) | State::Lost => return Ok(false),
            State::Alive(_) => {
                if let Some(pid) = JobLock::of(job).holder() {
                    // SAFETY: sends a signal, as pg_cancel_backend does.
                    unsafe { libc::kill(pid, libc::SIGINT) };
                    return Ok(true);
                }
            }
            State::Ordered => {
                if job::cancel_queued(job)? {
                    return Ok(true);
                }
            }
        }
    }
}

/// Goes on with a job that was broken off, from what was kept of it.
#[pg_extern(sql = false)]
fn resume_job(job: Option<i64>) -> i64 {
    only_on_primary("neural.resume_job()").or_raise();
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.resume_job()".as_ptr()) };
    let job = given(job, "job").or_raise();
    resume(job).or_raise();
    job
}

fn resume(job: i64) -> Result<()> {
    let known = known(job)?;
    let not_now = |what: &str| Report::not_in_state(format!("job {job} {what}"));
    match state(job, &known)? {
        State::Lost => {}
        State::Ended(state) if state == "succeeded" => {
            return Err(not_now("has succeeded").hint("There is nothing left to go on with."));
        }
        State::Ended(_) => {}
        State::Ordered | State::Alive(_) => {
            return Err(not_now("has not ended").hint("neural.cancel_job(job) ends it."));
        }
    }
    // A superuser sees it all the same.
    if role::name(known.requested_by).is_none() || !holders::owns(known.requested_by)? {
        return Err(not_now("is nobody's any more")
            .detail("The role that asked for it was dropped, or gave up what it owned.")
            .hint("Begin anew with neural.train_async, as another role."));
    }
    check_may_have_jobs(known.requested_by)?;
    if !checkpoint::is_there(job)? {
        return Err(not_now("has kept nothing to go on from").hint(
            "Begin anew with neural.train_async; its option \"checkpoint\", a number of epochs, keeps how \
             far a job is.",
        ));
    }
    if !job::queue_again(job, &known.state)? {
        return Err(not_now("is resumed by another session").hint("neural.jobs shows it."));
    }
    ordering::when_committed(job, known.requested_by);
    Ok(())
}

/// `neural.wait_job(job, timeout)`.
///
/// # Safety
/// Called as its SQL declares.
unsafe fn wait_of(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // Of a job whose worker was lost the row never tells, and a standby has nothing else.
    only_on_primary("neural.wait_job()").or_raise();
    // SAFETY: a frame of this function, whose arguments are a bigint and an interval.
    let (job, timeout) = unsafe {
        let job = given(pgrx::fcinfo::pg_getarg::<i64>(fcinfo, 0), "job").or_raise();
        let timeout = pgrx::fcinfo::pg_getarg_datum(fcinfo, 1);
        let timeout = timeout.map(|timeout| {
            let interval: *const pg_sys::Interval = timeout.cast_mut_ptr();
            span(&*interval)
        });
        (job, timeout)
    };
    let state = wait(job, timeout).or_raise();
    state.into_datum().unwrap_or(pg_sys::Datum::null())
}

raw_function!(neural_wait_job, pg_finfo_neural_wait_job, wait_of);

/// How long an interval is; nothing for one that is negative.
fn span(interval: &pg_sys::Interval) -> Duration {
    let days = i64::from(interval.month) * 30 + i64::from(interval.day);
    let microseconds = days
        .saturating_mul(86_400_000_000)
        .saturating_add(interval.time);
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}

fn wait(job: i64, timeout: Option<Duration>) -> Result<String> {
    if ordering::is_pending(job) {
        return Err(Report::not_in_state(format!(
            "job {job} cannot be waited for in the transaction that made it"
        ))
        .hint("COMMIT first: the job starts then."));
    }
    let began = Instant::now();
    loop {
        let known = known(job)?;
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        let now = state(job, &known)?;
        match now {
            State::Lost => return Ok("failed".into()),
            // Its worker takes a place until it is gone.
            State::Ended(state) if left == Some(Duration::ZERO) || !JobLock::of(job).is_held() => {
                return Ok(state);
            }
            State::Alive(state) if left == Some(Duration::ZERO) => return Ok(state),
            State::Ordered if left == Some(Duration::ZERO) => return Ok(known.state),
            State::Ended(_) | State::Alive(_) | State::Ordered => {}
        }
        let pause = left.map_or(LOOK, |left| left.min(LOOK)).as_millis().max(1);
        // SAFETY: the backend's own latch; interrupts are looked at after it.
        unsafe {
            pg_sys::WaitLatch(
                pg_sys::MyLatch,
                (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH) as i32,
                pause as i64,
                pg_sys::PG_WAIT_EXTENSION,
            );
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        interrupt::check();
    }
}

/// `_neural.job_is_lost`, for the view.
#[pg_extern(sql = false)]
fn job_is_lost(job: Option<i64>) -> bool {
    let Some(job) = job else {
        return false;
    };
    state::is_lost(job).or_raise()
}

//! What a job is doing at this moment: its row says what was told last, and its worker's lock whether that
//! still holds.

use std::time::Duration;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::pg::access::{invoker, manages};
use crate::pg::background::lock::JobLock;
use crate::pg::background::ordering;
use crate::pg::catalog::job::{self, Known};
use crate::pg::error::{Report, Result};

/// How long the postmaster may take to start a worker.
const START: Duration = Duration::from_secs(60);

/// A job at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Its worker is to come.
    Ordered,
    /// Its worker lives, and last told this state.
    Alive(String),
    /// It has ended so.
    Ended(String),
    /// Its worker has ended without a word, or never came.
    Lost,
}

/// 25006 on a standby, which neither can change a job's row nor knows whether its worker lives.
pub(super) fn only_on_primary(command: &str) -> Result<()> {
    // SAFETY: a flag of the server's.
    if !unsafe { pg_sys::RecoveryInProgress() } {
        return Ok(());
    }
    Err(Report::new(
        Code::ERRCODE_READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {command} during recovery"),
    )
    .hint(
        "Call it on the primary. Here neural.jobs shows what the primary had written of its jobs when it \
         was last heard of.",
    ))
}

/// The job of this number, for who may manage it.
///
/// # Errors
/// 42704 where there is none, 42501 for a stranger.
pub(super) fn known(job: i64) -> Result<Known> {
    let known = job::now(job)?.ok_or_else(|| {
        Report::undefined(format!("job {job} does not exist"))
            .hint("neural.jobs lists the jobs that you may see.")
    })?;
    if !manages(invoker(), known.requested_by)? {
        return Err(
            Report::denied(format!("permission denied for job {job}")).hint(
                "Its requester, members of that role and superusers may wait for it and cancel it.",
            ),
        );
    }
    Ok(known)
}

/// What it does, if its row said this a moment ago.
pub(super) fn state(job: i64, known: &Known) -> Result<State> {
    if !known.is_unfinished() {
        return Ok(State::Ended(known.state.clone()));
    }
    // SAFETY: a flag of the server's. A standby knows nothing of its primary's processes.
    if unsafe { pg_sys::RecoveryInProgress() } || JobLock::of(job).is_held() {
        return Ok(State::Alive(known.state.clone()));
    }
    // A worker that ended a moment ago has told how: its commit came before the lock was released.
    Ok(match job::now(job)? {
        Some(now) if !now.is_unfinished() => State::Ended(now.state),
        Some(now) if now.state == "queued" && may_come(job, &now) => State::Ordered,
        _ => State::Lost,
    })
}

/// Whether the worker of a queued job may still come.
fn may_come(job: i64, known: &Known) -> bool {
    if ordering::is_pending(job) {
        return true;
    }
    let Some(ordered) = known.ordered_at else {
        return false;
    };
    // SAFETY: the time now and that of the server's start, as PostgreSQL counts them.
    let (now, start) = unsafe { (pg_sys::GetCurrentTimestamp(), pg_sys::PgStartTime) };
    // A restarted server has forgotten the workers that were ordered of the one before.
    ordered >= start && now.saturating_sub(ordered) < START.as_micros() as i64
}

/// Whether a job that some snapshot shows as unfinished has no worker any more, and will get none.
pub(super) fn is_lost(job: i64) -> Result<bool> {
    Ok(match job::now(job)? {
        Some(known) => state(job, &known)? == State::Lost,
        None => false,
    })
}

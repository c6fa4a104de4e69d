//! The rows of `_neural.job`: asked for, ordered, running, ended.

use pgrx::datum::DatumWithOid;
use pgrx::{JsonB, Spi, pg_sys};
use serde_json::Value;

use super::{AsTableOwner, execute, fetch, holding};
use crate::pg::error::{Report, Result};
use crate::pg::own_table::columns::job as columns;
use crate::pg::own_table::{Key, Table};
use crate::pg::role;

/// A training that is asked for: the arguments of `neural.train` as given.
#[derive(Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) model: &'a str,
    pub(crate) query: &'a str,
    pub(crate) target: &'a str,
    pub(crate) task: Option<&'a str>,
    pub(crate) architecture: Option<&'a str>,
    /// A jsonb.
    pub(crate) features: Option<pg_sys::Datum>,
    pub(crate) epochs: Option<i32>,
    pub(crate) batch_size: Option<i32>,
    pub(crate) learning_rate: Option<f64>,
    pub(crate) optimizer: Option<&'a str>,
    pub(crate) validation: Option<f64>,
    pub(crate) seed: i64,
    /// A jsonb; none is an empty object.
    pub(crate) options: Option<pg_sys::Datum>,
    pub(crate) settings: Value,
}

/// The same as its worker finds it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) model: String,
    pub(crate) query: String,
    pub(crate) target: String,
    pub(crate) task: Option<String>,
    pub(crate) architecture: Option<String>,
    /// JSON, as PostgreSQL prints it.
    pub(crate) features: Option<String>,
    pub(crate) epochs: Option<i32>,
    pub(crate) batch_size: Option<i32>,
    pub(crate) learning_rate: Option<f64>,
    pub(crate) optimizer: Option<String>,
    pub(crate) validation: Option<f64>,
    pub(crate) seed: i64,
    /// JSON, as PostgreSQL prints it.
    pub(crate) options: String,
    pub(crate) settings: Value,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) epoch: Option<i32>,
    pub(crate) epochs: Option<i32>,
    pub(crate) rows_done: Option<i64>,
    pub(crate) rows_total: Option<i64>,
    pub(crate) train_loss: Option<f64>,
    pub(crate) validation_loss: Option<f64>,
    /// Until the loop is done.
    pub(crate) seconds_left: Option<f64>,
}

/// How a job ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    /// With this version of its model.
    Succeeded(i32),
    Failed {
        sqlstate: &'a str,
        error: &'a str,
    },
    Cancelled {
        sqlstate: &'a str,
        error: &'a str,
    },
}

/// What the row of a job says.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) state: String,
    pub(crate) requested_by: pg_sys::Oid,
    /// When its worker was ordered, as PostgreSQL counts time.
    pub(crate) ordered_at: Option<i64>,
}

impl Known {
    /// Whether the row says that it is to come or goes on.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.state == "queued" || self.state == "running"
    }
}

/// A job as it is at this moment, whatever the snapshot of the caller shows.
pub(crate) fn now(job: i64) -> Result<Option<Known>> {
    // SAFETY: in a transaction, not in parallel mode; what is pushed is popped, or goes with the
    // transaction after an error.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let known = find(job)?;
    // SAFETY: as above.
    unsafe { pg_sys::PopActiveSnapshot() };
    Ok(known)
}

fn find(job: i64) -> Result<Option<Known>> {
    let table = Table::open(c"job")?;
    let mut scan = table.scan(c"job_pkey", &[Key::int8(columns::ID, job)])?;
    let Some(row) = scan.next() else {
        return Ok(None);
    };
    Ok(Some(Known {
        state: row.get(columns::STATE)?,
        requested_by: row.get(columns::REQUESTED_BY)?,
        ordered_at: row.optional(columns::ORDERED_AT),
    }))
}

/// Keeps what is asked for; the number of the job.
pub(crate) fn insert(wanted: &Wanted<'_>) -> Result<i64> {
    let owner = AsTableOwner::enter()?;
    holding::hold(&owner, owner.invoker())?;
    let id = fetch(
        &owner,
        "INSERT INTO _neural.job (state, requested_by, kind, model, query, target, task, architecture,
             features, wanted_epochs, batch_size, learning_rate, optimizer, validation, seed, options,
             settings)
         VALUES ('queued', $1::_neural.role, 'train', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
             coalesce($14, '{}'), $15)
         RETURNING id",
        &[
            role::argument(owner.invoker()),
            wanted.model.into(),
            wanted.query.into(),
            wanted.target.into(),
            wanted.task.into(),
            wanted.architecture.into(),
            jsonb(wanted.features),
            wanted.epochs.into(),
            wanted.batch_size.into(),
            wanted.learning_rate.into(),
            wanted.optimizer.into(),
            wanted.validation.into(),
            wanted.seed.into(),
            jsonb(wanted.options),
            JsonB(wanted.settings.clone()).into(),
        ],
    )?;
    id.ok_or_else(|| Report::internal("no job was made"))
}

fn jsonb(datum: Option<pg_sys::Datum>) -> DatumWithOid<'static> {
    match datum {
        // SAFETY: a jsonb, as `Wanted` says, which lives as long as the call it is an argument of.
        Some(datum) => unsafe { DatumWithOid::new(datum, pg_sys::JSONBOID) },
        None => DatumWithOid::null_oid(pg_sys::JSONBOID),
    }
}

/// Its worker is ordered.
pub(crate) fn ordered(job: i64) -> Result<()> {
    let sql = "UPDATE _neural.job SET ordered_at = clock_timestamp() WHERE id = $1";
    execute(&AsTableOwner::enter()?, sql, &[job.into()])?;
    Ok(())
}

/// Its worker begins; nothing where there is no such job, or it is not to be done any more.
pub(crate) fn begin(job: i64) -> Result<Option<Job>> {
    let _owner = AsTableOwner::enter()?;
    Spi::connect_mut(|client| {
        let rows = client.update(
            "UPDATE _neural.job SET state = 'running', started_at = clock_timestamp(), error = NULL,
                 sqlstate = NULL, finished_at = NULL
             WHERE id = $1 AND state = 'queued'
             RETURNING model, query, target, task, architecture, features::text, wanted_epochs, batch_size,
                 learning_rate, optimizer, validation, seed, options::text, settings",
            None,
            &[job.into()],
        )?;
        if rows.is_empty() {
            return Ok(None);
        }
        let row = rows.first();
        let missing = || Report::damaged(format!("the record of job {job} is damaged"));
        Ok(Some(Job {
            model: row.get(1)?.ok_or_else(missing)?,
            query: row.get(2)?.ok_or_else(missing)?,
            target: row.get(3)?.ok_or_else(missing)?,
            task: row.get(4)?,
            architecture: row.get(5)?,
            features: row.get(6)?,
            epochs: row.get(7)?,
            batch_size: row.get(8)?,
            learning_rate: row.get(9)?,
            optimizer: row.get(10)?,
            validation: row.get(11)?,
            seed: row.get(12)?.ok_or_else(missing)?,
            options: row.get(13)?.ok_or_else(missing)?,
            settings: row.get::<JsonB>(14)?.ok_or_else(missing)?.0,
        }))
    })
}

/// Tells how far it is.
pub(crate) fn tell(job: i64, progress: &Progress) -> Result<()> {
    execute(
        &AsTableOwner::enter()?,
        "UPDATE _neural.job SET epoch = $2, epochs = $3, rows_done = $4, rows_total = $5, train_loss = $6,
             validation_loss = $7, ends_at = clock_timestamp() + $8 * interval '1 second'
         WHERE id = $1 AND state = 'running'",
        &[
            job.into(),
            progress.epoch.into(),
            progress.epochs.into(),
            progress.rows_done.into(),
            progress.rows_total.into(),
            progress.train_loss.into(),
            progress.validation_loss.into(),
            progress.seconds_left.filter(|left| *left < LONGEST).into(),
        ],
    )?;
    Ok(())
}

/// Seconds, some thirty years: what is beyond is no time of PostgreSQL's, or nobody's plan.
const LONGEST: f64 = 1e9;

/// It has ended. A job that has is left as it is.
pub(crate) fn end(job: i64, end: End<'_>) -> Result<()> {
    let (state, version, sqlstate, error) = match end {
        End::Succeeded(version) => ("succeeded", Some(version), None, None),
        End::Failed { sqlstate, error } => ("failed", None, Some(sqlstate), Some(error)),
        End::Cancelled { sqlstate, error } => ("cancelled", None, Some(sqlstate), Some(error)),
    };
    execute(
        &AsTableOwner::enter()?,
        "UPDATE _neural.job SET state = $2, version = $3, sqlstate = $4, error = $5, ends_at = NULL,
             finished_at = clock_timestamp()
         WHERE id = $1 AND state IN ('queued', 'running')",
        &[
            job.into(),
            state.into(),
            version.into(),
            sqlstate.into(),
            error.into(),
        ],
    )?;
    Ok(())
}

/// Ends a job before its worker begins; false if that is no more to be prevented.
pub(crate) fn cancel_queued(job: i64) -> Result<bool> {
    let ended = execute(
        &AsTableOwner::enter()?,
        "UPDATE _neural.job SET state = 'cancelled', sqlstate = '57014',
             error = 'cancelled before it began', finished_at = clock_timestamp()
         WHERE id = $1 AND state = 'queued'",
        &[job.into()],
    )?;
    Ok(ended > 0)
}

/// Puts a job that has ended in this state back where it waits for a worker; false if another session has
/// done it meanwhile.
pub(crate) fn queue_again(job: i64, state: &str) -> Result<bool> {
    let queued = execute(
        &AsTableOwner::enter()?,
        "UPDATE _neural.job SET state = 'queued', ordered_at = NULL, sqlstate = NULL, error = NULL,
             ends_at = NULL, finished_at = NULL
         WHERE id = $1 AND state = $2",
        &[job.into(), state.into()],
    )?;
    Ok(queued > 0)
}

//! The rows of `_neural.checkpoint`: how far a job's training is, in pieces.

use pgrx::Spi;

use super::{AsTableOwner, execute};
use crate::memory;
use crate::pg::error::Result;
use crate::training::Kept;

/// Keeps how far a job is, in place of what was kept before.
pub(crate) fn keep(job: i64, kept: &Kept<'_>) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    forget_as(&owner, job)?;
    let mut number = 0_i32;
    kept.in_pieces(|piece| {
        let sql = "INSERT INTO _neural.checkpoint (job, number, bytes) VALUES ($1, $2, $3)";
        execute(&owner, sql, &[job.into(), number.into(), piece.into()])?;
        number += 1;
        Ok(())
    })
}

/// What is kept of a job.
pub(crate) fn load(job: i64) -> Result<Option<Vec<u8>>> {
    let _owner = AsTableOwner::enter()?;
    Spi::connect(|client| {
        let sql = "SELECT coalesce(sum(octet_length(bytes)), 0)::bigint FROM _neural.checkpoint WHERE job = $1";
        let size = client
            .select(sql, None, &[job.into()])?
            .first()
            .get_one::<i64>()?;
        let size = usize::try_from(size.unwrap_or(0)).unwrap_or(0);
        if size == 0 {
            return Ok(None);
        }
        // What is read of it takes as much again.
        memory::ask_for_many(size.saturating_mul(2))?;
        let mut bytes = Vec::with_capacity(size);
        let sql = "SELECT bytes FROM _neural.checkpoint WHERE job = $1 ORDER BY number";
        for row in client.select(sql, None, &[job.into()])? {
            bytes.extend_from_slice(row.get::<&[u8]>(1)?.unwrap_or_default());
        }
        Ok(Some(bytes))
    })
}

/// Whether anything is kept of a job.
pub(crate) fn is_there(job: i64) -> Result<bool> {
    let sql = "SELECT true FROM _neural.checkpoint WHERE job = $1 LIMIT 1";
    let found = super::fetch::<bool>(&AsTableOwner::enter()?, sql, &[job.into()])?;
    Ok(found.is_some())
}

/// A job that has succeeded has nothing left to go on with.
pub(crate) fn forget(job: i64) -> Result<()> {
    forget_as(&AsTableOwner::enter()?, job)
}

fn forget_as(owner: &AsTableOwner, job: i64) -> Result<()> {
    execute(
        owner,
        "DELETE FROM _neural.checkpoint WHERE job = $1",
        &[job.into()],
    )?;
    Ok(())
}

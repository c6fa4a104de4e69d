//! The rows of `_neural.checkpoint`: how far a job's training is, in pieces.

use pgrx::Spi;

use sha2::{Digest, Sha256};

use super::chunks::CHUNK;
use super::{AsTableOwner, execute};
use crate::memory;
use crate::pg::encryption::{self, Part};
use crate::pg::error::Result;
use crate::pg::interrupt;
use crate::training::Kept;

/// Keeps how far a job is, in place of what was kept before.
pub(crate) fn keep(job: i64, kept: &Kept<'_>) -> Result<()> {
    let keys = encryption::for_storing()?;
    let key = keys.map(|keys| keys.current().0.to_vec());
    let name = name(job);
    let owner = AsTableOwner::enter()?;
    forget_as(&owner, job)?;
    let mut number = 0_i32;
    let mut sealed = Vec::new();
    kept.in_pieces(|piece| {
        for chunk in piece.chunks(CHUNK) {
            interrupt::check();
            let stored = match keys {
                None => chunk,
                Some(keys) => {
                    encryption::seal(keys, &name, Part::Checkpoint(number), chunk, &mut sealed)?;
                    &sealed
                }
            };
            execute(
                &owner,
                "INSERT INTO _neural.checkpoint (job, number, bytes, encryption_key)
                 VALUES ($1, $2, $3, $4)",
                &[job.into(), number.into(), stored.into(), key.clone().into()],
            )?;
            number += 1;
        }
        Ok(())
    })
}

/// What the pieces of a job are bound to when they are encrypted.
fn name(job: i64) -> [u8; 32] {
    Sha256::digest(format!("checkpoint of job {job}")).into()
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
        let sql = "SELECT bytes, encryption_key, number FROM _neural.checkpoint
                   WHERE job = $1 ORDER BY number";
        let (name, mut plain) = (name(job), Vec::new());
        for row in client.select(sql, None, &[job.into()])? {
            interrupt::check();
            let stored = row.get::<&[u8]>(1)?.unwrap_or_default();
            let Some(key) = encryption::key_id(row.get(2)?)? else {
                bytes.extend_from_slice(stored);
                continue;
            };
            let part = Part::Checkpoint(row.get(3)?.unwrap_or_default());
            let label = || format!("the checkpoint of job {job}");
            encryption::open(key, &name, part, stored, &mut plain, label)?;
            bytes.extend_from_slice(&plain);
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

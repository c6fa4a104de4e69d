//! Where the encoded examples of a side are: all in memory, or read anew a part at a time.

use super::error::Error;
use super::job::{Job, Observer};
use super::memory_source::MemorySource;
use super::sides::Sides;
use super::source::{Encoding, ReadingSource, SharedRows};
use crate::features::BitMask;
use crate::memory;
use crate::nn::{self, RowSource, TrainOptions};

/// How the examples are there for the loop.
#[derive(Clone, Copy)]
pub(super) enum Room {
    /// All of them encoded.
    All,
    /// So many of a side at once.
    Part(usize),
}

/// Whether all examples can be encoded beside the `bytes` that the loop takes, else how many.
pub(super) fn room(
    limit: usize,
    sides: &Sides,
    encoding: &Encoding<'_>,
    options: &TrainOptions,
    bytes: usize,
) -> Result<Room, Error> {
    let fixed = bytes.saturating_add(sides.folds.as_ref().map_or(0, Vec::len));
    let left = limit.saturating_sub(fixed);
    let all = sides.trained.len().saturating_mul(encoding.row_bytes());
    let in_memory = all <= left;
    // Where not all examples fit, a side has half, and as much again for the order and the block
    // being read. With folds, all are on one side.
    let parts = if sides.folds.is_some() { 2 } else { 4 };
    let batch = options.batch_size.min(sides.rows_trained());
    let at_once = match sides.rows_validated() {
        0 => batch,
        _ => batch.max(nn::VALIDATION_ROWS),
    };
    let least = at_once.saturating_mul(parts * encoding.row_bytes());
    if !in_memory && left < least {
        return Err(Error::Memory {
            needed: fixed.saturating_add(least) / 1024,
            limit: limit / 1024,
        });
    }
    // What reads rows anew fills what it may.
    memory::ask_for_many(fixed.saturating_add(if in_memory { all } else { left }))?;
    Ok(match in_memory {
        true => Room::All,
        false => Room::Part(left / parts / encoding.row_bytes()),
    })
}

/// The examples of one side.
pub(super) fn source<'s>(
    job: &Job<'_>,
    rows: &'s SharedRows<'s>,
    encoding: &'s Encoding<'s>,
    side: (&'s BitMask, bool),
    folds: Option<&'s [u8]>,
    room: Room,
    observer: &mut dyn Observer,
) -> Result<Box<dyn RowSource + 's>, Error> {
    Ok(match room {
        Room::All => {
            let mut stop = || observer.interrupted();
            Box::new(MemorySource::encode(
                rows, side, folds, encoding, job.crew, &mut stop,
            )?)
        }
        Room::Part(capacity) => Box::new(ReadingSource::new(rows, side, folds, encoding, capacity)),
    })
}

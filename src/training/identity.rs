//! What an example is known again by.

use std::ops::Range;

use super::error::Error;
use super::job::Job;
use super::seen::{RowHashes, RowTruth, SeenRows, features_hash, group_hash, row_hash};
use crate::features::{self, Block, BlockEncoder, Labels, RawRows, Sequences, Target, group_of};

/// Values encoded at once.
const CHUNK_VALUES: usize = 1 << 16;

/// An example by which it is known again.
pub(super) struct Example {
    pub(super) hashes: RowHashes,
    /// Its class; 0 where there are none.
    pub(super) class: usize,
}

/// What an example is told by: its encoded features and its target; of a sequence its first step,
/// which stays when steps follow.
pub(super) struct Identity<'a> {
    encoder: &'a BlockEncoder,
    /// Leading inputs that count.
    pub(super) width: usize,
    target: &'a Target,
    labels: &'a Labels,
    target_at: usize,
    /// The column of the groups.
    group: Option<usize>,
    sequences: Option<&'a Sequences>,
}

impl<'a> Identity<'a> {
    /// What examples are told by: the inputs that the earlier versions knew them by, where there are
    /// some, else all.
    pub(super) fn new(
        job: &Job<'a>,
        target: &'a Target,
        labels: &'a Labels,
        encoder: &'a BlockEncoder,
        seen: Option<&SeenRows>,
    ) -> Identity<'a> {
        Identity {
            encoder,
            width: seen.map_or(encoder.width(), |seen| seen.rows.width()),
            target,
            labels,
            target_at: job.plan.at.target,
            group: job.plan.at.group,
            sequences: job.sequences,
        }
    }

    /// Calls `each` with every example in order.
    pub(super) fn for_each(
        &self,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
        each: &mut dyn FnMut(&Example),
    ) -> Result<(), Error> {
        let width = self.encoder.width();
        let chunk = (CHUNK_VALUES / width.max(1)).max(1);
        let mut scratch = Scratch::default();
        let mut next = 0;
        features::pass(rows, stop, |start, block| {
            match self.sequences {
                None => {
                    for first in (0..block.rows).step_by(chunk) {
                        let rows = first..block.rows.min(first + chunk);
                        self.chunk(block, rows, &mut scratch, each)?;
                    }
                }
                Some(sequences) => {
                    let here = start..start + block.rows;
                    while next < sequences.len() && here.contains(&sequences.steps(next).start) {
                        let row = sequences.steps(next).start - start;
                        self.chunk(block, row..row + 1, &mut scratch, each)?;
                        next += 1;
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    fn chunk(
        &self,
        block: &Block,
        rows: Range<usize>,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(&Example),
    ) -> Result<(), features::Error> {
        let Scratch { x, bytes, numbers } = scratch;
        let width = self.encoder.width();
        x.resize(rows.len() * width, 0.0);
        self.encoder.encode_rows(block, rows.clone(), x)?;
        let at = self.target_at;
        for (row, x) in rows.zip(x.chunks_exact(width)) {
            let class = self.labels.class(block, at, row);
            let truth = match (class, self.target.is_array()) {
                (Some(class), false) => {
                    let class = self.target.classes().get(class as usize);
                    RowTruth::Class(class.map_or("", String::as_str))
                }
                (_, true) => {
                    self.labels.actual(block, at, row, numbers);
                    RowTruth::Numbers(numbers)
                }
                (None, false) => {
                    numbers.clear();
                    numbers.extend(block.columns.get(at).and_then(|values| values.number(row)));
                    RowTruth::Numbers(numbers)
                }
            };
            let group = self
                .group
                .and_then(|position| group_of(block, position, row));
            let x = &x[..self.width.min(x.len())];
            each(&Example {
                hashes: RowHashes {
                    row: row_hash(x, truth, bytes),
                    features: features_hash(x, bytes),
                    group: group.map(group_hash),
                },
                class: class.unwrap_or(0) as usize,
            });
        }
        Ok(())
    }
}

#[derive(Default)]
struct Scratch {
    x: Vec<f32>,
    bytes: Vec<u8>,
    numbers: Vec<f64>,
}

//! The blocks of the rows, each with which of its rows count.

use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::block::Block;
use crate::features::rows::mask::BitMask;
use crate::features::rows::statistics::Sample;

/// Which of the training rows are sampled, block by block.
pub(super) struct Sampling {
    sample: Sample,
    /// Training rows seen.
    ordinal: u64,
}

/// A block of rows.
pub(super) struct Part<'a> {
    pub block: &'a Block,
    /// The number of its first row.
    start: usize,
    is_training: &'a BitMask,
    /// Whether all of its rows are trained on.
    pub whole: bool,
    /// The ordinal of the first row that is trained on.
    pub first: u64,
    /// Its rows that are sampled.
    pub chosen: Vec<usize>,
}

impl Part<'_> {
    pub fn is_training(&self, row: usize) -> bool {
        self.is_training.get(self.start + row)
    }
}

impl Sampling {
    /// For so many training rows, of which so many are sampled.
    pub fn new(training: usize, size: usize) -> Sampling {
        Sampling {
            sample: Sample::new(training, size),
            ordinal: 0,
        }
    }

    /// The next block, whose first row has this number.
    pub fn part<'a>(
        &mut self,
        start: usize,
        block: &'a Block,
        is_training: &'a BitMask,
    ) -> Part<'a> {
        let first = self.ordinal;
        let count = is_training.count_in(start..start + block.rows);
        self.ordinal += count as u64;
        let whole = count == block.rows;
        let mut chosen = Vec::new();
        let mut rows = (0..block.rows).filter(|row| is_training.get(start + row));
        let mut passed = first;
        while let Some(ordinal) = self.sample.next_before(self.ordinal) {
            let skipped = (ordinal - passed) as usize;
            chosen.extend(match whole {
                true => Some((ordinal - first) as usize),
                false => rows.nth(skipped),
            });
            passed = ordinal + 1;
        }
        Part {
            block,
            start,
            is_training,
            whole,
            first,
            chosen,
        }
    }
}

/// A column whose values are not of the kind that its treatment needs.
pub(in crate::features) fn wrong_kind(column: &Column) -> Error {
    Error::invalid(format!(
        "the values of column \"{}\" were not read as its treatment needs them",
        column.name
    ))
}

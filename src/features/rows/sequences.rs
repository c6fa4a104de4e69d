//! Examples made of several rows: sequences of steps, a neighbouring row each.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::block::{Block, RawRows, pass};
use super::mask::BitMask;
use super::values::Values;
use crate::features::column::Kind;
use crate::features::error::Error;

/// Longest sequence unless `sequence_length` says otherwise.
pub const DEFAULT_STEPS: usize = 1000;

/// What makes a set of features one of sequences: its features are those of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// Most steps of a sequence; of a longer one the newest are taken.
    pub length: usize,
    /// The columns of the training query whose values told the sequences apart.
    pub by: Vec<String>,
    /// The columns by which a sequence's steps were ordered.
    pub order: Vec<String>,
}

/// Which rows are the steps of which sequence. A sequence's rows are neighbours, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    starts: Vec<usize>,
    rows: usize,
}

impl Sequences {
    /// No sequences.
    pub fn new() -> Sequences {
        Sequences::default()
    }

    /// Adds a row: the first step of a sequence, or one more step of the last sequence.
    pub fn push(&mut self, is_first: bool) {
        if is_first || self.starts.is_empty() {
            self.starts.push(self.rows);
        }
        self.rows += 1;
    }

    /// How many sequences there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// How many rows they have together.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows of a sequence; none beyond the last one.
    pub fn steps(&self, sequence: usize) -> Range<usize> {
        let start = self.starts.get(sequence).copied().unwrap_or(self.rows);
        let end = self.starts.get(sequence + 1).copied().unwrap_or(self.rows);
        start..end
    }

    /// The newest rows of a sequence, at most `length`.
    pub fn newest(&self, sequence: usize, length: usize) -> Range<usize> {
        let steps = self.steps(sequence);
        steps.start.max(steps.end.saturating_sub(length))..steps.end
    }

    /// Steps of the longest of the sequences that are set.
    pub fn longest(&self, sequences: &BitMask) -> usize {
        let set = (0..self.len()).filter(|&sequence| sequences.get(sequence));
        set.map(|sequence| self.steps(sequence).len())
            .max()
            .unwrap_or(0)
    }

    /// The newest rows, at most `length` each, of the sequences that are set.
    pub fn mask_of_rows(&self, sequences: &BitMask, length: usize) -> BitMask {
        let mut mask = BitMask::new(self.rows, false);
        for sequence in (0..self.len()).filter(|&sequence| sequences.get(sequence)) {
            self.newest(sequence, length)
                .for_each(|row| mask.set(row, true));
        }
        mask
    }

    /// The bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.starts.capacity() * size_of::<usize>()
    }
}

/// What is known of each sequence as a whole, such as its target: one row a sequence, with the
/// columns where the raw rows have them, but without the features.
#[derive(Debug)]
pub struct SequenceRows {
    features: usize,
    block: Block,
}

impl SequenceRows {
    /// Takes the columns behind the first `features` from the first row of each sequence; column
    /// `newest`, if there is one, from the last.
    ///
    /// # Errors
    /// Those of reading, or an interruption.
    pub fn gather(
        sequences: &Sequences,
        features: usize,
        newest: Option<usize>,
        rows: &mut dyn RawRows,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<SequenceRows, Error> {
        let mut gathered = Block::default();
        let mut next = 0;
        let mut firsts = Vec::new();
        let mut newests = Vec::new();
        let mut last = 0;
        pass(rows, interrupted, |start, block| {
            if gathered.columns.is_empty() {
                gathered = Block::new(block.columns.iter().skip(features).map(Values::kind));
            }
            let here = start..start + block.rows;
            firsts.clear();
            while next < sequences.len() && here.contains(&sequences.steps(next).start) {
                firsts.push(sequences.steps(next).start - start);
                next += 1;
            }
            let columns = block.columns.iter().skip(features);
            for (to, from) in gathered.columns.iter_mut().zip(columns) {
                to.pick(from, firsts.iter().copied());
            }
            gathered.rows += firsts.len();
            let newest = newest.and_then(|at| block.columns.get(at));
            while let Some(newest) = newest
                && last < sequences.len()
                && here.contains(&(sequences.steps(last).end - 1))
            {
                let row = sequences.steps(last).end - 1 - start;
                newests.push(newest.number(row).unwrap_or(f64::NAN));
                last += 1;
            }
            Ok(())
        })?;
        if gathered.rows != sequences.len() {
            return Err(Error::invalid("there are fewer rows than steps"));
        }
        let newest = newest.and_then(|at| gathered.columns.get_mut(at.checked_sub(features)?));
        if let Some(column) = newest {
            *column = Values::Number(newests);
        }
        Ok(SequenceRows {
            features,
            block: gathered,
        })
    }

    /// The bytes of memory they take.
    pub fn memory(&self) -> usize {
        self.block.memory()
    }
}

impl RawRows for SequenceRows {
    fn rows(&self) -> usize {
        self.block.rows
    }

    fn row_bytes(&self) -> usize {
        self.block.bytes().div_ceil(self.block.rows.max(1))
    }

    fn read(&mut self, start: usize, count: usize, into: &mut Block) -> Result<(), Error> {
        if start.saturating_add(count) > self.block.rows {
            return Err(Error::invalid("a read beyond the last sequence"));
        }
        into.columns
            .resize_with(self.features + self.block.columns.len(), || {
                Values::new(Kind::Number)
            });
        into.clear();
        into.rows = count;
        let columns = into.columns.iter_mut().skip(self.features);
        for (to, from) in columns.zip(&self.block.columns) {
            to.append(from, start, count)?;
        }
        Ok(())
    }
}

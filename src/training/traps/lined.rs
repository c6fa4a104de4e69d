//! Rows as they stand in a line, encoded, with their targets: what the loss by blocks is told from.

use std::ops::Range;

use super::linear::{leave_residuals, standardise};
use super::sample::{Draw, TruthAt, value};
use crate::features::{self, Block, BlockEncoder, Labels, RawRows};
use crate::memory::{self, Refused};

/// Steps in the one direction for one in the other, where rows come in an order.
const SORTED: usize = 10;
/// Values of the encoded rows, at most, and rows.
const VALUES: usize = 1 << 19;
const ROWS: usize = 16_384;
/// Rows that are read in a row, where not all are looked at.
pub(super) const STRETCH: usize = 256;
/// Targets of a row: the commonest classes.
const TARGETS: usize = 10;

/// What is read of the rows.
pub(super) struct Reading<'a> {
    pub(super) encoder: &'a BlockEncoder,
    pub(super) labels: &'a Labels,
    pub(super) at: TruthAt,
    /// How many rows each class has; none of numbers.
    pub(super) counts: &'a [u64],
    /// The columns whose values are kept: dates.
    pub(super) keys: &'a [usize],
}

/// Rows in a line.
pub(super) struct Lined {
    pub(super) width: usize,
    /// The features, standardised.
    pub(super) x: Vec<f32>,
    /// Of each target what it is in every row, centred.
    pub(super) targets: Vec<Vec<f64>>,
    /// The variance of all of them together.
    pub(super) variance: f64,
    /// The kept columns.
    pub(super) keys: Vec<Vec<f64>>,
    classes: Vec<u32>,
}

impl Reading<'_> {
    /// Rows that are looked at, at most.
    pub(super) fn most(&self) -> usize {
        (VALUES / self.encoder.width().max(1)).min(ROWS)
    }

    /// Rows drawn evenly, in their order.
    ///
    /// # Errors
    /// Rows that cannot be read, or an interruption.
    pub(super) fn drawn(
        &self,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Lined, features::Error> {
        let mut draw = Draw::new(rows.rows(), self.most());
        let mut lined = self.none(self.most().min(rows.rows()));
        let (mut picked, mut places) = (Block::default(), Vec::new());
        features::pass(rows, stop, |_, block| {
            places.clear();
            places.extend((0..block.rows).filter(|_| draw.takes()));
            picked.pick(block, places.iter().copied());
            self.add(&picked, &mut lined)
        })?;
        Ok(lined.finish(self))
    }

    /// Rows in stretches of [`STRETCH`], evenly apart, or all of them.
    ///
    /// # Errors
    /// Rows that cannot be read, or an interruption.
    pub(super) fn in_stretches(
        &self,
        rows: &mut dyn RawRows,
        most: usize,
        stretch: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Lined, features::Error> {
        let total = rows.rows();
        let count = most.min(total) / stretch;
        let mut lined = self.none(count * stretch);
        let mut block = Block::default();
        for number in 0..count {
            let start = number * (total - stretch) / count.saturating_sub(1).max(1);
            let Range { mut start, end } = start..start + stretch;
            while start < end {
                if stop() {
                    return Err(features::Error::Interrupted);
                }
                let step = rows.at_once(stretch).min(end - start);
                rows.read(start, step, &mut block)?;
                self.add(&block, &mut lined)?;
                start += step;
            }
        }
        Ok(lined.finish(self))
    }

    /// Asks for the memory of so many rows.
    ///
    /// # Errors
    /// The system refuses it.
    pub(super) fn ask_for(&self, rows: usize) -> Result<(), Refused> {
        let row = 4 * self.encoder.width() + 8 * (self.keys.len() + 2 * TARGETS);
        memory::ask_for_many(rows.saturating_mul(row))
    }

    fn none(&self, rows: usize) -> Lined {
        let classes = match self.counts {
            [] => Vec::new(),
            // What is true of one is not of the other.
            [_, _] => vec![1],
            counts => {
                let mut order: Vec<u32> = (0..counts.len() as u32).collect();
                order.sort_by_key(|&class| std::cmp::Reverse(counts[class as usize]));
                order.truncate(TARGETS);
                order
            }
        };
        Lined {
            width: self.encoder.width(),
            x: Vec::with_capacity(rows * self.encoder.width()),
            targets: vec![Vec::with_capacity(rows); classes.len().max(1)],
            variance: 0.0,
            keys: vec![Vec::with_capacity(rows); self.keys.len()],
            classes,
        }
    }

    fn add(&self, block: &Block, lined: &mut Lined) -> Result<(), features::Error> {
        let filled = lined.x.len();
        lined.x.resize(filled + block.rows * lined.width, 0.0);
        self.encoder.encode(block, &mut lined.x[filled..])?;
        for (keys, &place) in lined.keys.iter_mut().zip(self.keys) {
            keys.extend((0..block.rows).map(|row| value(block.columns.get(place), row)));
        }
        for row in 0..block.rows {
            if lined.classes.is_empty() {
                lined.targets[0].push(self.at.number(block, row));
            }
            let class = self.labels.class(block, self.at.target, row);
            for (of_rows, &own) in lined.targets.iter_mut().zip(&lined.classes) {
                of_rows.push(f64::from(u8::from(class == Some(own))));
            }
        }
        Ok(())
    }
}

impl Lined {
    /// Standardises the features, and centres the targets. Numbers become their ranks, so that a few
    /// large ones do not speak for all.
    fn finish(mut self, reading: &Reading<'_>) -> Lined {
        standardise(&mut self.x, self.width);
        if reading.counts.is_empty() {
            self.targets[0] = super::alone::ranked(&self.targets[0]);
        }
        for of_rows in &mut self.targets {
            let rows = of_rows.len().max(1) as f64;
            let mean = of_rows.iter().sum::<f64>() / rows;
            of_rows.iter_mut().for_each(|value| *value -= mean);
            self.variance += of_rows.iter().map(|value| value * value).sum::<f64>() / rows;
        }
        self
    }

    /// Whether the rows come in the order of a target: it nearly always rises from a row to the next, where
    /// it changes, or nearly always falls.
    pub(super) fn is_sorted(&self) -> bool {
        self.targets.iter().any(|of_rows| {
            let steps = || of_rows.windows(2);
            let rises = steps().filter(|step| step[0] < step[1]).count();
            let falls = steps().filter(|step| step[0] > step[1]).count();
            SORTED * rises.min(falls) < rises.max(falls)
        })
    }

    /// What a linear model of the features leaves of the targets.
    ///
    /// # Errors
    /// An interruption.
    pub(super) fn residuals(
        &self,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Vec<f64>>, features::Error> {
        let mut left = self.targets.clone();
        for of_rows in &mut left {
            leave_residuals(&self.x, self.width, of_rows, stop)?;
        }
        Ok(left)
    }
}

//! Rows on both sides of the split that are alike, counted within a sample.

use std::collections::HashMap;

use super::seen::Side;

/// Rows of the sample, about.
const SAMPLE: usize = 16_384;
/// Rows that are alike up to which they are copies; more are a value that many rows have.
const MOST_COPIES: usize = 5;

/// Counts them. The sample is of the rows whose hashes are small, so that rows that are alike are in it
/// together, and of each it is known how many there are.
pub(super) struct CrossedTally {
    below: u64,
    /// Of each hash the rows that are trained on, and those held out.
    rows: HashMap<u32, [usize; 2]>,
    total: usize,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Crossed {
    /// The share of the rows held out that are like one that is trained on.
    pub(super) share: f64,
    /// Of the rows that are copies of another one, how many there are in all, about.
    pub(super) copies: f64,
}

impl CrossedTally {
    /// Of so many rows.
    pub(super) fn new(total: usize) -> CrossedTally {
        let all = 1_u64 << 32;
        CrossedTally {
            below: (all as f64 * (SAMPLE as f64 / total.max(1) as f64).min(1.0)) as u64,
            rows: HashMap::new(),
            total,
        }
    }

    /// Counts a row.
    pub(super) fn add(&mut self, hash: u32, side: Side) {
        if u64::from(hash) < self.below {
            let counts = self.rows.entry(hash).or_default();
            counts[usize::from(side != Side::Trained)] += 1;
        }
    }

    /// What was counted, but for as much as hashes of so many rows are alike by chance.
    pub(super) fn crossed(&self) -> Crossed {
        let (mut held_out, mut met, mut copies) = (0, 0, 0);
        for [trained, held] in self.rows.values() {
            let all = trained + held;
            held_out += held;
            if all <= MOST_COPIES {
                copies += all - 1;
                met += if *trained > 0 { *held } else { 0 };
            }
        }
        let chance = self.total as f64 / 2_f64.powi(32);
        let scale = 2_f64.powi(32) / self.below.max(1) as f64;
        Crossed {
            share: (met as f64 / f64::from(held_out.max(1) as u32) - 2.0 * chance).max(0.0),
            copies: scale * copies as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CrossedTally, Side};
    use crate::features::hash_bytes;

    #[test]
    fn a_sample_tells_how_many_rows_are_alike() {
        let mut tally = CrossedTally::new(200_000);
        let hash = |row: u64| (hash_bytes(&row.to_le_bytes()) >> 32) as u32;
        for row in 0..200_000_u64 {
            // Every tenth row is held out, of which half are like a row that is trained on; and one in
            // twenty is like very many.
            let held_out = row % 10 == 0;
            let like = match row % 20 {
                0 => row + 1,
                19 => 7,
                _ => row,
            };
            let side = if held_out {
                Side::HeldOut
            } else {
                Side::Trained
            };
            tally.add(hash(like), side);
        }
        let crossed = tally.crossed();
        assert!((crossed.share - 0.5).abs() < 0.05, "{crossed:?}");
        assert!((crossed.copies - 10_000.0).abs() < 1000.0, "{crossed:?}");
    }
}

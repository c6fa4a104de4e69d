//! What is gathered of a column of numbers.

use super::part::Part;
use crate::features::error::Error;
use crate::features::rows::statistics::{Moments, Range};

/// What the first pass gathers of a column of numbers.
pub(in crate::features) struct NumberColumn {
    /// Of the training rows.
    pub moments: Moments,
    /// Of them, sorted at the end.
    pub sample: Vec<f64>,
    /// The least of all rows, trained on or not.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How many are no NaN.
    pub count: u64,
}

impl NumberColumn {
    /// Of no rows, of which so many will be sampled.
    pub fn new(sampled: usize) -> NumberColumn {
        NumberColumn {
            moments: Moments::new(),
            sample: Vec::with_capacity(sampled),
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            count: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        place: usize,
        part: &Part<'_>,
        trained: &mut Vec<f64>,
    ) -> Result<(), Error> {
        let values = part.block.numbers(place)?;
        if part.whole {
            self.moments.add_all(values);
        } else {
            trained.clear();
            let rows = values.iter().enumerate();
            let own = rows.filter(|(row, _)| part.is_training(*row));
            trained.extend(own.map(|(_, value)| value));
            self.moments.add_all(trained);
        }
        let range = Range::of(values);
        self.low = self.low.min(range.low);
        self.high = self.high.max(range.high);
        self.count += values.len() as u64 - range.missing;
        let chosen = part.chosen.iter().map(|&row| values[row]);
        self.sample.extend(chosen.filter(|value| value.is_finite()));
        Ok(())
    }

    /// Why it is of no use, if it is.
    pub(super) fn unusable(&self) -> Option<String> {
        let moments = &self.moments;
        let infinite = moments.infinite > 0;
        if moments.count() == 0 && !infinite {
            return Some("it has no value in any training row".to_owned());
        }
        let same = moments.count() > 0 && moments.low == moments.high;
        (same && moments.missing == 0 && !infinite)
            .then(|| "it is constant in the training rows".to_owned())
    }
}

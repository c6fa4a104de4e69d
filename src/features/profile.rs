//! How a feature was distributed among the training rows, so that drift can be told later.

use serde::{Deserialize, Serialize};

/// How a feature was distributed among the training rows, so that drift can be told later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing is known.
    #[default]
    None,
    /// Of a number; of many numbers a row of their mean.
    Deciles {
        /// Minimum, the nine deciles, maximum; empty when every value was missing.
        deciles: Vec<f64>,
        /// Training rows without a value.
        missing: u64,
        /// Training rows.
        rows: u64,
    },
    /// Of a category: training rows a level, then of other levels, then missing.
    Levels(Vec<u64>),
}

impl Profile {
    /// Whether it could be that of a feature whose rows are counted in so many places, or of one
    /// that is not counted.
    pub(super) fn fits(&self, counts: Option<usize>) -> bool {
        match (self, counts) {
            (Profile::None, _) => true,
            (Profile::Deciles { deciles, .. }, None) => {
                matches!(deciles.len(), 0 | 11) && deciles.iter().all(|d| d.is_finite())
            }
            (Profile::Levels(levels), Some(counts)) => levels.len() == counts,
            _ => false,
        }
    }
}

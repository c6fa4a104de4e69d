//! How numbers are brought to a common range: what is subtracted, and what is divided by.

use serde::{Deserialize, Serialize};

use crate::features::error::{Error, unknown};
use crate::features::rows::statistics::quantile;

/// The scaling of numbers unless told otherwise.
pub const DEFAULT_SCALE: Scale = Scale::Robust;

/// How many divisors from the center an infinity counts as where no training row says it: there
/// every clip has levelled off.
pub(in crate::features) const FAR: f64 = 1e6;

/// How numbers are brought to a common range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Mean 0, standard deviation 1.
    Standard,
    /// Minimum 0, maximum 1.
    Minmax,
    /// Median 0, interquartile range 1, far values smoothly clipped.
    Robust,
    /// As they come.
    None,
}

/// What is known of the numbers of a place.
pub(in crate::features) struct Seen<'a> {
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Their mean and standard deviation; none where they are so large that their sums are none.
    pub moments: Option<(f64, f64)>,
    /// What stands in for the mean then: numbers whose sums overflow still have a middle.
    pub middle: f64,
    /// A sample of them, sorted.
    pub sorted: &'a [f64],
}

impl Scale {
    const NAMES: [&'static str; 4] = ["standard", "minmax", "robust", "none"];

    /// The scaling of this name, in any case.
    ///
    /// # Errors
    /// Another name.
    pub fn parse(name: &str) -> Result<Scale, Error> {
        match name.to_ascii_lowercase().as_str() {
            "standard" => Ok(Scale::Standard),
            "minmax" => Ok(Scale::Minmax),
            "robust" => Ok(Scale::Robust),
            "none" => Ok(Scale::None),
            _ => Err(unknown("scale", name, Scale::NAMES)),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Scale::NAMES[self as usize]
    }

    /// How a feature is described that is scaled so.
    pub(in crate::features) fn words(self) -> &'static str {
        match self {
            Scale::None => "not scaled",
            scale => scale.name(),
        }
    }

    /// What is subtracted from the numbers, and what they are then divided by, which is
    /// [`usable`].
    pub(in crate::features) fn fit(self, seen: &Seen<'_>) -> (f64, f64) {
        let (low, high) = (seen.low, seen.high);
        let half_range = 0.5 * high - 0.5 * low;
        let (center, divisor) = match self {
            Scale::Standard => seen.moments.unwrap_or((seen.middle, half_range)),
            Scale::Minmax => (low, high - low),
            Scale::Robust => {
                let at = |q| quantile(seen.sorted, q).unwrap_or(0.0);
                let range = at(0.75) - at(0.25);
                (at(0.5), if range > 0.0 { range } else { half_range })
            }
            Scale::None => (0.0, 1.0),
        };
        (center, usable(divisor))
    }
}

/// A divisor whose reciprocal is finite: 1 in place of 0, as scikit-learn has it.
pub(in crate::features) fn usable(divisor: f64) -> f64 {
    if divisor == f64::INFINITY {
        f64::MAX
    } else if divisor > 0.0 && (1.0 / divisor).is_finite() {
        divisor
    } else {
        1.0
    }
}

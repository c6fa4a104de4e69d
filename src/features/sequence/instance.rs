//! Reversible instance normalisation: each sequence by its own mean and deviation.
//!
//! Kim et al., "Reversible Instance Normalization for Accurate Time-Series Forecasting against
//! Distribution Shift" (2022), without the affine weights, which the next layer has anyway: of each
//! number of a step, over the steps that are there, `z = (x − mean) / sqrt(variance + ε)`, the variance
//! by the number of steps. It is taken in double precision of numbers that were scaled by what was
//! fitted to all rows, so that `ε` has no unit.

use serde::{Deserialize, Serialize};

use crate::features::rows::arrays::Real;
use crate::features::scales::clip::{LIMIT, bent};
use crate::features::scales::lanes::Pairs;

/// What is added to a variance, so that a sequence of one value is zeros: a hundred-thousandth of
/// the common deviation is told from nothing.
const EPSILON: f64 = 1e-10;

/// That each sequence is normalised by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// By which of a step's numbers, counted from 0, the outputs of a regression are turned back, as
    /// they are of its unit; `None`: by none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned_back: Option<usize>,
}

/// Where the numbers of a sequence are, in scaled units.
pub(super) struct Level {
    pub mean: f64,
    /// Above 0.
    pub deviation: f64,
}

/// Writes the steps of a sequence normalised by itself, and tells `each` the level of each of a
/// step's numbers. Only operations that IEEE 754 rounds exactly, in one order.
pub(super) fn encode<T: Real>(
    array: &[T],
    steps: &mut [f32],
    lanes: &Pairs<f64>,
    bend: f32,
    mut each: impl FnMut(usize, &Level),
) {
    let features = lanes.center.len();
    let limit = f64::from(LIMIT);
    let count = (array.len() / features) as f64;
    for (feature, (center, factor)) in lanes.center.iter().zip(&lanes.factor).enumerate() {
        let own = || array.iter().skip(feature).step_by(features);
        let common = |x: &T| ((x.double() - center) * factor).clamp(-limit, limit);
        let mean = own().map(common).sum::<f64>() / count;
        let square = |x: &T| (common(x) - mean) * (common(x) - mean);
        let squares = own().map(square).sum::<f64>();
        let deviation = (squares / count + EPSILON).sqrt();
        let to = steps.iter_mut().skip(feature).step_by(features);
        for (x, to) in own().zip(to) {
            *to = bent(((common(x) - mean) / deviation) as f32, bend);
        }
        each(feature, &Level { mean, deviation });
    }
}

//! Softmax over transposed scores, `[key][query]`, and its gradient: sixteen queries at a time, down
//! the keys.

use crate::nn::base::stop::Pace;
use crate::nn::kernels::math;
use crate::nn::kernels::processor::Task;
use crate::nn::layers::dropout_mask::DropoutMask;

/// Queries of a step.
const LANES: usize = 16;

/// Sixteen neighbouring values of a row.
#[inline(always)]
fn lanes(row: &mut [f32], first: usize) -> &mut [f32; LANES] {
    (&mut row[first..first + LANES])
        .try_into()
        .expect("a panel has sixteen columns")
}

/// Multiplies sixteen neighbouring values by what the mask says from this place on.
#[inline(always)]
fn drop_some(values: &mut [f32; LANES], mask: DropoutMask, place: usize) {
    for (i, value) in values.iter_mut().enumerate() {
        *value *= mask.factor(place + i);
    }
}

/// From scores `[key][query]` to e^(score - largest), with dropout, and for each query the largest and
/// one over the sum before dropout.
pub(super) struct Softmax<'a> {
    pub scores: &'a mut [f32],
    pub columns: usize,
    pub largest: &'a mut [f32],
    pub inverse: &'a mut [f32],
    pub mask: Option<DropoutMask>,
    pub mask_row: usize,
    pub pace: &'a Pace<'a>,
}

impl Task for Softmax<'_> {
    #[inline(always)]
    fn run(self) {
        let columns = self.columns;
        for first in (0..columns).step_by(LANES) {
            if self.pace.spend_values(self.scores.len() / columns * LANES) {
                return;
            }
            let mut largest = [f32::NEG_INFINITY; LANES];
            for row in self.scores.chunks_exact_mut(self.columns) {
                let row = lanes(row, first);
                for i in 0..LANES {
                    largest[i] = if row[i] > largest[i] {
                        row[i]
                    } else {
                        largest[i]
                    };
                }
            }
            let mut sum = [0.0; LANES];
            for row in self.scores.chunks_exact_mut(self.columns) {
                let row = lanes(row, first);
                for i in 0..LANES {
                    row[i] = math::exp(row[i] - largest[i]);
                    sum[i] += row[i];
                }
            }
            if let Some(mask) = self.mask {
                for (key, row) in self.scores.chunks_exact_mut(self.columns).enumerate() {
                    let row = lanes(row, first);
                    drop_some(row, mask, key * self.mask_row + first);
                }
            }
            *lanes(self.largest, first) = largest;
            let inverse = lanes(self.inverse, first);
            for i in 0..LANES {
                inverse[i] = 1.0 / sum[i];
            }
        }
    }
}

/// From scores and the gradients with respect to the weights, both `[key][query]`, to the weights
/// with dropout and the gradients with respect to the products of queries and keys.
pub(super) struct SoftmaxBackward<'a> {
    pub weights: &'a mut [f32],
    pub slopes: &'a mut [f32],
    pub columns: usize,
    pub largest: &'a [f32],
    pub inverse: &'a [f32],
    /// What the scores were multiplied by.
    pub scale: f32,
    pub mask: Option<DropoutMask>,
    pub mask_row: usize,
    pub pace: &'a Pace<'a>,
}

impl Task for SoftmaxBackward<'_> {
    #[inline(always)]
    fn run(self) {
        let columns = self.columns;
        for first in (0..columns).step_by(LANES) {
            if self.pace.spend_values(self.weights.len() / columns * LANES) {
                return;
            }
            let at = first..first + LANES;
            let (largest, inverse) = (&self.largest[at.clone()], &self.inverse[at]);
            // The mean gradient of each query, by its weights.
            let mut mean = [0.0; LANES];
            let rows = self.weights.chunks_exact_mut(columns);
            for (key, (weights, slopes)) in
                rows.zip(self.slopes.chunks_exact_mut(columns)).enumerate()
            {
                let (weights, slopes) = (lanes(weights, first), lanes(slopes, first));
                if let Some(mask) = self.mask {
                    drop_some(slopes, mask, key * self.mask_row + first);
                }
                for i in 0..LANES {
                    weights[i] = math::exp(weights[i] - largest[i]) * inverse[i];
                    mean[i] = weights[i].mul_add(slopes[i], mean[i]);
                }
            }
            let rows = self.weights.chunks_exact_mut(columns);
            for (key, (weights, slopes)) in
                rows.zip(self.slopes.chunks_exact_mut(columns)).enumerate()
            {
                let (weights, slopes) = (lanes(weights, first), lanes(slopes, first));
                for i in 0..LANES {
                    slopes[i] = (weights[i] * self.scale) * (slopes[i] - mean[i]);
                }
                if let Some(mask) = self.mask {
                    drop_some(weights, mask, key * self.mask_row + first);
                }
            }
        }
    }
}

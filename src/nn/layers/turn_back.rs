//! Outputs turned back to the level of the sequence that they were predicted from; no parameters.
//!
//! The second half of reversible instance normalisation (Kim et al., "Reversible Instance
//! Normalization for Accurate Time-Series Forecasting against Distribution Shift", 2022), without its
//! affine weights: `y = x · deviation + mean`. The first half is done where a sequence is encoded.

use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::{Backward, Forward, Layer, View};

/// Inputs [rows, width] and [rows, 2], which has each row's mean and deviation, to rows of the first
/// one's shape.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct TurnBack {
    pub width: usize,
}

impl TurnBack {
    fn turn(self, rows: usize, x: View<'_>, levels: View<'_>, output: &mut [f32], stride: usize) {
        for (row, output) in output.chunks_mut(stride).take(rows).enumerate() {
            let (mean, deviation) = level(levels, row);
            for (y, x) in output[..self.width].iter_mut().zip(x.row(row)) {
                *y = x * deviation + mean;
            }
        }
    }
}

/// The mean and the deviation of a row.
fn level(levels: View<'_>, row: usize) -> (f32, f32) {
    match levels.row(row) {
        [mean, deviation] => (*mean, *deviation),
        _ => (0.0, 1.0),
    }
}

impl Layer for TurnBack {
    fn forward(&self, pass: Forward<'_>) {
        let (x, levels) = (pass.inputs.view(0), pass.inputs.view(1));
        self.turn(pass.rows, x, levels, pass.output, self.width);
    }

    /// The levels are columns of the network's input, which do not learn.
    fn backward(&self, mut pass: Backward<'_>) {
        let (levels, gradient, width) = (pass.inputs.view(1), &*pass.gradient, self.width);
        pass.input_gradients
            .put(0, |i| gradient[i] * level(levels, i / width).1);
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(*self))
    }
}

impl Packed for TurnBack {
    fn size_bytes(&self) -> usize {
        0
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let (x, levels) = (pass.inputs.view(0), pass.inputs.view(1));
        self.turn(pass.rows, x, levels, pass.output, pass.stride);
    }
}

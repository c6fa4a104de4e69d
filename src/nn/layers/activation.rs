//! An activation as a layer of its own; no parameters.

use crate::nn::kernels::activation::Activation;
use crate::nn::layer::{Backward, Forward, Layer, Operation};

/// Rows [rows, width] to rows of the same shape.
#[derive(Debug)]
pub(crate) struct ActivationLayer {
    pub activation: Activation,
    pub width: usize,
    /// Length of the slices that a softmax adds up to one: a step, or the whole row.
    pub slice: usize,
}

impl Layer for ActivationLayer {
    fn saved_per_row(&self) -> usize {
        if self.activation.backward_needs_input() {
            self.width
        } else {
            0
        }
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
            output.copy_from_slice(input.row(row));
        }
        if self.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        self.activation.apply(pass.output, self.slice);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        self.activation
            .backward(pass.saved, pass.output, pass.gradient, self.slice);
        pass.input_gradients.put(0, |i| pass.gradient[i]);
    }

    fn operation(&self) -> Operation {
        Operation::Activation {
            activation: self.activation,
            width: self.slice,
        }
    }
}

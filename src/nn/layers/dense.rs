//! The dense layer, `activation(x · Wᵀ + b)`; parameters and layout as in `torch.nn.Linear`.

use super::{Backward, Forward, Inputs, Layer, Operation, ParameterSpec};
use crate::nn::activation::Activation;
use crate::nn::initializer::{Initializer, ParameterKind};
use crate::nn::matrix::{Matrix, matrix, matrix_mut, multiply, strided};

/// Rows [rows, steps, width] to rows [rows, steps, units].
#[derive(Debug)]
pub(crate) struct Dense {
    /// Steps of a row; a vector is one.
    pub steps: usize,
    pub width: usize,
    pub units: usize,
    pub activation: Activation,
    pub use_bias: bool,
    pub kernel_initializer: Option<Initializer>,
    pub bias_initializer: Option<Initializer>,
}

impl Dense {
    fn weights(&self) -> usize {
        self.units * self.width
    }
}

impl Layer for Dense {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let weight = ParameterSpec {
            name: "weight".into(),
            shape: vec![self.units, self.width],
            kind: ParameterKind::Weight,
            fan_in: self.width,
            fan_out: self.units,
            initializer: self.kernel_initializer,
            start: None,
        };
        let bias = ParameterSpec {
            name: "bias".into(),
            shape: vec![self.units],
            kind: ParameterKind::Bias,
            initializer: self.bias_initializer,
            ..weight.clone()
        };
        if self.use_bias {
            vec![weight, bias]
        } else {
            vec![weight]
        }
    }

    fn saved_per_row(&self) -> usize {
        if self.activation.backward_needs_input() {
            self.steps * self.units
        } else {
            0
        }
    }

    fn products(&self) -> usize {
        self.steps.saturating_mul(self.weights())
    }

    fn forward(&self, pass: Forward<'_>) {
        let (weight, bias) = pass.parameters.split_at(self.weights());
        let beta = if self.use_bias {
            for step in pass.output.chunks_exact_mut(self.units) {
                step.copy_from_slice(bias);
            }
            1.0
        } else {
            0.0
        };
        let w = matrix(weight, self.units, self.width);
        for_blocks(&pass.inputs, pass.rows, self.steps, |begin, count, x| {
            let output = &mut pass.output[begin * self.units..][..count * self.units];
            multiply(&x, &w.t(), beta, &mut matrix_mut(output, count, self.units));
        });
        if self.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        self.activation.apply(pass.output, self.units);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        self.activation
            .backward(pass.saved, pass.output, pass.gradient, self.units);
        let count = pass.rows * self.steps;
        let gradient = matrix(pass.gradient, count, self.units);
        if let Some(parameters) = pass.parameter_gradient {
            let (weight, bias) = parameters.split_at_mut(self.weights());
            let mut weight = matrix_mut(weight, self.units, self.width);
            for_blocks(&pass.inputs, pass.rows, self.steps, |begin, count, x| {
                let gradient = &pass.gradient[begin * self.units..][..count * self.units];
                let gradient = matrix(gradient, count, self.units);
                multiply(&gradient.t(), &x, 1.0, &mut weight);
            });
            if self.use_bias {
                for step in pass.gradient.chunks_exact(self.units) {
                    bias.iter_mut().zip(step).for_each(|(bias, g)| *bias += g);
                }
            }
        }
        if let Some((target, add)) = pass.input_gradients.get(0) {
            let w = matrix(&pass.parameters[..self.weights()], self.units, self.width);
            let mut target = matrix_mut(target, count, self.width);
            multiply(&gradient, &w, if add { 1.0 } else { 0.0 }, &mut target);
        }
    }

    fn operation(&self) -> Operation {
        Operation::Dense {
            steps: self.steps,
            weight: 0..self.weights(),
            bias: self
                .use_bias
                .then(|| self.weights()..self.weights() + self.units),
            width: self.width,
            units: self.units,
            activation: self.activation,
        }
    }
}

/// Calls `each` with the input as matrices of steps: one where all rows stand side by side or are
/// single steps, else one a row. It is given the number of the first step and how many there are.
fn for_blocks(
    inputs: &Inputs<'_>,
    rows: usize,
    steps: usize,
    mut each: impl FnMut(usize, usize, Matrix<'_>),
) {
    let view = inputs.view(0);
    let width = view.width / steps;
    if steps == 1 {
        each(0, rows, strided(view.data, rows, width, view.stride));
    } else if view.stride == view.width {
        let data = &view.data[..rows * view.width];
        each(0, rows * steps, matrix(data, rows * steps, width));
    } else {
        for row in 0..rows {
            each(row * steps, steps, matrix(view.row(row), steps, width));
        }
    }
}

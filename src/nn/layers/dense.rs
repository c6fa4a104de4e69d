//! The dense layer, `activation(x · Wᵀ + b)`; parameters and layout as in `torch.nn.Linear`.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

use super::{Backward, Forward, Layer, Operation, ParameterSpec, View};
use crate::nn::activation::Activation;
use crate::nn::initializer::{Initializer, ParameterKind};

/// Rows [rows, width] to rows [rows, units].
#[derive(Debug)]
pub(crate) struct Dense {
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
            name: "weight",
            shape: vec![self.units, self.width],
            kind: ParameterKind::Weight,
            fan_in: self.width,
            fan_out: self.units,
            initializer: self.kernel_initializer,
        };
        let bias = ParameterSpec {
            name: "bias",
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
            self.units
        } else {
            0
        }
    }

    fn forward(&self, pass: Forward<'_>) {
        let (weight, bias) = pass.parameters.split_at(self.weights());
        let beta = if self.use_bias {
            for row in pass.output.chunks_exact_mut(self.units) {
                row.copy_from_slice(bias);
            }
            1.0
        } else {
            0.0
        };
        let x = matrix(pass.inputs.view(0), pass.rows);
        let w = square(weight, self.units, self.width);
        general_mat_mul(
            1.0,
            &x,
            &w.t(),
            beta,
            &mut square_mut(pass.output, pass.rows, self.units),
        );
        if self.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        self.activation.apply(pass.output, self.units);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        self.activation
            .backward(pass.saved, pass.output, pass.gradient, self.units);
        let gradient = square(pass.gradient, pass.rows, self.units);
        if let Some(parameters) = pass.parameter_gradient {
            let (weight, bias) = parameters.split_at_mut(self.weights());
            let x = matrix(pass.inputs.view(0), pass.rows);
            let mut weight = square_mut(weight, self.units, self.width);
            general_mat_mul(1.0, &gradient.t(), &x, 1.0, &mut weight);
            if self.use_bias {
                for row in pass.gradient.chunks_exact(self.units) {
                    bias.iter_mut().zip(row).for_each(|(bias, g)| *bias += g);
                }
            }
        }
        if let Some((target, add)) = pass.input_gradients.get(0) {
            let w = square(&pass.parameters[..self.weights()], self.units, self.width);
            let mut target = square_mut(target, pass.rows, self.width);
            general_mat_mul(1.0, &gradient, &w, if add { 1.0 } else { 0.0 }, &mut target);
        }
    }

    fn operation(&self) -> Operation {
        Operation::Dense {
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

/// Rows that stand apart, as a matrix.
fn matrix(view: View<'_>, rows: usize) -> ArrayView2<'_, f32> {
    let data = &view.data[..(rows - 1) * view.stride + view.width];
    ArrayView2::from_shape((rows, view.width).strides((view.stride, 1)), data)
        .expect("the slice was cut to these strides")
}

fn square(data: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), data).expect("a layer's slices have its sizes")
}

fn square_mut(data: &mut [f32], rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("a layer's slices have its sizes")
}

//! A learnt factor for each input; parameters: `weight`, one a column, at first zero.
//!
//! `y = x · (1 + factor · w)`. It lets training turn features up and down before they are mixed
//! (Holzmüller et al., "Better by default", 2024, from whom also the idea of a larger learning
//! rate for it: `factor` multiplies the step that an adaptive optimizer takes).

use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::{Backward, Forward, Layer, Operation, ParameterSpec};

/// Rows [rows, width] to rows of the same shape.
#[derive(Debug)]
pub(crate) struct Scale {
    pub width: usize,
    pub factor: f32,
}

impl Layer for Scale {
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight".into(),
            shape: vec![self.width],
            // Like a bias: decay would pull the factors to one, not the network to zero.
            kind: ParameterKind::Bias,
            fan_in: 1,
            fan_out: 1,
            initializer: Some(Initializer::Zeros),
            start: None,
        }]
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
            let factors = pass.parameters.iter();
            for ((y, x), w) in output.iter_mut().zip(input.row(row)).zip(factors) {
                *y = scaled(*x, *w, self.factor);
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let input = pass.inputs.view(0);
        if let Some(gradient) = pass.parameter_gradient {
            for (row, upper) in pass.gradient.chunks_exact(self.width).enumerate() {
                for ((g, u), x) in gradient.iter_mut().zip(upper).zip(input.row(row)) {
                    *g += u * x * self.factor;
                }
            }
        }
        let (parameters, upper) = (pass.parameters, &*pass.gradient);
        pass.input_gradients.put(0, |i| {
            scaled(upper[i], parameters[i % self.width], self.factor)
        });
    }

    fn operation(&self) -> Operation {
        Operation::Scale {
            factor: self.factor,
        }
    }
}

/// `x · (1 + factor · w)`, rounded in one fixed way.
#[inline(always)]
fn scaled(x: f32, w: f32, factor: f32) -> f32 {
    x * (1.0 + factor * w)
}

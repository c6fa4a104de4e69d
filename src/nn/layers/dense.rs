//! The dense layer, `activation(x · Wᵀ + b)`; parameters and layout as in `torch.nn.Linear`.

use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::matrix::{matrix, matrix_mut, multiply_paced, strided};
use crate::nn::kernels::row_sums::add_rows;
use crate::nn::kernels::small_product::{Left, Right, padded};
use crate::nn::kernels::training_product::{DotProducts, Start, TrainingProduct};
use crate::nn::kernels::transpose::transpose;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::{Backward, Forward, Inputs, Layer, Operation, ParameterSpec, View};

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

/// Up to this width a layer is computed by tiles: its factors stay in the caches, which wider ones
/// need BLAS's copies for.
const NARROW: usize = 256;
/// Up to so many outputs a row's are dot products.
const FEW: usize = 4;

/// How a layer's products are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Tiles,
    Dots,
    Blas,
}

impl Dense {
    fn weights(&self) -> usize {
        self.units * self.width
    }

    fn kernel(&self) -> Kernel {
        if self.width.max(self.units) > NARROW {
            Kernel::Blas
        } else if self.units <= FEW {
            Kernel::Dots
        } else {
            Kernel::Tiles
        }
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
        weight.with_bias(self.units, self.use_bias, self.bias_initializer)
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

    fn prepared(&self) -> usize {
        match self.kernel() {
            Kernel::Tiles => self.width * padded(self.units),
            _ => 0,
        }
    }

    fn prepare(&self, parameters: &[f32], prepared: &mut [f32]) {
        if self.kernel() == Kernel::Tiles {
            let weight = &parameters[..self.weights()];
            transpose(weight, self.width, prepared, padded(self.units));
        }
    }

    fn forward(&self, pass: Forward<'_>) {
        let (weight, bias) = pass.parameters.split_at(self.weights());
        let kernel = self.kernel();
        let relu = kernel == Kernel::Tiles && self.activation == Activation::Relu;
        for_blocks(&pass.inputs, pass.rows, self.steps, |begin, count, x| {
            let output = &mut pass.output[begin * self.units..][..count * self.units];
            match kernel {
                Kernel::Tiles => TrainingProduct {
                    rows: count,
                    inner: self.width,
                    columns: self.units,
                    a: Left {
                        data: x.data,
                        row: x.stride,
                        step: 1,
                    },
                    b: Right {
                        data: pass.prepared,
                        row: padded(self.units),
                    },
                    start: match self.use_bias {
                        true => Start::Bias(bias),
                        false => Start::Zero,
                    },
                    relu,
                    c: output,
                }
                .compute(pass.pace),
                Kernel::Dots => DotProducts {
                    rows: count,
                    inner: self.width,
                    outputs: self.units,
                    x: x.data,
                    stride: x.stride,
                    w: weight,
                    bias: if self.use_bias { bias } else { &[] },
                    c: output,
                }
                .compute(pass.pace),
                Kernel::Blas => {
                    let mut beta = 0.0;
                    if self.use_bias {
                        beta = 1.0;
                        let steps = output.chunks_exact_mut(self.units);
                        steps.for_each(|step| step.copy_from_slice(bias));
                    }
                    let x = strided(x.data, count, x.width, x.stride);
                    let w = matrix(weight, self.units, self.width);
                    let mut y = matrix_mut(output, count, self.units);
                    multiply_paced(&x, &w.t(), beta, &mut y, pass.pace);
                }
            }
        });
        if self.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        if !relu {
            self.activation
                .apply_paced(pass.output, self.units, pass.pace);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let pace = pass.pace;
        self.activation
            .backward_paced(pass.saved, pass.output, pass.gradient, self.units, pace);
        let count = pass.rows * self.steps;
        let weight = &pass.parameters[..self.weights()];
        let is_small = self.kernel() != Kernel::Blas;
        if let Some(parameters) = pass.parameter_gradient {
            let (weight, bias) = parameters.split_at_mut(self.weights());
            for_blocks(&pass.inputs, pass.rows, self.steps, |begin, count, x| {
                let gradient = &pass.gradient[begin * self.units..][..count * self.units];
                if is_small {
                    TrainingProduct {
                        rows: self.units,
                        inner: count,
                        columns: self.width,
                        a: Left {
                            data: gradient,
                            row: 1,
                            step: self.units,
                        },
                        b: Right {
                            data: x.data,
                            row: x.stride,
                        },
                        start: Start::Result,
                        relu: false,
                        c: weight,
                    }
                    .compute(pass.pace);
                } else {
                    let gradient = matrix(gradient, count, self.units);
                    let x = strided(x.data, count, x.width, x.stride);
                    let mut weight = matrix_mut(weight, self.units, self.width);
                    multiply_paced(&gradient.t(), &x, 1.0, &mut weight, pace);
                }
            });
            if self.use_bias {
                add_rows(pass.gradient, bias, pace);
            }
        }
        if let Some((target, add)) = pass.input_gradients.get(0) {
            if is_small {
                TrainingProduct {
                    rows: count,
                    inner: self.units,
                    columns: self.width,
                    a: Left {
                        data: pass.gradient,
                        row: self.units,
                        step: 1,
                    },
                    b: Right {
                        data: weight,
                        row: self.width,
                    },
                    start: if add { Start::Result } else { Start::Zero },
                    relu: false,
                    c: target,
                }
                .compute(pass.pace);
            } else {
                let gradient = matrix(pass.gradient, count, self.units);
                let w = matrix(weight, self.units, self.width);
                let mut target = matrix_mut(target, count, self.width);
                let beta = if add { 1.0 } else { 0.0 };
                multiply_paced(&gradient, &w, beta, &mut target, pace);
            }
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

/// Calls `each` with the input's steps as rows: all at once where rows stand side by side or are
/// single steps, else row by row. It is given the number of the first step and how many there are.
fn for_blocks(
    inputs: &Inputs<'_>,
    rows: usize,
    steps: usize,
    mut each: impl FnMut(usize, usize, View<'_>),
) {
    let view = inputs.view(0);
    let width = view.width / steps;
    let steps_of = |data, stride| View {
        data,
        stride,
        width,
    };
    if steps == 1 {
        each(0, rows, view);
    } else if view.stride == view.width {
        each(0, rows * steps, steps_of(view.data, width));
    } else {
        for row in 0..rows {
            each(row * steps, steps, steps_of(view.row(row), width));
        }
    }
}

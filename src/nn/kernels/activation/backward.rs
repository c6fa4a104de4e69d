//! Derivatives of the activations.

use super::{Activation, GELU_CUBIC, GELU_LINEAR, SELU_ALPHA, SELU_SCALE};
use crate::nn::base::stop::{Pace, VALUE};
use crate::nn::kernels::math;
use crate::nn::kernels::processor::{Processor, Task};

impl Activation {
    /// Whether the derivative is computed from the activation's input; otherwise the output is
    /// enough, and the input need not be kept.
    pub fn backward_needs_input(self) -> bool {
        matches!(
            self,
            Activation::Gelu
                | Activation::GeluTanh
                | Activation::Silu
                | Activation::Mish
                | Activation::Softplus
        )
    }

    /// Turns the gradient with respect to the output, in place, into the one with respect to
    /// the input.
    ///
    /// `input` is what the activation was applied to and may be empty unless
    /// [`Activation::backward_needs_input`]; `output` is what it gave; both are rows of `width`
    /// values. At a kink the derivative from below is taken, as PyTorch does.
    pub fn backward(self, input: &[f32], output: &[f32], gradient: &mut [f32], width: usize) {
        if self != Activation::Linear {
            Processor::detect().run(Derive {
                activation: self,
                input,
                output,
                gradient,
                width,
            });
        }
    }

    /// [`Activation::backward`] in parts if it is large, with a look before each.
    pub(in crate::nn) fn backward_paced(
        self,
        input: &[f32],
        output: &[f32],
        gradient: &mut [f32],
        width: usize,
        pace: &Pace<'_>,
    ) {
        let width = width.max(1);
        for part in pace.parts(gradient.len(), VALUE, width) {
            let input = input.get(part.clone()).unwrap_or_default();
            self.backward(input, &output[part.clone()], &mut gradient[part], width);
        }
    }

    /// [`Activation::backward`] within a task.
    #[inline(always)]
    pub(in crate::nn) fn backward_inlined(
        self,
        input: &[f32],
        output: &[f32],
        gradient: &mut [f32],
        width: usize,
    ) {
        match self {
            Activation::Linear => {}
            Activation::Relu => by(output, gradient, |y| if y > 0.0 { 1.0 } else { 0.0 }),
            Activation::LeakyRelu(slope) => {
                by(output, gradient, |y| if y > 0.0 { 1.0 } else { slope });
            }
            Activation::Elu => by(output, gradient, |y| if y > 0.0 { 1.0 } else { y + 1.0 }),
            Activation::Selu => by(output, gradient, |y| {
                if y > 0.0 {
                    SELU_SCALE
                } else {
                    y + SELU_SCALE * SELU_ALPHA
                }
            }),
            Activation::Gelu => by(input, gradient, |x| {
                let density = math::exp(-0.5 * x * x) * INVERSE_SQRT_TAU;
                let distribution = 0.5 + 0.5 * math::erf(x * std::f32::consts::FRAC_1_SQRT_2);
                distribution + x * density
            }),
            Activation::GeluTanh => by(input, gradient, |x| {
                // Farther out it is 0 or 1, and the square of x would overflow.
                let x = if x > 20.0 { 20.0 } else { x };
                let x = if x < -20.0 { -20.0 } else { x };
                let u = x * (GELU_CUBIC * x).mul_add(x, GELU_LINEAR);
                let s = math::sigmoid(2.0 * u);
                let slope = (3.0 * GELU_CUBIC * x).mul_add(x, GELU_LINEAR);
                s + 2.0 * x * s * (1.0 - s) * slope
            }),
            Activation::Silu => by(input, gradient, |x| {
                let s = math::sigmoid(x);
                s + x * s * (1.0 - s)
            }),
            Activation::Mish => by(input, gradient, |x| {
                let t = math::tanh(math::ln_1p_exp(x));
                t + x * math::sigmoid(x) * (1.0 - t * t)
            }),
            Activation::Softplus => by(input, gradient, math::sigmoid),
            Activation::Tanh => by(output, gradient, |y| 1.0 - y * y),
            Activation::Sigmoid => by(output, gradient, |y| y * (1.0 - y)),
            Activation::HardSigmoid => by(output, gradient, |y| {
                if y > 0.0 && y < 1.0 { 1.0 / 6.0 } else { 0.0 }
            }),
            Activation::Exponential => by(output, gradient, |y| y),
            Activation::Softmax => {
                let width = width.max(1);
                for (g, y) in gradient
                    .chunks_exact_mut(width)
                    .zip(output.chunks_exact(width))
                {
                    let mean: f32 = g.iter().zip(y).map(|(g, y)| g * y).sum();
                    g.iter_mut().zip(y).for_each(|(g, y)| *g = y * (*g - mean));
                }
            }
        }
    }
}

struct Derive<'a> {
    activation: Activation,
    input: &'a [f32],
    output: &'a [f32],
    gradient: &'a mut [f32],
    width: usize,
}

impl Task for Derive<'_> {
    #[inline(always)]
    fn run(self) {
        self.activation
            .backward_inlined(self.input, self.output, self.gradient, self.width);
    }
}

/// 1 / √(2π), the normal density at zero.
const INVERSE_SQRT_TAU: f32 = 0.398_942_3;

#[inline(always)]
fn by(at: &[f32], gradient: &mut [f32], derivative: impl Fn(f32) -> f32) {
    gradient
        .iter_mut()
        .zip(at)
        .for_each(|(g, v)| *g *= derivative(*v));
}

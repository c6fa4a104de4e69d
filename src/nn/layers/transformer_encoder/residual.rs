//! What happens to each token between the products of a block, in one go over the token.

use crate::nn::base::stop::{Pace, VALUE};
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::processor::Task;
use crate::nn::layers::dropout_mask::DropoutMask;
use crate::nn::layers::norm::{Affine, AffineGradient, Group};

/// A layer norm, and where its weight and its bias are.
#[derive(Clone, Copy)]
pub(super) struct Norm<'a> {
    pub affine: Affine<'a>,
    pub epsilon: f32,
}

/// Where the weight of a norm and, behind it, its bias lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct NormPlace {
    pub start: usize,
    pub width: usize,
    pub use_bias: bool,
}

impl NormPlace {
    pub fn end(self) -> usize {
        self.start + self.width * if self.use_bias { 2 } else { 1 }
    }

    pub fn affine(self, parameters: &[f32]) -> Affine<'_> {
        let (weight, bias) = parameters[self.start..self.end()].split_at(self.width);
        Affine {
            weight: Some(weight),
            bias: self.use_bias.then_some(bias),
        }
    }

    pub fn gradient(self, parameters: Option<&mut [f32]>) -> AffineGradient<'_> {
        let Some(parameters) = parameters else {
            return AffineGradient::default();
        };
        let (weight, bias) = parameters[self.start..self.end()].split_at_mut(self.width);
        AffineGradient {
            weight: Some(weight),
            bias: self.use_bias.then_some(bias),
        }
    }
}

/// Drops of a dense layer's values what the mask says, adds a residual, and norms the sum.
pub(super) struct AddAndNorm<'a> {
    pub pace: &'a Pace<'a>,
    pub width: usize,
    /// The values; afterwards the sum.
    pub sum: &'a mut [f32],
    pub mask: Option<DropoutMask>,
    pub residual: &'a [f32],
    /// The norm, its output, and [mean, 1 / deviation] of each token.
    pub norm: Option<(Norm<'a>, &'a mut [f32], &'a mut [f32])>,
}

impl Task for AddAndNorm<'_> {
    #[inline(always)]
    fn run(self) {
        let width = self.width;
        let mut norm = self.norm;
        let tokens = self.sum.chunks_exact_mut(width);
        for (token, (sum, residual)) in tokens.zip(self.residual.chunks_exact(width)).enumerate() {
            if self.pace.spend_values(width) {
                return;
            }
            if let Some(mask) = self.mask {
                for (i, sum) in sum.iter_mut().enumerate() {
                    *sum *= mask.factor(token * width + i);
                }
            }
            sum.iter_mut().zip(residual).for_each(|(sum, r)| *sum += r);
            if let Some((norm, y, moments)) = &mut norm {
                let y = &mut y[token * width..][..width];
                let found = Group::run(width).forward(sum, norm.affine, norm.epsilon, y);
                moments[2 * token..][..2].copy_from_slice(&found);
            }
        }
    }
}

/// A norm over tokens that nothing is added to.
pub(super) struct NormTokens<'a> {
    pub pace: &'a Pace<'a>,
    pub width: usize,
    pub x: &'a [f32],
    pub norm: Norm<'a>,
    pub y: &'a mut [f32],
    pub moments: &'a mut [f32],
}

impl Task for NormTokens<'_> {
    #[inline(always)]
    fn run(self) {
        let tokens = self.x.chunks_exact(self.width);
        let tokens = tokens.zip(self.y.chunks_exact_mut(self.width));
        for ((x, y), moments) in tokens.zip(self.moments.chunks_exact_mut(2)) {
            if self.pace.spend_values(self.width) {
                return;
            }
            let Norm { affine, epsilon } = self.norm;
            moments.copy_from_slice(&Group::run(self.width).forward(x, affine, epsilon, y));
        }
    }
}

/// The gradient through a norm: from the one with respect to its output, in place, to the one with
/// respect to its input `x`, which is also added to `sum` if there is one.
pub(super) struct NormBackward<'a> {
    pub pace: &'a Pace<'a>,
    pub width: usize,
    pub x: &'a [f32],
    pub moments: &'a [f32],
    pub weight: Option<&'a [f32]>,
    pub gradient: &'a mut [f32],
    pub affine: AffineGradient<'a>,
    pub sum: Option<&'a mut [f32]>,
}

impl Task for NormBackward<'_> {
    #[inline(always)]
    fn run(mut self) {
        let group = Group::run(self.width);
        let tokens = self.gradient.chunks_exact_mut(self.width);
        let tokens = tokens.zip(self.x.chunks_exact(self.width));
        let moments = self.moments.as_chunks::<2>().0;
        for (token, ((gradient, x), moments)) in tokens.zip(moments).enumerate() {
            if self.pace.spend_values(self.width) {
                return;
            }
            let slope = group.backward(x, *moments, self.weight, gradient, &mut self.affine);
            match &mut self.sum {
                Some(sum) => {
                    let sum = &mut sum[token * self.width..][..self.width];
                    group.input_gradient(x, slope, gradient, true, sum);
                }
                None => slope.in_place(x, gradient),
            }
        }
    }
}

/// From the values of the first dense layer to the hidden ones: activation, dropout.
pub(super) struct Activate<'a> {
    pub pace: &'a Pace<'a>,
    pub width: usize,
    pub hidden: &'a mut [f32],
    pub activation: Activation,
    pub mask: Option<DropoutMask>,
    /// Takes the activation's input, where its derivative needs it.
    pub input: &'a mut [f32],
}

impl Task for Activate<'_> {
    #[inline(always)]
    fn run(self) {
        let width = self.width;
        for (token, hidden) in self.hidden.chunks_exact_mut(width).enumerate() {
            if self.pace.spend_values(width) {
                return;
            }
            if let Some(input) = self.input.chunks_exact_mut(width).nth(token) {
                input.copy_from_slice(hidden);
            }
            self.activation.apply_inlined(hidden, width);
            if let Some(mask) = self.mask {
                for (i, hidden) in hidden.iter_mut().enumerate() {
                    *hidden *= mask.factor(token * width + i);
                }
            }
        }
    }
}

/// From the gradient with respect to the hidden values, in place, to the one with respect to the
/// activation's input.
pub(super) struct ActivateBackward<'a> {
    pub pace: &'a Pace<'a>,
    pub width: usize,
    pub hidden: &'a [f32],
    pub input: &'a [f32],
    pub activation: Activation,
    pub mask: Option<DropoutMask>,
    pub gradient: &'a mut [f32],
}

impl Task for ActivateBackward<'_> {
    #[inline(always)]
    fn run(self) {
        for part in self.pace.parts(self.gradient.len(), VALUE, self.width) {
            let gradient = &mut self.gradient[part.clone()];
            if let Some(mask) = self.mask {
                for (i, g) in (part.start..).zip(gradient.iter_mut()) {
                    *g *= mask.factor(i);
                }
            }
            // Dropout leaves a value's sign, all that relu's derivative is told from.
            let input = self.input.get(part.clone()).unwrap_or_default();
            self.activation
                .backward_inlined(input, &self.hidden[part], gradient, self.width);
        }
    }
}

/// Values as a mask leaves them.
pub(super) struct Masked<'a> {
    pub pace: &'a Pace<'a>,
    pub x: &'a [f32],
    pub mask: DropoutMask,
    pub y: &'a mut [f32],
}

impl Task for Masked<'_> {
    #[inline(always)]
    fn run(self) {
        for part in self.pace.parts(self.x.len(), VALUE, 1) {
            let pairs = self.y[part.clone()].iter_mut().zip(&self.x[part.clone()]);
            for (i, (y, x)) in part.zip(pairs) {
                *y = x * self.mask.factor(i);
            }
        }
    }
}

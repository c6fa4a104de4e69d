//! One block, in training.

use super::packed::{PackedBlock, PackedNorm};
use super::residual::{
    Activate, ActivateBackward, AddAndNorm, Masked, Norm, NormBackward, NormPlace, NormTokens,
};
use crate::nn::base::random::Random;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::Processor;
use crate::nn::layer::ParameterSpec;
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layers::attention::{Heads, SelfAttention, Tokens, take};
use crate::nn::layers::dropout_mask::DropoutMask;
use crate::nn::layers::linear::Linear;
use crate::nn::layers::norm::parameter;

/// The width of the dense layers, as a multiple of the features.
const FEED_FORWARD: usize = 4;

/// The settings of a transformer encoder.
#[derive(Clone, Debug)]
pub(super) struct EncoderSpec {
    pub heads: usize,
    pub feed_forward: Option<usize>,
    pub layers: Option<usize>,
    pub activation: Activation,
    pub norm_first: bool,
    pub dropout: f32,
    pub use_bias: bool,
    pub epsilon: f32,
}

/// A block's sizes and settings, and where its parameters lie in its layer's.
#[derive(Debug)]
pub(super) struct Block {
    attention: SelfAttention,
    linear1: Linear,
    linear2: Linear,
    norm1: NormPlace,
    norm2: NormPlace,
    activation: Activation,
    norm_first: bool,
    dropout: f32,
    epsilon: f32,
}

/// What a block's pass is over.
pub(super) struct BlockPass<'a> {
    pub tokens: Tokens<'a>,
    /// The block's input, [rows, steps, features].
    pub x: &'a [f32],
}

/// What a block keeps for its backward pass; without `norm_first` and with it.
struct Kept<'s> {
    attention: &'s mut [f32],
    /// The input of the first norm; its output.
    first: &'s mut [f32],
    /// The output of the first norm; the input of the second.
    second: &'s mut [f32],
    /// The input of the second norm; its output.
    third: &'s mut [f32],
    moments1: &'s mut [f32],
    moments2: &'s mut [f32],
    /// The hidden values of the dense layers, and what the activation was applied to.
    hidden: &'s mut [f32],
    hidden_input: &'s mut [f32],
    masks: &'s mut [f32],
}

impl Block {
    pub fn new(spec: &EncoderSpec, heads: Heads, start: usize) -> Self {
        let (features, use_bias) = (heads.features, spec.use_bias);
        let feed_forward = spec.feed_forward;
        let hidden = feed_forward.unwrap_or(features.saturating_mul(FEED_FORWARD));
        let attention = SelfAttention::new(heads, spec.dropout, use_bias, start);
        let linear1 = Linear {
            start: attention.end(),
            inputs: features,
            outputs: hidden,
            use_bias,
        };
        let linear2 = Linear {
            start: linear1.end(),
            inputs: hidden,
            outputs: features,
            use_bias,
        };
        let norm1 = NormPlace {
            start: linear2.end(),
            width: features,
            use_bias,
        };
        let norm2 = NormPlace {
            start: norm1.end(),
            ..norm1
        };
        Self {
            attention,
            linear1,
            linear2,
            norm1,
            norm2,
            activation: spec.activation,
            norm_first: spec.norm_first,
            dropout: spec.dropout,
            epsilon: spec.epsilon,
        }
    }

    /// Where its parameters end.
    pub fn end(&self) -> usize {
        self.norm2.end()
    }

    /// Its parameters, named and in the order of `torch.nn.TransformerEncoderLayer`.
    pub fn parameters(&self, prefix: &str) -> Vec<ParameterSpec> {
        let names = |layer: &str| ["weight", "bias"].map(|name| format!("{prefix}{layer}.{name}"));
        let mut all: Vec<ParameterSpec> = self
            .attention
            .parameters(&format!("{prefix}self_attn."))
            .collect();
        all.extend(self.linear1.parameters(names("linear1"), None, None));
        all.extend(self.linear2.parameters(names("linear2"), None, None));
        for (norm, layer) in [(self.norm1, "norm1"), (self.norm2, "norm2")] {
            let [weight, bias] = names(layer);
            let shape = [norm.width];
            all.push(parameter(weight, &shape, ParameterKind::Gain, 1.0));
            if norm.use_bias {
                all.push(parameter(bias, &shape, ParameterKind::Bias, 0.0));
            }
        }
        all
    }

    fn features(&self) -> usize {
        self.linear1.inputs
    }

    fn hidden(&self) -> usize {
        self.linear1.outputs
    }

    fn steps(&self) -> usize {
        self.attention.heads.steps
    }

    /// Multiplications a row.
    pub fn products(&self) -> usize {
        let dense = 2 * self.features().saturating_mul(self.hidden());
        let dense = dense.saturating_mul(self.steps());
        self.attention.products().saturating_add(dense)
    }

    /// Hidden values of a row whose inputs of the activation are kept.
    fn hidden_inputs(&self) -> usize {
        match self.activation.backward_needs_input() {
            true => self.steps() * self.hidden(),
            false => 0,
        }
    }

    /// Numbers a row that [`Block::forward`] keeps.
    pub fn saved_per_row(&self) -> usize {
        let tokens = self.steps() * (3 * self.features() + 4 + self.hidden());
        let masks = 3 * DropoutMask::KEPT;
        self.attention.saved_per_row() + tokens + self.hidden_inputs() + masks
    }

    fn kept<'s>(&self, rows: usize, mut saved: &'s mut [f32]) -> Kept<'s> {
        let tokens = rows * self.steps();
        let saved = &mut saved;
        Kept {
            attention: take(saved, rows * self.attention.saved_per_row()),
            first: take(saved, tokens * self.features()),
            second: take(saved, tokens * self.features()),
            third: take(saved, tokens * self.features()),
            moments1: take(saved, 2 * tokens),
            moments2: take(saved, 2 * tokens),
            hidden: take(saved, tokens * self.hidden()),
            hidden_input: take(saved, rows * self.hidden_inputs()),
            masks: take(saved, 3 * DropoutMask::KEPT),
        }
    }

    /// Working memory of both passes.
    pub fn scratch(&self, rows: usize) -> usize {
        let tokens = rows * self.steps();
        let attention = self.attention.backward_scratch(rows);
        let attention = attention.max(self.attention.forward_scratch());
        2 * tokens * self.features() + attention.max(tokens * self.hidden())
    }

    fn norm<'p>(&self, place: NormPlace, parameters: &'p [f32]) -> Norm<'p> {
        Norm {
            affine: place.affine(parameters),
            epsilon: self.epsilon,
        }
    }

    /// Computes `y` from `x`, both [rows, steps, features].
    pub fn forward(
        &self,
        pass: BlockPass<'_>,
        y: &mut [f32],
        saved: &mut [f32],
        scratch: &mut [f32],
        mut random: Option<&mut Random>,
    ) {
        let BlockPass { tokens, x } = pass;
        let (parameters, width, pace) = (tokens.parameters, self.features(), tokens.pace);
        let count = tokens.rows * self.steps();
        let processor = Processor::detect();
        let kept = self.kept(tokens.rows, saved);
        let [mask1, mask2, mask3] = self.draw(random.as_deref_mut(), kept.masks);
        let (norm1, norm2) = (
            self.norm(self.norm1, parameters),
            self.norm(self.norm2, parameters),
        );
        let attended = if self.norm_first {
            processor.run(NormTokens {
                pace,
                width,
                x,
                norm: norm1,
                y: kept.first,
                moments: kept.moments1,
            });
            &*kept.first
        } else {
            x
        };
        let context = self
            .attention
            .forward(tokens, attended, kept.attention, scratch, random);
        let projection = &self.attention.out_proj;
        let (sum1, norm, ahead) = if self.norm_first {
            let norm = (norm2, &mut *kept.third, &mut *kept.moments2);
            (&mut *kept.second, norm, true)
        } else {
            let norm = (norm1, &mut *kept.second, &mut *kept.moments1);
            (&mut *kept.first, norm, false)
        };
        projection.forward(parameters, context, count, sum1, pace);
        processor.run(AddAndNorm {
            pace,
            width,
            sum: sum1,
            mask: mask1,
            residual: x,
            norm: Some(norm),
        });
        // What the dense layers read, and what is added to what they give.
        let (input, residual) = match ahead {
            true => (&*kept.third, &*kept.second),
            false => (&*kept.second, &*kept.second),
        };
        self.linear1
            .forward(parameters, input, count, kept.hidden, pace);
        processor.run(Activate {
            pace,
            width: self.hidden(),
            hidden: kept.hidden,
            activation: self.activation,
            mask: mask2,
            input: kept.hidden_input,
        });
        let last = |sum: &mut [f32], norm| {
            self.linear2
                .forward(parameters, kept.hidden, count, sum, pace);
            processor.run(AddAndNorm {
                pace,
                width,
                sum,
                mask: mask3,
                residual,
                norm,
            });
        };
        if ahead {
            last(y, None);
        } else {
            last(kept.third, Some((norm2, y, kept.moments2)));
        }
    }

    /// Three masks: of what attention gives, of the hidden values, of what the dense layers give.
    fn draw(&self, mut random: Option<&mut Random>, noted: &mut [f32]) -> [Option<DropoutMask>; 3] {
        let mut noted = noted.chunks_exact_mut(DropoutMask::KEPT);
        [(); 3].map(|()| {
            let noted = noted.next()?;
            DropoutMask::draw(self.dropout, random.as_deref_mut(), noted)
        })
    }

    /// From the gradient with respect to `y`, in place and if it is `wanted`, to the one with respect
    /// to `x`; adds up those with respect to the parameters.
    pub fn backward(
        &self,
        pass: BlockPass<'_>,
        gradient: &mut [f32],
        saved: &mut [f32],
        mut scratch: &mut [f32],
        mut parameter_gradient: Option<&mut [f32]>,
        wanted: bool,
    ) {
        let BlockPass { tokens, x } = pass;
        let (parameters, width, pace) = (tokens.parameters, self.features(), tokens.pace);
        let count = tokens.rows * self.steps();
        let processor = Processor::detect();
        let kept = self.kept(tokens.rows, saved);
        let noted = kept.masks.as_chunks::<{ DropoutMask::KEPT }>().0;
        let mask = |i: usize| DropoutMask::restore(self.dropout, &noted[i]);
        let masked = take(&mut scratch, count * width);
        let inner = take(&mut scratch, count * width);
        if !self.norm_first {
            processor.run(NormBackward {
                pace,
                width,
                x: kept.third,
                moments: kept.moments2,
                weight: self.norm2.affine(parameters).weight,
                gradient,
                affine: self.norm2.gradient(parameter_gradient.as_deref_mut()),
                sum: None,
            });
        }
        // The dense layers.
        let input = match self.norm_first {
            true => &*kept.third,
            false => &*kept.second,
        };
        let hidden_gradient = &mut scratch[..count * self.hidden()];
        {
            let gradient = as_masked(mask(2), gradient, masked, pace);
            if let Some(target) = parameter_gradient.as_deref_mut() {
                self.linear2
                    .parameter_gradient(kept.hidden, gradient, count, target, pace);
            }
            self.linear2
                .input_gradient(parameters, gradient, count, 0.0, hidden_gradient, pace);
        }
        processor.run(ActivateBackward {
            pace,
            width: self.hidden(),
            hidden: kept.hidden,
            input: kept.hidden_input,
            activation: self.activation,
            mask: mask(1),
            gradient: hidden_gradient,
        });
        if let Some(target) = parameter_gradient.as_deref_mut() {
            self.linear1
                .parameter_gradient(input, hidden_gradient, count, target, pace);
        }
        if self.norm_first {
            self.linear1
                .input_gradient(parameters, hidden_gradient, count, 0.0, inner, pace);
            processor.run(NormBackward {
                pace,
                width,
                x: kept.second,
                moments: kept.moments2,
                weight: self.norm2.affine(parameters).weight,
                gradient: inner,
                affine: self.norm2.gradient(parameter_gradient.as_deref_mut()),
                sum: Some(gradient),
            });
        } else {
            self.linear1
                .input_gradient(parameters, hidden_gradient, count, 1.0, gradient, pace);
            processor.run(NormBackward {
                pace,
                width,
                x: kept.first,
                moments: kept.moments1,
                weight: self.norm1.affine(parameters).weight,
                gradient,
                affine: self.norm1.gradient(parameter_gradient.as_deref_mut()),
                sum: None,
            });
        }
        // Attention.
        let attended = match self.norm_first {
            true => &*kept.first,
            false => x,
        };
        let qkv_gradient = self.attention.backward(
            tokens,
            attended,
            as_masked(mask(0), gradient, masked, pace),
            kept.attention,
            scratch,
            parameter_gradient.as_deref_mut(),
        );
        if self.norm_first {
            self.attention
                .input_gradient(tokens, qkv_gradient, 0.0, inner);
            processor.run(NormBackward {
                pace,
                width,
                x,
                moments: kept.moments1,
                weight: self.norm1.affine(parameters).weight,
                gradient: inner,
                affine: self.norm1.gradient(parameter_gradient),
                sum: Some(gradient),
            });
        } else if wanted {
            self.attention
                .input_gradient(tokens, qkv_gradient, 1.0, gradient);
        }
    }

    /// The block in the form in which it predicts.
    pub fn pack(&self, packer: &mut Packer<'_>, input: Option<InputScale>) -> PackedBlock {
        PackedBlock {
            attention: self.attention.pack(packer, input),
            linear1: self.linear1.pack(packer, self.activation, input),
            linear2: self.linear2.pack(packer, Activation::Linear, input),
            norms: [self.norm1, self.norm2].map(|place| PackedNorm {
                parameters: packer.copy(place.start..place.end()),
                place: NormPlace { start: 0, ..place },
            }),
            epsilon: self.epsilon,
            norm_first: self.norm_first,
        }
    }
}

/// The gradient as a mask leaves it, in `masked`, or where it is.
fn as_masked<'a>(
    mask: Option<DropoutMask>,
    gradient: &'a [f32],
    masked: &'a mut [f32],
    pace: &Pace<'_>,
) -> &'a [f32] {
    let Some(mask) = mask else {
        return gradient;
    };
    Processor::detect().run(Masked {
        pace,
        x: gradient,
        mask,
        y: masked,
    });
    masked
}

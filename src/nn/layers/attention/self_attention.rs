//! Self-attention with its projections: queries, keys and values by one product over all tokens,
//! then each row's heads, then the projection of what they found.

use super::heads::{Heads, RowPass, take};
use crate::nn::base::random::Random;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::Processor;
use crate::nn::layer::ParameterSpec;
use crate::nn::layer::initializer::Initializer;
use crate::nn::layers::dropout_mask::DropoutMask;
use crate::nn::layers::linear::Linear;
use crate::nn::layers::packed_linear::PackedLinear;

/// The sizes of self-attention, and where its parameters lie in its layer's.
#[derive(Clone, Debug)]
pub(in crate::nn::layers) struct SelfAttention {
    pub heads: Heads,
    /// Probability with which a weight is dropped in training.
    pub dropout: f32,
    in_proj: Linear,
    pub out_proj: Linear,
}

/// What a pass is over.
#[derive(Clone, Copy)]
pub(in crate::nn::layers) struct Tokens<'a> {
    pub rows: usize,
    /// Steps of a row that are there.
    pub there: &'a dyn Fn(usize) -> usize,
    /// The layer's parameters.
    pub parameters: &'a [f32],
    pub pace: &'a Pace<'a>,
}

impl SelfAttention {
    pub fn new(heads: Heads, dropout: f32, use_bias: bool, start: usize) -> Self {
        let in_proj = Linear {
            start,
            inputs: heads.features,
            outputs: 3 * heads.features,
            use_bias,
        };
        let out_proj = Linear {
            start: in_proj.end(),
            outputs: heads.features,
            ..in_proj
        };
        Self {
            heads,
            dropout,
            in_proj,
            out_proj,
        }
    }

    /// Where its parameters end.
    pub fn end(&self) -> usize {
        self.out_proj.end()
    }

    /// Its parameters, named and started as those of `torch.nn.MultiheadAttention`.
    pub fn parameters(&self, prefix: &str) -> impl Iterator<Item = ParameterSpec> + use<> {
        let name = |name: &str| format!("{prefix}{name}");
        let in_names = [name("in_proj_weight"), name("in_proj_bias")];
        let out_names = [name("out_proj.weight"), name("out_proj.bias")];
        let xavier = Some(Initializer::GlorotUniform);
        let in_proj = self.in_proj.parameters(in_names, xavier, Some(0.0));
        in_proj.chain(self.out_proj.parameters(out_names, None, Some(0.0)))
    }

    /// Multiplications a row.
    pub fn products(&self) -> usize {
        let Heads {
            steps, features, ..
        } = self.heads;
        let projections = 4 * features * features;
        steps.saturating_mul(projections.saturating_add(2 * steps * features))
    }

    /// Numbers a row that [`SelfAttention::forward`] keeps.
    pub fn saved_per_row(&self) -> usize {
        let tokens = self.heads.steps * self.heads.features;
        4 * tokens + self.heads.kept() + DropoutMask::KEPT
    }

    /// What was kept, in its parts: projected tokens, what the heads found, what softmax was scaled
    /// by, and the dropout mask.
    fn parts<'s>(&self, rows: usize, mut saved: &'s mut [f32]) -> [&'s mut [f32]; 4] {
        let values = rows * self.heads.steps * self.heads.features;
        let qkv = take(&mut saved, 3 * values);
        let context = take(&mut saved, values);
        let kept = take(&mut saved, rows * self.heads.kept());
        [qkv, context, kept, saved]
    }

    /// Working memory of [`SelfAttention::forward`].
    pub fn forward_scratch(&self) -> usize {
        self.heads.forward_scratch()
    }

    /// Working memory of [`SelfAttention::backward`].
    pub fn backward_scratch(&self, rows: usize) -> usize {
        4 * rows * self.heads.steps * self.heads.features + self.heads.backward_scratch()
    }

    /// From tokens `x` to what the heads found, which it returns; both are [rows, steps, features].
    /// The last projection is left to the caller.
    pub fn forward<'s>(
        &self,
        pass: Tokens<'_>,
        x: &[f32],
        saved: &'s mut [f32],
        scratch: &mut [f32],
        random: Option<&mut Random>,
    ) -> &'s [f32] {
        let Heads {
            steps, features, ..
        } = self.heads;
        let [qkv, context, kept, noted] = self.parts(pass.rows, saved);
        let mask = DropoutMask::draw(self.dropout, random, noted);
        self.in_proj
            .forward(pass.parameters, x, pass.rows * steps, qkv, pass.pace);
        let processor = Processor::detect();
        let rows = qkv.chunks_exact(steps * 3 * features);
        let rows = rows.zip(context.chunks_exact_mut(steps * features));
        let rows = rows.zip(kept.chunks_exact_mut(self.heads.kept()));
        let pace = pass.pace;
        for (row, ((qkv, context), kept)) in rows.enumerate() {
            let pass = RowPass {
                there: (pass.there)(row),
                mask: mask.map(|mask| mask.from(row * self.heads.weights())),
                processor,
                pace,
            };
            self.heads.forward(pass, qkv, context, kept, scratch);
        }
        context
    }

    /// From the gradient with respect to the last projection's result, adds up those with respect to
    /// the parameters. Returns the one with respect to the projected tokens, in `scratch`, for
    /// [`SelfAttention::input_gradient`].
    pub fn backward<'s>(
        &self,
        pass: Tokens<'_>,
        x: &[f32],
        gradient: &[f32],
        saved: &mut [f32],
        mut scratch: &'s mut [f32],
        mut parameter_gradient: Option<&mut [f32]>,
    ) -> &'s [f32] {
        let Heads {
            steps, features, ..
        } = self.heads;
        let (tokens, pace) = (pass.rows * steps, pass.pace);
        let [qkv, context, kept, noted] = self.parts(pass.rows, saved);
        let mask = DropoutMask::restore(self.dropout, noted);
        if let Some(parameters) = parameter_gradient.as_deref_mut() {
            self.out_proj
                .parameter_gradient(context, gradient, tokens, parameters, pace);
        }
        let context_gradient = take(&mut scratch, tokens * features);
        let qkv_gradient = take(&mut scratch, tokens * 3 * features);
        self.out_proj.input_gradient(
            pass.parameters,
            gradient,
            tokens,
            0.0,
            context_gradient,
            pace,
        );
        let processor = Processor::detect();
        let rows = qkv.chunks_exact(steps * 3 * features);
        let rows = rows.zip(context_gradient.chunks_exact(steps * features));
        let rows = rows.zip(kept.chunks_exact(self.heads.kept()));
        let targets = qkv_gradient.chunks_exact_mut(steps * 3 * features);
        for (row, (((qkv, gradient), kept), target)) in rows.zip(targets).enumerate() {
            let pass = RowPass {
                there: (pass.there)(row),
                mask: mask.map(|mask| mask.from(row * self.heads.weights())),
                processor,
                pace,
            };
            self.heads
                .backward(pass, qkv, kept, gradient, target, scratch);
        }
        if let Some(parameters) = parameter_gradient {
            self.in_proj
                .parameter_gradient(x, qkv_gradient, tokens, parameters, pace);
        }
        qkv_gradient
    }

    /// Sets `x` to the gradient with respect to the tokens plus `beta` times what it holds.
    pub fn input_gradient(&self, pass: Tokens<'_>, qkv_gradient: &[f32], beta: f32, x: &mut [f32]) {
        let tokens = pass.rows * self.heads.steps;
        self.in_proj
            .input_gradient(pass.parameters, qkv_gradient, tokens, beta, x, pass.pace);
    }

    /// It in the form in which it predicts.
    pub fn pack(&self, packer: &mut Packer<'_>, input: Option<InputScale>) -> PackedAttention {
        PackedAttention {
            heads: self.heads,
            in_proj: self.in_proj.pack(packer, Activation::Linear, input),
            out_proj: self.out_proj.pack(packer, Activation::Linear, input),
        }
    }
}

/// Self-attention with its parameters packed, of one row at a time.
#[derive(Debug)]
pub(in crate::nn::layers) struct PackedAttention {
    heads: Heads,
    in_proj: PackedLinear,
    out_proj: PackedLinear,
}

impl PackedAttention {
    /// Memory it holds for itself, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.in_proj.size_bytes() + self.out_proj.size_bytes()
    }

    /// Working memory of [`PackedAttention::forward`].
    pub fn scratch(&self) -> usize {
        let tokens = self.heads.steps * self.heads.features;
        4 * tokens + self.heads.kept() + self.heads.forward_scratch() + self.linear_scratch()
    }

    fn linear_scratch(&self) -> usize {
        let maps = [&self.in_proj, &self.out_proj].map(|map| map.scratch(self.heads.steps));
        maps[0].max(maps[1])
    }

    /// From a row's tokens `x` to `y`, both [steps, features], of which so many are there.
    pub fn forward(
        &self,
        x: &[f32],
        there: usize,
        y: &mut [f32],
        mut scratch: &mut [f32],
        pace: &Pace<'_>,
    ) {
        let Heads {
            steps, features, ..
        } = self.heads;
        let qkv = take(&mut scratch, 3 * steps * features);
        let context = take(&mut scratch, steps * features);
        let kept = take(&mut scratch, self.heads.kept());
        let linear = take(&mut scratch, self.linear_scratch());
        self.in_proj
            .forward((x, features), there, qkv, linear, pace);
        let pass = RowPass {
            there,
            mask: None,
            processor: Processor::detect(),
            pace,
        };
        self.heads.forward(pass, qkv, context, kept, scratch);
        self.out_proj
            .forward((context, features), there, y, linear, pace);
    }
}

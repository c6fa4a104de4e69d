//! The encoder ready to predict: row by row, over the steps that are there.

use super::residual::{AddAndNorm, Norm, NormPlace, NormTokens};
use crate::nn::base::stop::Pace;
use crate::nn::kernels::packed_memory::Values;
use crate::nn::kernels::processor::Processor;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layers::attention::{Heads, PackedAttention, take};
use crate::nn::layers::packed_linear::PackedLinear;

/// A block with its parameters packed.
#[derive(Debug)]
pub(super) struct PackedBlock {
    pub attention: PackedAttention,
    pub linear1: PackedLinear,
    pub linear2: PackedLinear,
    pub norms: [PackedNorm; 2],
    pub epsilon: f32,
    pub norm_first: bool,
}

/// A norm's parameters, and where they lie there.
#[derive(Debug)]
pub(super) struct PackedNorm {
    pub parameters: Values,
    pub place: NormPlace,
}

impl PackedBlock {
    fn size_bytes(&self) -> usize {
        let norms = self.norms.iter().map(|norm| norm.parameters.own_bytes());
        let norms: usize = norms.sum();
        let dense = self.linear1.size_bytes() + self.linear2.size_bytes();
        norms + dense + self.attention.size_bytes()
    }

    fn norm(&self, norm: usize) -> Norm<'_> {
        let PackedNorm { parameters, place } = &self.norms[norm];
        Norm {
            affine: place.affine(parameters),
            epsilon: self.epsilon,
        }
    }

    /// From a row's tokens `x` to `y`, both [steps, features], of which `there` are there.
    fn forward(
        &self,
        heads: Heads,
        x: &[f32],
        there: usize,
        y: &mut [f32],
        scratch: &mut [f32],
        pace: &Pace<'_>,
    ) {
        let (width, hidden_width) = (heads.features, self.linear1.outputs());
        let count = there * width;
        let processor = Processor::detect();
        let mut scratch = scratch;
        let moments = take(&mut scratch, 2 * heads.steps);
        let sum = &mut take(&mut scratch, heads.steps * width)[..count];
        let normed = &mut take(&mut scratch, heads.steps * width)[..count];
        let linear = take(&mut scratch, self.linear_scratch(heads));
        let (x, y) = (&x[..count], &mut y[..count]);
        let attended = if self.norm_first {
            processor.run(NormTokens {
                pace,
                width,
                x,
                norm: self.norm(0),
                y: normed,
                moments,
            });
            &*normed
        } else {
            x
        };
        self.attention.forward(attended, there, sum, scratch, pace);
        processor.run(AddAndNorm {
            pace,
            width,
            sum,
            mask: None,
            residual: x,
            norm: Some((
                self.norm(usize::from(self.norm_first)),
                &mut *normed,
                &mut *moments,
            )),
        });
        let hidden = &mut scratch[..there * hidden_width];
        self.linear1
            .forward((normed, width), there, hidden, linear, pace);
        let hidden = (&*hidden, hidden_width);
        if self.norm_first {
            self.linear2.forward(hidden, there, y, linear, pace);
            processor.run(AddAndNorm {
                pace,
                width,
                sum: y,
                mask: None,
                residual: sum,
                norm: None,
            });
        } else {
            self.linear2.forward(hidden, there, sum, linear, pace);
            processor.run(AddAndNorm {
                pace,
                width,
                sum,
                mask: None,
                residual: normed,
                norm: Some((self.norm(1), y, moments)),
            });
        }
    }

    fn scratch(&self, heads: Heads) -> usize {
        let hidden = heads.steps * self.linear1.outputs();
        let tokens = 2 * heads.steps * (heads.features + 1);
        tokens + self.linear_scratch(heads) + hidden.max(self.attention.scratch())
    }

    fn linear_scratch(&self, heads: Heads) -> usize {
        let maps = [&self.linear1, &self.linear2].map(|map| map.scratch(heads.steps));
        maps[0].max(maps[1])
    }
}

/// Blocks one after the other.
#[derive(Debug)]
pub(super) struct PackedEncoder {
    heads: Heads,
    blocks: Vec<PackedBlock>,
}

impl PackedEncoder {
    pub fn new(heads: Heads, blocks: Vec<PackedBlock>) -> Self {
        Self { heads, blocks }
    }
}

impl Packed for PackedEncoder {
    fn size_bytes(&self) -> usize {
        self.blocks.iter().map(PackedBlock::size_bytes).sum()
    }

    fn scratch(&self, _rows: usize) -> usize {
        let working = self.blocks.iter().map(|block| block.scratch(self.heads));
        let between = match self.blocks.len() {
            1 => 0,
            _ => 2 * self.heads.steps * self.heads.features,
        };
        between + working.max().unwrap_or(0)
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let input = pass.inputs.view(0);
        for row in 0..pass.rows {
            let there = pass.inputs.steps(0, row);
            let output = &mut pass.output[row * pass.stride..][..input.width];
            let x = input.row(row);
            let [first, between @ .., last] = &self.blocks[..] else {
                let [only] = &self.blocks[..] else { return };
                only.forward(self.heads, x, there, output, pass.scratch, pass.pace);
                continue;
            };
            let (mut from, rest) = pass.scratch.split_at_mut(input.width);
            let (mut to, scratch) = rest.split_at_mut(input.width);
            first.forward(self.heads, x, there, from, scratch, pass.pace);
            for block in between {
                block.forward(self.heads, from, there, to, scratch, pass.pace);
                std::mem::swap(&mut from, &mut to);
            }
            last.forward(self.heads, from, there, output, scratch, pass.pace);
        }
    }
}

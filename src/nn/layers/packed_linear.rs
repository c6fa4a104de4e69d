//! A linear map of tokens in prediction, in floats or in 8 bits.

use crate::nn::base::stop::Pace;
use crate::nn::kernels::integer::{MOST_INPUTS, PackedIntegers};
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::{ParameterSpec, Quantizable};

/// Maps of fewer inputs or outputs gain nothing in 8 bits.
const LEAST: usize = 32;

/// A map with its weights packed.
#[derive(Debug)]
pub(super) enum PackedLinear {
    Floats(PackedDense),
    /// With a scale for each token.
    Integers(PackedIntegers),
}

impl PackedLinear {
    /// Outputs of a token.
    pub fn outputs(&self) -> usize {
        match self {
            PackedLinear::Floats(dense) => dense.outputs(),
            PackedLinear::Integers(dense) => dense.outputs(),
        }
    }

    /// Memory that it holds for itself, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            PackedLinear::Floats(dense) => dense.size_bytes(),
            PackedLinear::Integers(dense) => dense.size_bytes(),
        }
    }

    /// Working memory for so many tokens.
    pub fn scratch(&self, tokens: usize) -> usize {
        match self {
            PackedLinear::Floats(_) => 0,
            PackedLinear::Integers(dense) => dense.scratch(tokens),
        }
    }

    /// So many tokens, side by side.
    pub fn forward(
        &self,
        (x, width): (&[f32], usize),
        tokens: usize,
        y: &mut [f32],
        scratch: &mut [f32],
        pace: &Pace<'_>,
    ) {
        let outputs = self.outputs();
        match self {
            PackedLinear::Floats(dense) => dense.forward_paced(x, width, tokens, y, outputs, pace),
            PackedLinear::Integers(dense) => {
                dense.forward_paced(x, width, tokens, y, outputs, scratch, pace);
            }
        }
    }
}

/// What of a layer of linear maps can be in 8 bits: all of their weights, if they are large enough.
pub(super) fn quantizable(parameters: &[ParameterSpec]) -> Option<Quantizable> {
    let weights = parameters.iter().enumerate().filter(|(_, parameter)| {
        parameter.kind == ParameterKind::Weight && parameter.shape.len() == 2
    });
    let pays = |shape: &[usize]| {
        shape
            .iter()
            .all(|size| (LEAST..=MOST_INPUTS).contains(size))
    };
    let is_large = weights.clone().all(|(_, weight)| pays(&weight.shape));
    is_large.then(|| Quantizable {
        weights: weights.map(|(place, _)| place).collect(),
        is_dynamic: true,
    })
}

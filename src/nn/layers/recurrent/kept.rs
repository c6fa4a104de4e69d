//! The products of a step as they are kept for prediction: in floats, or in 8 bits.
//!
//! In 8 bits input and state have a product each, since their values are of different sizes: the
//! second adds to what the first gave. The state of a cell with tanh lies between −1 and 1, and so
//! needs no calibration. Where the input has few values, its product stays in floats.

use super::weights::{Direction, Joined, StepProduct, StepProducts, StepWeights};
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::{InputScale, IntegerPacking, MOST_INPUTS, PackedIntegers};
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::Packer;

/// From so many values on, of an input or a state, 8 bits gain something.
const LEAST: usize = 32;
/// The scale of states.
pub(super) const STATE: InputScale = InputScale::Static {
    scale: 1.0 / 127.0,
    zero_point: 128,
};

#[derive(Clone, Debug)]
enum Weights {
    Floats(PackedDense),
    Integers(PackedIntegers),
}

/// A product, with where it reads and where it writes.
#[derive(Clone, Debug)]
pub(super) struct KeptProduct {
    weights: Weights,
    from: usize,
    column: usize,
}

impl KeptProduct {
    /// Memory that it holds for itself, in bytes.
    pub fn size_bytes(&self) -> usize {
        match &self.weights {
            Weights::Floats(dense) => dense.size_bytes(),
            Weights::Integers(dense) => dense.size_bytes(),
        }
    }

    /// Working memory for so many rows.
    pub fn scratch(&self, rows: usize) -> usize {
        match &self.weights {
            Weights::Floats(_) => 0,
            Weights::Integers(dense) => dense.scratch(rows),
        }
    }

    /// The product, computed with other instructions of this machine.
    #[cfg(test)]
    pub fn on(mut self, processor: crate::nn::kernels::processor::Processor) -> Self {
        self.weights = match self.weights {
            Weights::Floats(dense) => Weights::Floats(dense.on(processor)),
            Weights::Integers(dense) => Weights::Integers(dense.on(processor)),
        };
        self
    }

    /// The products, ready to be computed.
    pub fn ready(kept: &[KeptProduct]) -> StepProducts<'_> {
        let mut products: StepProducts<'_> = Default::default();
        for (product, kept) in products.iter_mut().zip(kept) {
            *product = Some(StepProduct {
                weights: match &kept.weights {
                    Weights::Floats(dense) => StepWeights::Floats(dense.panels()),
                    Weights::Integers(dense) => StepWeights::Integers(dense),
                },
                from: kept.from,
                column: kept.column,
            });
        }
        products
    }
}

impl Direction {
    /// Which of its parameters can be in 8 bits: the weights of the input, and of the state.
    pub fn quantizable(&self) -> [bool; 2] {
        let bounded = self.activation == Activation::Tanh;
        [self.inputs, self.units]
            .map(|width| bounded && self.units >= LEAST && (LEAST..=MOST_INPUTS).contains(&width))
    }

    /// The products of a step, to be kept, of a direction whose parameters begin at `first` of the
    /// layer's; with the scale of the input where they are in 8 bits.
    pub fn pack_to_keep(
        &self,
        packer: &mut Packer<'_>,
        first: usize,
        input: Option<InputScale>,
    ) -> Vec<KeptProduct> {
        let mut kept = Vec::new();
        for joined in self.joined() {
            match input {
                Some(input) => self.pack_apart(packer, first, &joined, input, &mut kept),
                None => kept.push(self.pack_joined(packer, first, joined)),
            }
        }
        kept
    }

    fn pack_joined(&self, packer: &mut Packer<'_>, first: usize, joined: Joined) -> KeptProduct {
        let (outputs, width) = (joined.outputs(), joined.width());
        let dense = packer.dense(outputs, width, Activation::Linear, |own, packing| {
            joined.pack(&self.weights(&own[first..]), packing);
        });
        KeptProduct {
            weights: Weights::Floats(dense),
            from: joined.from,
            column: joined.column,
        }
    }

    /// The input's part of a product, if it has one, and the state's.
    fn pack_apart(
        &self,
        packer: &mut Packer<'_>,
        first: usize,
        joined: &Joined,
        input: InputScale,
        kept: &mut Vec<KeptProduct>,
    ) {
        let (outputs, column) = (joined.outputs(), joined.column);
        let gates = || joined.gates.clone();
        let [input_pays, _] = self.quantizable();
        if let Some(width) = joined.inputs {
            let rows = gates().start * width..gates().end * width;
            // The first of two has both biases.
            let second_bias = joined.state.is_some();
            let weights = if input_pays {
                let fill = |own: &[f32], packing: &mut IntegerPacking<'_>| {
                    let weights = self.weights(&own[first..]);
                    packing.rows(0, &weights.input[rows.clone()]);
                    if self.use_bias {
                        packing.bias(&weights.input_bias[gates()]);
                        if second_bias {
                            packing.bias(&weights.state_bias[gates()]);
                        }
                    }
                };
                Weights::Integers(packer.integers(outputs, width, input, Activation::Linear, fill))
            } else {
                Weights::Floats(
                    packer.dense(outputs, width, Activation::Linear, |own, packing| {
                        let weights = self.weights(&own[first..]);
                        packing.rows(&weights.input[rows.clone()], 0, width);
                        if self.use_bias {
                            packing.bias(&weights.input_bias[gates()]);
                            if second_bias {
                                packing.bias(&weights.state_bias[gates()]);
                            }
                        }
                    }),
                )
            };
            kept.push(KeptProduct {
                weights,
                from: 0,
                column,
            });
        }
        if let Some(width) = joined.state {
            let adds = joined.inputs.is_some();
            let rows = gates().start * width..gates().end * width;
            let dense =
                packer.integers(outputs, width, STATE, Activation::Linear, |own, packing| {
                    let weights = self.weights(&own[first..]);
                    packing.rows(0, &weights.state[rows.clone()]);
                    if self.use_bias && !adds {
                        packing.bias(&weights.state_bias[gates()]);
                    }
                });
            kept.push(KeptProduct {
                weights: Weights::Integers(if adds { dense.adding() } else { dense }),
                from: self.inputs,
                column,
            });
        }
    }
}

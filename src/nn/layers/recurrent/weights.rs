//! The weights of one direction of one layer of a stack: where they lie, and packed for a pass.

use super::cell::Kind;
use crate::nn::Activation;
use crate::nn::kernel::{PackedDense, Panels};
use crate::nn::packing::Packing;

/// One direction of one layer of a stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction {
    pub kind: Kind,
    pub activation: Activation,
    /// Values of a step that enter.
    pub inputs: usize,
    /// Values of the state.
    pub units: usize,
    pub use_bias: bool,
    /// Whether rows are gone through from their last step to their first.
    pub backwards: bool,
}

/// Its parameters, or their gradients.
pub(super) struct Weights<T> {
    /// PyTorch's `weight_ih`, [gates · units, inputs].
    pub input: T,
    /// PyTorch's `weight_hh`, [gates · units, units].
    pub state: T,
    /// PyTorch's `bias_ih` and `bias_hh`, [gates · units] each, or nothing.
    pub input_bias: T,
    pub state_bias: T,
}

/// A product of each step, ready to be computed.
#[derive(Clone, Copy)]
pub(super) struct StepProduct<'a> {
    pub panels: Panels<'a>,
    /// Where it begins to read in a row of input and state.
    pub from: usize,
    /// The column of values where its result begins.
    pub column: usize,
}

/// The products of a step; no cell has more.
pub(super) type StepProducts<'a> = [Option<StepProduct<'a>>; 3];

impl Direction {
    /// Rows of the weights.
    pub fn gates(&self) -> usize {
        self.kind.gates() * self.units
    }

    /// Length of a row of input and state.
    pub fn entering(&self) -> usize {
        self.inputs + self.units
    }

    /// Values a step that the products give.
    pub fn columns(&self) -> usize {
        self.kind.columns() * self.units
    }

    /// Values a step kept beside; in training those, too, that the activation is applied to, if its
    /// derivative needs them.
    pub fn kept(&self, training: bool) -> usize {
        let more = usize::from(training && self.activation.backward_needs_input());
        (self.kind.kept() + more) * self.units
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.gates() * (self.entering() + if self.use_bias { 2 } else { 0 })
    }

    fn sizes(&self) -> [usize; 4] {
        let bias = if self.use_bias { self.gates() } else { 0 };
        [
            self.gates() * self.inputs,
            self.gates() * self.units,
            bias,
            bias,
        ]
    }

    /// Its parameters, from the start of the slice.
    pub fn weights<'a>(&self, parameters: &'a [f32]) -> Weights<&'a [f32]> {
        let [input, state, input_bias, _] = self.sizes();
        let (input, rest) = parameters.split_at(input);
        let (state, rest) = rest.split_at(state);
        let (input_bias, rest) = rest.split_at(input_bias);
        Weights {
            input,
            state,
            input_bias,
            state_bias: &rest[..input_bias.len()],
        }
    }

    /// [`Direction::weights`], to write.
    pub fn weights_mut<'a>(&self, parameters: &'a mut [f32]) -> Weights<&'a mut [f32]> {
        let [input, state, bias, _] = self.sizes();
        let (input, rest) = parameters.split_at_mut(input);
        let (state, rest) = rest.split_at_mut(state);
        let (input_bias, rest) = rest.split_at_mut(bias);
        Weights {
            input,
            state,
            input_bias,
            state_bias: &mut rest[..bias],
        }
    }

    /// For each product of a step: outputs, inputs, and how its weights come together.
    fn pieces<'a>(&self, weights: &Weights<&'a [f32]>) -> impl Iterator<Item = Joined<'a>> {
        let (inputs, units) = (self.inputs, self.units);
        let Weights {
            input,
            state,
            input_bias,
            state_bias,
        } = *weights;
        let use_bias = self.use_bias;
        self.kind.pieces().iter().map(move |piece| {
            let gates = piece.gates.start * units..piece.gates.end * units;
            let part = |weight: &'a [f32], width: usize, enters: bool| {
                enters.then(|| (&weight[gates.start * width..gates.end * width], width))
            };
            let bias =
                |bias: &'a [f32], enters: bool| (enters && use_bias).then(|| &bias[gates.clone()]);
            Joined {
                outputs: gates.len(),
                weights: [
                    part(input, inputs, piece.input),
                    part(state, units, piece.state),
                ],
                biases: [bias(input_bias, piece.input), bias(state_bias, piece.state)],
                from: if piece.input { 0 } else { inputs },
                column: piece.column * units,
            }
        })
    }

    /// Memory that [`Direction::pack`] takes.
    pub fn forward_memory(&self) -> usize {
        let piece = |piece: &super::cell::Piece| {
            let inputs = if piece.input { self.inputs } else { 0 };
            let state = if piece.state { self.units } else { 0 };
            Packing::memory(piece.gates.len() * self.units, inputs + state)
        };
        self.kind.pieces().iter().map(piece).sum()
    }

    /// The products of a step, packed into memory.
    pub fn pack<'m>(
        &self,
        weights: &Weights<&[f32]>,
        mut memory: &'m mut [f32],
    ) -> (StepProducts<'m>, &'m mut [f32]) {
        let mut products = [None; 3];
        for (joined, product) in self.pieces(weights).zip(&mut products) {
            let (mut packing, rest) = Packing::new(memory, joined.outputs, joined.inputs());
            memory = rest;
            let mut first = 0;
            for (weight, width) in joined.weights.into_iter().flatten() {
                packing.rows(weight, first, width);
                first += width;
            }
            for bias in joined.biases.into_iter().flatten() {
                packing.bias(bias);
            }
            *product = Some(StepProduct {
                panels: Panels::new(packing),
                from: joined.from,
                column: joined.column,
            });
        }
        (products, memory)
    }

    /// The products of a step, to be kept: each with where it reads and where it writes.
    pub fn pack_to_keep(&self, weights: &Weights<&[f32]>) -> Vec<(PackedDense, usize, usize)> {
        let keep = |joined: Joined<'_>| {
            let (weights, widths): (Vec<_>, Vec<_>) = joined.weights.into_iter().flatten().unzip();
            let biases: Vec<_> = joined.biases.into_iter().flatten().collect();
            let activation = Activation::Linear;
            let dense = PackedDense::joined(&weights, &widths, &biases, joined.outputs, activation);
            (dense, joined.from, joined.column)
        };
        self.pieces(weights).map(keep).collect()
    }

    /// The columns whose gradients make up that of the input, as ranges of gates, in the order of
    /// the columns from the first on.
    pub fn input_parts(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let units = self.units;
        self.kind
            .pieces()
            .iter()
            .filter(|piece| piece.input)
            .map(move |piece| piece.gates.start * units..piece.gates.end * units)
    }

    /// Memory that [`Direction::pack_state_gradient`] takes.
    pub fn state_gradient_memory(&self) -> usize {
        Packing::memory(self.units, self.gates())
    }

    /// The product that gives the gradient of the state before a step from the columns the state
    /// enters.
    pub fn pack_state_gradient<'m>(
        &self,
        weights: &Weights<&[f32]>,
        memory: &'m mut [f32],
    ) -> (Panels<'m>, &'m mut [f32]) {
        let (mut packing, memory) = Packing::new(memory, self.units, self.gates());
        packing.columns(weights.state, 0, self.gates());
        (Panels::new(packing), memory)
    }

    /// Memory that [`Direction::pack_input_gradient`] takes.
    pub fn input_gradient_memory(&self) -> usize {
        Packing::memory(self.inputs, self.gates())
    }

    /// The product that gives the gradient of the input from the first columns.
    pub fn pack_input_gradient<'m>(
        &self,
        weights: &Weights<&[f32]>,
        memory: &'m mut [f32],
    ) -> (Panels<'m>, &'m mut [f32]) {
        let (mut packing, memory) = Packing::new(memory, self.inputs, self.gates());
        let mut first = 0;
        for gates in self.input_parts() {
            let weight = &weights.input[gates.start * self.inputs..];
            packing.columns(weight, first, gates.len());
            first += gates.len();
        }
        (Panels::new(packing), memory)
    }
}

/// The weights of a product of a step.
struct Joined<'a> {
    outputs: usize,
    /// The input's and the state's, with the width of each.
    weights: [Option<(&'a [f32], usize)>; 2],
    biases: [Option<&'a [f32]>; 2],
    from: usize,
    column: usize,
}

impl Joined<'_> {
    fn inputs(&self) -> usize {
        self.weights.iter().flatten().map(|(_, width)| width).sum()
    }
}

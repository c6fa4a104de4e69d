//! The weights of one direction of one layer of a stack: where they lie, and packed for a pass.

use std::ops::Range;

use super::kind::Kind;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::PackedIntegers;
use crate::nn::kernels::packed_product::Panels;
use crate::nn::kernels::packing::Packing;

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
    pub weights: StepWeights<'a>,
    /// Where it begins to read in a row of input and state.
    pub from: usize,
    /// The column of values where its result begins.
    pub column: usize,
}

/// The weights of a product.
#[derive(Clone, Copy)]
pub(super) enum StepWeights<'a> {
    Floats(Panels<'a>),
    /// In 8 bits.
    Integers(&'a PackedIntegers),
}

/// The products of a step; no cell has more.
pub(super) type StepProducts<'a> = [Option<StepProduct<'a>>; 4];

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

    /// The products of a step.
    pub fn joined(&self) -> impl Iterator<Item = Joined> {
        let (inputs, units, use_bias) = (self.inputs, self.units, self.use_bias);
        self.kind.pieces().iter().map(move |piece| Joined {
            gates: piece.gates.start * units..piece.gates.end * units,
            inputs: piece.input.then_some(inputs),
            state: piece.state.then_some(units),
            use_bias,
            from: if piece.input { 0 } else { inputs },
            column: piece.column * units,
        })
    }

    /// Memory that [`Direction::pack`] takes.
    pub fn forward_memory(&self) -> usize {
        self.joined()
            .map(|joined| Packing::memory(joined.outputs(), joined.width()))
            .sum()
    }

    /// The products of a step, packed into memory.
    pub fn pack<'m>(
        &self,
        weights: &Weights<&[f32]>,
        mut memory: &'m mut [f32],
    ) -> (StepProducts<'m>, &'m mut [f32]) {
        let mut products = [None; 4];
        for (joined, product) in self.joined().zip(&mut products) {
            let (mut packing, rest) = Packing::new(memory, joined.outputs(), joined.width());
            memory = rest;
            joined.pack(weights, &mut packing);
            *product = Some(StepProduct {
                weights: StepWeights::Floats(Panels::new(packing)),
                from: joined.from,
                column: joined.column,
            });
        }
        (products, memory)
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

/// A product of a step, and how its weights come together.
pub(super) struct Joined {
    /// The rows of the weights.
    pub gates: Range<usize>,
    /// How many values of the step's input enter, and of the state.
    pub inputs: Option<usize>,
    pub state: Option<usize>,
    use_bias: bool,
    /// Where it begins to read in a row of input and state.
    pub from: usize,
    /// The column of values where its result begins.
    pub column: usize,
}

impl Joined {
    pub fn outputs(&self) -> usize {
        self.gates.len()
    }

    /// Values that enter.
    pub fn width(&self) -> usize {
        self.inputs.unwrap_or(0) + self.state.unwrap_or(0)
    }

    /// Packs the input's weights before the state's; the biases are added up.
    pub fn pack(&self, weights: &Weights<&[f32]>, packing: &mut Packing<'_>) {
        let parts = [
            (self.inputs, weights.input, weights.input_bias),
            (self.state, weights.state, weights.state_bias),
        ];
        let mut first = 0;
        for (width, weight, bias) in parts {
            let Some(width) = width else { continue };
            packing.rows(&weight[self.gates.start * width..], first, width);
            if self.use_bias {
                packing.bias(&bias[self.gates.clone()]);
            }
            first += width;
        }
    }
}

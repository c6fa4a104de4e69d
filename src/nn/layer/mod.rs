//! What a layer is: what it declares, what its passes work on, how it is written and packed.
//!
//! A layer reads the values of earlier nodes (or columns of the network's input) and writes its
//! own, for a block of rows at once. Rows may stand apart by more than their width, so that a
//! range of the input's columns is read where it is.

pub(in crate::nn) mod head;
pub mod initializer;
pub(in crate::nn) mod packed;
pub(in crate::nn) mod settings;
pub(in crate::nn) mod spec;

use std::borrow::Cow;
use std::ops::Range;

use crate::nn::base::lengths::Steps;
use crate::nn::base::random::Random;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::packed::Packed;

/// Where a node's input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Neighbouring columns of the network's input.
    Columns {
        /// The first column.
        start: usize,
        /// Number of columns.
        width: usize,
    },
    /// The output of an earlier node, by its place in [`super::Network::nodes`].
    Node(usize),
}

/// A parameter as its layer declares it.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Name within the layer, PyTorch's (`weight`, `bias`).
    pub name: Cow<'static, str>,
    /// Shape in PyTorch's layout.
    pub shape: Vec<usize>,
    /// What it is for.
    pub kind: ParameterKind,
    /// Values each output is computed from.
    pub fan_in: usize,
    /// Outputs each input contributes to.
    pub fan_out: usize,
    /// The layer's own initializer.
    pub initializer: Option<Initializer>,
    /// What all its values are at first, whatever the initializers.
    pub start: Option<f32>,
}

impl ParameterSpec {
    /// This weight, and a bias for each of so many units if there is one.
    pub(super) fn with_bias(
        self,
        units: usize,
        bias: bool,
        initializer: Option<Initializer>,
    ) -> Vec<ParameterSpec> {
        let bias = bias.then(|| ParameterSpec {
            name: "bias".into(),
            shape: vec![units],
            kind: ParameterKind::Bias,
            initializer,
            ..self.clone()
        });
        [self].into_iter().chain(bias).collect()
    }
}

/// What a layer does outside training.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// What the layer itself computes: [`Layer::pack`] or [`Layer::pack_dense`].
    Packed,
    /// The input as it is.
    Identity,
    /// The inputs side by side.
    Concat,
    /// Ranges of the network's columns side by side; the node has no sources.
    Select {
        /// The ranges, in order.
        ranges: Vec<Range<usize>>,
    },
}

/// A layer of a network that is built: sizes are known and agree.
///
/// `forward` and `backward` must not allocate: what a layer keeps from one for the other it
/// declares in `saved_per_row`.
pub trait Layer: Send + Sync + std::fmt::Debug {
    /// The parameters, in the order they lie in the layer's part of the buffer.
    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    /// Number of values a row that `forward` keeps for `backward`.
    fn saved_per_row(&self) -> usize {
        0
    }

    /// Number of values of working memory for passes of at most so many rows. All nodes share it;
    /// what stands in it does not outlast a pass.
    fn scratch(&self, _rows: usize) -> usize {
        0
    }

    /// Number of values of its parameters in the form in which `forward` takes them, beside the
    /// parameters themselves.
    fn prepared(&self) -> usize {
        0
    }

    /// Brings the parameters into that form, once for all rows that meet them.
    fn prepare(&self, _parameters: &[f32], _prepared: &mut [f32]) {}

    /// Multiplications that a row takes, about; it tells how long a pass takes.
    fn products(&self) -> usize {
        let sizes = self.parameters().into_iter();
        let size =
            |spec: ParameterSpec| spec.shape.iter().fold(1_usize, |n, m| n.saturating_mul(*m));
        sizes.map(size).fold(0, usize::saturating_add)
    }

    /// Whether a row's result depends, in training, on the others of its batch, so that a batch must
    /// be computed as a whole.
    fn couples_rows(&self) -> bool {
        false
    }

    /// Computes the output of every row.
    fn forward(&self, pass: Forward<'_>);

    /// From the gradient with respect to the output, adds up those with respect to the
    /// parameters and the inputs.
    fn backward(&self, pass: Backward<'_>);

    /// What the layer does outside training.
    fn operation(&self) -> Operation {
        Operation::Packed
    }

    /// The layer with its parameters in the form in which it predicts. What it asks the packer for
    /// must follow from the layer alone.
    fn pack(&self, _packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        None
    }

    /// The same of a layer that is one dense product for each of so many steps of a row: most are,
    /// and their product is called directly.
    fn pack_dense(&self, _packer: &mut Packer<'_>) -> Option<(PackedDense, usize)> {
        None
    }
}

/// What a layer's forward pass works on.
pub struct Forward<'a> {
    /// Number of rows.
    pub rows: usize,
    /// The layer's parameters.
    pub parameters: &'a [f32],
    /// What [`Layer::prepare`] made of them.
    pub prepared: &'a [f32],
    /// The layer's inputs.
    pub inputs: Inputs<'a>,
    /// The output, row after row.
    pub output: &'a mut [f32],
    /// What the layer keeps for the backward pass.
    pub saved: &'a mut [f32],
    /// Working memory, at least as long as [`Layer::scratch`] asks for.
    pub scratch: &'a mut [f32],
    /// Random numbers, in training only.
    pub random: Option<&'a mut Random>,
    /// Whether training leaves the layer's parameters as they are.
    pub frozen: bool,
    /// Asked whether to go on: once it says no, the pass may end with whatever result.
    pub pace: &'a Pace<'a>,
}

impl Forward<'_> {
    /// Whether this is training, with a backward pass to follow.
    pub fn training(&self) -> bool {
        self.random.is_some()
    }
}

/// What a layer's backward pass works on.
pub struct Backward<'a> {
    /// Number of rows.
    pub rows: usize,
    /// The layer's parameters.
    pub parameters: &'a [f32],
    /// The layer's inputs, as in the forward pass.
    pub inputs: Inputs<'a>,
    /// The output of the forward pass.
    pub output: &'a [f32],
    /// What the forward pass kept; the layer may change it as it needs.
    pub saved: &'a mut [f32],
    /// Working memory, at least as long as [`Layer::scratch`] asks for.
    pub scratch: &'a mut [f32],
    /// The gradient with respect to the output; the layer may change it as it needs.
    pub gradient: &'a mut [f32],
    /// The gradient with respect to the parameters, to be added to; `None` if they are frozen.
    pub parameter_gradient: Option<&'a mut [f32]>,
    /// The gradients with respect to the inputs.
    pub input_gradients: InputGradients<'a>,
    /// As [`Forward::pace`].
    pub pace: &'a Pace<'a>,
}

/// A layer's inputs.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub(super) x: &'a [f32],
    pub(super) x_width: usize,
    pub(super) values: &'a [Vec<f32>],
    pub(super) widths: &'a [usize],
    pub(super) sources: &'a [Source],
    pub(super) steps: &'a [Steps],
}

/// A block of rows, each `width` long and `stride` after the one before.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// From the first row's first value on.
    pub data: &'a [f32],
    /// Distance from a row to the next.
    pub stride: usize,
    /// Length of a row.
    pub width: usize,
}

impl<'a> View<'a> {
    /// A row by its place.
    #[inline]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.stride..][..self.width]
    }
}

impl<'a> Inputs<'a> {
    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// An input by its place.
    #[inline]
    pub fn view(&self, input: usize) -> View<'a> {
        match self.sources[input] {
            Source::Columns { start, width } => View {
                data: &self.x[start..],
                stride: self.x_width,
                width,
            },
            Source::Node(node) => {
                let width = self.widths[node];
                View {
                    data: &self.values[node],
                    stride: width,
                    width,
                }
            }
        }
    }

    /// How many steps of a row of an input are there; of an input that is no sequence, one.
    #[inline]
    pub fn steps(&self, input: usize, row: usize) -> usize {
        self.steps[input].there(self.x, self.x_width, row)
    }

    /// Whether rows of an input differ in their number of steps.
    pub fn varying(&self, input: usize) -> bool {
        self.steps[input].lengths.is_some()
    }

    /// The whole rows of the network's input.
    pub fn columns(&self) -> View<'a> {
        View {
            data: self.x,
            stride: self.x_width,
            width: self.x_width,
        }
    }
}

/// The gradients with respect to a layer's inputs.
pub struct InputGradients<'a> {
    pub(super) gradients: &'a mut [Vec<f32>],
    pub(super) sources: &'a [Source],
    pub(super) wanted: &'a [Wanted],
    pub(super) rows: usize,
    pub(super) widths: &'a [usize],
}

/// What becomes of the gradient with respect to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing before it learns.
    No,
    /// It is the first to be computed: it replaces what the buffer holds.
    Replace,
    /// A later reader of the same node was there before: it is added.
    Add,
}

impl InputGradients<'_> {
    /// The buffer of an input's gradient, rows × width, and whether to add to it rather than
    /// replace it; `None` if nobody needs it.
    #[inline]
    pub fn get(&mut self, input: usize) -> Option<(&mut [f32], bool)> {
        let add = match self.wanted[input] {
            Wanted::No => return None,
            Wanted::Replace => false,
            Wanted::Add => true,
        };
        match self.sources[input] {
            Source::Columns { .. } => None,
            Source::Node(node) => Some((
                &mut self.gradients[node][..self.rows * self.widths[node]],
                add,
            )),
        }
    }

    /// Hands an input, element by element, the gradient that `value` gives for each place.
    #[inline]
    pub fn put(&mut self, input: usize, mut value: impl FnMut(usize) -> f32) {
        match self.get(input) {
            None => {}
            Some((target, false)) => {
                target
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, target)| *target = value(i));
            }
            Some((target, true)) => {
                target
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, target)| *target += value(i));
            }
        }
    }
}

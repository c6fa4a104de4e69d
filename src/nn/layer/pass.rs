//! What a layer's passes work on: its inputs' values, its output's, and gradients.

use crate::nn::base::lengths::Steps;
use crate::nn::base::random::Random;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::add::add;

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
    /// The output of an earlier node, by its place in [`Network::nodes`](crate::nn::Network::nodes).
    Node(usize),
}

/// What a layer's forward pass works on.
pub struct Forward<'a> {
    /// Number of rows.
    pub rows: usize,
    /// The layer's parameters.
    pub parameters: &'a [f32],
    /// What [`Layer::prepare`](super::Layer::prepare) made of them.
    pub prepared: &'a [f32],
    /// The layer's inputs.
    pub inputs: Inputs<'a>,
    /// The output, row after row.
    pub output: &'a mut [f32],
    /// What the layer keeps for the backward pass.
    pub saved: &'a mut [f32],
    /// Working memory, at least as long as [`Layer::scratch`](super::Layer::scratch) asks for.
    pub scratch: &'a mut [f32],
    /// Random numbers, in training only.
    pub random: Option<&'a mut Random>,
    /// What the batch is like, in training and of a layer that couples its rows; see
    /// [`Coupled::gather`](super::Coupled::gather).
    pub batch: Option<&'a [f64]>,
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
    /// Working memory, at least as long as [`Layer::scratch`](super::Layer::scratch) asks for.
    pub scratch: &'a mut [f32],
    /// The gradient with respect to the output; the layer may change it as it needs.
    pub gradient: &'a mut [f32],
    /// The gradient with respect to the parameters, to be added to; `None` if they are frozen.
    pub parameter_gradient: Option<&'a mut [f32]>,
    /// The gradients with respect to the inputs.
    pub input_gradients: InputGradients<'a>,
    /// As [`Forward::batch`], and the same of the batch's gradients, by
    /// [`Coupled::gather_gradients`](super::Coupled::gather_gradients).
    pub batch: Option<(&'a [f64], &'a [f64])>,
    /// As [`Forward::pace`].
    pub pace: &'a Pace<'a>,
}

/// A layer's inputs.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub(in crate::nn) x: &'a [f32],
    pub(in crate::nn) x_width: usize,
    pub(in crate::nn) values: &'a [Vec<f32>],
    pub(in crate::nn) widths: &'a [usize],
    pub(in crate::nn) sources: &'a [Source],
    pub(in crate::nn) steps: &'a [Steps],
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
    pub(in crate::nn) gradients: &'a mut [Vec<f32>],
    pub(in crate::nn) sources: &'a [Source],
    pub(in crate::nn) wanted: &'a [Wanted],
    pub(in crate::nn) rows: usize,
    pub(in crate::nn) widths: &'a [usize],
}

/// What becomes of the gradient with respect to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Wanted {
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

    /// Hands an input the gradient of each of its values.
    #[inline]
    pub fn put_all(&mut self, input: usize, values: &[f32]) {
        match self.get(input) {
            None => {}
            Some((target, false)) => target.copy_from_slice(&values[..target.len()]),
            Some((target, true)) => add(target, values),
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

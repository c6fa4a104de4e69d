//! The sizes of a stack of recurrent layers, and where the values of each direction lie.

use super::kind::Kind;
use super::order::{Order, Places};
use super::weights::Direction;
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::initializer::Initializer;

/// Rows [rows, steps, features] to rows [rows, steps, directions · units] or, without `sequences`,
/// to the last state of each direction, [rows, directions · units].
#[derive(Debug, Clone)]
pub(super) struct Recurrent {
    pub kind: Kind,
    pub steps: usize,
    pub features: usize,
    pub units: usize,
    pub layers: usize,
    pub bidirectional: bool,
    pub sequences: bool,
    pub activation: Activation,
    /// Between two layers of the stack.
    pub dropout: f32,
    pub use_bias: bool,
    pub kernel_initializer: Option<Initializer>,
    pub recurrent_initializer: Option<Initializer>,
    pub bias_initializer: Option<Initializer>,
}

impl Recurrent {
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Values of a step that a layer of the stack gives.
    pub fn width(&self) -> usize {
        self.directions().saturating_mul(self.units)
    }

    pub fn direction(&self, layer: usize, backwards: bool) -> Direction {
        Direction {
            kind: self.kind,
            activation: self.activation,
            inputs: match layer {
                0 => self.features,
                _ => self.width(),
            },
            units: self.units,
            use_bias: self.use_bias,
            backwards,
        }
    }

    /// Every direction of every layer, with its layer and where its parameters begin.
    pub fn stack(&self) -> impl DoubleEndedIterator<Item = (usize, Direction, usize)> {
        let directions = self.directions();
        (0..self.layers * directions).map(move |i| {
            let layer = i / directions;
            let earlier = match layer {
                0 => 0,
                _ => {
                    let first = self.direction(0, false).parameters();
                    let later = self.direction(1, false).parameters();
                    directions * (first + (layer - 1) * later)
                }
            };
            let direction = self.direction(layer, i % directions == 1);
            let before = if direction.backwards {
                direction.parameters()
            } else {
                0
            };
            (layer, direction, earlier + before)
        })
    }

    /// Where a step's values lie in rows that hold those of all directions.
    pub fn states(&self, direction: &Direction) -> Places {
        let width = self.width();
        Places {
            stride: self.steps * width,
            step: width,
            first: if direction.backwards { self.units } else { 0 },
            width: self.units,
        }
    }

    /// Where the output of the last layer of the stack lies, in rows so far apart.
    pub fn output(&self, direction: &Direction, stride: usize) -> Places {
        let states = self.states(direction);
        Places {
            stride,
            step: if self.sequences { states.step } else { 0 },
            ..states
        }
    }

    /// Where a layer of the stack finds its input, in rows so far apart.
    pub fn input(&self, direction: &Direction, stride: usize) -> Places {
        Places {
            stride,
            step: direction.inputs,
            first: 0,
            width: direction.inputs,
        }
    }

    /// Values of all steps of a row that a layer of the stack hands to the next.
    pub fn between(&self) -> usize {
        self.steps.saturating_mul(self.width())
    }

    /// Values that are kept of a row: those of the steps of each direction, then for each layer but
    /// the last what it hands to the next, and by what dropout multiplied it.
    pub fn saved(&self, direction: &Direction) -> [usize; 3] {
        [
            direction.entering(),
            direction.columns(),
            direction.kept(true),
        ]
        .map(|size| size.saturating_mul(self.steps))
    }

    pub fn each_saved(&self) -> usize {
        self.stack()
            .flat_map(|(_, direction, _)| self.saved(&direction))
            .fold(0, usize::saturating_add)
    }

    pub fn between_saved(&self) -> usize {
        let blocks = if self.dropout > 0.0 { 2 } else { 1 };
        self.between()
            .saturating_mul(blocks)
            .saturating_mul(self.layers - 1)
    }
}

/// Rows without a step have the state that all begin with, zero.
pub(super) fn clear_empty(
    order: Order<'_>,
    rows: usize,
    output: &mut [f32],
    stride: usize,
    width: usize,
) {
    for place in order.active(0)..rows {
        output[order.row(place) * stride..][..width].fill(0.0);
    }
}

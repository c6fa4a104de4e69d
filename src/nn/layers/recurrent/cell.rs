//! What the kinds of recurrent cells have in common.
//!
//! A step of a row begins with products of weights with what enters it, the step's input `x` and the
//! state `h` of the step before, which stand side by side as one row. They give each unit
//! [`Cell::COLUMNS`] values, on which the cell then works in place: one block of `units` values after
//! the other. The backward pass turns them, again in place, into the gradients with respect to the
//! products.

use std::ops::Range;

use crate::nn::kernels::activation::Activation;

/// A product of a step: some of the gates, over all that enters or a part of it.
#[derive(Debug)]
pub(super) struct Piece {
    /// The gates, as the weights have them.
    pub gates: Range<usize>,
    /// Whether the step's input enters.
    pub input: bool,
    /// Whether the state enters.
    pub state: bool,
    /// The column of values where the result begins.
    pub column: usize,
}

/// A kind of cell.
pub(super) trait Cell {
    /// The weights have so many rows a unit.
    const GATES: usize;
    /// Values a unit that the products of a step give.
    const COLUMNS: usize;
    /// Values a unit kept of a step beside those, the first of which enters the next step.
    const KEPT: usize;
    /// The products, in the order of their columns.
    const PIECES: &'static [Piece];
    /// The first column of those that the state enters; they are all that follow, as many as gates.
    const STATE_COLUMN: usize;

    /// A step of one row. Must be `#[inline(always)]`.
    fn forward(step: StepForward<'_>);

    /// Its gradients. Must be `#[inline(always)]`.
    fn backward(step: StepBackward<'_>);
}

/// A step of one row.
pub(super) struct StepForward<'a> {
    /// Values of the state.
    pub units: usize,
    /// The cell's activation.
    pub activation: Activation,
    /// In: the products. Out: what the backward pass needs in their place.
    pub columns: &'a mut [f32],
    /// What is kept beside: [`Cell::KEPT`] blocks, and if there is one more, what the activation is
    /// applied to.
    pub kept: &'a mut [f32],
    /// What was kept of the step before; zeros at the first.
    pub before: &'a [f32],
    /// The state before the step.
    pub state: &'a [f32],
    /// The state after it.
    pub output: &'a mut [f32],
}

/// The gradients of a step of one row.
pub(super) struct StepBackward<'a> {
    /// Values of the state.
    pub units: usize,
    /// The cell's activation.
    pub activation: Activation,
    /// In: what the forward pass left. Out: the gradient with respect to the products.
    pub columns: &'a mut [f32],
    /// What the forward pass kept.
    pub kept: &'a [f32],
    /// What it kept of the step before; zeros at the first.
    pub before: &'a [f32],
    /// The state before the step.
    pub state: &'a [f32],
    /// In: the gradient with respect to the state after the step. The cell may use the place.
    pub gradient: &'a mut [f32],
    /// In: what the step after has handed back besides. Out: the same for the step before.
    pub carry: &'a mut [f32],
}

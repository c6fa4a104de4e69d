//! Layers with their parameters in the form in which they predict.

use std::fmt::Debug;

use super::pass::View;
use crate::nn::base::lengths::Steps;
use crate::nn::base::stop::Pace;

/// A layer ready to predict.
///
/// The bits of a row's output depend on that row and the parameters alone: not on the rows it
/// comes with, not on the processor. Nothing is allocated in a pass.
pub trait Packed: Debug + Send + Sync {
    /// Memory it holds for itself, in bytes.
    fn size_bytes(&self) -> usize;

    /// Values of working memory for passes of at most so many rows.
    fn scratch(&self, _rows: usize) -> usize {
        0
    }

    /// Whether its output needs no activation any more, as the last layer of a network.
    fn is_activated(&self) -> bool {
        false
    }

    /// Computes the output of every row.
    fn forward(&self, pass: PackedPass<'_>);
}

/// What a packed layer works on.
pub struct PackedPass<'a> {
    /// Number of rows, at least 1.
    pub rows: usize,
    /// The inputs.
    pub inputs: PackedInputs<'a>,
    /// The output: row r is `output[r * stride..]`, as long as the layer's shape says.
    pub output: &'a mut [f32],
    /// Distance from an output row to the next.
    pub stride: usize,
    /// Working memory, at least as long as [`Packed::scratch`] asks for.
    pub scratch: &'a mut [f32],
    /// Asked whether to go on: once it says no, the pass may end with whatever result.
    pub pace: &'a Pace<'a>,
}

impl PackedPass<'_> {
    /// Shows each row of the first input, the number of its steps that are there, and the output's
    /// row, which may be followed by more, to `each`.
    #[inline(always)]
    pub fn for_each_row(self, mut each: impl FnMut(&[f32], usize, &mut [f32])) {
        let input = self.inputs.view(0);
        let rows = self.output.chunks_mut(self.stride).take(self.rows);
        for (row, output) in rows.enumerate() {
            if self.pace.spend_values(input.width) {
                return;
            }
            each(input.row(row), self.inputs.steps(0, row), output);
        }
    }
}

/// The inputs of a packed layer.
#[derive(Clone, Copy)]
pub struct PackedInputs<'a> {
    pub(in crate::nn) views: &'a dyn Fn(usize) -> View<'a>,
    pub(in crate::nn) steps: &'a [Steps],
    pub(in crate::nn) x: &'a [f32],
    pub(in crate::nn) x_width: usize,
}

impl<'a> PackedInputs<'a> {
    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// An input by its place.
    #[inline]
    pub fn view(&self, input: usize) -> View<'a> {
        (self.views)(input)
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
}

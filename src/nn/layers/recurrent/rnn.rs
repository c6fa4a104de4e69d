//! The plain recurrent cell of `torch.nn.RNN`: `h' = activation(W x + b + U h + c)`.

use super::cell::{Cell, Piece, StepBackward, StepForward};

/// Its column holds h'.
pub(super) struct Rnn;

impl Cell for Rnn {
    const GATES: usize = 1;
    const COLUMNS: usize = 1;
    const KEPT: usize = 0;
    const PIECES: &'static [Piece] = &[Piece {
        gates: 0..1,
        input: true,
        state: true,
        column: 0,
    }];
    const STATE_COLUMN: usize = 0;

    #[inline(always)]
    fn forward(step: StepForward<'_>) {
        if !step.kept.is_empty() {
            step.kept.copy_from_slice(step.columns);
        }
        step.activation.apply_inlined(step.columns, step.units);
        step.output.copy_from_slice(step.columns);
    }

    #[inline(always)]
    fn backward(step: StepBackward<'_>) {
        step.activation
            .backward_inlined(step.kept, step.columns, step.gradient, step.units);
        step.columns.copy_from_slice(step.gradient);
    }
}

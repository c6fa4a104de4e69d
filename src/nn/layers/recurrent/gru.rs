//! The cell of `torch.nn.GRU` (Cho et al., 2014, with the reset gate applied after the product, as
//! in Keras with `reset_after`):
//!
//! ```text
//! r, z = sigmoid(each its own W x + b + U h + c)
//! n = activation(W x + b + r · (U h + c))
//! h' = (1 - z) · n + z · h
//! ```

use super::cell::{Cell, Piece, StepBackward, StepForward};
use crate::nn::kernels::activation::Activation;

/// The columns hold n, r, z and what r is multiplied by.
pub(super) struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const COLUMNS: usize = 4;
    const KEPT: usize = 0;
    const PIECES: &'static [Piece] = &[
        Piece {
            gates: 2..3,
            input: true,
            state: false,
            column: 0,
        },
        Piece {
            gates: 0..2,
            input: true,
            state: true,
            column: 1,
        },
        Piece {
            gates: 2..3,
            input: false,
            state: true,
            column: 3,
        },
    ];
    const STATE_COLUMN: usize = 1;

    #[inline(always)]
    fn forward(step: StepForward<'_>) {
        let units = step.units;
        let (n, rest) = step.columns.split_at_mut(units);
        let (r, rest) = rest.split_at_mut(units);
        let (z, recurrent) = rest.split_at_mut(units);
        let (recurrent, state) = (&recurrent[..units], &step.state[..units]);
        Activation::Sigmoid.apply_inlined(r, units);
        Activation::Sigmoid.apply_inlined(z, units);
        for k in 0..units {
            n[k] = r[k].mul_add(recurrent[k], n[k]);
        }
        if !step.kept.is_empty() {
            step.kept.copy_from_slice(n);
        }
        step.activation.apply_inlined(n, units);
        let (z, output) = (&z[..units], &mut step.output[..units]);
        for k in 0..units {
            output[k] = z[k].mul_add(state[k] - n[k], n[k]);
        }
    }

    #[inline(always)]
    fn backward(step: StepBackward<'_>) {
        let units = step.units;
        let (n, rest) = step.columns.split_at_mut(units);
        let (r, rest) = rest.split_at_mut(units);
        let (z, recurrent) = rest.split_at_mut(units);
        let (z, recurrent) = (&mut z[..units], &mut recurrent[..units]);
        let state = &step.state[..units];
        let (gradient, carry) = (&mut step.gradient[..units], &mut step.carry[..units]);
        for k in 0..units {
            let output = gradient[k] + carry[k];
            carry[k] = output * z[k];
            gradient[k] = output * (1.0 - z[k]);
            z[k] = output * (state[k] - n[k]) * (z[k] * (1.0 - z[k]));
        }
        step.activation
            .backward_inlined(step.kept, n, gradient, units);
        for k in 0..units {
            let entering = gradient[k];
            n[k] = entering;
            let reset = r[k];
            r[k] = entering * recurrent[k] * (reset * (1.0 - reset));
            recurrent[k] = entering * reset;
        }
    }
}

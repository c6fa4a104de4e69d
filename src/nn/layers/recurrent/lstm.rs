//! The cell of `torch.nn.LSTM` (Hochreiter and Schmidhuber, 1997; Gers et al., 2000):
//!
//! ```text
//! i, f, o = sigmoid(each its own W x + b + U h + c)
//! g = activation(W x + b + U h + c)
//! cell' = f · cell + i · g
//! h' = o · activation(cell')
//! ```
//!
//! PyTorch's activation is tanh; Keras allows others.

use super::cell::{Cell, Piece, StepBackward, StepForward};
use crate::nn::kernels::activation::Activation;

/// The columns hold i, f, g, o; kept are cell' and activation(cell').
pub(super) struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const COLUMNS: usize = 4;
    const KEPT: usize = 2;
    const PIECES: &'static [Piece] = &[Piece {
        gates: 0..4,
        input: true,
        state: true,
        column: 0,
    }];
    const STATE_COLUMN: usize = 0;

    #[inline(always)]
    fn forward(step: StepForward<'_>) {
        let units = step.units;
        let (i, rest) = step.columns.split_at_mut(units);
        let (f, rest) = rest.split_at_mut(units);
        let (g, o) = rest.split_at_mut(units);
        let (cell, rest) = step.kept.split_at_mut(units);
        let (active, entering) = rest.split_at_mut(units);
        if !entering.is_empty() {
            entering.copy_from_slice(g);
        }
        Activation::Sigmoid.apply_inlined(i, units);
        Activation::Sigmoid.apply_inlined(f, units);
        step.activation.apply_inlined(g, units);
        let before = &step.before[..units];
        let (f, g) = (&f[..units], &g[..units]);
        for k in 0..units {
            cell[k] = f[k].mul_add(before[k], i[k] * g[k]);
            active[k] = cell[k];
        }
        step.activation.apply_inlined(active, units);
        Activation::Sigmoid.apply_inlined(o, units);
        let (o, output) = (&o[..units], &mut step.output[..units]);
        for k in 0..units {
            output[k] = o[k] * active[k];
        }
    }

    #[inline(always)]
    fn backward(step: StepBackward<'_>) {
        let units = step.units;
        let (i, rest) = step.columns.split_at_mut(units);
        let (f, rest) = rest.split_at_mut(units);
        let (g, o) = rest.split_at_mut(units);
        let (f, o) = (&mut f[..units], &mut o[..units]);
        let (cell, rest) = step.kept.split_at(units);
        let (active, entering) = rest.split_at(units);
        let before = &step.before[..units];
        let (gradient, carry) = (&mut step.gradient[..units], &mut step.carry[..units]);
        for k in 0..units {
            let output = gradient[k];
            gradient[k] = output * o[k];
            o[k] = output * active[k] * (o[k] * (1.0 - o[k]));
        }
        step.activation
            .backward_inlined(cell, active, gradient, units);
        for k in 0..units {
            let cell = gradient[k] + carry[k];
            carry[k] = cell * f[k];
            f[k] = cell * before[k] * (f[k] * (1.0 - f[k]));
            gradient[k] = cell * i[k];
            i[k] = cell * g[k] * (i[k] * (1.0 - i[k]));
        }
        step.activation
            .backward_inlined(entering, g, gradient, units);
        g.copy_from_slice(gradient);
    }
}

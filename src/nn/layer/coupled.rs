//! Layers whose rows depend, in training, on the others of their batch.
//!
//! A batch is computed in parts, on several threads. Before such a layer's pass each part tells by a
//! few sums what its rows are like; those of all parts are joined in the parts' order, and the layer
//! computes each part by what the whole batch is like. What comes of it follows from how the batch is
//! divided, not from who computes what.

use super::pass::Inputs;
use crate::nn::base::stop::Pace;

/// What a layer does that couples its rows. All sums are slices of [`Coupled::sums`] values.
pub trait Coupled {
    /// Number of values that tell what rows, or their gradients, are like.
    fn sums(&self) -> usize;

    /// What these rows of the layer's inputs are like. Of no rows all sums are zero.
    fn gather(&self, inputs: Inputs<'_>, rows: usize, sums: &mut [f64], pace: &Pace<'_>);

    /// Joins what more rows are like to `sums`.
    fn join(&self, sums: &mut [f64], more: &[f64]);

    /// What the gradients with respect to rows' output are like; they are not none.
    fn gather_gradients(&self, of: CoupledGradients<'_>, sums: &mut [f64], pace: &Pace<'_>);

    /// Joins what more gradients are like to `sums`.
    fn join_gradients(&self, sums: &mut [f64], more: &[f64]) {
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum += more;
        }
    }

    /// Adds to the gradient with respect to the parameters, once a batch, by what its gradients are
    /// like. Those parameters that the layer sets by itself
    /// ([`ParameterKind::Statistic`](super::initializer::ParameterKind)) get their new values there;
    /// without a batch, or with one of no rows, those that they have.
    fn settle(
        &self,
        parameters: &[f32],
        batch: Option<&[f64]>,
        gradients: &[f64],
        gradient: &mut [f32],
    );
}

/// Rows and the gradients with respect to their output.
pub struct CoupledGradients<'a> {
    /// Number of rows.
    pub rows: usize,
    /// The layer's parameters.
    pub parameters: &'a [f32],
    /// The layer's inputs, as in the forward pass.
    pub inputs: Inputs<'a>,
    /// The gradients, row after row.
    pub gradient: &'a [f32],
    /// What the batch is like; `None` outside training.
    pub batch: Option<&'a [f64]>,
}

//! What a task asks of the layer that ends a network.

use crate::nn::kernels::activation::Activation;

/// The task's demand on a network's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Numbers.
    Regression {
        /// How many a row.
        outputs: usize,
    },
    /// Two classes: one unit with the positive class's logit, or two with one each (negative,
    /// positive) where the user wrote a last layer of two units.
    Binary,
    /// Three classes or more, one logit each.
    Multiclass {
        /// Number of classes.
        classes: usize,
    },
    /// Labels any number of which apply, one logit each.
    MultiLabel {
        /// Number of labels.
        labels: usize,
    },
}

impl Head {
    /// Width of the output layer that is appended.
    pub fn units(self) -> usize {
        match self {
            Head::Regression { outputs } => outputs,
            Head::Binary => 1,
            Head::Multiclass { classes } => classes,
            Head::MultiLabel { labels } => labels,
        }
    }

    /// Whether a last layer of this width fits the task.
    pub fn accepts(self, units: usize) -> bool {
        units == self.units() || (self == Head::Binary && units == 2)
    }

    /// Activation of the output layer; `None` where the user's own choice stands.
    pub(in crate::nn) fn activation(self, units: usize) -> Option<Activation> {
        match self {
            Head::Regression { .. } => None,
            Head::Binary if units == 1 => Some(Activation::Sigmoid),
            Head::Binary | Head::Multiclass { .. } => Some(Activation::Softmax),
            Head::MultiLabel { .. } => Some(Activation::Sigmoid),
        }
    }
}

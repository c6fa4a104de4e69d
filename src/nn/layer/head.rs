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
    /// One number, whose mean is learnt through a link: one unit.
    Mean(Link),
    /// Three classes or more that have an order: a layer of type `ordinal`, which gives the logarithm
    /// of each class's probability.
    Ordinal {
        /// Number of classes.
        classes: usize,
    },
}

/// What turns a linear output into a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The output is the mean's logarithm: the mean is above 0.
    Log,
    /// The output is the logit of the mean, which is between 0 and 1.
    Logit,
}

impl Head {
    /// Width of the output layer that is appended.
    pub fn units(self) -> usize {
        match self {
            Head::Regression { outputs } => outputs,
            Head::Binary | Head::Mean(_) => 1,
            Head::Multiclass { classes } | Head::Ordinal { classes } => classes,
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
            Head::Binary | Head::Multiclass { .. } | Head::Ordinal { .. } => {
                Some(Activation::Softmax)
            }
            Head::MultiLabel { .. } | Head::Mean(Link::Logit) => Some(Activation::Sigmoid),
            Head::Mean(Link::Log) => Some(Activation::Exponential),
        }
    }
}

//! Which optimizer, and what it remembers between steps: PyTorch's optimizers, by its formulas.

use serde::{Deserialize, Serialize};

use crate::nn::base::range::Range;

/// Which optimizer, with its settings under PyTorch's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum OptimizerSpec {
    /// `torch.optim.SGD`, without dampening.
    Sgd {
        /// Share of the last step that is repeated; 0 for none.
        momentum: f64,
        /// Looks ahead along the momentum.
        nesterov: bool,
    },
    /// `torch.optim.RMSprop`, not centred.
    #[serde(rename = "rmsprop")]
    RmsProp {
        /// Smoothing of the squared gradients; PyTorch calls it alpha (default 0.99).
        rho: f64,
        /// Share of the last step that is repeated; 0 for none.
        momentum: f64,
        /// Added to the denominator (default 1e-8).
        epsilon: f64,
    },
    /// `torch.optim.Adagrad`, without decay of the learning rate.
    Adagrad {
        /// Added to the denominator (default 1e-10).
        epsilon: f64,
    },
    /// `torch.optim.Adam`.
    Adam {
        /// Smoothing of the gradients (default 0.9).
        beta1: f64,
        /// Smoothing of the squared gradients (default 0.999).
        beta2: f64,
        /// Added to the denominator (default 1e-8).
        epsilon: f64,
    },
    /// `torch.optim.AdamW`: Adam whose weight decay is decoupled from the gradients. Here every
    /// optimizer's is, so the two differ in name and in the default weight decay only.
    #[serde(rename = "adamw")]
    AdamW {
        /// Smoothing of the gradients (default 0.9).
        beta1: f64,
        /// Smoothing of the squared gradients (default 0.999).
        beta2: f64,
        /// Added to the denominator (default 1e-8).
        epsilon: f64,
    },
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        OptimizerSpec::ALL[3]
    }
}

impl OptimizerSpec {
    /// All optimizers with their default settings.
    pub const ALL: [OptimizerSpec; 5] = [
        OptimizerSpec::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        OptimizerSpec::RmsProp {
            rho: 0.99,
            momentum: 0.0,
            epsilon: 1e-8,
        },
        OptimizerSpec::Adagrad { epsilon: 1e-10 },
        OptimizerSpec::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        },
        OptimizerSpec::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        },
    ];

    /// The range of what is kept from one step to the next: momentum, rho, beta1 and beta2.
    pub const SMOOTHING: Range = Range::BelowOne;
    /// The range of what is added to a denominator.
    pub const EPSILON: Range = Range::Positive;

    /// What each state buffer holds, under PyTorch's names; every buffer is as long as the
    /// parameters.
    pub fn buffer_names(&self) -> &'static [&'static str] {
        match *self {
            OptimizerSpec::Sgd { momentum: 0.0, .. } => &[],
            OptimizerSpec::Sgd { .. } => &["momentum_buffer"],
            OptimizerSpec::RmsProp { momentum: 0.0, .. } => &["square_avg"],
            OptimizerSpec::RmsProp { .. } => &["square_avg", "momentum_buffer"],
            OptimizerSpec::Adagrad { .. } => &["sum"],
            OptimizerSpec::Adam { .. } | OptimizerSpec::AdamW { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// The name in options.
    pub fn name(&self) -> &'static str {
        match self {
            OptimizerSpec::Sgd { .. } => "sgd",
            OptimizerSpec::RmsProp { .. } => "rmsprop",
            OptimizerSpec::Adagrad { .. } => "adagrad",
            OptimizerSpec::Adam { .. } => "adam",
            OptimizerSpec::AdamW { .. } => "adamw",
        }
    }

    /// The optimizer of this name, without regard to case, with its default settings.
    pub fn parse(name: &str) -> Option<OptimizerSpec> {
        let name = name.to_lowercase();
        let mut all = OptimizerSpec::ALL.into_iter();
        all.find(|optimizer| optimizer.name() == name)
    }

    /// The settings that are numbers: name, range and value.
    pub fn numbers(&mut self) -> Vec<(&'static str, Range, &mut f64)> {
        const SMOOTHING: Range = OptimizerSpec::SMOOTHING;
        const EPSILON: Range = OptimizerSpec::EPSILON;
        match self {
            OptimizerSpec::Sgd { momentum, .. } => vec![("momentum", SMOOTHING, momentum)],
            OptimizerSpec::RmsProp {
                rho,
                momentum,
                epsilon,
            } => vec![
                ("rho", SMOOTHING, rho),
                ("momentum", SMOOTHING, momentum),
                ("epsilon", EPSILON, epsilon),
            ],
            OptimizerSpec::Adagrad { epsilon } => vec![("epsilon", EPSILON, epsilon)],
            OptimizerSpec::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | OptimizerSpec::AdamW {
                beta1,
                beta2,
                epsilon,
            } => vec![
                ("beta1", SMOOTHING, beta1),
                ("beta2", SMOOTHING, beta2),
                ("epsilon", EPSILON, epsilon),
            ],
        }
    }

    /// The first setting that is out of its range, with that range.
    pub fn out_of_range(&self) -> Option<(&'static str, f64, Range)> {
        let mut settings = *self;
        let numbers = settings.numbers().into_iter();
        let mut numbers = numbers.map(|(name, range, value)| (name, *value, range));
        numbers.find(|(_, value, range)| !range.contains(*value))
    }
}

/// What an optimizer remembers between steps.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// The optimizer it belongs to.
    pub optimizer: OptimizerSpec,
    /// Steps taken so far, which Adam's bias correction counts.
    pub step: u64,
    /// One buffer a name of [`OptimizerSpec::buffer_names`], each as long as the parameters.
    pub buffers: Vec<Vec<f32>>,
}

impl OptimizerState {
    /// The state before the first step, of so many parameters.
    pub fn new(optimizer: OptimizerSpec, parameter_count: usize) -> OptimizerState {
        let buffers = vec![vec![0.0; parameter_count]; optimizer.buffer_names().len()];
        OptimizerState {
            optimizer,
            step: 0,
            buffers,
        }
    }

    /// Whether this optimizer can go on from the state: the same buffers of the same length.
    pub fn fits(&self, optimizer: &OptimizerSpec, parameter_count: usize) -> bool {
        self.optimizer.buffer_names() == optimizer.buffer_names()
            && self.buffers.len() == optimizer.buffer_names().len()
            && self
                .buffers
                .iter()
                .all(|buffer| buffer.len() == parameter_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let spec = OptimizerSpec::Adam {
            beta1: 0.9,
            beta2: 1.0,
            epsilon: 1e-8,
        };
        assert_eq!(spec.out_of_range().map(|found| found.0), Some("beta2"));
        let spec = OptimizerSpec::Adagrad { epsilon: f64::NAN };
        assert_eq!(spec.out_of_range().map(|found| found.0), Some("epsilon"));
        assert_eq!(OptimizerSpec::default().out_of_range(), None);
    }
}

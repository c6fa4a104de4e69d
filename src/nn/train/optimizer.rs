//! How parameters move against their gradients: PyTorch's optimizers, by its formulas.
//!
//! An update works on any range of the parameters, together with the same range of the gradients
//! and of the state, so that threads can share a step. Every operation is elementwise and rounds
//! by itself (no fused multiply-add), so the bits depend neither on the ranges nor on the width
//! of the processor's vectors.

use serde::{Deserialize, Serialize};

use crate::nn::base::range::Range;
use crate::nn::kernels::processor::{Processor, Task};

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

/// One step of an optimizer: the numbers that are the same for all parameters.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    rule: Rule,
    /// What weight decay leaves of a parameter.
    keep: f32,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Sgd {
        rate: f32,
        momentum: f32,
        nesterov: bool,
    },
    RmsProp {
        rate: f32,
        rho: f32,
        rest: f32,
        momentum: f32,
        epsilon: f32,
    },
    Adagrad {
        rate: f32,
        epsilon: f32,
    },
    Adam {
        rate: f32,
        rest1: f32,
        beta2: f32,
        rest2: f32,
        epsilon: f32,
    },
}

impl Update {
    /// The update of step number `step`, the first being 1. With `weight_decay` the parameters
    /// first lose that share times the learning rate (decoupled: Loshchilov and Hutter, 2019).
    pub fn new(spec: &OptimizerSpec, step: u64, learning_rate: f64, weight_decay: f64) -> Update {
        // Scalars are computed in f64 and rounded once, as PyTorch does: 1 - beta2 would lose
        // half its digits in f32.
        let rate = learning_rate as f32;
        let rule = match *spec {
            OptimizerSpec::Sgd { momentum, nesterov } => Rule::Sgd {
                rate,
                momentum: momentum as f32,
                nesterov,
            },
            OptimizerSpec::RmsProp {
                rho,
                momentum,
                epsilon,
            } => Rule::RmsProp {
                rate,
                rho: rho as f32,
                rest: (1.0 - rho) as f32,
                momentum: momentum as f32,
                epsilon: epsilon as f32,
            },
            OptimizerSpec::Adagrad { epsilon } => Rule::Adagrad {
                rate,
                epsilon: epsilon as f32,
            },
            OptimizerSpec::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | OptimizerSpec::AdamW {
                beta1,
                beta2,
                epsilon,
            } => {
                let exponent = i32::try_from(step).unwrap_or(i32::MAX);
                // Both sides of PyTorch's fraction times its correction of the second moment, which
                // saves a division a parameter.
                let correction = (1.0 - beta2.powi(exponent)).sqrt();
                Rule::Adam {
                    rate: (learning_rate * correction / (1.0 - beta1.powi(exponent))) as f32,
                    rest1: (1.0 - beta1) as f32,
                    beta2: beta2 as f32,
                    rest2: (1.0 - beta2) as f32,
                    epsilon: (epsilon * correction) as f32,
                }
            }
        };
        Update {
            rule,
            keep: (1.0 - learning_rate * weight_decay) as f32,
        }
    }

    /// Moves `parameters` by their `gradients`. `state` holds the same range of each of the
    /// optimizer's buffers. Nothing happens to parameters for which a slice is too short.
    pub fn apply(&self, parameters: &mut [f32], gradients: &[f32], state: &mut [&mut [f32]]) {
        Processor::detect().run(Apply {
            update: self,
            parameters,
            gradients,
            state,
        });
    }
}

/// An update of a range, to be compiled for the processor's vectors.
struct Apply<'a, 'b> {
    update: &'a Update,
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    state: &'a mut [&'b mut [f32]],
}

impl Task for Apply<'_, '_> {
    #[inline(always)]
    fn run(self) {
        let Apply {
            update,
            parameters,
            gradients,
            state,
        } = self;
        let keep = update.keep;
        match (update.rule, state) {
            (Rule::Sgd { rate, .. }, []) => {
                for (p, &g) in parameters.iter_mut().zip(gradients) {
                    *p = *p * keep - rate * g;
                }
            }
            (
                Rule::Sgd {
                    rate,
                    momentum,
                    nesterov,
                },
                [velocity],
            ) => {
                for ((p, &g), v) in parameters
                    .iter_mut()
                    .zip(gradients)
                    .zip(velocity.iter_mut())
                {
                    *v = lasting(*v * momentum + g);
                    let direction = if nesterov { g + momentum * *v } else { *v };
                    *p = *p * keep - rate * direction;
                }
            }
            (
                Rule::RmsProp {
                    rate,
                    rho,
                    rest,
                    epsilon,
                    ..
                },
                [square],
            ) => {
                for ((p, &g), s) in parameters.iter_mut().zip(gradients).zip(square.iter_mut()) {
                    *s = lasting(*s * rho + rest * g * g);
                    *p = *p * keep - rate * (g / (s.sqrt() + epsilon));
                }
            }
            (
                Rule::RmsProp {
                    rate,
                    rho,
                    rest,
                    momentum,
                    epsilon,
                },
                [square, velocity],
            ) => {
                let moving = parameters.iter_mut().zip(gradients);
                for (((p, &g), s), v) in moving.zip(square.iter_mut()).zip(velocity.iter_mut()) {
                    *s = lasting(*s * rho + rest * g * g);
                    *v = lasting(*v * momentum + g / (s.sqrt() + epsilon));
                    *p = *p * keep - rate * *v;
                }
            }
            (Rule::Adagrad { rate, epsilon }, [sum]) => {
                for ((p, &g), s) in parameters.iter_mut().zip(gradients).zip(sum.iter_mut()) {
                    *s += g * g;
                    *p = *p * keep - rate * (g / (s.sqrt() + epsilon));
                }
            }
            (
                Rule::Adam {
                    rate,
                    rest1,
                    beta2,
                    rest2,
                    epsilon,
                },
                [first, second],
            ) => {
                let moving = parameters.iter_mut().zip(gradients);
                for (((p, &g), m), v) in moving.zip(first.iter_mut()).zip(second.iter_mut()) {
                    *m = lasting(*m + rest1 * (g - *m));
                    *v = lasting(*v * beta2 + rest2 * g * g);
                    *p = *p * keep - rate * (*m / (v.sqrt() + epsilon));
                }
            }
            _ => {}
        }
    }
}

/// What is remembered of a moment: nothing where it has faded away. The moments of a unit that is
/// never active any more would else halve until single precision cannot hold them in full, and stay
/// there; processors take some hundred cycles for each operation on such numbers.
#[inline(always)]
fn lasting(moment: f32) -> f32 {
    const LEAST: f32 = 1e-35;
    if moment.abs() < LEAST { 0.0 } else { moment }
}

/// Adds the gradients of the penalties `l1 * sum |w|` and `l2 * sum w^2` (Keras's meaning).
pub fn add_penalties(parameters: &[f32], gradients: &mut [f32], l1: f64, l2: f64) {
    let (l1, l2) = (l1 as f32, (2.0 * l2) as f32);
    for (g, &p) in gradients.iter_mut().zip(parameters) {
        let sign = f32::from(u8::from(p > 0.0)) - f32::from(u8::from(p < 0.0));
        *g += l2 * p + l1 * sign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_updated_apart_have_the_bits_of_the_whole() {
        let specs = [
            OptimizerSpec::Sgd {
                momentum: 0.9,
                nesterov: true,
            },
            OptimizerSpec::RmsProp {
                rho: 0.9,
                momentum: 0.5,
                epsilon: 1e-8,
            },
            OptimizerSpec::Adagrad { epsilon: 1e-10 },
            OptimizerSpec::default(),
        ];
        let gradients: Vec<f32> = (0..37).map(|i| (i as f32 * 0.37).sin()).collect();
        for spec in specs {
            let mut whole: Vec<f32> = (0..37).map(|i| (i as f32).cos()).collect();
            let mut parts = whole.clone();
            let mut state_whole = OptimizerState::new(spec, 37);
            let mut state_parts = state_whole.clone();
            for step in 1..4 {
                let update = Update::new(&spec, step, 0.01, 0.1);
                let mut slices: Vec<&mut [f32]> =
                    state_whole.buffers.iter_mut().map(|b| &mut b[..]).collect();
                update.apply(&mut whole, &gradients, &mut slices);
                for range in [0..5, 5..21, 21..37] {
                    let mut slices: Vec<&mut [f32]> = state_parts
                        .buffers
                        .iter_mut()
                        .map(|b| &mut b[range.clone()])
                        .collect();
                    update.apply(&mut parts[range.clone()], &gradients[range], &mut slices);
                }
            }
            assert_eq!(whole, parts, "{spec:?}");
        }
    }

    #[test]
    fn moments_fade_away() {
        let spec = OptimizerSpec::default();
        let (mut parameter, mut first, mut second) = ([1.0], [0.0], [0.0]);
        for step in 1..2000 {
            let gradient = if step == 1 { 1.0 } else { 0.0 };
            let update = Update::new(&spec, step, 0.01, 0.0);
            update.apply(&mut parameter, &[gradient], &mut [&mut first, &mut second]);
            assert!(first[0] == 0.0 || first[0].is_normal(), "{first:?}");
        }
        assert_eq!(first, [0.0]);
        assert!(second[0] > 0.0);
    }

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

    #[test]
    fn penalties_pull_towards_zero_and_leave_zero_alone() {
        let mut gradients = [1.0, 1.0, 1.0];
        add_penalties(&[2.0, -2.0, 0.0], &mut gradients, 0.5, 0.25);
        assert_eq!(gradients, [2.5, -0.5, 1.0]);
    }
}

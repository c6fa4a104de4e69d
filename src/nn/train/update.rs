//! A step of an optimizer: how parameters move against their gradients.
//!
//! An update works on any range of the parameters, together with the same range of the gradients
//! and of the state, so that threads can share a step. Every operation is elementwise and rounds
//! by itself (no fused multiply-add), so the bits depend neither on the ranges nor on the width
//! of the processor's vectors.

use super::optimizer::OptimizerSpec;
use crate::nn::kernels::processor::{Processor, Task};

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
    use crate::nn::train::optimizer::OptimizerState;

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
    fn penalties_pull_towards_zero_and_leave_zero_alone() {
        let mut gradients = [1.0, 1.0, 1.0];
        add_penalties(&[2.0, -2.0, 0.0], &mut gradients, 0.5, 0.25);
        assert_eq!(gradients, [2.5, -0.5, 1.0]);
    }
}

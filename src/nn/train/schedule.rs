//! How the learning rate changes while training goes on.
//!
//! A rate is a function of the step alone, except for [`ScheduleSpec::ReduceOnPlateau`], which
//! looks at the loss after each epoch.

use std::f64::consts::PI;

use crate::nn::base::range::Range;

/// Share of the steps that `one_cycle` climbs, PyTorch's `pct_start`.
const ONE_CYCLE_CLIMB: f64 = 0.3;
/// `one_cycle` starts at the learning rate divided by this, PyTorch's `div_factor`.
const ONE_CYCLE_START: f64 = 25.0;
/// `one_cycle` ends at its first rate divided by this, PyTorch's `final_div_factor`.
const ONE_CYCLE_END: f64 = 1e4;
/// Relative improvement below which `reduce_on_plateau` sees none, PyTorch's `threshold`.
const PLATEAU_THRESHOLD: f64 = 1e-4;

/// Which schedule, with its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ScheduleSpec {
    /// The learning rate throughout.
    #[default]
    Constant,
    /// `torch.optim.lr_scheduler.StepLR`: times `gamma` after every `step_size` epochs.
    Step {
        /// Epochs between reductions.
        step_size: usize,
        /// The factor of a reduction.
        gamma: f64,
    },
    /// `ExponentialLR`: times `gamma` after every epoch.
    Exponential {
        /// The factor of an epoch.
        gamma: f64,
    },
    /// `CosineAnnealingLR` down to 0, step by step, over what warmup leaves.
    Cosine,
    /// `OneCycleLR` with its default settings, step by step: a cosine from a 25th of the
    /// learning rate up to it, over 30 % of the steps (or the warmup, when there is one), then
    /// one down to a 250,000th.
    OneCycle,
    /// `ReduceLROnPlateau`: times `gamma` when the loss (of the validation rows, if there are
    /// any) has not fallen by a relative 1e-4 for more than `patience` epochs.
    ReduceOnPlateau {
        /// The factor of a reduction.
        gamma: f64,
        /// Epochs without improvement that are borne.
        patience: usize,
    },
}

impl ScheduleSpec {
    /// All schedules with their default settings.
    pub const ALL: [ScheduleSpec; 6] = [
        ScheduleSpec::Constant,
        ScheduleSpec::Step {
            step_size: 10,
            gamma: 0.1,
        },
        ScheduleSpec::Exponential { gamma: 0.95 },
        ScheduleSpec::Cosine,
        ScheduleSpec::OneCycle,
        ScheduleSpec::ReduceOnPlateau {
            gamma: 0.1,
            patience: 10,
        },
    ];

    /// The range of a reduction's factor.
    pub const GAMMA: Range = Range::Factor;

    /// The name in options.
    pub fn name(&self) -> &'static str {
        match self {
            ScheduleSpec::Constant => "constant",
            ScheduleSpec::Step { .. } => "step",
            ScheduleSpec::Exponential { .. } => "exponential",
            ScheduleSpec::Cosine => "cosine",
            ScheduleSpec::OneCycle => "one_cycle",
            ScheduleSpec::ReduceOnPlateau { .. } => "reduce_on_plateau",
        }
    }

    /// The schedule of this name, without regard to case, with its default settings.
    pub fn parse(name: &str) -> Option<ScheduleSpec> {
        let name = name.to_lowercase();
        let mut all = ScheduleSpec::ALL.into_iter();
        all.find(|schedule| schedule.name() == name)
    }

    /// The settings it has: the factor of a reduction, and how many epochs it waits for one.
    pub fn settings(&mut self) -> (Option<&mut f64>, Option<&mut usize>) {
        match self {
            ScheduleSpec::Constant | ScheduleSpec::Cosine | ScheduleSpec::OneCycle => (None, None),
            ScheduleSpec::Exponential { gamma } => (Some(gamma), None),
            ScheduleSpec::Step { gamma, step_size } => (Some(gamma), Some(step_size)),
            ScheduleSpec::ReduceOnPlateau { gamma, patience } => (Some(gamma), Some(patience)),
        }
    }

    /// The first setting that is out of its range, with what it must be.
    pub fn out_of_range(&self) -> Option<(&'static str, f64, &'static str)> {
        match *self {
            ScheduleSpec::Step { step_size: 0, .. } => Some(("step_size", 0.0, "at least 1")),
            ScheduleSpec::Step { gamma, .. }
            | ScheduleSpec::Exponential { gamma }
            | ScheduleSpec::ReduceOnPlateau { gamma, .. }
                if !ScheduleSpec::GAMMA.contains(gamma) =>
            {
                Some(("gamma", gamma, ScheduleSpec::GAMMA.words()))
            }
            _ => None,
        }
    }
}

/// A schedule over a training of known length.
#[derive(Clone, Debug)]
pub struct Schedule {
    spec: ScheduleSpec,
    learning_rate: f64,
    steps_per_epoch: u64,
    steps: u64,
    warmup: u64,
    /// What plateaus have left of the learning rate.
    reduction: f64,
    best: f64,
    bad_epochs: usize,
}

impl Schedule {
    /// A training of `epochs` times `steps_per_epoch` steps. `warmup` is the time over which the
    /// rate first grows linearly: a share of all steps when less than 1, else a number of epochs.
    pub fn new(
        spec: ScheduleSpec,
        learning_rate: f64,
        warmup: f64,
        epochs: usize,
        steps_per_epoch: usize,
    ) -> Schedule {
        let steps_per_epoch = steps_per_epoch.max(1) as u64;
        let steps = steps_per_epoch.saturating_mul(epochs as u64);
        let unit = if warmup < 1.0 { steps } else { steps_per_epoch };
        let warmup = ((warmup * unit as f64).round() as u64).min(steps);
        Schedule {
            spec,
            learning_rate,
            steps_per_epoch,
            steps,
            warmup,
            reduction: 1.0,
            best: f64::INFINITY,
            bad_epochs: 0,
        }
    }

    /// The learning rate of a step, the first being 0.
    pub fn rate(&self, step: u64) -> f64 {
        let epoch = step / self.steps_per_epoch;
        let warm = if step < self.warmup {
            (step + 1) as f64 / self.warmup as f64
        } else {
            1.0
        };
        let factor = match self.spec {
            ScheduleSpec::Constant => warm,
            ScheduleSpec::Step { step_size, gamma } => {
                warm * gamma.powf((epoch / step_size.max(1) as u64) as f64)
            }
            ScheduleSpec::Exponential { gamma } => warm * gamma.powf(epoch as f64),
            ScheduleSpec::Cosine if step < self.warmup => warm,
            ScheduleSpec::Cosine => {
                let length = (self.steps - self.warmup).max(1) as f64;
                cosine(1.0, 0.0, (step - self.warmup) as f64 / length)
            }
            ScheduleSpec::OneCycle => self.one_cycle(step),
            ScheduleSpec::ReduceOnPlateau { .. } => warm * self.reduction,
        };
        self.learning_rate * factor
    }

    /// PyTorch's `OneCycleLR` as a factor of its `max_lr`.
    fn one_cycle(&self, step: u64) -> f64 {
        let start = 1.0 / ONE_CYCLE_START;
        let climb = match self.warmup {
            0 => ONE_CYCLE_CLIMB * self.steps as f64,
            warmup => warmup as f64,
        } - 1.0;
        let step = step as f64;
        if step <= climb {
            cosine(start, 1.0, step / climb.max(f64::MIN_POSITIVE))
        } else {
            let length = self.steps as f64 - 1.0 - climb;
            cosine(
                1.0,
                start / ONE_CYCLE_END,
                ((step - climb) / length.max(1.0)).min(1.0),
            )
        }
    }

    /// Takes notice of the loss at the end of an epoch.
    pub fn epoch_ended(&mut self, loss: f64) {
        if let ScheduleSpec::ReduceOnPlateau { gamma, patience } = self.spec {
            if loss < self.best - self.best.abs() * PLATEAU_THRESHOLD || self.best.is_infinite() {
                self.best = loss;
                self.bad_epochs = 0;
            } else {
                self.bad_epochs += 1;
            }
            if self.bad_epochs > patience {
                self.reduction *= gamma;
                self.bad_epochs = 0;
            }
        }
    }
}

/// From `start` to `end` along half a cosine.
fn cosine(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: &Schedule, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| schedule.rate(step)).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() <= 1e-9 * b.abs() + 1e-15,
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn step_and_exponential_fall_by_the_epoch() {
        let spec = ScheduleSpec::Step {
            step_size: 2,
            gamma: 0.1,
        };
        let schedule = Schedule::new(spec, 1.0, 0.0, 5, 2);
        let expected = [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01];
        assert_close(&rates(&schedule, 10), &expected);
        let spec = ScheduleSpec::Exponential { gamma: 0.5 };
        let schedule = Schedule::new(spec, 1.0, 0.0, 3, 2);
        assert_close(&rates(&schedule, 6), &[1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn cosine_falls_step_by_step_after_the_warmup() {
        let schedule = Schedule::new(ScheduleSpec::Cosine, 2.0, 0.0, 1, 4);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        assert_close(
            &rates(&schedule, 5),
            &[2.0, 1.0 + half, 1.0, 1.0 - half, 0.0],
        );
        let schedule = Schedule::new(ScheduleSpec::Cosine, 2.0, 1.0, 3, 2);
        let expected = [1.0, 2.0, 2.0, 1.0 + half, 1.0, 1.0 - half];
        assert_close(&rates(&schedule, 6), &expected);
    }

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
        let schedule = Schedule::new(ScheduleSpec::OneCycle, 0.1, 0.0, 2, 5);
        let expected = [
            0.004,
            0.052,
            0.1,
            0.0950484632013,
            0.081174565395,
            0.0611262021936,
            0.0388741978064,
            0.018825834605,
            0.00495193679865,
            4e-07,
        ];
        assert_close(&rates(&schedule, 10), &expected);
    }

    #[test]
    fn warmup_counts_epochs_from_one_on_and_a_share_below() {
        let schedule = Schedule::new(ScheduleSpec::Constant, 1.0, 2.0, 5, 2);
        assert_close(&rates(&schedule, 6), &[0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        let schedule = Schedule::new(ScheduleSpec::Constant, 1.0, 0.2, 5, 2);
        assert_close(&rates(&schedule, 3), &[0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_plateau_reduces_the_rate_after_its_patience() {
        // torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        let spec = ScheduleSpec::ReduceOnPlateau {
            gamma: 0.5,
            patience: 1,
        };
        let mut schedule = Schedule::new(spec, 1.0, 0.0, 10, 1);
        let mut found = Vec::new();
        for loss in [1.0, 0.9, 0.9, 0.89999, 0.8, 0.8, 0.8, 0.8, 0.8] {
            schedule.epoch_ended(loss);
            found.push(schedule.rate(0));
        }
        assert_close(&found, &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]);
    }
}

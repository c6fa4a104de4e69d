//! How to train.

use super::augment::Augmentation;
use super::checkpoint::Resume;
use super::loss::LossSpec;
use super::optimizer::{OptimizerSpec, OptimizerState};
use super::schedule::ScheduleSpec;
use crate::nn::base::error::Error;
use crate::nn::base::range::Range;
use crate::nn::network::Network;

/// How to train a network. [`Default`] gives one constant learning rate and no regularisation.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Passes over the rows, at least 1 (default 10).
    pub epochs: usize,
    /// Rows of a step, at least 1 (default 256); the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// The learning rate that the schedule multiplies, more than 0 (default 0.001).
    pub learning_rate: f64,
    /// The optimizer (default Adam).
    pub optimizer: OptimizerSpec,
    /// The loss.
    pub loss: LossSpec,
    /// Whether targets are shares of the classes, as a teacher's probabilities are:
    /// [`Loss::of_shares`](super::loss::Loss::of_shares).
    pub soft_targets: bool,
    /// How the learning rate changes (default: not at all).
    pub schedule: ScheduleSpec,
    /// How long the learning rate first grows linearly: a share of all steps when less than 1,
    /// else a number of epochs (default 0).
    pub warmup: f64,
    /// Gradients longer than this (Euclidean norm over all parameters, penalties included) are
    /// scaled to it, as by `torch.nn.utils.clip_grad_norm_` (default: none are).
    pub gradient_clip: Option<f64>,
    /// Factor of the sum of absolute weights. Penalties act on the gradients; reported losses
    /// are without them.
    pub l1: f64,
    /// Factor of the sum of squared weights.
    pub l2: f64,
    /// Decoupled weight decay: in each step weights lose this share times the learning rate.
    pub weight_decay: f64,
    /// Whether `l1`, `l2` and `weight_decay` also act on biases, as PyTorch's optimizers do when
    /// given all parameters (default: they do not).
    pub decay_biases: bool,
    /// Epochs without a lower validation loss after which training ends; 0: never.
    pub early_stopping: usize,
    /// Whether the weights of the epoch with the lowest validation loss are returned, rather
    /// than the last ones.
    pub restore_best: bool,
    /// Whether each epoch takes the rows in another random order (default: yes).
    pub shuffle: bool,
    /// Share of a class that is spread evenly over all classes (default 0).
    pub label_smoothing: f32,
    /// Weight of each class, in the order of the class indexes.
    pub class_weights: Option<Vec<f32>>,
    /// How the images among the features are varied each time they are trained on.
    pub augment: Vec<Augmentation>,
    /// What all random choices follow from.
    pub seed: u64,
    /// Threads that compute, as far as the pool has them (default 1). The result does not
    /// depend on it.
    pub threads: usize,
    /// The state to go on from. One of another optimizer or network is an error.
    pub optimizer_state: Option<OptimizerState>,
    /// Whether the state after the last step is returned.
    pub keep_optimizer_state: bool,
    /// A training of the same rows and options that was broken off, to go on from instead of the
    /// parameters and the optimizer's state given.
    pub resume: Option<Resume>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            epochs: 10,
            batch_size: 256,
            learning_rate: 0.001,
            optimizer: OptimizerSpec::default(),
            loss: LossSpec::Mse,
            soft_targets: false,
            schedule: ScheduleSpec::Constant,
            warmup: 0.0,
            gradient_clip: None,
            l1: 0.0,
            l2: 0.0,
            weight_decay: 0.0,
            decay_biases: false,
            early_stopping: 0,
            restore_best: false,
            shuffle: true,
            label_smoothing: 0.0,
            class_weights: None,
            augment: Vec::new(),
            seed: 0,
            threads: 1,
            optimizer_state: None,
            keep_optimizer_state: false,
            resume: None,
        }
    }
}

impl TrainOptions {
    /// The range of the learning rate.
    pub const LEARNING_RATE: Range = Range::Positive;
    /// The range of `warmup`.
    pub const WARMUP: Range = Range::NotNegative;
    /// The range of `l1`, `l2` and `weight_decay`.
    pub const PENALTY: Range = Range::NotNegative;
    /// The range of the norm that gradients are cut to.
    pub const GRADIENT_CLIP: Range = Range::Positive;

    /// Checks every option that can be judged without the rows.
    pub fn check(&self, network: &Network) -> Result<(), Error> {
        let at_least_1 = [("epochs", self.epochs), ("batch_size", self.batch_size)];
        for (name, value) in at_least_1 {
            if value == 0 {
                return Err(out_of_range(name, 0.0, "at least 1"));
            }
        }
        let numbers = [
            (
                "learning_rate",
                Some(self.learning_rate),
                Self::LEARNING_RATE,
            ),
            ("warmup", Some(self.warmup), Self::WARMUP),
            ("l1", Some(self.l1), Self::PENALTY),
            ("l2", Some(self.l2), Self::PENALTY),
            ("weight_decay", Some(self.weight_decay), Self::PENALTY),
            ("gradient_clip", self.gradient_clip, Self::GRADIENT_CLIP),
        ];
        for (name, value, range) in numbers {
            if let Some(value) = value.filter(|value| !range.contains(*value)) {
                return Err(out_of_range(name, value, range.words()));
            }
        }
        if let Some(image) = self
            .augment
            .iter()
            .find(|image| image.end() > network.input_width())
        {
            return Err(Error::option(
                format!("the image to vary ends at input {}", image.end()),
                format!("The network has {} inputs.", network.input_width()),
            ));
        }
        let of_optimizer = self.optimizer.out_of_range();
        let found = of_optimizer
            .map(|(name, value, range)| (name, value, range.words()))
            .or(self.schedule.out_of_range());
        if let Some((name, value, range)) = found {
            return Err(out_of_range(name, value, range));
        }
        if let Some(state) = &self.optimizer_state
            && !state.fits(&self.optimizer, network.parameter_count())
        {
            return Err(Error::option(
                "the optimizer's state is that of another optimizer or network",
                "Use the optimizer it was kept from, or start without it.",
            ));
        }
        match &self.resume {
            Some(resume) => self.check_resume(resume, network.parameter_count()),
            None => Ok(()),
        }
    }

    /// Whether it can be of a training of so many parameters with these options.
    fn check_resume(&self, resume: &Resume, count: usize) -> Result<(), Error> {
        let fits = resume.parameters.len() == count
            && resume.best.is_some() == self.restore_best
            && resume.best.as_ref().is_none_or(|best| best.len() == count)
            && resume.optimizer_state.fits(&self.optimizer, count)
            && (1..=self.epochs).contains(&resume.history.len());
        if fits {
            return Ok(());
        }
        Err(Error::option(
            "the checkpoint is that of another training",
            "Go on with the options and rows that it was begun with, or begin anew.",
        ))
    }
}

fn out_of_range(name: &str, value: f64, range: &str) -> Error {
    Error::option(
        format!("{name} is {value}"),
        format!("{name} must be {range}."),
    )
}

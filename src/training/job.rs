//! What a training is given, who watches it, and what comes out of it.

use serde_json::Value;

use super::checkpoint::{Fingerprint, Kept};
use super::defaults::Arguments;
use super::options::Options;
use super::plan::Plan;
use super::seen::SeenRows;
use crate::artifact::Model;
use crate::features::{Dictionary, Sequences, Task};
use crate::nn::{self, Checkpoint, Crew, EpochReport, Watcher};

/// What is to be trained.
pub struct Job<'a> {
    /// The task, if the user or the model's earlier versions fix it.
    pub task: Option<Task>,
    /// The name of a shipped architecture, or JSON.
    pub architecture: Option<&'a str>,
    /// The arguments that steer the loop.
    pub arguments: &'a Arguments,
    /// The options.
    pub options: &'a Options,
    /// The parts of the columns.
    pub plan: &'a Plan,
    /// The deployed version of the model, if there is one: its signature is kept.
    pub previous: Option<&'a Model>,
    /// The rows that the deployed version was trained with, if it tells them.
    pub seen: Option<&'a SeenRows>,
    /// Which rows are the steps of which sequence, where the plan makes sequences of them.
    pub sequences: Option<&'a Sequences>,
    /// The dictionary of each column that is read.
    pub dictionaries: &'a [Option<Dictionary>],
    /// What was kept of the same training, which was broken off and shall go on.
    pub resume: Option<&'a [u8]>,
    /// Bytes that may be used beside the raw rows themselves.
    pub memory: usize,
    /// Who computes.
    pub crew: Crew<'a>,
}

impl Job<'_> {
    /// Whether the training goes on from the deployed version's weights.
    pub(super) fn warm_start(&self) -> bool {
        self.options.goes_on()
    }

    /// The target's dictionary, if it is of texts.
    pub(super) fn target_words(&self) -> Option<&Dictionary> {
        let words = self.dictionaries.get(self.plan.at.target);
        words.and_then(Option::as_ref)
    }
}

/// Whoever watches a training: told of its progress, asked whether to go on.
pub trait Observer {
    /// Whether the training shall end at once. Asked often, and only while no other thread works;
    /// it may unwind.
    fn interrupted(&mut self) -> bool;
    /// Something the user should know before the loop begins.
    fn notice(&mut self, text: &str);
    /// Something that may make the result another one than is wanted, which is told whatever the
    /// user silences.
    fn warning(&mut self, text: &str);
    /// A notice with what can be done about it, a full sentence.
    fn notice_with_hint(&mut self, text: &str, hint: &str) {
        self.notice(&format!("{text}. {hint}"));
    }
    /// A warning with what can be done about it, a full sentence.
    fn warning_with_hint(&mut self, text: &str, hint: &str) {
        self.warning(&format!("{text}. {hint}"));
    }
    /// An epoch has ended, of so many.
    fn epoch(&mut self, report: &EpochReport, epochs: usize);
    /// Whether it is to be kept now how far the training is; asked as often as option `checkpoint` says.
    fn keeps(&mut self) -> bool {
        false
    }
    /// Keeps how far the training is.
    fn keep(&mut self, _kept: &Kept<'_>) {}
}

/// Passes the trainer's questions on.
pub(super) struct Watch<'a> {
    pub(super) observer: &'a mut dyn Observer,
    pub(super) epochs: usize,
    /// How often it is kept how far the training is, and which it is.
    pub(super) checkpoint: Option<(usize, Fingerprint)>,
}

impl Watcher for Watch<'_> {
    fn interrupted(&mut self) -> bool {
        self.observer.interrupted()
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), nn::Error> {
        self.observer.epoch(report, self.epochs);
        Ok(())
    }

    fn keeps(&mut self, epochs: usize) -> bool {
        // After the last epoch nothing is left to go on with.
        let due = |(every, _)| epochs.is_multiple_of(every) && epochs < self.epochs;
        self.checkpoint.is_some_and(due) && self.observer.keeps()
    }

    fn keep(&mut self, reached: &Checkpoint<'_>) -> Result<(), nn::Error> {
        if let Some((_, fingerprint)) = self.checkpoint {
            self.observer.keep(&Kept::new(fingerprint, reached));
        }
        Ok(())
    }
}

/// Passes on whether to go on, and tells nothing: of a training that is not the one asked for.
pub(super) struct Aside<'a> {
    pub(super) observer: &'a mut dyn Observer,
}

impl Watcher for Aside<'_> {
    fn interrupted(&mut self) -> bool {
        self.observer.interrupted()
    }

    fn epoch(&mut self, _: &EpochReport) -> Result<(), nn::Error> {
        Ok(())
    }
}

/// A trained model and how it went.
pub struct Outcome {
    /// The model.
    pub model: Model,
    /// Its epochs.
    pub history: Vec<EpochReport>,
    /// The loss on the training rows in the epoch that was kept.
    pub train_loss: f64,
    /// The loss on the validation rows in that epoch.
    pub validation_loss: Option<f64>,
    /// The metrics on the validation rows, or on the training rows where there are none.
    pub metrics: Value,
    /// Rows, or sequences of them, trained on.
    pub rows_trained: usize,
    /// Rows, or sequences of them, held out.
    pub rows_validated: usize,
    /// What is kept of the rows, so that a later version knows them again: [`SeenRows`] as bytes.
    pub seen: Vec<u8>,
    /// What tells the examples, as the network saw them, from all others.
    pub data_hash: [u8; 32],
    /// Seconds it took, reading the query not counted.
    pub seconds: f64,
}

//! Whether a sequence is normalised by itself, where nobody says.
//!
//! A series with a trend or a level of its own, such as prices or balances, runs out of the range of the
//! rows trained on: a network that reads each sequence by its own mean and deviation, and whose output
//! is turned back by them, follows it. One whose level tells something must not lose it. Which it is,
//! the rows say: both are trained for a while on the first rows and judged on the last.

use serde_json::json;

use super::defaults;
use super::error::Error;
use super::fitting::{Fitting, may_turn_back, turn_back};
use super::job::{Job, Observer};
use super::sides::Sides;
use super::split::SplitStage;
use super::trial::{Trial, Tried, holds_out_as_told};
use crate::features::BitMask;

/// Training rows from which on a trial tells something.
const ROWS: usize = 60;
/// By how much it must be better, as few rows say it by chance at times.
const MARGIN: f64 = 0.02;

impl SplitStage<'_> {
    /// Trains the default network for a while with its only sequence as it comes and normalised by
    /// itself, where it is not said which, and holds both against the last rows, or those that are
    /// held out as asked.
    ///
    /// # Errors
    /// Those of a training.
    pub(super) fn try_normalizing(
        &mut self,
        job: &Job<'_>,
        fitting: &Fitting,
        observer: &mut dyn Observer,
    ) -> Result<Option<Tried>, Error> {
        let is_default = job.architecture.is_none() && !job.warm_start();
        let is_open = is_default && job.sequences.is_none() && job.options.target_scale.is_none();
        let rows = (self.sides.rows_trained(), self.sides.rows_validated());
        if !is_open || rows.0 < ROWS || rows.1 == 0 || !may_turn_back(&fitting.target) {
            return Ok(None);
        }
        let as_it_comes = &fitting.features.set;
        let Some(mut normalized) = as_it_comes.normalized(&job.plan.requests) else {
            return Ok(None);
        };
        let mut turned = fitting.target.clone();
        // Features that are as many as there may be leave no room for the level.
        if !matches!(turn_back(job, &mut normalized, &mut turned), Ok(true)) {
            return Ok(None);
        }
        // Windows of a series that begin a step apart are alike: the last rows are the least known.
        let mut trained = self.sides.trained.clone();
        if !holds_out_as_told(job) {
            trained = BitMask::new(trained.len(), true);
            let held_out = (trained.len() as f64 * defaults::VALIDATION).ceil() as usize;
            for example in trained.len() - held_out..trained.len() {
                trained.set(example, false);
            }
        }
        let trial = Trial {
            job,
            architecture: &fitting.architecture,
            sides: Sides::shared(trained),
            limit: self.read.limit,
        };
        let rows = &mut *self.read.examples.rows;
        let own = trial.run(&normalized, &turned, rows, observer)?;
        let common = trial.run(as_it_comes, &fitting.target, rows, observer)?;
        let is_better = own.loss < common.loss * (1.0 - MARGIN);
        let (better, other, worse) = match is_better {
            true => (&own, "as it comes", &common),
            false => (&common, "normalised by itself", &own),
        };
        let told = match is_better {
            true => "normalised by itself",
            false => "as it comes",
        };
        Ok(Some(Tried {
            chosen: is_better,
            notice: format!(
                "the sequence {told}: held-out {} {:.4} in a short trial, {other} {:.4}",
                better.metric, better.loss, worse.loss
            ),
            trials: json!({
                "sequence_normalized": is_better,
                "held_out_metric": better.metric,
                "held_out_normalized": own.loss,
                "held_out_as_it_comes": common.loss,
            }),
        }))
    }
}

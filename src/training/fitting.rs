//! What comes of fitting target and features once.

use super::error::Error;
use super::job::Job;
use crate::features::{FeatureSet, Fit, Target, Task};
use crate::nn::{Architecture, OutputRange};

/// Target and features fitted to the examples that are trained on, and the network over them.
pub(super) struct Fitting {
    pub(super) target: Target,
    /// The architecture, of which nothing but the embeddings is open.
    pub(super) architecture: Architecture,
    /// What the outputs are kept within, where the target's scale was chosen by it.
    pub(super) chosen_within: Option<OutputRange>,
    pub(super) features: Fit,
}

/// Whether the outputs of a target have a unit, in which a sequence's numbers may be, too.
pub(super) fn may_turn_back(target: &Target) -> bool {
    target.task() == Task::Regression && target.family().is_none()
}

/// Learns the outputs on the scale of the sequence by which they are turned back, if by one; gives
/// whether they are. A warm start keeps what there is.
///
/// # Errors
/// What is asked for and cannot be, and another scale that is asked for.
pub(super) fn turn_back(
    job: &Job<'_>,
    features: &mut FeatureSet,
    target: &mut Target,
) -> Result<bool, Error> {
    if job.warm_start() {
        return Ok(features.turns_back());
    }
    let Some(scale) = features.denormalize(&job.plan.requests, may_turn_back(target))? else {
        return Ok(false);
    };
    if job.options.target_scale.is_some() {
        return Err(Error::option(
            "target_scale",
            "goes with no sequence whose level the outputs are turned back to: theirs is its scale",
        ));
    }
    target.set_output_scale(scale);
    Ok(true)
}

impl Fitting {
    /// The same with its only sequence normalised by itself.
    ///
    /// # Errors
    /// As of [`turn_back`].
    pub(super) fn normalize(&mut self, job: &Job<'_>) -> Result<(), Error> {
        if let Some(set) = self.features.set.normalized(&job.plan.requests) {
            self.features.set = set;
            turn_back(job, &mut self.features.set, &mut self.target)?;
        }
        Ok(())
    }

    /// The same with what comes round again of its dates and timestamps.
    pub(super) fn add_calendars(&mut self, job: &Job<'_>) {
        if let Some(set) = self.features.set.with_calendars(&job.plan.requests) {
            self.features.set = set;
        }
    }
}

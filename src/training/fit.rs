//! The third stage: target and features fitted to the examples that are trained on.

use serde_json::Value;

use super::announce::left_out_warnings;
use super::builder::Builder;
use super::choose_architecture::architecture_of;
use super::choose_target::{reaching, set_quantile_outputs};
use super::copies::Crossed;
use super::error::Error;
use super::fit_rows::fit_features;
use super::fitting::{self, Fitting};
use super::identity::Identity;
use super::job::{Job, Observer};
use super::option_values::ValidationSplit;
use super::seen::SeenRows;
use super::sides::Twins;
use super::split::SplitStage;
use super::trial::Tried;
use crate::features::{BlockEncoder, FeatureSet, LeftOut, Target, Task};
use crate::nn::{Architecture, Head, OutputRange};

/// What is fitted to the examples that are trained on.
pub(super) struct FitStage<'a> {
    pub(super) split: SplitStage<'a>,
    pub(super) target: Target,
    pub(super) features: FeatureSet,
    /// The features' encoder.
    pub(super) encoder: BlockEncoder,
    /// The columns that were left out without having been asked to.
    pub(super) left_out: Vec<LeftOut>,
    /// The architecture, of which nothing but the embeddings is open.
    pub(super) architecture: Architecture,
    /// What the outputs are kept within, where the target's scale was chosen by it.
    pub(super) chosen_within: Option<OutputRange>,
    /// What is kept of the examples, so that later versions know them again.
    pub(super) seen: SeenRows,
    /// Examples that are alike and were on different sides.
    pub(super) twins: Twins,
    /// The same of more examples than are brought to one side.
    pub(super) crossed: Option<Crossed>,
    /// The traps that the rows hold, as a version keeps them.
    pub(super) traps: Option<Value>,
    /// Of a target of classes, the validation rows of each.
    pub(super) validated_counts: Option<Vec<u64>>,
    /// What the user must know, a line each.
    pub(super) warnings: Vec<String>,
    /// How treatments did that nobody chose.
    pub(super) tried: Vec<Tried>,
}

impl<'a> SplitStage<'a> {
    /// Fits target and features, and brings copies of an example to one side before.
    ///
    /// # Errors
    /// Nothing to train on, and what cannot be fitted.
    pub(super) fn fit(
        mut self,
        job: &Job<'_>,
        observer: &mut dyn Observer,
    ) -> Result<FitStage<'a>, Error> {
        let mut fitting = self.fit_once(job, &mut || observer.interrupted())?;
        let normalizing = self.try_normalizing(job, &fitting, observer)?;
        let is_normalized = normalizing.as_ref().is_some_and(|tried| tried.chosen);
        if is_normalized {
            fitting.normalize(job)?;
        }
        let calendar = self.try_calendars(job, &fitting, observer)?;
        let has_calendar = calendar.as_ref().is_some_and(|tried| tried.chosen);
        if has_calendar {
            fitting.add_calendars(job);
        }
        let stop = &mut || observer.interrupted();
        let mut twins = Twins::default();
        if !job.warm_start() {
            // Which rows are alike is known once it is known which columns matter.
            let encoder = fitting.features.set.block_encoder(job.dictionaries);
            let read = &mut self.read;
            let identity = Identity::new(job, &fitting.target, &read.labels, &encoder, None);
            let rows = &mut *read.examples.rows;
            twins = self.sides.join_twins(job, &identity, rows, stop)?;
        }
        if twins.moved > 0 {
            drop(fitting);
            fitting = self.fit_once(job, stop)?;
            if is_normalized {
                fitting.normalize(job)?;
            }
            if has_calendar {
                fitting.add_calendars(job);
            }
        }
        let Fitting {
            target,
            architecture,
            chosen_within,
            features: fit,
        } = fitting;
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(left_out_warnings(&fit.left_out));
        warnings.extend(fit.warnings);
        if job.architecture.is_some() && !job.warm_start() {
            warnings.extend(appended_warning(&self.wished, target.head())?);
        }
        let encoder = fit.set.block_encoder(job.dictionaries);
        let (seen, crossed) = {
            let earlier = job.seen.filter(|_| job.warm_start());
            let read = &mut self.read;
            let identity = Identity::new(job, &target, &read.labels, &encoder, earlier);
            let rows = &mut *read.examples.rows;
            self.sides.record(job, earlier, &identity, rows, stop)?
        };
        let validated_counts = self.validated_counts(job, &target, stop)?;
        Ok(FitStage {
            split: self,
            target,
            features: fit.set,
            encoder,
            left_out: fit.left_out,
            architecture,
            chosen_within,
            seen,
            twins,
            crossed,
            traps: None,
            validated_counts,
            warnings,
            tried: normalizing.into_iter().chain(calendar).collect(),
        })
    }

    /// Fits the target and the features to the examples that are trained on, and finds the network
    /// over them.
    fn fit_once(
        &mut self,
        job: &Job<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Fitting, Error> {
        if self.sides.rows_trained() == 0 {
            return Err(all_held_out(job));
        }
        let (mask, target_at) = (&self.sides.trained, job.plan.at.target);
        let examples = &mut self.read.examples;
        let mut target = self.read.target.clone();
        // A warm start keeps the scale; how many rows a class has is counted anew.
        if !job.warm_start() || target.task() == Task::Classification {
            let words = job.target_words();
            target.fit(target_at, words, examples.each(), mask, stop)?;
        }
        if !job.warm_start() {
            let exposure = job.plan.at.exposure;
            target.fit_family(target_at, exposure, examples.each(), mask, stop)?;
        }
        set_quantile_outputs(&mut target, job.options)?;
        let architecture = architecture_of(job, self.wished.clone(), self.members, target.head())?;
        let mut features = fit_features(job, &architecture, examples.rows, mask, stop)?;
        let turned_back = fitting::turn_back(job, &mut features.set, &mut target)?;
        let range = match target.task() {
            // The link gives every number that there can be, and so does a sequence's level.
            Task::Regression if target.family().is_none() && !turned_back => {
                architecture.output_range()
            }
            Task::Regression | Task::Classification => None,
        };
        let chosen_within = match range {
            Some(range) => target
                .fit_within(
                    &range,
                    reaching(job),
                    target_at,
                    examples.each(),
                    mask,
                    stop,
                )?
                .then_some(range),
            None => None,
        };
        Ok(Fitting {
            target,
            architecture,
            chosen_within,
            features,
        })
    }

    /// Of a target of classes, the validation rows of each, where all networks hold out the same.
    fn validated_counts(
        &mut self,
        job: &Job<'_>,
        target: &Target,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<u64>>, Error> {
        let is_shared = self.sides.folds.is_none() && self.sides.rows_validated() > 0;
        if !is_shared || target.task() != Task::Classification {
            return Ok(None);
        }
        let labels = target.labels(job.target_words())?;
        let side = (&self.sides.trained, false);
        let examples = self.read.examples.each();
        Ok(target.class_counts(&labels, job.plan.at.target, examples, side, stop)?)
    }
}

impl FitStage<'_> {
    /// What builds networks over the features.
    pub(super) fn builder(&self) -> Builder<'_> {
        Builder {
            features: &self.features,
            target: &self.target,
            limit: self.split.read.limit,
        }
    }
}

/// What to say of an output layer that is appended behind what looks like one.
fn appended_warning(wished: &Architecture, head: Head) -> Result<Option<String>, Error> {
    let behind = wished.appended_behind(head)?;
    Ok(behind.map(|(layer, activation)| {
        format!(
            "the output layer is appended behind {layer} with its {activation}, and reads numbers \
             from 0 to 1 only: if that was meant for the output, give it as many units as the task \
             needs ({}), or leave the activation out",
            head.units()
        )
    }))
}

/// The error of a split that leaves no example to train on.
fn all_held_out(job: &Job<'_>) -> Error {
    match &job.options.validation_split {
        Some(ValidationSplit::Column(column)) => Error::Value {
            name: "option \"validation_split\"".into(),
            problem: format!(
                "names column \"{column}\", which is true in every row: none is left to train on"
            ),
            hint: Some(
                "It is true for the rows to hold out, and false for those to train on.".into(),
            ),
        },
        _ => Error::Value {
            name: "validation".into(),
            problem: "holds every row out: none is left to train on".into(),
            hint: Some("Hold fewer rows out, or give the query more of them.".into()),
        },
    }
}

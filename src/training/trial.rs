//! Short trainings of one network on some rows, judged on others: by which it is chosen how features are
//! treated where nobody says.

use std::cell::RefCell;

use serde_json::Value;

use super::builder::{Builder, Start};
use super::defaults;
use super::error::Error;
use super::job::{Aside, Job, Observer};
use super::judge_rows::{JudgeInput, judge_rows};
use super::option_values::ValidationSplit;
use super::room::{room, source};
use super::sides::Sides;
use super::source::{Encoding, SharedRows};
use crate::features::{Family, FeatureSet, RawRows, Target};
use crate::memory;
use crate::nn::{self, Architecture, Predictor, TrainOptions, parallel};

/// A trial takes the epochs of the training, as what is normalised by itself learns late; of many rows
/// as many as show it so many rows, or the epochs divided by this.
const SEEN: usize = 165_000;
const SHORTER: usize = 3;
/// What is judged by, the first that there is; less is better.
const METRICS: [&str; 6] = [
    "pinball_loss",
    "log_loss",
    "poisson_deviance",
    "gamma_deviance",
    "tweedie_deviance",
    "rmse",
];

/// How two treatments did.
pub(super) struct Tried {
    /// Whether the one that is tried is better than what is done without.
    pub(super) chosen: bool,
    /// What is told of it.
    pub(super) notice: String,
    /// What a version keeps of it.
    pub(super) trials: Value,
}

/// Whether rows are held out that are told apart by more than chance: by a column, by groups, or as the
/// last ones.
pub(super) fn holds_out_as_told(job: &Job<'_>) -> bool {
    let is_last = job.options.validation_split == Some(ValidationSplit::Last);
    is_last || job.plan.at.flag.is_some() || job.plan.at.group.is_some()
}

/// What both trials have in common.
pub(super) struct Trial<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) architecture: &'a Architecture,
    /// Those that are trained on, and those that it is judged on.
    pub(super) sides: Sides,
    /// Bytes that may be used.
    pub(super) limit: usize,
}

/// How a trial ended, in the target's unit.
pub(super) struct Judged {
    pub(super) metric: &'static str,
    /// Infinite if it is no number.
    pub(super) loss: f64,
}

impl Trial<'_> {
    /// Trains one network over these features for a while, and judges it.
    ///
    /// # Errors
    /// Those of a training.
    pub(super) fn run(
        &self,
        features: &FeatureSet,
        target: &Target,
        rows: &mut dyn RawRows,
        observer: &mut dyn Observer,
    ) -> Result<Judged, Error> {
        let job = self.job;
        let failed = Judged {
            metric: "error",
            loss: f64::INFINITY,
        };
        let builder = Builder {
            features,
            target,
            limit: self.limit,
        };
        let Start {
            network,
            parameters,
        } = builder.start(job, self.architecture, 1, &mut || observer.interrupted())?;
        let options = self.options(target)?;
        let bytes = nn::training_bytes(&network, &options);
        memory::ask_for_many(bytes)?;
        let mut labels = target.labels(job.target_words())?;
        if let (Some(at), Some(Family::Tweedie { power, .. })) =
            (job.plan.at.exposure, target.family())
        {
            labels = labels.over(at, *power);
        }
        let encoder = features.block_encoder(job.dictionaries);
        let encoding = Encoding::new(job, features, &encoder, &labels);
        let room = room(self.limit, &self.sides, &encoding, &options, bytes)?;
        let mask = &self.sides.trained;
        let shared: SharedRows<'_> = RefCell::new(rows);
        let mut train = source(job, &shared, &encoding, (mask, true), None, room, observer)?;
        let mut held_out = source(job, &shared, &encoding, (mask, false), None, room, observer)?;
        let trained = nn::train(
            &network,
            parameters,
            train.as_mut(),
            Some(held_out.as_mut()),
            &options,
            job.crew,
            &mut Aside { observer },
        );
        let trained = match trained {
            Ok(trained) => trained,
            Err(nn::Error::NotFinite { .. }) => return Ok(failed),
            Err(error) => return Err(error.into()),
        };
        drop((train, held_out));
        let predictor = {
            let mut interrupted = || observer.interrupted();
            let stop = parallel::Asking::new(&mut interrupted);
            Predictor::new_until(&network, &trained.parameters, &stop)?
        };
        let input = JudgeInput {
            predictor: &predictor,
            target,
            encoding: &encoding,
            outputs: network.output_units(),
            products: network.products(),
            folds: None,
        };
        let judged = judge_rows(&input, &shared, mask, false, job.crew, observer)?;
        let found = METRICS
            .iter()
            .find_map(|&metric| Some((metric, judged.metrics.get(metric)?.as_f64()?)));
        Ok(match found {
            Some((metric, loss)) if loss.is_finite() => Judged { metric, loss },
            _ => failed,
        })
    }

    fn options(&self, target: &Target) -> Result<TrainOptions, Error> {
        let (job, rows) = (self.job, self.sides.rows_trained());
        let (arguments, held_out) = (job.arguments, self.sides.rows_validated());
        let options = defaults::train_options(arguments, job.options, target, rows, held_out)?;
        // However many epochs are asked for, a trial needs no more than are usual.
        let most = options.epochs.min(defaults::epochs(rows));
        let few = most.div_ceil(SHORTER).max(SEEN / rows.max(1));
        Ok(TrainOptions {
            epochs: most.min(few),
            early_stopping: 0,
            restore_best: true,
            keep_optimizer_state: false,
            threads: job.crew.threads,
            ..options
        })
    }
}

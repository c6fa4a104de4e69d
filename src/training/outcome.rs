//! The last stage: the network judged, and the model that is kept.

use std::cell::RefCell;
use std::time::Instant;

use serde_json::{Value, json};

use super::error::Error;
use super::job::{Job, Observer, Outcome};
use super::judge_rows::{JudgeInput, Judged, judge_rows};
use super::source::{Encoding, SharedRows};
use super::train::TrainStage;
use crate::artifact::{Model, in_order_of_classes};
use crate::features::{FeatureSet, LeftOut};
use crate::memory;
use crate::nn::{Predictor, parallel};

/// What judging takes for a row beside its outputs.
const JUDGED_BYTES: usize = 16;

/// A network that was judged.
pub(super) struct JudgeStage<'a> {
    train: TrainStage<'a>,
    judged: Judged,
}

impl<'a> TrainStage<'a> {
    /// Judges the network on the examples held out, by the kernel that will serve the model.
    ///
    /// # Errors
    /// Rows that cannot be read, and no memory for the packed weights.
    pub(super) fn judge(
        mut self,
        job: &Job<'_>,
        observer: &mut dyn Observer,
    ) -> Result<JudgeStage<'a>, Error> {
        let (fit, network) = (&mut self.fit, &self.network);
        let sides = &fit.split.sides;
        let parameters = &self.trained.parameters;
        let packed = size_of_val(parameters.as_slice()).saturating_mul(2);
        let outputs = network.output_units();
        let judged = (sides.trained.len()).saturating_mul(JUDGED_BYTES + 16 * outputs);
        memory::ask_for_many(packed.saturating_add(judged))?;
        let predictor = {
            let mut interrupted = || observer.interrupted();
            let stop = parallel::Asking::new(&mut interrupted);
            Predictor::new_until(network, parameters, &stop)?
        };
        let mut judged = judge_rows(
            &JudgeInput {
                predictor: &predictor,
                target: &fit.target,
                encoding: &Encoding::new(job, &fit.features, &fit.encoder, &self.labels),
                outputs,
                products: network.products(),
                folds: sides.folds.as_deref(),
            },
            &(RefCell::new(&mut *fit.split.read.examples.rows) as SharedRows<'_>),
            &sides.judged(),
            true,
            job.crew,
            observer,
        )?;
        if job.warm_start() && sides.rows_validated() == 0 && fit.split.fraction > 0.0 {
            judged.metrics["judged_on"] = "training rows".into();
        }
        Ok(JudgeStage {
            train: self,
            judged,
        })
    }
}

impl JudgeStage<'_> {
    /// The model, and how the training went that began at `started`.
    pub(super) fn outcome(self, job: &Job<'_>, started: Instant) -> Outcome {
        let TrainStage {
            fit,
            network,
            trained,
            data_hash,
            trials,
            student,
            ..
        } = self.train;
        let Judged { metrics, scores } = self.judged;
        let sides = &fit.split.sides;
        let (rows_trained, rows_validated) = (sides.rows_trained(), sides.rows_validated());
        let kept = trained.history.get(trained.best_epoch.saturating_sub(1));
        let (train_loss, validation_loss) = kept.map_or((f64::NAN, None), |epoch| {
            (epoch.train_loss, epoch.validation_loss)
        });
        let mut training = json!({
            "seed": job.arguments.seed,
            "rows_trained": rows_trained,
            "rows_validated": rows_validated,
            "epochs": trained.history.len(),
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "metrics": metrics,
            "extension_version": env!("CARGO_PKG_VERSION"),
        });
        let tried = fit.tried.into_iter().map(|tried| tried.trials);
        for trials in tried.chain(trials) {
            match (&mut training["trials"], trials) {
                (Value::Object(all), Value::Object(more)) => all.extend(more),
                (none, trials) => *none = trials,
            }
        }
        if let Some(traps) = fit.traps {
            training["traps"] = traps;
        }
        let mut seen = fit.seen;
        let (network, parameters) = match student {
            None => (network, trained.parameters),
            Some(student) => {
                training["student"] = student.judged;
                // It has learnt from all of them, folds or not.
                seen.learn_folds();
                (student.network, student.parameters)
            }
        };
        Outcome {
            model: Model {
                architecture: network.architecture().clone(),
                features: kept_features(job, fit.features, fit.left_out),
                target: in_order_of_classes(fit.target, &network),
                parameters,
                training,
                scores,
                optimizer_state: trained.optimizer_state,
                quantization: None,
            },
            history: trained.history,
            train_loss,
            validation_loss,
            metrics,
            rows_trained,
            rows_validated,
            seen: seen.to_bytes(),
            data_hash,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

/// The features as a model keeps them, with the columns that are none.
fn kept_features(job: &Job<'_>, features: FeatureSet, mut left_out: Vec<LeftOut>) -> FeatureSet {
    let earlier = job.previous.map(|previous| &previous.features);
    let mut features = features.in_call_order(earlier);
    let as_asked = |column: &String| LeftOut::new(column, "it is ignored as asked");
    let passed_over = |column: &String| LeftOut::new(column, "the version before left it out");
    left_out.extend(job.plan.ignored.iter().map(as_asked));
    left_out.extend(job.plan.passed_over.iter().map(passed_over));
    features.leave_out(left_out, earlier);
    features
}

//! Storing what came of a training, and whether it is deployed.

use super::earlier::Earlier;
use super::order::Order;
use crate::artifact::Model;
use crate::features::Family;
use crate::nn::{EpochReport, blas};
use crate::pg::api::create_function;
use crate::pg::catalog::{self, Description, Epoch, NewVersion, Training};
use crate::pg::error::{Report, Result};
use crate::pg::rows::Source;
use crate::pg::{interrupt, learnt_from};
use crate::training::better::{self, Comparison, Figures};
use crate::training::{Deploy, Options, Outcome};
use serde_json::Value;

/// Stores the outcome as a version of the model, deploys it if it is to be, and gives its number.
pub(super) fn store(
    order: &Order<'_>,
    options: &Options,
    earlier: &Earlier,
    outcome: &Outcome,
    sources: &[(String, Vec<Source>)],
    settings: Value,
    seconds: f64,
) -> Result<i32> {
    let description = Description::of(&outcome.model)?;
    let deployed = earlier
        .model
        .as_ref()
        .filter(|_| earlier.deployed.is_some());
    let claimed = match (options.deploy, earlier.deployed) {
        (Some(Deploy::IfBetter), Some(version)) => catalog::is_claimed(version)?,
        _ => false,
    };
    let wish = options.deploy.unwrap_or_default();
    let (deploy, why) = shall_deploy(wish, deployed, claimed, outcome);
    let stored = outcome.model.in_pieces(|artifact| {
        interrupt::check();
        catalog::store_version(&NewVersion {
            model: order.model,
            artifact,
            description,
            training: Training {
                query: Some(order.query.to_string()),
                options: Some(recorded_options(order)),
                seed: Some(order.arguments.seed as i64),
                rows_trained: Some(outcome.rows_trained as i64),
                rows_validated: Some(outcome.rows_validated as i64),
                epochs: Some(outcome.history.len() as i32),
                seconds: Some(seconds),
                train_loss: finite(outcome.train_loss),
                validation_loss: outcome.validation_loss.and_then(finite),
                metrics: Some(outcome.metrics.clone()),
                claimed: false,
                seen: Some(outcome.seen.clone()),
                origins: Some(learnt_from::record(&outcome.model, options, sources)),
                data_hash: Some(outcome.data_hash.to_vec()),
                blas: Some(blas::load()?.name().to_owned()),
                follows: earlier.number,
                settings: Some(settings),
            },
            history: &outcome.history.iter().map(history_row).collect::<Vec<_>>(),
            adds_features: options.add_features.is_some(),
            deploy,
        })
    })??;
    if let Some(why) = why {
        why(stored.number).send();
    }
    if deploy {
        create_function::make_anew(order.model, outcome.model.features.features.len())?;
    }
    Ok(stored.number)
}

/// What to say of a version once it has a number.
type Said = Box<dyn FnOnce(i32) -> Report>;

/// The column of what a model's numbers are over.
fn exposure_of(model: &Model) -> Option<&str> {
    model.target.family().and_then(Family::exposure)
}

/// Whether the new version becomes the deployed one, and what to say of that.
fn shall_deploy(
    deploy: Deploy,
    deployed: Option<&Model>,
    claimed: bool,
    outcome: &Outcome,
) -> (bool, Option<Said>) {
    let deployed = match (deploy, deployed) {
        (Deploy::Always, _) | (Deploy::IfBetter, None) => return (true, None),
        (Deploy::Never, _) => return (false, None),
        (Deploy::IfBetter, Some(deployed)) => deployed,
    };
    let comparison = if claimed {
        Comparison::Nothing(
            "the deployed version was imported, and nobody has checked the figures that its file claims",
        )
    } else {
        better::compare(
            Figures {
                metrics: &outcome.metrics,
                rows_validated: outcome.rows_validated as u64,
                exposure: exposure_of(&outcome.model),
            },
            Figures {
                metrics: &deployed.training["metrics"],
                rows_validated: deployed.training["rows_validated"].as_u64().unwrap_or(0),
                exposure: exposure_of(deployed),
            },
        )
    };
    match comparison {
        Comparison::By {
            metric,
            new,
            deployed,
            better,
        } => (
            better,
            Some(Box::new(move |number| {
                let (not, than) = if better {
                    ("", "better than")
                } else {
                    ("not ", "no better than")
                };
                Report::notice(format!(
                    "version {number} is {not}deployed: its {metric} of {new:.6} is {than} the \
                     deployed version's {deployed:.6}"
                ))
            })),
        ),
        Comparison::Nothing(why) => (
            false,
            Some(Box::new(move |number| {
                Report::warning(format!(
                    "version {number} is not deployed: {why}, so that nothing says whether it is better"
                ))
                .hint("Compare the versions with neural.evaluate, and choose with neural.deploy.")
            })),
        ),
    }
}

fn history_row(report: &EpochReport) -> Epoch {
    Epoch {
        epoch: report.epoch as i32,
        train_loss: report.train_loss,
        validation_loss: report.validation_loss,
        learning_rate: report.learning_rate,
        seconds: report.seconds,
        metrics: None,
    }
}

/// The options as given, with the arguments that were: what repeats the training.
fn recorded_options(order: &Order<'_>) -> serde_json::Value {
    let mut recorded = serde_json::Map::new();
    let arguments = &order.arguments;
    let mut put = |key: &str, value: serde_json::Value| {
        if !value.is_null() {
            recorded.insert(key.to_string(), value);
        }
    };
    put("task", order.task.into());
    put("architecture", order.architecture.into());
    put("features", order.features.clone().into());
    put("epochs", arguments.epochs.into());
    put("batch_size", arguments.batch_size.into());
    put("learning_rate", arguments.learning_rate.into());
    put("optimizer", arguments.optimizer.clone().into());
    put("validation", arguments.validation.into());
    if let serde_json::Value::Object(options) = &order.options_json {
        for (key, value) in options {
            put(key, value.clone());
        }
    }
    recorded.into()
}

/// A loss as it is stored: none that is no number.
pub(in crate::pg::api) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

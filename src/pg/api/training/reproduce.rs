//! `neural.reproduce`: a version trained again, to see whether it comes out the same.

use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Map, Value, json};

use super::earlier::{Earlier, stored_model};
use super::order::Order;
use super::stages::{Checked, Finished};
use super::store::finite;
use crate::artifact::Model;
use crate::hex::hex;
use crate::memory;
use crate::nn::blas;
use crate::pg::access::{Right, acts_as, invoker};
use crate::pg::agreement::agrees;
use crate::pg::api::given_text;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::query_settings::Settings;
use crate::pg::reader::{self, Resolved, TrainingRecord};
use crate::pg::rows::Lifetime;
use crate::pg::{catalog, interrupt, restricted};
use crate::training::{Arguments, Options, Outcome};

/// Trains a version again from what is recorded of it, and stores nothing.
#[pg_extern(sql = false)]
fn reproduce(
    model: Option<&[u8]>,
    version: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(model, String),
        name!(version, i32),
        name!(data_agrees, Option<bool>),
        name!(weights_agree, bool),
        name!(details, JsonB),
    ),
> {
    let _work = interrupt::begin(memory::LARGE).or_raise();
    let model = given_text(model, "model").or_raise();
    let (version, comparison) = again(model, version).or_raise();
    TableIterator::once((
        version.model,
        version.number,
        comparison.data_agrees,
        comparison.weights_agree,
        JsonB(comparison.details.into()),
    ))
}

fn again(model: &str, number: Option<i32>) -> Result<(Resolved, Comparison)> {
    let version = match number {
        None => reader::resolve(model)?,
        Some(number) if number < 1 => {
            return Err(reader::no_such_version(model, &number.to_string()));
        }
        Some(number) => reader::resolve(&format!("{model}@{number}"))?,
    };
    version.right.require(Right::Manage, &version.model)?;
    let label = format!("version {} of model \"{}\"", version.number, version.model);
    let record = reader::training_record(&version)?
        .ok_or_else(|| reader::no_such_version(&version.model, &version.number.to_string()))?;
    let recorded = Recorded::of(&record, &label)?;
    // The query is run with the rights of whoever gave it, as by the first training: a superuser who
    // looks whether others' models are what they say must not run their functions with his own.
    let trainer = record.created_by;
    if !acts_as(invoker(), trainer) {
        return Err(Report::denied(format!("permission denied for the query of {label}"))
            .detail("It is run with the rights of the role that trained the version.")
            .hint(
                "Let a member of that role or a superuser call this function; or train anew from the \
                 query that neural.model_versions shows.",
            ));
    }
    let options = Options::parse(&recorded.options)?;
    let earlier = earlier(&version, &record, &options, &label)?;
    let order = recorded.order(&version.model);
    let checked = Checked::after(&order, earlier, options)?;
    let filled = {
        let _role = restricted::Operation::enter(trainer);
        let _settings = Settings::enter(record.settings.as_ref(), &label)?;
        checked.read(Lifetime::Transaction, None)?
    };
    let mut console = filled.console();
    let Finished {
        outcome, settings, ..
    } = filled.train(None, &mut console)?;
    let stored = stored_model(&version)?;
    let comparison = Comparison::of((&version, &record, &stored), &outcome, &settings)?;
    Ok((version, comparison))
}

/// The version that this one followed.
fn earlier(
    version: &Resolved,
    record: &TrainingRecord,
    options: &Options,
    label: &str,
) -> Result<Earlier> {
    let gone = |which: &str| {
        Report::not_in_state(format!(
            "{label} cannot be trained again: the version that it went on from {which}"
        ))
        .hint("Without that one's weights there is nothing to begin with: train anew.")
    };
    let Some(number) = record.follows else {
        return match options.goes_on() {
            true => Err(gone("is not recorded")),
            false => Earlier::before(None, options),
        };
    };
    match reader::resolve(&format!("{}@{number}", version.model)) {
        Ok(followed) => Earlier::before(Some(&followed), options),
        Err(report) if !report.is_undefined() => Err(report),
        Err(_) if options.goes_on() => {
            Err(gone(&format!("is version {number}, which was dropped")))
        }
        // Every version keeps the signature, and nothing else is taken from the one that is gone.
        Err(_) => Earlier::before(Some(version), options),
    }
}

/// What a version's row says of the call that made it.
struct Recorded {
    query: String,
    target: String,
    task: Option<String>,
    architecture: Option<String>,
    features: Option<Value>,
    arguments: Arguments,
    options: Value,
}

impl Recorded {
    fn of(record: &TrainingRecord, label: &str) -> Result<Recorded> {
        let cannot = |why: &str| Report::not_in_state(format!("{label} {why}"));
        if record.claimed {
            return Err(cannot("was imported, and cannot be trained again").hint(
                "What a file says of its training is not run. Reproduce it in the database where it \
                 was trained.",
            ));
        }
        let made = record
            .options
            .as_ref()
            .and_then(|options| options.get("quantized"));
        if let Some(made) = made {
            let from = made.get("version").cloned().unwrap_or_default();
            return Err(cannot("was quantised, and not trained")
                .hint(format!("Reproduce version {from}, which it was made of.")));
        }
        let (Some(query), Some(target), Some(Value::Object(options)), Some(seed)) = (
            record.query.clone(),
            record.target.clone(),
            record.options.clone(),
            record.seed,
        ) else {
            return Err(cannot("does not tell how it was trained")
                .hint("Only what neural.train has stored can be trained again."));
        };
        // Arguments and options stand side by side: no option has an argument's name.
        let mut options = options;
        let mut argument = |name: &str| options.remove(name);
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let whole = |value: Option<Value>| value.and_then(|value| value.as_i64());
        let number = |value: Option<Value>| value.and_then(|value| value.as_f64());
        let recorded = Recorded {
            query,
            target,
            task: text(argument("task")),
            architecture: text(argument("architecture")),
            features: argument("features"),
            arguments: Arguments {
                epochs: whole(argument("epochs")),
                batch_size: whole(argument("batch_size")),
                learning_rate: number(argument("learning_rate")),
                optimizer: text(argument("optimizer")),
                validation: number(argument("validation")),
                seed: seed as u64,
            },
            options: Value::Null,
        };
        // Its course was told when it was trained.
        options.insert("verbose".into(), false.into());
        Ok(Recorded {
            options: options.into(),
            ..recorded
        })
    }

    fn order<'a>(&'a self, model: &'a str) -> Order<'a> {
        Order {
            model,
            query: &self.query,
            target: &self.target,
            task: self.task.as_deref(),
            architecture: self.architecture.as_deref(),
            features: self.features.clone(),
            options_json: self.options.clone(),
            arguments: self.arguments.clone(),
        }
    }
}

/// A version beside what it came to when it was trained again.
struct Comparison {
    /// Nothing where the version's row has no hash.
    data_agrees: Option<bool>,
    weights_agree: bool,
    /// From what differs to both values.
    details: Map<String, Value>,
}

impl Comparison {
    fn of(
        (version, record, stored): (&Resolved, &TrainingRecord, &Model),
        outcome: &Outcome,
        settings: &Value,
    ) -> Result<Comparison> {
        let mut details = Map::new();
        let mut compare = |name: &str, then: Value, now: Value| {
            if !agrees(&then, &now) {
                details.insert(name.into(), json!({"stored": then, "reproduced": now}));
            }
        };
        compare(
            "rows_trained",
            record.rows_trained.into(),
            outcome.rows_trained.into(),
        );
        compare(
            "rows_validated",
            record.rows_validated.into(),
            outcome.rows_validated.into(),
        );
        // Of a version that does not tell them, the session's were taken.
        match &record.settings {
            Some(Value::Object(then)) => {
                for (name, then) in then {
                    let now = settings.get(name).cloned().unwrap_or_default();
                    compare(&format!("settings.{name}"), then.clone(), now);
                }
            }
            _ => compare("settings", Value::Null, settings.clone()),
        }
        let hash = record.data_hash.as_deref();
        if let Some(hash) = hash {
            compare(
                "data_blake3",
                hex(hash).into(),
                hex(&outcome.data_hash).into(),
            );
        }
        compare("epochs", record.epochs.into(), outcome.history.len().into());
        compare(
            "train_loss",
            record.train_loss.into(),
            finite(outcome.train_loss).into(),
        );
        let validation_loss = outcome.validation_loss.and_then(finite);
        compare(
            "validation_loss",
            record.validation_loss.into(),
            validation_loss.into(),
        );
        // A version with another threshold keeps only the metrics that do not follow from it.
        if let Some(Value::Object(metrics)) = &record.metrics {
            for (name, then) in metrics {
                let now = outcome.metrics.get(name).cloned().unwrap_or_default();
                compare(&format!("metrics.{name}"), then.clone(), now);
            }
        }
        let version_now = env!("CARGO_PKG_VERSION");
        compare(
            "extension_version",
            record.extension_version.clone().into(),
            version_now.into(),
        );
        if record.blas.is_some() {
            compare(
                "blas",
                record.blas.clone().into(),
                blas::load()?.name().into(),
            );
        }
        let (then, now) = (&stored.parameters, &outcome.model.parameters);
        compare("parameters", then.len().into(), now.len().into());
        compare(
            "architecture",
            stored.architecture.to_json(),
            outcome.model.architecture.to_json(),
        );
        let artifact = outcome.model.in_pieces(|pieces| {
            interrupt::check();
            catalog::hash(pieces)
        })?;
        compare("sha256", hex(&version.sha256).into(), hex(&artifact).into());
        let pairs = || then.iter().zip(now);
        let differing = pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let weights_agree = then.len() == now.len() && differing == 0;
        if differing > 0 {
            let distance = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
            let largest = pairs().map(distance).fold(0.0, f64::max);
            details.insert(
                "weights".into(),
                json!({"differing": differing, "largest_difference": largest}),
            );
        }
        Ok(Comparison {
            data_agrees: hash.map(|hash| hash == outcome.data_hash),
            weights_agree,
            details,
        })
    }
}

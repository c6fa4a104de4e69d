//! `neural.train`.

use std::time::Instant;

use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB, PgSqlErrorCode as Code, pg_sys};

use super::{create_function, given_text, json, text};
use crate::artifact::Model;
use crate::features::{FeatureSet, Kind, Task};
use crate::memory;
use crate::nn::{Crew, EpochReport, blas};
use crate::pg::catalog::{self, Description, Epoch, NewVersion, Training};
use crate::pg::duration::duration;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::reader::Resolved;
use crate::pg::rows::{
    ArrayReader, ColumnPlan, Elements, Query, Reader, ResultColumn, Source, read_table, with_query,
};
use crate::pg::spelling::{self, Spelling};
use crate::pg::sql_type::is_name_of;
use crate::pg::{interrupt, learnt_from, reader, settings, threads};
use crate::training::better::{self, Comparison, Figures};
use crate::training::{
    Arguments, Deploy, Given, Job, Observer, Options, Outcome, Plan, SeenRows, check, run,
};

/// Trains a model on the rows of a query and stores it as a new version.
#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "the SQL function's parameters")]
#[expect(clippy::type_complexity, reason = "the SQL function's result columns")]
fn train(
    model: Option<&[u8]>,
    query: Option<&[u8]>,
    target: Option<&[u8]>,
    task: Option<&[u8]>,
    architecture: Option<&[u8]>,
    features: Option<AnyElement>,
    epochs: Option<i32>,
    batch_size: Option<i32>,
    learning_rate: Option<f64>,
    optimizer: Option<&[u8]>,
    validation: Option<f64>,
    seed: Option<i64>,
    options: Option<AnyElement>,
) -> TableIterator<
    'static,
    (
        name!(model, String),
        name!(version, i32),
        name!(epochs, i32),
        name!(train_loss, Option<f64>),
        name!(validation_loss, Option<f64>),
        name!(metrics, JsonB),
        name!(seconds, f64),
    ),
> {
    let _work = interrupt::begin(memory::LARGE).or_raise();
    // SAFETY: the parameters are jsonb.
    let (features, options) = unsafe {
        (
            json(features, "features").or_raise(),
            json(options, "options").or_raise(),
        )
    };
    let order = Order {
        model: given_text(model, "model").or_raise(),
        query: given_text(query, "query").or_raise(),
        target: given_text(target, "target").or_raise(),
        task: text(task, "task").or_raise(),
        architecture: text(architecture, "architecture").or_raise(),
        features,
        options_json: options.unwrap_or_else(|| serde_json::json!({})),
        arguments: Arguments {
            epochs: epochs.map(i64::from),
            batch_size: batch_size.map(i64::from),
            learning_rate,
            optimizer: text(optimizer, "optimizer").or_raise().map(str::to_string),
            validation,
            seed: seed.map_or_else(draw_seed, |seed| seed as u64),
        },
    };
    let (number, outcome, seconds) = train_and_store(&order).or_raise();
    TableIterator::once((
        order.model.to_string(),
        number,
        outcome.history.len() as i32,
        finite(outcome.train_loss),
        outcome.validation_loss.and_then(finite),
        JsonB(outcome.metrics),
        seconds,
    ))
}

/// What the caller of `neural.train` asked for.
struct Order<'a> {
    model: &'a str,
    query: &'a str,
    target: &'a str,
    task: Option<&'a str>,
    architecture: Option<&'a str>,
    features: Option<serde_json::Value>,
    options_json: serde_json::Value,
    arguments: Arguments,
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A seed nobody asked for, recorded so that the training can be repeated. Small enough to type.
fn draw_seed() -> u64 {
    let mut bytes = [0_u8; 4];
    // SAFETY: fills the buffer it is given.
    unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len() as _) };
    u64::from(u32::from_ne_bytes(bytes) & 0x7fff_ffff)
}

fn train_and_store(order: &Order<'_>) -> Result<(i32, Outcome, f64)> {
    // Here rather than when the result is stored, after all the work.
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.train()".as_ptr()) };
    let started = Instant::now();
    let mut options = Options::parse(&order.options_json)?;
    // Rights and name come before any work.
    let existing = catalog::existing(order.model)?;
    let deployed_id = existing.as_ref().and_then(|e| e.deployed);
    let deployed = deployed_id.is_some();
    // Where none is deployed any version tells the signature.
    let (previous, seen) = match existing.and_then(|existing| existing.latest) {
        Some(_) if deployed => {
            let resolved = reader::resolve(order.model)?;
            let seen = options.goes_on().then(|| reader::seen(&resolved));
            (Some(stored_model(&resolved)?), seen.transpose()?.flatten())
        }
        Some(latest) => {
            let resolved = reader::resolve(&format!("{}@{latest}", order.model))?;
            (Some(stored_model(&resolved)?), None)
        }
        None => (None, None),
    };
    let seen = seen.and_then(|bytes| SeenRows::from_bytes(&bytes));
    if options.goes_on() && !deployed {
        return Err(Report::new(
            Code::ERRCODE_UNDEFINED_OBJECT,
            format!(
                "there is no deployed version of \"{}\" to start from",
                order.model
            ),
        )
        .hint("Train it without warm_start and add_features first."));
    }
    // Later versions keep the first one's task, whatever their rows look like.
    let task = match order.task {
        Some(name) => Some(Task::parse(name)?),
        None => previous.as_ref().map(|model| model.target.task()),
    };
    let spelled = previous
        .as_ref()
        .and_then(|model| spelling::of_target(&model.target));
    if let Some(spelled) = spelled {
        spelled.classes(&mut options);
    }
    check(
        &order.arguments,
        &options,
        order.architecture,
        task,
        previous.as_ref(),
    )?;
    // A missing library is told of before the rows are read.
    blas::load()?;
    let memory = settings::max_memory();
    let threads = threads::usable(options.threads.filter(|&n| n > 0));
    let pool = threads::pool(threads)?;
    let (plan, mut table, sources) = with_query(order.query, |query| {
        let names = query.columns().iter().map(|column| column.name.clone());
        let sources: Vec<(String, Vec<Source>)> = names.zip(query.sources()).collect();
        let type_of = |name: &str| {
            let mut columns = query.columns().iter();
            columns
                .find(|column| column.name == name)
                .map(|column| column.type_oid)
        };
        if let Some(spelled) = type_of(order.target).and_then(Spelling::of) {
            spelled.classes(&mut options);
        }
        let features = order.features.clone();
        let features = features.map(|features| spelling::asked(features, type_of));
        let mut plan = Plan::new(
            &given_columns(query, previous.as_ref()),
            order.target,
            features.transpose()?.as_ref(),
            task,
            &options,
            previous.as_ref().map(|model| &model.features),
        )?;
        let kept = previous.as_ref().map(|model| &model.features);
        let kept = kept.filter(|_| options.goes_on());
        if kept.is_none() {
            plan.settle_arrays(order.architecture)?;
        }
        plan.settle_precision(kept);
        let mut columns = column_plans(query, &plan, kept, memory);
        // Half for the raw rows; the other half is for what is made of them.
        let sequence = plan.sequence.as_ref();
        if let Some(sequence) = sequence {
            query.sort(&sequence.by, &sequence.order)?;
        }
        let target = Some(plan.at.target);
        let table = read_table(query, &mut columns, target, sequence, memory / 2, &pool)?;
        plan.set_shapes(columns.iter().map(ColumnPlan::shape));
        Ok((plan, table, sources))
    })?;
    let left = memory.saturating_sub(table.memory());
    let job = Job {
        task,
        architecture: order.architecture,
        arguments: &order.arguments,
        options: &options,
        plan: &plan,
        previous: previous.as_ref(),
        seen: seen.as_ref(),
        sequences: table.sequences.as_ref(),
        dictionaries: &table.dictionaries,
        memory: left,
        crew: Crew {
            pool: &pool,
            threads,
            wanted: interrupt::wanted,
        },
    };
    let mut console = Console {
        verbose: options.verbose.unwrap_or(true),
        left_out: vec![
            (
                table.without_sequence,
                named(options.sequence_by.as_deref()),
                false,
            ),
            (
                table.without_target,
                named(Some(&[order.target.to_owned()])),
                plan.target.kind.is_array(),
            ),
        ],
        started: Instant::now(),
    };
    let outcome = run(&job, table.store.rows_mut(), &mut console);
    drop(table);
    drop(pool);
    // What stopped the loop is PostgreSQL's to report: a cancel, a timeout or a termination.
    interrupt::check();
    let outcome = outcome?;
    let description = Description::of(&outcome.model)?;
    let seconds = started.elapsed().as_secs_f64();
    let deployed = previous.as_ref().filter(|_| deployed);
    let claimed = match (options.deploy, deployed_id) {
        (Some(Deploy::IfBetter), Some(version)) => catalog::is_claimed(version)?,
        _ => false,
    };
    let (deploy, why) = shall_deploy(
        options.deploy.unwrap_or_default(),
        deployed,
        claimed,
        &outcome,
    );
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
                origins: Some(learnt_from::record(&outcome.model, &options, &sources)),
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
    Ok((stored.number, outcome, seconds))
}

/// What to say of a version once it has a number.
type Said = Box<dyn FnOnce(i32) -> Report>;

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
        (Deploy::IfBetter, Some(deployed)) => &deployed.training,
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
            },
            Figures {
                metrics: &deployed["metrics"],
                rows_validated: deployed["rows_validated"].as_u64().unwrap_or(0),
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

/// A version of a model, as it was stored.
fn stored_model(resolved: &Resolved) -> Result<Model> {
    Model::from_bytes(&reader::load(resolved)?)
        .map_err(|error| Report::stored(resolved.label(), error))
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

/// The query's columns as the core sees them. A type that an earlier version keeps under another name
/// goes by that one.
pub(super) fn given_columns(query: &Query, previous: Option<&Model>) -> Vec<Given> {
    let kept = |column: &ResultColumn| {
        let features = &previous?.features;
        let feature = &features.features[features.position(&column.name)?];
        is_name_of(&feature.sql_type, column.type_oid).then(|| feature.sql_type.clone())
    };
    query
        .columns()
        .iter()
        .map(|column| Given {
            name: column.name.clone(),
            sql_type: kept(column).unwrap_or_else(|| column.type_name.clone()),
            origin: Reader::for_type(column.type_oid)
                .map(Reader::origin)
                .or_else(|| ArrayReader::for_type(column.type_oid).map(ArrayReader::origin)),
            element: Elements::for_type(column.type_oid).map(|elements| elements.reader.origin()),
        })
        .collect()
}

fn column_plans(
    query: &Query,
    plan: &Plan,
    kept: Option<&FeatureSet>,
    memory: usize,
) -> Vec<ColumnPlan> {
    let intakes = plan.intakes(kept, memory);
    let levels_kept = |at: usize| {
        let name = &plan.features.get(at)?.name;
        let feature = kept?.features.iter().find(|kept| kept.name == *name)?;
        feature.levels()
    };
    plan.reads
        .iter()
        .zip(intakes)
        .enumerate()
        .map(|(at, (read, intake))| {
            let type_oid = query.columns()[read.place].type_oid;
            let reader = Reader::for_type(type_oid);
            ColumnPlan {
                place: read.place,
                reader: reader.map(|reader| reader.spelled_as(levels_kept(at).unwrap_or_default())),
                elements: matches!(read.kind, Kind::Numbers | Kind::Labels)
                    .then(|| Elements::for_type(type_oid))
                    .flatten(),
                kind: read.kind,
                hashed: read.hashed,
                dictionary: read.dictionary.clone(),
                array: ArrayReader::for_type(type_oid).zip(intake),
            }
        })
        .collect()
}

/// Columns as messages name them.
fn named(columns: Option<&[String]>) -> String {
    format!("\"{}\"", columns.unwrap_or_default().join("\" or \""))
}

/// Reports a training to the user who waits for it.
struct Console {
    verbose: bool,
    /// How many rows were left out because one of these columns is NULL, or where it is an array
    /// has a NULL in it.
    left_out: Vec<(u64, String, bool)>,
    started: Instant,
}

impl Observer for Console {
    fn interrupted(&mut self) -> bool {
        interrupt::pending()
    }

    fn notice(&mut self, text: &str) {
        if self.verbose {
            notice!("{text}");
        }
        // Rows that do not count are told of even where the course of the training is not.
        for (rows, columns, is_array) in std::mem::take(&mut self.left_out) {
            if rows > 0 {
                let s = if rows == 1 { "" } else { "s" };
                let within = if is_array { " or has a NULL in it" } else { "" };
                notice!("{rows} row{s} left out because {columns} is NULL{within}");
            }
        }
        // What came before is preparation: the time left is reckoned from the loop alone.
        self.started = Instant::now();
    }

    fn warning(&mut self, text: &str) {
        warning!("{text}");
    }

    fn epoch(&mut self, report: &EpochReport, epochs: usize) {
        if !self.verbose {
            return;
        }
        let spent = self.started.elapsed().as_secs_f64();
        let left = spent / report.epoch as f64 * (epochs - report.epoch.min(epochs)) as f64;
        let validation = report
            .validation_loss
            .map(|loss| format!(", validation loss {loss:.6}"))
            .unwrap_or_default();
        notice!(
            "epoch {} of {epochs}: loss {:.6}{validation}, {} left",
            report.epoch,
            report.train_loss,
            duration(left)
        );
    }
}

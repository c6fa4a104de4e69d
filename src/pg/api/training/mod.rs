//! `neural.train`.

mod console;
mod earlier;
mod order;
mod query;
mod reproduce;
mod store;

use std::time::Instant;

use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB, pg_sys};

use self::console::Console;
use self::earlier::Earlier;
use self::order::Order;
use self::query::Rows;
use self::store::{finite, store};
use super::{given_text, json, text};
use crate::features::Task;
use crate::memory;
use crate::nn::{Crew, blas};
use crate::pg::error::{OrRaise, Result};
use crate::pg::rows::{Source, with_query};
use crate::pg::{interrupt, settings, spelling, threads};
use crate::training::{Arguments, Job, Options, Outcome, check, run};

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
    let options = Options::parse(&order.options_json)?;
    // Rights and name come before any work.
    let earlier = Earlier::of(order.model, &options)?;
    let Trained {
        outcome,
        options,
        sources,
    } = train_on(order, &earlier, options, |read| read())?;
    let seconds = started.elapsed().as_secs_f64();
    let number = store(order, &options, &earlier, &outcome, &sources, seconds)?;
    Ok((number, outcome, seconds))
}

/// What came of a training, before it is stored.
struct Trained {
    outcome: Outcome,
    /// The options as given, and what follows for them from the target's type.
    options: Options,
    /// The columns that each of the query's comes from.
    sources: Vec<(String, Vec<Source>)>,
}

/// Trains as ordered, after the version before. `reading` is given what runs the query, and runs it.
fn train_on(
    order: &Order<'_>,
    earlier: &Earlier,
    mut options: Options,
    reading: impl FnOnce(&mut dyn FnMut() -> Result<Rows>) -> Result<Rows>,
) -> Result<Trained> {
    let previous = earlier.model.as_ref();
    // Later versions keep the first one's task, whatever their rows look like.
    let task = match order.task {
        Some(name) => Some(Task::parse(name)?),
        None => previous.map(|model| model.target.task()),
    };
    if let Some(spelled) = previous.and_then(|model| spelling::of_target(&model.target)) {
        spelled.classes(&mut options);
    }
    let arguments = &order.arguments;
    check(arguments, &options, order.architecture, task, previous)?;
    // A missing library is told of before the rows are read.
    blas::load()?;
    let memory = settings::max_memory();
    let threads = threads::usable(options.threads.filter(|&n| n > 0));
    let pool = threads::pool(threads)?;
    let Rows {
        plan,
        mut table,
        sources,
    } = reading(&mut || {
        with_query(order.query, |query| {
            Rows::read(query, order, task, &mut options, previous, memory, &pool)
        })
    })?;
    let job = Job {
        task,
        architecture: order.architecture,
        arguments,
        options: &options,
        plan: &plan,
        previous,
        seen: earlier.seen.as_ref(),
        sequences: table.sequences.as_ref(),
        dictionaries: &table.dictionaries,
        memory: memory.saturating_sub(table.memory()),
        crew: Crew {
            pool: &pool,
            threads,
            wanted: interrupt::wanted,
        },
    };
    let mut console = Console::new(&options, &plan, &table);
    let outcome = run(&job, table.store.rows_mut(), &mut console);
    drop(table);
    drop(pool);
    // What stopped the loop is PostgreSQL's to report: a cancel, a timeout or a termination.
    interrupt::check();
    Ok(Trained {
        outcome: outcome?,
        options,
        sources,
    })
}

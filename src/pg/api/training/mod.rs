//! `neural.train`.

mod console;
mod earlier;
mod order;
mod query;
mod reproduce;
mod stages;
mod store;

use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB, pg_sys};

use crate::memory;
use crate::pg::error::{OrRaise, Result};
use crate::pg::interrupt;
use crate::pg::rows::Lifetime;

pub(super) use order::Order;
pub(super) use stages::{Checked, Finished};
pub(super) use store::finite;

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
    let order = unsafe {
        Order::given(
            model,
            query,
            target,
            task,
            architecture,
            features,
            epochs,
            batch_size,
            learning_rate,
            optimizer,
            validation,
            seed,
            options,
        )
    }
    .or_raise();
    let (number, finished) = train_and_store(&order).or_raise();
    let outcome = finished.outcome;
    TableIterator::once((
        order.model.to_string(),
        number,
        outcome.history.len() as i32,
        finite(outcome.train_loss),
        outcome.validation_loss.and_then(finite),
        JsonB(outcome.metrics),
        finished.seconds,
    ))
}

fn train_and_store<'a>(order: &'a Order<'a>) -> Result<(i32, Finished<'a>)> {
    // Here rather than when the result is stored, after all the work.
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.train()".as_ptr()) };
    let filled = Checked::new(order)?.read(Lifetime::Transaction, None)?;
    let mut console = filled.console();
    let mut finished = filled.train(None, &mut console)?;
    let number = finished.store()?;
    Ok((number, finished))
}

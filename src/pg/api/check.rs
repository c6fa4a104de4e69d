//! `neural.check`.

use pgrx::prelude::*;

use super::text;
use crate::pg::check::{self, Problem};
use crate::pg::error::OrRaise;

/// The problems of a stored model, or of all that the caller manages.
#[pg_extern(sql = false)]
fn check(
    model: Option<&[u8]>,
) -> TableIterator<
    'static,
    (
        name!(model, Option<String>),
        name!(version, Option<i32>),
        name!(problem, String),
    ),
> {
    let model = text(model, "model").or_raise();
    let problems = check::check(model).or_raise();
    TableIterator::new(problems.into_iter().map(|found| {
        let Problem {
            model,
            version,
            problem,
        } = found;
        (model, version, problem)
    }))
}

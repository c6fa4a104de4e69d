//! `neural.evaluate` and `neural.confusion_matrix`.

use std::borrow::Cow;
use std::rc::Rc;

use pgrx::PgSqlErrorCode as Code;
use pgrx::prelude::*;

use super::judged_rows::{Each, Judging};
use super::judged_target::TargetReader;
use super::judging_sequences::judge_sequences;
use super::met::Met;
use super::{given_text, text};
use crate::memory;
use crate::nearest::{nearest, perhaps};
use crate::pg::cache::{self, DecodedModel};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::interrupt;
use crate::pg::reader::{self, Resolved};
use crate::pg::rows::{Grouping, Query, with_query};
use crate::pg::scoring::RowScorer;
use crate::pg::settings;
use crate::training::{Judge, Truth};

/// The metrics of a model on the rows of a query.
#[pg_extern(sql = false)]
fn evaluate(
    model: Option<&[u8]>,
    query: Option<&[u8]>,
    target: Option<&[u8]>,
) -> TableIterator<'static, (name!(metric, String), name!(value, Option<f64>))> {
    let model = given_text(model, "model").or_raise();
    let query = given_text(query, "query").or_raise();
    let target = text(target, "target").or_raise();
    let metrics = evaluate_model(model, query, target).or_raise();
    TableIterator::new(
        metrics
            .into_iter()
            .map(|(name, value)| (name.to_string(), value)),
    )
}

fn evaluate_model(
    model: &str,
    query: &str,
    target: Option<&str>,
) -> Result<Vec<(Cow<'static, str>, Option<f64>)>> {
    let _work = interrupt::begin(memory::LARGE)?;
    let (resolved, decoded) = open(model)?;
    let mut judge = Judge::new(&decoded.target);
    let row_bytes = judge.row_bytes();
    let limit = settings::max_memory()
        .checked_div(row_bytes)
        .unwrap_or(usize::MAX);
    let mut rows = 0_usize;
    for_each_row(&decoded, &resolved, query, target, &mut |row, truth| {
        rows += 1;
        if rows > limit {
            return Err(Report::new(
                Code::ERRCODE_OUT_OF_MEMORY,
                format!(
                    "evaluating more than {limit} rows would pass the limit of {} kB",
                    settings::max_memory() / 1024
                ),
            )
            .hint("Raise neural.max_memory, or evaluate a sample."));
        }
        if rows.is_power_of_two() {
            // What is kept of a row is kept in lists that double their room, the old beside the new.
            memory::ask_for_many(rows.saturating_mul(4 * row_bytes))?;
        }
        Ok(judge.push(row.outputs, truth)?)
    })?;
    if rows == 0 {
        return Err(Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            "the query returns no rows with a target to evaluate on",
        )
        .hint("Check the query's WHERE clause and the target's NULLs."));
    }
    Ok(judge.finish(interrupt::check))
}

/// How often each class was predicted for each actual one.
#[pg_extern(sql = false)]
fn confusion_matrix(
    model: Option<&[u8]>,
    query: Option<&[u8]>,
    target: Option<&[u8]>,
) -> TableIterator<
    'static,
    (
        name!(actual, String),
        name!(predicted, String),
        name!(count, i64),
    ),
> {
    let model = given_text(model, "model").or_raise();
    let query = given_text(query, "query").or_raise();
    let target = text(target, "target").or_raise();
    TableIterator::new(count_confusion(model, query, target).or_raise())
}

fn count_confusion(
    model: &str,
    query: &str,
    target: Option<&str>,
) -> Result<Vec<(String, String, i64)>> {
    let _work = interrupt::begin(memory::LARGE)?;
    let (resolved, decoded) = open(model)?;
    if decoded.target.is_array() && !decoded.target.classes().is_empty() {
        return Err(Report::invalid(format!(
            "model \"{}\" predicts labels, any number of which apply, and confuses no classes",
            resolved.label()
        ))
        .hint("Use neural.evaluate."));
    }
    if decoded.target.classes().is_empty() {
        return Err(Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "model \"{}\" is a regression and confuses no classes",
                resolved.label()
            ),
        )
        .hint("Use neural.evaluate."));
    }
    let classes = decoded.target.classes();
    // Every pair of the model's classes is shown, also those that never come up.
    memory::ask_for_many(classes.len() * classes.len() * size_of::<i64>())?;
    let mut counts = vec![0_i64; classes.len() * classes.len()];
    for_each_row(&decoded, &resolved, query, target, &mut |row, actual| {
        if let Truth::Class(actual) = actual {
            let pair = actual as usize * classes.len() + decoded.target.predicted(row.outputs);
            if let Some(count) = counts.get_mut(pair) {
                *count += 1;
            }
        }
        Ok(())
    })?;
    let pairs = classes
        .iter()
        .flat_map(|actual| classes.iter().map(move |predicted| (actual, predicted)));
    Ok(pairs
        .zip(counts)
        .map(|((actual, predicted), count)| (actual.clone(), predicted.clone(), count))
        .collect())
}

fn open(model: &str) -> Result<(Resolved, Rc<DecodedModel>)> {
    let resolved = reader::resolve(model)?;
    let decoded = cache::model(&resolved)?;
    Ok((resolved, decoded))
}

/// Calls `each` with what came of it and the truth of every row whose target is not NULL or NaN.
pub(super) fn for_each_row(
    decoded: &DecodedModel,
    resolved: &Resolved,
    query: &str,
    target: Option<&str>,
    each: &mut Each<'_>,
) -> Result<()> {
    let mut met = Met::new(resolved)?;
    let name = target.unwrap_or_else(|| decoded.target.column());
    if name.is_empty() {
        return Err(Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "model \"{}\" has imported weights and knows no target",
                resolved.label()
            ),
        )
        .hint("Give the target's name as the third argument."));
    }
    with_query(query, |query| {
        let missing = |column: &str, part: &str| {
            let names = query.columns().iter().map(|c| c.name.as_str());
            Report::new(
                Code::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{column}\", {part}, is missing from the query's result"),
            )
            .hint(perhaps(
                nearest(column, names),
                "Add it to the query or correct the name.",
            ))
        };
        let place = query
            .columns()
            .iter()
            .position(|column| column.name == name)
            .ok_or_else(|| missing(name, "the target"))?;
        let columns = (query.columns(), place);
        let mut reader = TargetReader::new(decoded, resolved, name, columns)?;
        let mut grouping = None;
        if let Some(steps) = &decoded.features.steps {
            let place_of = |column: &String, part: &str| {
                let mut columns = query.columns().iter();
                let place = columns.position(|given| given.name == *column);
                place.ok_or_else(|| missing(column, part))
            };
            let by = "by which the model's sequences are told apart";
            let order = "which orders the steps of the model's sequences";
            let by = steps.by.iter().map(|column| place_of(column, by));
            let order = steps.order.iter().map(|column| place_of(column, order));
            let by = by.collect::<Result<Vec<usize>>>()?;
            let order = order.collect::<Result<Vec<usize>>>()?;
            query.sort(&by, &order)?;
            grouping = Some(Grouping::new(query.columns(), &by, &order, Some(place))?);
        }
        let scorer = RowScorer::new(query.columns(), decoded, resolved)?;
        let mut judging = Judging::new(decoded, scorer, met.as_mut(), each);
        let left_out = match &mut grouping {
            Some(grouping) => judge_sequences(query, grouping, &mut reader, &mut judging)?,
            None => judge_rows(query, &mut reader, &mut judging)?,
        };
        judging.judge()?;
        tell_left_out(left_out, name);
        Ok(())
    })?;
    if let Some(met) = &met {
        met.tell(resolved, decoded);
    }
    Ok(())
}

/// Judges every row whose target counts, and gives how many do not.
fn judge_rows(
    query: &mut Query,
    reader: &mut TargetReader<'_>,
    judging: &mut Judging<'_>,
) -> Result<u64> {
    let mut left_out = 0;
    query.for_each(|values, nulls| {
        // SAFETY: the datums are of the query's column types.
        match unsafe { reader.truth(values, nulls)? } {
            // SAFETY: the datums are of the query's column types.
            Some(truth) => unsafe { judging.row(values, nulls, truth) },
            None => {
                left_out += 1;
                Ok(())
            }
        }
    })?;
    Ok(left_out)
}

/// Says how many rows, or steps of sequences, did not count.
fn tell_left_out(rows: u64, target: &str) {
    if rows > 0 {
        let s = if rows == 1 { "" } else { "s" };
        notice!(
            "{rows} row{s} left out because \"{target}\" is NULL or NaN, or has one of these in it"
        );
    }
}

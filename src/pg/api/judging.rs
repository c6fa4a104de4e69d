//! `neural.evaluate` and `neural.confusion_matrix`.

use std::collections::BTreeMap;
use std::rc::Rc;

use pgrx::PgSqlErrorCode as Code;
use pgrx::prelude::*;

use super::judged_target::{Actual, TargetReader, no_class};
use super::judging_sequences::for_each_sequence;
use super::{given_text, text};
use crate::pg::cache::{self, DecodedModel};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::interrupt;
use crate::pg::reader::{self, Resolved};
use crate::pg::rows::{Grouping, with_query};
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
) -> Result<Vec<(&'static str, Option<f64>)>> {
    let (resolved, decoded) = open(model)?;
    let mut judge = Judge::new(&decoded.target);
    let limit = settings::max_memory()
        .checked_div(judge.row_bytes())
        .unwrap_or(usize::MAX);
    let mut rows = 0_usize;
    for_each_row(&decoded, &resolved, query, target, |outputs, actual| {
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
        let truth = match &actual {
            Actual::Number(number) => Truth::Number(*number),
            Actual::Numbers(numbers) => Truth::Numbers(numbers),
            Actual::Class(text) => {
                let class = decoded.target.class(text);
                Truth::Class(class.ok_or_else(|| no_class(text, &decoded, &resolved))? as u32)
            }
        };
        Ok(judge.push(outputs, truth)?)
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
    let mut counts: BTreeMap<(String, usize), i64> = BTreeMap::new();
    // Every pair of the model's classes is shown, also those that never come up.
    for actual in decoded.target.classes() {
        for predicted in 0..decoded.target.classes().len() {
            counts.insert((actual.clone(), predicted), 0);
        }
    }
    for_each_row(&decoded, &resolved, query, target, |outputs, actual| {
        if let Actual::Class(actual) = actual {
            let predicted = decoded.class_index(outputs);
            match counts.get_mut(&(actual.to_string(), predicted)) {
                Some(count) => *count += 1,
                None => {
                    counts.insert((actual.to_string(), predicted), 1);
                }
            }
        }
        Ok(())
    })?;
    let classes = decoded.target.classes();
    let place = |class: &str| {
        classes
            .iter()
            .position(|c| c == class)
            .unwrap_or(classes.len())
    };
    let mut rows: Vec<((String, usize), i64)> = counts.into_iter().collect();
    rows.sort_by(|((a, i), _), ((b, j), _)| {
        place(a)
            .cmp(&place(b))
            .then_with(|| a.cmp(b))
            .then(i.cmp(j))
    });
    Ok(rows
        .into_iter()
        .map(|((actual, predicted), count)| (actual, classes[predicted].clone(), count))
        .collect())
}

fn open(model: &str) -> Result<(Resolved, Rc<DecodedModel>)> {
    let resolved = reader::resolve(model)?;
    let decoded = cache::model(&resolved)?;
    Ok((resolved, decoded))
}

/// Calls `each` with the outputs and the truth of every row whose target is not NULL or NaN.
fn for_each_row(
    decoded: &DecodedModel,
    resolved: &Resolved,
    query: &str,
    target: Option<&str>,
    mut each: impl FnMut(&[f32], Actual<'_>) -> Result<()>,
) -> Result<()> {
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
            Report::new(
                Code::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{column}\", {part}, is missing from the query's result"),
            )
            .hint("Add it to the query.")
        };
        let place = query
            .columns()
            .iter()
            .position(|column| column.name == name)
            .ok_or_else(|| missing(name, "the target"))?;
        let column = &query.columns()[place];
        let mut reader = TargetReader::new(decoded, resolved, name, column)?;
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
            let mut grouping = Grouping::new(query.columns(), &by, &order, Some(place))?;
            let scorer = RowScorer::new(query.columns(), decoded, resolved)?;
            return for_each_sequence(query, &mut grouping, &mut reader, place, scorer, each);
        }
        let mut scorer = RowScorer::new(query.columns(), decoded, resolved)?;
        query.for_each(|values, nulls| {
            if nulls[place] {
                return Ok(());
            }
            // SAFETY: not NULL, and of the type of the reader's column.
            let Some(actual) = (unsafe { reader.read(values[place])? }) else {
                return Ok(());
            };
            // SAFETY: the datums are of the query's column types.
            let outputs = unsafe { scorer.outputs(values, nulls)? };
            each(outputs, actual)
        })?;
        Ok(())
    })
}

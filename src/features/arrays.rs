//! What the treatments of arrays have in common where they are fitted or told.

use serde_json::{Map, Value};

use super::column::{ArrayShape, Column};
use super::error::Error;
use super::gather::gathered::Gathered;
use super::rows::elements::{Elements, Place};
use super::scales::rule::{Scale, Seen};
use super::settings::bad;
use super::treatment::{Site, Told, TreatmentType};

/// The statistics of a column's arrays and their shape; nothing of a column of another kind.
///
/// # Errors
/// A column without any array.
pub(super) fn elements<'a>(site: &Site<'a>) -> Result<Option<(&'a Elements, ArrayShape)>, Error> {
    let Gathered::Array(arrays) = site.gathered else {
        return Ok(None);
    };
    match arrays.elements.as_deref() {
        Some(elements) => Ok(Some((elements, elements.shape()))),
        None => Err(Error::invalid(format!(
            "column \"{}\" has no value in any row",
            site.column.name
        ))
        .with_hint("Leave it out of the query, or ignore it in features.")),
    }
}

/// Refuses more inputs than a column can have.
///
/// # Errors
/// They are more.
pub(super) fn check_inputs(column: &Column, inputs: usize, most: usize) -> Result<(), Error> {
    if inputs <= most {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "column \"{}\" gives {inputs} inputs, and at most {most} are possible",
        column.name
    ))
    .with_hint(
        "Make the arrays smaller in the query, the images with \"resize\", the sequences with \
         \"length\".",
    ))
}

/// What is subtracted from the numbers of one place, and what they are divided by.
pub(super) fn location(scale: Scale, place: &Place, sorted: &[f64]) -> (f64, f64) {
    let (low, high) = match place.count() {
        0 => (0.0, 0.0),
        _ => (place.low, place.high),
    };
    scale.fit(&Seen {
        low,
        high,
        moments: (!place.overflows()).then(|| (place.mean(), place.deviation())),
        middle: 0.5 * low + 0.5 * high,
        sorted,
    })
}

/// The settings that remain without those that say which feature it is and, of numbers that are
/// scaled, without those that stand for what would be fitted.
///
/// # Errors
/// A column that cannot be treated so, or a setting that asks for a fit.
pub(super) fn own_settings(
    told: &Told<'_>,
    treatment: &TreatmentType,
    is_scaled: bool,
) -> Result<Map<String, Value>, Error> {
    let column = told.column;
    let mut own = told.settings.clone();
    let apart: &[&str] = match is_scaled {
        true => &["name", "sql_type", "type", "mean", "std"],
        false => &["name", "sql_type", "type"],
    };
    own.retain(|key, _| !apart.contains(&key.as_str()));
    let fitted = ["scale", "clip"]
        .into_iter()
        .find_map(|key| Some((key, own.get(key)?)));
    if let (Some((key, value)), true) = (fitted, is_scaled) {
        let wanted = "no value: there are no rows to fit it on; give \"mean\" and \"std\"";
        return Err(bad(column, key, value, wanted));
    }
    if !(treatment.takes)(column.origin) {
        return Err(Error::type_mismatch(
            format!(
                "feature \"{}\" of type {} cannot be treated as \"{}\"",
                column.name, column.sql_type, treatment.name
            ),
            "Leave out \"sql_type\", or name an array; an image may be bytea.",
        ));
    }
    Ok(own)
}

/// The scale that goes with the numbers that are told.
pub(super) fn told_scale(settings: &Map<String, Value>) -> Scale {
    match settings.contains_key("mean") || settings.contains_key("std") {
        true => Scale::Standard,
        false => Scale::None,
    }
}

/// A setting without which nothing says how large the feature is.
///
/// # Errors
/// It is not there.
pub(super) fn needed(
    value: Option<usize>,
    setting: &str,
    most: usize,
    column: &Column,
) -> Result<usize, Error> {
    value.ok_or_else(|| {
        let what = match setting {
            "length" => {
                "It is the number of elements of a vector, and of a sequence the most steps that a \
                         call gives; longer ones are cut to the newest."
            }
            _ => "It is how many whole numbers, from 0 on, the embedding has vectors for.",
        };
        Error::invalid(format!(
            "feature \"{}\" needs \"{setting}\", a number from 1 to {most}",
            column.name
        ))
        .with_hint(what)
    })
}

/// What is subtracted and divided by: none, one number, or one for each of `count`.
///
/// # Errors
/// What is neither.
pub(super) fn lines(
    settings: &Map<String, Value>,
    count: usize,
    column: &Column,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let numbers = |key: &str, none: f64, allowed: fn(f64) -> bool| {
        let number = |value: &Value| value.as_f64().filter(|&x| x.abs() <= 1e30 && allowed(x));
        let given = match settings.get(key) {
            None | Some(Value::Null) => return Ok(vec![none; count]),
            Some(Value::Array(list)) if list.len() == count => {
                list.iter().map(number).collect::<Option<Vec<f64>>>()
            }
            Some(value) => number(value).map(|number| vec![number; count]),
        };
        given.ok_or_else(|| {
            let wanted = format!("a number, or a list of {count}");
            bad(column, key, &settings[key], &wanted)
        })
    };
    Ok((
        numbers("mean", 0.0, |_| true)?,
        numbers("std", 1.0, |x| x > 1e-30)?,
    ))
}

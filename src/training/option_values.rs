//! What the options of a training may be, and how each is read from JSON.

use serde_json::Value;

use super::error::Error;
use crate::features::{MAX_CLASSES, Scale};
use crate::json_number;
use crate::nn::{Initializer, LossSpec, Range, ScheduleSpec};

/// The largest weight of a class; with more the loss overflows.
const HEAVIEST: f64 = 1e9;

/// How the classes weigh in the loss.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Inversely to their frequency among the training rows: rows / (classes · rows of the class).
    Balanced,
    /// By name; a class that is not named weighs 1.
    Named(Vec<(String, f64)>),
}

/// Whether a new version becomes the deployed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deploy {
    /// It does.
    #[default]
    Always,
    /// It is stored only.
    Never,
    /// If it was judged better than the deployed one, or none is deployed.
    IfBetter,
}

/// Which rows are held out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ValidationSplit {
    /// By lot, each class in proportion (for regression: by lot).
    #[default]
    Stratified,
    /// By lot.
    Random,
    /// The last rows in the query's order.
    Last,
    /// The rows in which this boolean column is true.
    Column(String),
}

/// A number in a range.
pub(super) fn number(range: Range) -> impl Fn(&str, &Value) -> Result<f64, Error> {
    move |key, value| match value.as_f64() {
        Some(number) if range.contains(number) => Ok(number),
        Some(_) => Err(Error::option(key, &format!("must be {}", range.words()))),
        None => Err(Error::option(key, "must be a number")),
    }
}

/// A power between that of the loss poisson and that of the loss gamma.
pub(super) fn tweedie_power(key: &str, value: &Value) -> Result<f64, Error> {
    match value.as_f64() {
        Some(power) if power > 1.0 && power < 2.0 => Ok(power),
        _ => Err(Error::Value {
            name: format!("option \"{key}\""),
            problem: "must be a number greater than 1 and less than 2".into(),
            hint: Some("At 1 it is the loss poisson, at 2 the loss gamma.".into()),
        }),
    }
}

/// A whole number from `low` up.
pub(super) fn whole(low: usize) -> impl Fn(&str, &Value) -> Result<usize, Error> {
    move |key, value| {
        let number = json_number::whole(value).and_then(|number| u32::try_from(number).ok());
        number
            .map(|number| number as usize)
            .filter(|number| *number >= low)
            .ok_or_else(|| Error::option(key, &format!("must be a whole number of at least {low}")))
    }
}

/// A whole number from 1 to `high`.
pub(super) fn at_most(high: usize) -> impl Fn(&str, &Value) -> Result<usize, Error> {
    move |key, value| match whole(1)(key, value)? {
        number if number > high => Err(Error::option(key, &format!("must be at most {high}"))),
        number => Ok(number),
    }
}

/// True or false.
pub(super) fn boolean(key: &str, value: &Value) -> Result<bool, Error> {
    let given = value.as_bool();
    given.ok_or_else(|| Error::option(key, "must be true or false"))
}

fn string<'a>(key: &str, value: &'a Value) -> Result<&'a str, Error> {
    let given = value.as_str();
    given.ok_or_else(|| Error::option(key, "must be a string"))
}

/// The name of a column.
pub(super) fn column(key: &str, value: &Value) -> Result<String, Error> {
    string(key, value).map(str::to_owned)
}

/// The name of a column, or a list of some.
pub(super) fn columns(key: &str, value: &Value) -> Result<Vec<String>, Error> {
    let bad = || {
        Error::option(
            key,
            "must be a column's name or a list of different columns' names",
        )
    };
    let mut columns: Vec<String> = Vec::new();
    for name in one_or_more(value) {
        match name.as_str() {
            Some(name) if !columns.iter().any(|known| known == name) => {
                columns.push(name.to_owned());
            }
            _ => return Err(bad()),
        }
    }
    match columns.is_empty() {
        true => Err(bad()),
        false => Ok(columns),
    }
}

fn one_or_more(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        one => std::slice::from_ref(one),
    }
}

/// A schedule by its name, with its default settings.
pub(super) fn schedule(key: &str, value: &Value) -> Result<ScheduleSpec, Error> {
    let name = string(key, value)?;
    ScheduleSpec::parse(name).ok_or_else(|| {
        let known = ScheduleSpec::ALL.map(|schedule| schedule.name());
        Error::unknown(key, &name.to_lowercase(), &known)
    })
}

/// A loss by its name, with its default settings.
pub(super) fn loss(key: &str, value: &Value) -> Result<LossSpec, Error> {
    let name = string(key, value)?;
    LossSpec::parse(name).ok_or_else(|| {
        let known = LossSpec::all().map(|loss| loss.name());
        Error::unknown(key, name, &known)
    })
}

/// An initializer by its name.
pub(super) fn initializer(key: &str, value: &Value) -> Result<Initializer, Error> {
    let name = string(key, value)?;
    Initializer::parse(name)
        .ok_or_else(|| Error::unknown(key, name, &Initializer::ALL.map(Initializer::name)))
}

/// A scale by its name.
pub(super) fn scale(key: &str, value: &Value) -> Result<Scale, Error> {
    Ok(Scale::parse(string(key, value)?)?)
}

/// A way to split, or the name of a column.
pub(super) fn validation_split(key: &str, value: &Value) -> Result<ValidationSplit, Error> {
    Ok(match string(key, value)? {
        "stratified" => ValidationSplit::Stratified,
        "random" => ValidationSplit::Random,
        "last" => ValidationSplit::Last,
        column => ValidationSplit::Column(column.to_owned()),
    })
}

/// Whether to deploy.
pub(super) fn deploy(key: &str, value: &Value) -> Result<Deploy, Error> {
    match value {
        Value::Bool(true) => Ok(Deploy::Always),
        Value::Bool(false) => Ok(Deploy::Never),
        Value::String(text) if text == "if_better" => Ok(Deploy::IfBetter),
        _ => Err(Error::option(key, "must be true, false or \"if_better\"")),
    }
}

/// A class, which may be written as the value it is in the table: `1`, `true`, `"bad"`.
pub(super) fn class(key: &str, value: &Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(Error::option(key, "must be a class's name")),
    }
}

/// Classes from the least to the greatest, each as it may be written for [`class`].
pub(super) fn levels(key: &str, value: &Value) -> Result<Vec<String>, Error> {
    let bad = || {
        Error::option(
            key,
            "must be a list of at least three different classes, from the least to the greatest",
        )
    };
    let listed = value.as_array().ok_or_else(bad)?;
    let mut levels: Vec<String> = Vec::with_capacity(listed.len());
    for level in listed {
        match class(key, level) {
            Ok(level) if !levels.contains(&level) => levels.push(level),
            _ => return Err(bad()),
        }
    }
    match (3..=MAX_CLASSES).contains(&levels.len()) {
        true => Ok(levels),
        false => Err(bad()),
    }
}

/// Weights of classes.
pub(super) fn class_weights(key: &str, value: &Value) -> Result<ClassWeights, Error> {
    let bad = || {
        Error::option(
            key,
            "must be \"balanced\" or an object from class to a weight, a number from 0 to 1e9",
        )
    };
    match value {
        Value::String(text) if text == "balanced" => Ok(ClassWeights::Balanced),
        Value::Object(map) => {
            let weights = map.iter().map(|(class, weight)| {
                let weight = weight.as_f64().filter(|w| (0.0..=HEAVIEST).contains(w));
                Some((class.clone(), weight?))
            });
            let weights: Option<Vec<_>> = weights.collect();
            weights.map(ClassWeights::Named).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

/// The quantile or quantiles to learn.
pub(super) fn quantiles(key: &str, value: &Value) -> Result<Vec<f64>, Error> {
    let bad = || {
        Error::option(
            key,
            "must be a rising list of numbers between 0 and 1, both excluded",
        )
    };
    let numbers = one_or_more(value).iter().map(Value::as_f64);
    let quantiles: Vec<f64> = numbers.collect::<Option<_>>().ok_or_else(bad)?;
    let inside = quantiles.iter().all(|&q| q > 0.0 && q < 1.0);
    let rising = quantiles.windows(2).all(|pair| pair[0] < pair[1]);
    match inside && rising && (1..=100).contains(&quantiles.len()) {
        true => Ok(quantiles),
        false => Err(bad()),
    }
}

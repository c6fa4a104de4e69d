//! The settings of a column's treatment as an object of JSON gives them.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::column::Column;
use super::error::{Error, unknown};
use super::scales::clip::{CLIPS, default_clip};
use super::scales::rule::Scale;
use crate::json_number;

/// A setting whose value is not one that it takes.
pub(super) fn bad(column: &Column, setting: &str, value: &Value, wanted: &str) -> Error {
    let value: String = value.to_string().chars().take(60).collect();
    Error::invalid(format!(
        "setting \"{setting}\" of column \"{}\" is {value}",
        column.name
    ))
    .with_hint(format!("It takes {wanted}."))
}

/// Refuses settings beside these.
pub(super) fn known_settings(
    settings: &Map<String, Value>,
    column: &Column,
    known: &[&str],
) -> Result<(), Error> {
    match settings.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(unknown(
            &format!("setting of column \"{}\":", column.name),
            key,
            known.iter().copied(),
        )),
    }
}

/// The setting "scale" of numbers, if there is one.
pub(super) fn scale_setting(
    settings: &Map<String, Value>,
    column: &Column,
) -> Result<Option<Scale>, Error> {
    match settings.get("scale") {
        None => Ok(None),
        Some(Value::String(name)) => Scale::parse(name).map(Some),
        Some(other) => {
            let names = "\"standard\", \"minmax\", \"robust\" or \"none\"";
            Err(bad(column, "scale", other, names))
        }
    }
}

/// The setting "clip" of numbers, or what goes with their scale.
pub(super) fn clip_setting(
    settings: &Map<String, Value>,
    column: &Column,
    scale: Scale,
) -> Result<Option<f64>, Error> {
    match settings.get("clip") {
        None => Ok(default_clip(scale)),
        Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(value) => match value.as_f64().filter(|clip| CLIPS.contains(clip)) {
            Some(clip) => Ok(Some(clip)),
            None => {
                let wanted = "a number from 0.01 to 1000000, or null for none";
                Err(bad(column, "clip", value, wanted))
            }
        },
    }
}

/// A setting that is a whole number within these bounds, if it is there.
pub(super) fn whole(
    settings: &Map<String, Value>,
    column: &Column,
    name: &str,
    bounds: RangeInclusive<usize>,
) -> Result<Option<usize>, Error> {
    let Some(value) = settings.get(name) else {
        return Ok(None);
    };
    let number = json_number::whole(value).and_then(|n| usize::try_from(n).ok());
    match number.filter(|n| bounds.contains(n)) {
        Some(n) => Ok(Some(n)),
        None => {
            let (least, most) = bounds.into_inner();
            let wanted = format!("a number from {least} to {most}");
            Err(bad(column, name, value, &wanted))
        }
    }
}

/// A setting that is true or false, if it is there.
pub(super) fn flag(
    settings: &Map<String, Value>,
    column: &Column,
    name: &str,
) -> Result<Option<bool>, Error> {
    match settings.get(name) {
        None => Ok(None),
        Some(Value::Bool(wanted)) => Ok(Some(*wanted)),
        Some(other) => Err(bad(column, name, other, "true or false")),
    }
}

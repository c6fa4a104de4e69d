//! The network of a training that names none, put together from shipped ones by what the features
//! are.

use serde_json::{Value, json};

use super::error::Error;
use crate::models;
use crate::nn::Architecture;

/// For table columns.
const COLUMNS: &str = "tabular";
/// For an image.
const IMAGE: &str = "cnn_32";
/// For a sequence.
const SEQUENCE: &str = "gru_64";
/// Units of the layer in which several branches meet.
const JOINT_UNITS: usize = 64;

/// As what a feature is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As numbers or levels: a table's column.
    Column,
    /// As an image.
    Image,
    /// As a sequence.
    Sequence,
}

/// The default for features of these names and readings.
///
/// Table columns alone get `tabular`, one image `cnn_32`, one sequence `gru_64`. Of several kinds
/// each image and each sequence gets the hidden layers of its own, and what comes of them is joined
/// with the columns in a hidden layer.
///
/// # Errors
/// [`Error::NoArchitecture`] where a shipped one is missing.
pub fn default_architecture(features: &[(&str, Reading)]) -> Result<Architecture, Error> {
    let columns = features
        .iter()
        .any(|(_, reading)| *reading == Reading::Column);
    let branches: Vec<(&str, &str)> = features
        .iter()
        .filter_map(|&(feature, reading)| match reading {
            Reading::Column => None,
            Reading::Image => Some((feature, IMAGE)),
            Reading::Sequence => Some((feature, SEQUENCE)),
        })
        .collect();
    let written = match (branches.as_slice(), columns) {
        ([], _) => shipped(COLUMNS)?,
        ([(_, only)], false) => shipped(only)?,
        _ => joined(&branches, columns)?,
    };
    Ok(Architecture::from_json(&written)?)
}

/// The architecture that a training names or writes, not yet resolved for a task.
pub(crate) fn read_architecture(given: &str) -> Result<Architecture, Error> {
    let text = given.trim();
    if text.starts_with(['{', '[']) {
        return Ok(Architecture::parse(text)?);
    }
    let shipped = models::find(text).ok_or_else(|| Error::NoArchitecture {
        name: text.to_string(),
    })?;
    Ok(Architecture::from_json(&shipped.architecture())?)
}

fn shipped(name: &str) -> Result<Value, Error> {
    let found = models::find(name).ok_or_else(|| Error::NoArchitecture {
        name: name.to_owned(),
    })?;
    Ok(found.architecture())
}

/// The branches side by side, and the columns beside them.
fn joined(branches: &[(&str, &str)], columns: bool) -> Result<Value, Error> {
    let mut layers: Vec<Value> = Vec::new();
    let mut ends: Vec<Value> = Vec::new();
    for (number, &(feature, architecture)) in (1..).zip(branches) {
        let input = format!("branch{number}");
        layers.push(json!({"type": "input", "name": input, "features": [feature]}));
        let mut end = input.clone();
        let hidden = shipped(architecture)?;
        let hidden = hidden["layers"].as_array().map_or(&[][..], Vec::as_slice);
        // These follow one another, and the last is the output.
        for (place, layer) in (1..).zip(hidden.split_last().map_or(&[][..], |(_, rest)| rest)) {
            let mut layer = layer.clone();
            let name = match layer["name"].as_str() {
                Some(name) => format!("{input}.{name}"),
                None => format!("{input}.{place}"),
            };
            layer["name"] = name.as_str().into();
            layer["input"] = end.as_str().into();
            layers.push(layer);
            end = name;
        }
        ends.push(end.into());
    }
    if columns {
        layers.push(json!({"type": "input", "name": "columns"}));
        ends.push("columns".into());
    }
    layers.push(json!({"type": "concat", "name": "branches", "input": ends}));
    layers.push(json!({
        "type": "dense", "name": "joint", "units": JOINT_UNITS, "activation": "relu"
    }));
    layers.push(json!({"type": "output", "name": "output"}));
    Ok(json!({"layers": layers}))
}

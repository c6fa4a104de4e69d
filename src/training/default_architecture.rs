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
/// Bins that a number's values are cut into where it is bent, and units that they lead to: on tables
/// of some thousand rows more of either learn more noise than shape.
const BINS: usize = 16;
const BENT_UNITS: usize = 32;
/// The units of more rows than these.
const MANY_ROWS: usize = 10_000;
const MANY_UNITS: usize = 64;

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

/// Whether the default for features of this reading is the one that [`bent`] is another form of.
pub(super) fn is_tabular(architecture: &Architecture) -> Result<bool, Error> {
    Ok(*architecture == Architecture::from_json(&shipped(COLUMNS)?)?)
}

/// The default for table columns with a piecewise-linear function of each of these numbers in every
/// unit of the first hidden layer, beside what that makes of all columns. After Gorishniy et al., "On
/// Embeddings for Numerical Features in Tabular Deep Learning" (2022).
///
/// # Errors
/// None, as long as the layers are known.
pub(super) fn bent(numbers: &[&str], rows: usize) -> Result<Architecture, Error> {
    let units = match rows {
        0..=MANY_ROWS => BENT_UNITS,
        _ => MANY_UNITS,
    };
    let written = json!({"layers": [
        {"type": "input", "name": "columns"},
        {"type": "scale", "name": "scale", "factor": 6},
        {"type": "dense", "name": "linear", "units": units, "kernel_initializer": "he_normal"},
        {"type": "input", "name": "numbers", "features": numbers},
        {"type": "piecewise_linear", "name": "bends", "bins": BINS, "units": units},
        {"type": "add", "name": "sum", "input": ["linear", "bends"]},
        {"type": "silu", "name": "hidden1"},
        {"type": "dropout", "name": "dropout1", "rate": 0.15},
        {"type": "dense", "name": "hidden2", "units": 64, "activation": "silu",
         "kernel_initializer": "he_normal"},
        {"type": "dropout", "name": "deep", "rate": 0.15},
        {"type": "concat", "name": "wide_and_deep", "input": ["columns", "deep"]},
        {"type": "output", "name": "output", "kernel_initializer": "zeros"},
    ]});
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

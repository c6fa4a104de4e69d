//! The `options` of imported weights.

use serde_json::{Map, Value};

use super::error::Error;
use super::layout::{Flatten, Layout};
use super::rename::Rename;
use crate::features::MAX_CLASSES;
use crate::json_number;
use crate::training;

const KEYS: &[&str] = &[
    "rename",
    "layout",
    "flatten",
    "positive_class",
    "threshold",
    "deploy",
    "multi_label",
    "outputs",
    "target_mean",
    "target_std",
];
/// Most entries of `rename`.
const MAX_RENAMES: usize = 10_000;

/// The options, checked.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Names or prefixes of the file's tensors, with ours.
    pub(super) rename: Vec<Rename>,
    /// How the file's tensors lie.
    pub(super) layout: Option<Layout>,
    /// How the network flattens a sequence behind a convolution.
    pub(super) flatten: Option<Flatten>,
    pub(super) positive_class: Option<String>,
    pub(super) threshold: Option<f64>,
    pub(super) deploy: bool,
    /// Whether the classes are labels, any number of which apply.
    pub(super) multi_label: bool,
    /// Outputs of a regression.
    pub(super) outputs: Option<usize>,
    /// What the network's outputs are multiplied by, and what is then added: for each, or for all.
    pub(super) target_std: Option<Vec<f64>>,
    pub(super) target_mean: Option<Vec<f64>>,
}

impl Options {
    pub(super) fn parse(json: &Value) -> Result<Options, Error> {
        let Value::Object(map) = json else {
            return Err(Error::Other(training::Error::OptionsNotObject));
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Error::Other(training::Error::UnknownOption {
                key: key.chars().take(64).collect(),
                known: KEYS,
            }));
        }
        // As in the options of a training, JSON null is "not given".
        let get = |key: &str| map.get(key).filter(|value| !value.is_null());
        let boolean = |key: &str, default: bool| match get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(key, "must be true or false")),
        };
        Ok(Options {
            rename: match get("rename") {
                None => Vec::new(),
                Some(Value::Object(map)) => renames(map)?,
                Some(_) => return Err(wrong_rename()),
            },
            layout: match get("layout").map(Value::as_str) {
                None => None,
                Some(Some(name)) if Layout::parse(name).is_some() => Layout::parse(name),
                Some(_) => {
                    let names = Layout::NAMES.join("\", \"");
                    return Err(wrong("layout", &format!("must be one of \"{names}\"")));
                }
            },
            flatten: match get("flatten").map(Value::as_str) {
                None => None,
                Some(Some("features_first")) => Some(Flatten::FeaturesFirst),
                Some(Some("steps_first")) => Some(Flatten::StepsFirst),
                Some(_) => {
                    let problem = "must be \"features_first\" or \"steps_first\"";
                    return Err(wrong("flatten", problem));
                }
            },
            positive_class: match get("positive_class") {
                None => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                Some(_) => return Err(wrong("positive_class", "must be a class's name")),
            },
            threshold: match get("threshold").map(Value::as_f64) {
                None => None,
                Some(Some(threshold)) if (0.0..=1.0).contains(&threshold) => Some(threshold),
                Some(_) => return Err(wrong("threshold", "must be between 0 and 1")),
            },
            deploy: boolean("deploy", true)?,
            multi_label: boolean("multi_label", false)?,
            outputs: match get("outputs").map(json_number::whole) {
                None => None,
                Some(Some(outputs)) if (1..=MAX_CLASSES as u64).contains(&outputs) => {
                    Some(outputs as usize)
                }
                Some(_) => {
                    let problem = format!("must be a whole number from 1 to {MAX_CLASSES}");
                    return Err(wrong("outputs", &problem));
                }
            },
            target_mean: numbers("target_mean", get("target_mean"), |_| true)?,
            target_std: numbers("target_std", get("target_std"), |std| std >= 1e-30)?,
        })
    }
}

fn numbers(
    key: &str,
    value: Option<&Value>,
    allowed: impl Fn(f64) -> bool,
) -> Result<Option<Vec<f64>>, Error> {
    let list = match value {
        None => return Ok(None),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let number = |value: &Value| {
        value
            .as_f64()
            .filter(|&number| number.abs() <= 1e30 && allowed(number))
    };
    let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
    match numbers {
        Some(numbers) if !numbers.is_empty() => Ok(Some(numbers)),
        _ if key == "target_std" => Err(wrong(key, "must be a number above 0, or a list of such")),
        _ => Err(wrong(key, "must be a number, or a list of numbers")),
    }
}

fn renames(map: &Map<String, Value>) -> Result<Vec<Rename>, Error> {
    let names = |to: &Value| match to {
        Value::String(to) => Ok(vec![to.clone()]),
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => { list.iter() }
            .map(|to| to.as_str().map(str::to_owned).ok_or_else(wrong_rename))
            .collect(),
        _ => Err(wrong_rename()),
    };
    let renames: Vec<Rename> = map
        .iter()
        .map(|(from, to)| Ok((from.clone(), names(to)?)))
        .collect::<Result<_, Error>>()?;
    if renames.iter().map(|(_, to)| to.len().max(1)).sum::<usize>() > MAX_RENAMES {
        return Err(wrong(
            "rename",
            "has more entries than a network has tensors",
        ));
    }
    Ok(renames)
}

fn wrong(key: &str, problem: &str) -> Error {
    Error::Other(training::Error::option(key, problem))
}

fn wrong_rename() -> Error {
    Error::invalid(
        "option \"rename\" must be an object from names to names",
        "Give the file's tensor names or prefixes with the architecture's, such as \
         {\"backbone.0\": \"conv1\", \"aux\": null}; null leaves tensors out, a list of names \
         gives one tensor several.",
    )
}

//! What the user asks of each column: the `features` argument.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::unknown;
use super::request_arrays::array_treatment;
use super::{
    Column, Dictionary, Error, ImageSettings, Kind, Origin, SequenceSettings, VectorSettings,
};
use crate::nn::Rank;

/// Most levels a categorical column may have an own input for.
pub const MAX_LEVELS: usize = 10_000;
/// How many of the commonest levels are kept unless told otherwise.
pub const DEFAULT_LEVELS: usize = 100;
/// The scaling of numbers unless told otherwise.
pub const DEFAULT_SCALE: Scale = Scale::Robust;
/// Where the smooth clip of robust scaling levels off, as in RealMLP (Holzmüller et al. 2024).
pub const DEFAULT_CLIP: f64 = 3.0;

/// How numbers are brought to a common range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Mean 0, standard deviation 1.
    Standard,
    /// Minimum 0, maximum 1.
    Minmax,
    /// Median 0, interquartile range 1, far values smoothly clipped.
    Robust,
    /// As they come.
    None,
}

impl Scale {
    const NAMES: [&'static str; 4] = ["standard", "minmax", "robust", "none"];

    /// The scaling of this name, in any case.
    pub fn parse(name: &str) -> Result<Scale, Error> {
        match name.to_ascii_lowercase().as_str() {
            "standard" => Ok(Scale::Standard),
            "minmax" => Ok(Scale::Minmax),
            "robust" => Ok(Scale::Robust),
            "none" => Ok(Scale::None),
            _ => Err(unknown("scale", name, Scale::NAMES)),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Scale::NAMES[self as usize]
    }
}

/// What stands in for a missing number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// The mean of the training rows.
    Mean,
    /// The median of the training rows.
    Median,
    /// This number, in the column's own unit.
    Constant(f64),
}

/// How a number is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericSettings {
    /// The scaling.
    pub scale: Scale,
    /// What stands in for a missing value.
    pub missing: Missing,
    /// Whether a second input tells that the value was missing; `None`: when the training rows
    /// have missing values.
    pub indicator: Option<bool>,
    /// Where far values level off, in scaled units; `None`: they do not.
    pub clip: Option<f64>,
}

/// How a category reaches the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One input a level.
    OneHot,
    /// A level's number, for an embedding layer.
    Embedding,
}

/// How a category is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoricalSettings {
    /// How it reaches the network.
    pub encoding: Encoding,
    /// How many of the commonest levels are kept.
    pub max_levels: usize,
    /// The levels themselves, in this order, instead of the commonest.
    pub levels: Option<Vec<String>>,
    /// The width of the embedding; `None`: from the number of levels.
    pub units: Option<usize>,
}

/// The treatment of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Treatment {
    /// As a number.
    Numeric(NumericSettings),
    /// As a category.
    Categorical(CategoricalSettings),
    /// As a fixed number of numbers.
    Vector(VectorSettings),
    /// As an image.
    Image(ImageSettings),
    /// As steps in time.
    Sequence(SequenceSettings),
    /// Left out of the network.
    Ignore,
}

/// What is asked of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The treatment, settings filled in.
    pub treatment: Treatment,
    /// Whether the user named the column. Those not named may be left out automatically.
    pub named: bool,
    /// Whether the model's earlier versions read the column: that it looks like an identifier then
    /// says nothing, as the first training has judged otherwise.
    pub known: bool,
}

impl Default for NumericSettings {
    fn default() -> Self {
        NumericSettings {
            scale: DEFAULT_SCALE,
            missing: default_missing(DEFAULT_SCALE),
            indicator: None,
            clip: default_clip(DEFAULT_SCALE),
        }
    }
}

impl Default for CategoricalSettings {
    fn default() -> Self {
        CategoricalSettings {
            encoding: Encoding::OneHot,
            max_levels: DEFAULT_LEVELS,
            levels: None,
            units: None,
        }
    }
}

impl Request {
    /// The treatment that a column's type suggests.
    pub fn automatic(origin: Origin) -> Request {
        let treatment = match origin {
            Origin::NumberArray | Origin::BooleanArray => {
                Treatment::Vector(VectorSettings::default())
            }
            Origin::Bytes => Treatment::Image(ImageSettings::default()),
            _ if origin.is_number() => Treatment::Numeric(NumericSettings::default()),
            _ => Treatment::Categorical(CategoricalSettings::default()),
        };
        Request {
            treatment,
            named: false,
            known: false,
        }
    }

    /// The treatment of an array of numbers that the user did not name, where the architecture asks
    /// for images or sequences.
    pub fn set_rank(&mut self, origin: Origin, rank: Rank) {
        if self.named || !matches!(origin, Origin::NumberArray | Origin::BooleanArray) {
            return;
        }
        match rank {
            Rank::Any => {}
            Rank::Image => self.treatment = Treatment::Image(ImageSettings::default()),
            Rank::Sequence => self.treatment = Treatment::Sequence(SequenceSettings::default()),
        }
    }

    /// The dictionary to read the column with: the levels that the treatment lists are in it
    /// from the start, so that they keep their codes however many other texts come first.
    pub fn dictionary(&self) -> Dictionary {
        match &self.treatment {
            Treatment::Categorical(settings) => {
                Dictionary::with_levels(settings.levels.as_deref().unwrap_or_default())
            }
            _ => Dictionary::new(),
        }
    }
}

/// How the raw values of a column are to be stored so that the request can be met: the texts of
/// a number that is to be categorical, else what the type suggests.
pub fn storage_kind(request: &Request, origin: Origin) -> Kind {
    match request.treatment {
        Treatment::Categorical(_) => Kind::Category,
        Treatment::Numeric(_) => Kind::Number,
        Treatment::Vector(_) | Treatment::Image(_) | Treatment::Sequence(_) => Kind::Array,
        Treatment::Ignore => origin.kind(),
    }
}

/// Understands the `features` argument: one request a column, in the columns' order.
///
/// # Errors
/// Whatever is not an object of known columns, treatments and settings, naming the nearest known
/// word; a treatment that the column's type does not allow.
pub fn parse_requests(json: Option<&Value>, columns: &[Column]) -> Result<Vec<Request>, Error> {
    let empty = Map::new();
    let object = match json {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(object)) => object,
        Some(_) => {
            return Err(Error::invalid("features is not a JSON object").with_hint(
                "Write an object from column name to treatment, such as \
                 {\"age\": \"numeric\", \"purpose\": \"categorical\"}.",
            ));
        }
    };
    if let Some(name) = object
        .keys()
        .find(|name| !columns.iter().any(|c| c.name == **name))
    {
        let names = columns.iter().map(|c| c.name.as_str());
        return Err(unknown("column in features:", name, names));
    }
    columns
        .iter()
        .map(|column| match object.get(&column.name) {
            None => Ok(Request::automatic(column.origin)),
            Some(value) => parse_request(value, column),
        })
        .collect()
}

const TREATMENTS: [&str; 7] = [
    "numeric",
    "categorical",
    "ignore",
    "vector",
    "image",
    "sequence",
    "text",
];

fn parse_request(value: &Value, column: &Column) -> Result<Request, Error> {
    let empty = Map::new();
    let (name, settings) = match value {
        Value::String(name) => (name.as_str(), &empty),
        Value::Object(settings) => {
            let name = match settings.get("type") {
                None if column.origin.is_number() => "numeric",
                None if column.origin == Origin::Bytes => "image",
                None if column.origin.is_array() => "vector",
                None => "categorical",
                Some(Value::String(name)) => name,
                Some(other) => return Err(bad(column, "type", other, "a treatment's name")),
            };
            (name, settings)
        }
        other => {
            return Err(Error::invalid(format!(
                "the treatment of column \"{}\" is {other}",
                column.name
            ))
            .with_hint("Name a treatment such as \"numeric\", or write an object with \"type\"."));
        }
    };
    let treatment = match name.to_ascii_lowercase().as_str() {
        "numeric" if column.origin.is_number() => numeric(settings, column)?,
        "numeric" => return Err(cannot(column, "numeric")),
        "categorical" if column.origin.is_array() => return Err(cannot(column, "categorical")),
        "categorical" => categorical(settings, column)?,
        "ignore" => {
            known_settings(settings, column, &["type"])?;
            Treatment::Ignore
        }
        array @ ("vector" | "image" | "sequence" | "text") => {
            match array_treatment(array, settings, column) {
                Some(treatment) => treatment?,
                None => return Err(cannot(column, array)),
            }
        }
        _ => {
            return Err(unknown(
                &format!("treatment of column \"{}\":", column.name),
                name,
                TREATMENTS,
            ));
        }
    };
    Ok(Request {
        treatment,
        named: true,
        known: false,
    })
}

fn cannot(column: &Column, treatment: &str) -> Error {
    let hint = if column.origin == Origin::Bytes {
        "Treat it as \"image\", or convert it in the query."
    } else if column.origin.is_array() {
        "Treat it as \"vector\", \"sequence\" or \"image\", or convert it in the query."
    } else if column.origin.is_number() {
        "Treat it as \"numeric\" or \"categorical\", or convert it in the query."
    } else {
        "Treat it as \"categorical\", or convert it in the query."
    };
    Error::type_mismatch(
        format!(
            "column \"{}\" of type {} cannot be treated as \"{treatment}\"",
            column.name, column.sql_type
        ),
        hint,
    )
}

pub(super) fn bad(column: &Column, setting: &str, value: &Value, wanted: &str) -> Error {
    let value: String = value.to_string().chars().take(60).collect();
    Error::invalid(format!(
        "setting \"{setting}\" of column \"{}\" is {value}",
        column.name
    ))
    .with_hint(format!("It takes {wanted}."))
}

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

fn default_missing(scale: Scale) -> Missing {
    match scale {
        Scale::Robust => Missing::Median,
        _ => Missing::Mean,
    }
}

pub(super) fn default_clip(scale: Scale) -> Option<f64> {
    (scale == Scale::Robust).then_some(DEFAULT_CLIP)
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
        Some(value) => match value.as_f64().filter(|c| (0.01..=1e6).contains(c)) {
            Some(clip) => Ok(Some(clip)),
            None => {
                let wanted = "a number from 0.01 to 1000000, or null for none";
                Err(bad(column, "clip", value, wanted))
            }
        },
    }
}

fn numeric(settings: &Map<String, Value>, column: &Column) -> Result<Treatment, Error> {
    known_settings(
        settings,
        column,
        &["type", "scale", "missing", "indicator", "clip"],
    )?;
    let scale = scale_setting(settings, column)?.unwrap_or(DEFAULT_SCALE);
    let missing = match settings.get("missing") {
        None => default_missing(scale),
        Some(Value::String(name)) => match name.to_ascii_lowercase().as_str() {
            "mean" => Missing::Mean,
            "median" => Missing::Median,
            _ => return Err(unknown("value of \"missing\":", name, ["mean", "median"])),
        },
        Some(value) => match value.as_f64().filter(|x| x.is_finite()) {
            Some(number) => Missing::Constant(number),
            None => {
                let wanted = "\"mean\", \"median\" or a number";
                return Err(bad(column, "missing", value, wanted));
            }
        },
    };
    let indicator = match settings.get("indicator") {
        None => None,
        Some(Value::Bool(wanted)) => Some(*wanted),
        Some(other) => return Err(bad(column, "indicator", other, "true or false")),
    };
    let clip = clip_setting(settings, column, scale)?;
    Ok(Treatment::Numeric(NumericSettings {
        scale,
        missing,
        indicator,
        clip,
    }))
}

fn categorical(settings: &Map<String, Value>, column: &Column) -> Result<Treatment, Error> {
    known_settings(settings, column, &["type", "encoding", "levels", "units"])?;
    let mut result = CategoricalSettings::default();
    match settings.get("encoding") {
        None => {}
        Some(Value::String(name)) => {
            result.encoding = match name.to_ascii_lowercase().as_str() {
                "one_hot" => Encoding::OneHot,
                "embedding" => Encoding::Embedding,
                _ => return Err(unknown("encoding", name, ["one_hot", "embedding"])),
            }
        }
        Some(other) => {
            let wanted = "\"one_hot\" or \"embedding\"";
            return Err(bad(column, "encoding", other, wanted));
        }
    }
    let wanted = format!("a number from 1 to {MAX_LEVELS}, or a list of distinct texts");
    match settings.get("levels") {
        None => {}
        Some(Value::Array(list)) => {
            result.levels = Some(levels(list, column, &wanted)?);
        }
        Some(value) => match value.as_u64() {
            Some(n) if (1..=MAX_LEVELS as u64).contains(&n) => result.max_levels = n as usize,
            _ => return Err(bad(column, "levels", value, &wanted)),
        },
    }
    if let Some(value) = settings.get("units") {
        result.units = match value.as_u64() {
            Some(n) if (1..=4096).contains(&n) => Some(n as usize),
            _ => return Err(bad(column, "units", value, "a number from 1 to 4096")),
        };
        if result.encoding == Encoding::OneHot && settings.contains_key("encoding") {
            return Err(Error::invalid(format!(
                "setting \"units\" of column \"{}\" goes with \"encoding\": \"embedding\"",
                column.name
            ))
            .with_hint("Leave out \"units\", or set \"encoding\" to \"embedding\"."));
        }
        result.encoding = Encoding::Embedding;
    }
    Ok(Treatment::Categorical(result))
}

pub(super) fn levels(list: &[Value], column: &Column, wanted: &str) -> Result<Vec<String>, Error> {
    let mut seen = std::collections::HashSet::new();
    let mut result = Vec::with_capacity(list.len().min(MAX_LEVELS));
    for value in list {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => return Err(bad(column, "levels", other, wanted)),
        };
        if !seen.insert(text.clone()) {
            return Err(Error::invalid(format!(
                "column \"{}\" lists the level {text:?} twice",
                column.name
            ))
            .with_hint("List each level once."));
        }
        result.push(text);
    }
    if result.is_empty() || result.len() > MAX_LEVELS {
        return Err(Error::invalid(format!(
            "column \"{}\" lists {} levels",
            column.name,
            result.len()
        ))
        .with_hint(format!("It takes {wanted}.")));
    }
    Ok(result)
}

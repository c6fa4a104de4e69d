//! Features that are told rather than fitted: those of a network that was trained elsewhere.

use serde_json::{Map, Value};

use super::error::unknown;
use super::request::{bad, known_settings, levels};
use super::{
    Column, Error, Feature, FeatureSet, Fitted, MAX_FEATURES, MAX_LEVELS, Origin, Profile, Scale,
};

/// The SQL types a feature may be said to have, with their usual short names and their family.
const TYPES: &[(&str, &str, Origin)] = &[
    ("double precision", "float8", Origin::Float),
    ("real", "float4", Origin::Float),
    ("smallint", "int2", Origin::Integer),
    ("integer", "int", Origin::Integer),
    ("bigint", "int8", Origin::Integer),
    ("numeric", "decimal", Origin::Numeric),
    ("boolean", "bool", Origin::Boolean),
    ("date", "date", Origin::Date),
    (
        "timestamp without time zone",
        "timestamp",
        Origin::Timestamp,
    ),
    ("timestamp with time zone", "timestamptz", Origin::Timestamp),
    ("text", "text", Origin::Text),
    ("character varying", "varchar", Origin::Text),
    ("uuid", "uuid", Origin::Uuid),
    ("double precision[]", "float8[]", Origin::NumberArray),
    ("real[]", "float4[]", Origin::NumberArray),
    ("smallint[]", "int2[]", Origin::NumberArray),
    ("integer[]", "int[]", Origin::NumberArray),
    ("bigint[]", "int8[]", Origin::NumberArray),
    ("numeric[]", "decimal[]", Origin::NumberArray),
    ("boolean[]", "bool[]", Origin::BooleanArray),
    ("bytea", "bytea", Origin::Bytes),
];

/// The SQL type of this name, in any letter case, and its family, if a feature may be said to have it.
pub fn told_type(name: &str) -> Option<(&'static str, Origin)> {
    let lower = name.to_ascii_lowercase();
    TYPES
        .iter()
        .find(|(name, short, _)| [*name, *short].contains(&lower.as_str()))
        .map(|(name, _, origin)| (*name, *origin))
}

/// How many deviations from the mean an infinity counts as.
const FAR: f64 = 1e6;

const HINT: &str = "Give an array in call order, such as [{\"name\": \"age\", \"type\": \
                    \"numeric\"}, {\"name\": \"purpose\", \"type\": \"categorical\", \"levels\": \
                    [\"car\", \"house\"]}].";

/// What reads a feature, by its name, and whether it is the only one: `Some` for an embedding, with
/// the vocabulary that it says it has.
pub type EmbeddingOf<'a> = dyn Fn(&str, bool) -> Option<Option<usize>> + 'a;

impl FeatureSet {
    /// The features that a JSON array describes in call order, each an object with `name`, `type`
    /// and settings. Nothing is fitted: numbers are taken as they come, unless `mean` and `std` are
    /// given, and categories have just the inputs of their `levels`. Arrays are vectors, images and
    /// sequences of the size that the settings say. `embedding` knows what embeddings read.
    ///
    /// # Errors
    /// What is no such array, or a name, type or setting that is wrong, missing, or there twice.
    pub fn told(json: &Value, embedding: &EmbeddingOf<'_>) -> Result<FeatureSet, Error> {
        let Value::Array(list) = json else {
            return Err(Error::invalid("features is not a JSON array").with_hint(HINT));
        };
        if list.is_empty() || list.len() > MAX_FEATURES {
            return Err(Error::invalid(format!(
                "features lists {} columns, and takes from 1 to {MAX_FEATURES}",
                list.len()
            ))
            .with_hint(HINT));
        }
        let mut features: Vec<Feature> = Vec::with_capacity(list.len());
        for (i, value) in list.iter().enumerate() {
            let feature = feature(i + 1, value, &|name| embedding(name, list.len() == 1))?;
            if features.iter().any(|other| other.name == feature.name) {
                return Err(
                    Error::invalid(format!("features lists \"{}\" twice", feature.name))
                        .with_hint("Give each feature a name of its own."),
                );
            }
            features.push(feature);
        }
        FeatureSet::new(features).map_err(|error| match error {
            // What is damaged in a stored set is a mistake in one just written.
            Error::Damaged(fault) => Error::invalid(format!("features cannot be used: {fault}"))
                .with_hint("Correct the feature that the message names."),
            other => other,
        })
    }
}

fn feature(
    place: usize,
    value: &Value,
    embedding: &dyn Fn(&str) -> Option<Option<usize>>,
) -> Result<Feature, Error> {
    let Value::Object(settings) = value else {
        return Err(Error::invalid(format!("feature {place} is no JSON object")).with_hint(HINT));
    };
    let text = |key: &str| match settings.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
        _ => Err(
            Error::invalid(format!("feature {place} needs a \"{key}\", which is text"))
                .with_hint(HINT),
        ),
    };
    let (name, treatment) = (text("name")?, text("type")?);
    let treatment = treatment.to_ascii_lowercase();
    let mut column = match treatment.as_str() {
        "numeric" => Column::new(name, "double precision", Origin::Float),
        "categorical" => Column::new(name, "text", Origin::Text),
        "vector" | "image" | "sequence" => Column::new(name, "real[]", Origin::NumberArray),
        _ => {
            return Err(unknown(
                &format!("type of feature \"{name}\":"),
                &treatment,
                ["numeric", "categorical", "vector", "image", "sequence"],
            ));
        }
    };
    sql_type(settings, &mut column)?;
    let fitted = match treatment.as_str() {
        "numeric" if !column.origin.is_number() => {
            return Err(Error::type_mismatch(
                format!(
                    "feature \"{name}\" of type {} is not a number",
                    column.sql_type
                ),
                "Give it another \"sql_type\", or the type \"categorical\".",
            ));
        }
        "numeric" => numeric(settings, &column)?,
        "categorical" => categorical(settings, &column, embedding(name).is_some())?,
        array => match Fitted::told_array(array, settings, &column, embedding(name)) {
            Some(fitted) => fitted?,
            None => {
                return Err(Error::type_mismatch(
                    format!(
                        "feature \"{name}\" of type {} cannot be treated as \"{array}\"",
                        column.sql_type
                    ),
                    "Leave out \"sql_type\", or name an array; an image may be bytea.",
                ));
            }
        },
    };
    Ok(Feature {
        name: column.name,
        sql_type: column.sql_type,
        origin: column.origin,
        treatment: fitted,
        profile: Profile::None,
    })
}

/// The SQL type that calls give the feature, if the settings name one.
fn sql_type(settings: &Map<String, Value>, column: &mut Column) -> Result<(), Error> {
    let Some(value) = settings.get("sql_type") else {
        return Ok(());
    };
    let names = TYPES.iter().map(|(name, ..)| *name);
    let Value::String(given) = value else {
        return Err(bad(column, "sql_type", value, "the name of an SQL type"));
    };
    let Some((name, origin)) = told_type(given) else {
        return Err(unknown(
            &format!("sql_type of feature \"{}\":", column.name),
            given,
            names,
        ));
    };
    *column = Column::new(std::mem::take(&mut column.name), name, origin);
    Ok(())
}

fn numeric(settings: &Map<String, Value>, column: &Column) -> Result<Fitted, Error> {
    let known = [
        "name",
        "type",
        "sql_type",
        "mean",
        "std",
        "missing",
        "indicator",
    ];
    known_settings(settings, column, &known)?;
    let number = |key: &str| match settings.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|x| x.abs() <= 1e30) {
            Some(number) => Ok(Some(number)),
            None => Err(bad(column, key, value, "a number")),
        },
    };
    let (mean, std) = (number("mean")?, number("std")?);
    if let Some(value) = settings
        .get("std")
        .filter(|_| std.is_some_and(|std| std < 1e-30))
    {
        return Err(bad(column, "std", value, "a number above 0"));
    }
    let (center, divisor) = (mean.unwrap_or(0.0), std.unwrap_or(1.0));
    let indicator = match settings.get("indicator") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(wanted)) => *wanted,
        Some(other) => return Err(bad(column, "indicator", other, "true or false")),
    };
    Ok(Fitted::Numeric {
        scale: match (mean, std) {
            (None, None) => Scale::None,
            _ => Scale::Standard,
        },
        center,
        divisor,
        missing: number("missing")?.unwrap_or(center),
        low: center - FAR * divisor,
        high: center + FAR * divisor,
        indicator,
        clip: None,
    })
}

fn categorical(
    settings: &Map<String, Value>,
    column: &Column,
    by_architecture: bool,
) -> Result<Fitted, Error> {
    let known = [
        "name", "type", "sql_type", "levels", "encoding", "other", "units",
    ];
    known_settings(settings, column, &known)?;
    let wanted = format!("a list of 1 to {MAX_LEVELS} distinct texts");
    let levels = match settings.get("levels") {
        Some(Value::Array(list)) => levels(list, column, &wanted)?,
        other => {
            let given = other.unwrap_or(&Value::Null);
            return Err(bad(column, "levels", given, &wanted));
        }
    };
    let embedding = match settings.get("encoding") {
        None => by_architecture,
        Some(Value::String(name)) => match name.to_ascii_lowercase().as_str() {
            "one_hot" if by_architecture => {
                return Err(bad(
                    column,
                    "encoding",
                    &settings["encoding"],
                    "\"embedding\", since an embedding layer reads it",
                ));
            }
            "one_hot" => false,
            "embedding" => true,
            _ => return Err(unknown("encoding", name, ["one_hot", "embedding"])),
        },
        Some(other) => {
            let wanted = "\"one_hot\" or \"embedding\"";
            return Err(bad(column, "encoding", other, wanted));
        }
    };
    let other = match settings.get("other") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(wanted)) => *wanted,
        Some(value) => return Err(bad(column, "other", value, "true or false")),
    };
    let units = match settings.get("units") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_u64().filter(|units| (1..=4096).contains(units)) {
            Some(units) => Some(units as usize),
            None => return Err(bad(column, "units", value, "a number from 1 to 4096")),
        },
    };
    if !embedding {
        return match settings.get("units") {
            Some(value) if units.is_some() => {
                let wanted = "no value unless \"encoding\" is \"embedding\"";
                Err(bad(column, "units", value, wanted))
            }
            _ => Ok(Fitted::OneHot {
                levels,
                exact: !other,
            }),
        };
    }
    if !by_architecture && units.is_none() {
        let wanted =
            "the length of the embedding's vectors, which no layer of the architecture reads";
        return Err(bad(column, "units", &Value::Null, wanted));
    }
    Ok(Fitted::Index {
        levels,
        units: units.filter(|_| !by_architecture),
        exact: false,
    })
}

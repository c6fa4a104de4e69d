//! Features that are told rather than fitted: those of a network that was trained elsewhere.

use serde_json::{Map, Value};

use super::column::{Column, Origin};
use super::error::{Error, unknown};
use super::feature::Feature;
use super::profile::Profile;
use super::set::{FeatureSet, MAX_FEATURES};
use super::settings::bad;
use super::treatment::Told;
use super::treatments::{self, Known};

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
    let Some((known, mut column)) = treatments::find(treatment).and_then(|known| {
        let (sql_type, origin) = known.of.told_as?;
        Some((known, Column::new(name, sql_type, origin)))
    }) else {
        let mut can_be_told: Vec<&Known> = treatments::all();
        can_be_told.retain(|known| known.of.told_as.is_some());
        return Err(unknown(
            &format!("type of feature \"{name}\":"),
            &treatment.to_ascii_lowercase(),
            can_be_told.iter().map(|known| known.of.name),
        ));
    };
    sql_type(settings, &mut column)?;
    let treatment = (known.told)(&Told {
        settings,
        column: &column,
        embedded: embedding(name),
    })?;
    Ok(Feature {
        name: column.name,
        sql_type: column.sql_type,
        origin: column.origin,
        treatment,
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

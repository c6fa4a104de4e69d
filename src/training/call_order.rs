//! Which of a query's columns are features, and in what order a call gives them.

use serde_json::Value;

use super::error::Error;
use super::options::Options;
use super::roles::{Given, Roles};
use crate::features::{Feature, FeatureSet, Origin, quote_identifier};

/// The columns that have no part of their own, by their places in the query's result.
pub(super) struct CallOrder {
    /// The features in call order.
    pub(super) features: Vec<usize>,
    /// Those that `features` says to ignore.
    pub(super) ignored: Vec<usize>,
    /// Those that the model's earlier versions have left out.
    pub(super) passed_over: Vec<usize>,
}

impl CallOrder {
    /// Finds them. `signature` is the features of the model's earlier versions, whose order is kept.
    ///
    /// # Errors
    /// When these are other ones, or `features` names one that they left out.
    pub(super) fn find(
        given: &[Given],
        roles: &Roles<'_>,
        features: Option<&Value>,
        options: &Options,
        signature: Option<&FeatureSet>,
    ) -> Result<CallOrder, Error> {
        let (ignored, places): (Vec<usize>, Vec<usize>) = (0..given.len())
            .filter(|&place| roles.part_of(place).is_none())
            .partition(|&place| is_ignored(features, &given[place].name));
        let mut order = CallOrder {
            features: places,
            ignored,
            passed_over: Vec::new(),
        };
        let Some(signature) = signature else {
            return Ok(order);
        };
        let added = options.add_features.as_deref().unwrap_or_default();
        (order.features, order.passed_over) =
            in_call_order(given, &order.features, signature, added, roles)?;
        if options.goes_on() {
            // What the network does not see is not read.
            order.features.retain(|&place| {
                let known = signature.position(&given[place].name);
                known.is_none_or(|at| signature.features[at].is_used())
            });
        }
        let is_named = |name: &str| features.is_some_and(|f| f.get(name).is_some());
        let mut passed_over = order.passed_over.iter().map(|&place| &given[place].name);
        match passed_over.find(|name| is_named(name)) {
            Some(column) => Err(Error::NewColumn {
                column: column.clone(),
            }),
            None => Ok(order),
        }
    }
}

/// Whether `features` says to ignore the column.
fn is_ignored(features: Option<&Value>, column: &str) -> bool {
    let treatment = features.and_then(|features| features.get(column));
    treatment
        .map(|treatment| treatment.get("type").unwrap_or(treatment))
        .and_then(Value::as_str)
        .is_some_and(|name| name.eq_ignore_ascii_case("ignore"))
}

/// The places of the signature's features, in its order, then of those that are added; and of the
/// columns that the signature's versions left out.
fn in_call_order(
    given: &[Given],
    places: &[usize],
    signature: &FeatureSet,
    added: &[String],
    roles: &Roles<'_>,
) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let mut ordered = Vec::with_capacity(signature.features.len() + added.len());
    let place_of = |name: &str| places.iter().copied().find(|&at| given[at].name == name);
    for feature in &signature.features {
        match place_of(&feature.name) {
            Some(place) if can_stand_for(&given[place], feature) => ordered.push(place),
            Some(place) => {
                return Err(Error::Signature(format!(
                    "column \"{}\" is of type {}, but {} in the model's earlier versions",
                    feature.name, given[place].sql_type, feature.sql_type
                )));
            }
            None if !feature.is_used() => {}
            None => return Err(missing(given, &feature.name, roles)),
        }
    }
    for name in added {
        if signature.position(name).is_some() {
            return Err(Error::Value {
                name: "option \"add_features\"".into(),
                problem: format!("names column \"{name}\", which is a feature already"),
                hint: Some("Leave its name out: the option is for new features alone.".into()),
            });
        }
        let Some(place) = place_of(name) else {
            return Err(Error::Value {
                name: "option \"add_features\"".into(),
                problem: format!(
                    "names column \"{name}\", which the query does not give as a feature"
                ),
                hint: Some("Add it to the query, or correct the name.".into()),
            });
        };
        ordered.push(place);
    }
    let mut passed_over = Vec::new();
    for &place in places.iter().filter(|place| !ordered.contains(place)) {
        let column = &given[place].name;
        if !signature
            .left_out
            .iter()
            .any(|left_out| left_out.column == *column)
        {
            return Err(Error::NewColumn {
                column: column.clone(),
            });
        }
        passed_over.push(place);
    }
    Ok((ordered, passed_over))
}

/// Why a feature of the earlier versions is not among the features.
fn missing(given: &[Given], name: &str, roles: &Roles<'_>) -> Error {
    let place = given.iter().position(|column| column.name == name);
    match place.map(|place| (place, roles.part_of(place))) {
        Some((_, Some(part))) => Error::Value {
            name: part.into(),
            problem: format!(
                "names column \"{name}\", which is a feature of the model's earlier versions"
            ),
            hint: Some(format!(
                "Give the query a copy of the column under another name for it, such as {} AS {}.",
                quote_identifier(name),
                quote_identifier(&format!("{name}_copy")),
            )),
        },
        Some((_, None)) => Error::Signature(format!(
            "column \"{name}\", a feature of the model's earlier versions, cannot be ignored"
        )),
        None => Error::Signature(format!(
            "column \"{name}\", a feature of the model's earlier versions, is missing from the \
             query"
        )),
    }
}

/// Whether the values of a column can stand for those of a feature: any number for a number, any
/// text for a text; of dates and times only the same.
fn can_stand_for(column: &Given, feature: &Feature) -> bool {
    let is_number = |origin| matches!(origin, Origin::Integer | Origin::Float | Origin::Numeric);
    let alike = |given: Origin| match feature.origin {
        known if is_number(known) => is_number(given),
        Origin::Timestamp | Origin::Enum => false,
        known => known == given,
    };
    column.sql_type == feature.sql_type || column.origin.is_some_and(alike)
}

//! Which column of a query's result plays which part in a training.

use serde_json::Value;

use super::error::Error;
use super::options::{Options, nearest};
use crate::features::{
    Column, FeatureSet, Kind, Origin, Request, TargetRequest, Task, parse_requests, storage_kind,
    target_kind,
};

/// A column of the query's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Its type's name.
    pub sql_type: String,
    /// Its type's family; `None` for a type that nothing here can read.
    pub origin: Option<Origin>,
}

/// A column that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Its place in the query's result.
    pub place: usize,
    /// As what it is kept.
    pub kind: Kind,
    /// Whether a text is kept as a number that tells it from others.
    pub hashed: bool,
}

/// The parts of the query's columns. What is read comes in this order: the features in call
/// order, the target, then what the options name.
#[derive(Debug)]
pub struct Plan {
    /// The features in call order.
    pub features: Vec<Column>,
    /// What shall be done with each feature.
    pub requests: Vec<Request>,
    /// The column to predict.
    pub target: Column,
    /// Every column that is read.
    pub reads: Vec<Read>,
    /// Where among `reads` the rows' weights are.
    pub weight: Option<usize>,
    /// Where the flag is that holds rows out.
    pub flag: Option<usize>,
    /// Where the group is whose rows stay together.
    pub group: Option<usize>,
}

impl Plan {
    /// Assigns the parts.
    ///
    /// `signature` is the features of the model's earlier versions: theirs is the call order, and
    /// the query must have just these columns, of these types.
    ///
    /// # Errors
    /// When the target or a column the options name is missing, a column has a type that cannot
    /// be read, `features` asks for what is not possible, or the signature is another one.
    pub fn new(
        given: &[Given],
        target: &str,
        features: Option<&Value>,
        task: Option<Task>,
        options: &Options,
        signature: Option<&FeatureSet>,
    ) -> Result<Plan, Error> {
        let place = |name: &str, asked_by: &str| {
            given
                .iter()
                .position(|column| column.name == name)
                .ok_or_else(|| {
                    let names: Vec<&str> =
                        given.iter().map(|column| column.name.as_str()).collect();
                    let asked_by = match nearest(name, &names) {
                        Some(near) => format!("Perhaps you mean \"{near}\": {asked_by}"),
                        None => format!("The {asked_by}"),
                    };
                    Error::NoColumn {
                        column: name.to_string(),
                        asked_by,
                    }
                })
        };
        let target_place = place(target, "argument target")?;
        let named = options.named_columns();
        let mut apart = vec![target_place];
        for (option, column) in &named {
            let at = place(column, &format!("option {option}"))?;
            if at == target_place {
                return Err(Error::option(option, "names the target"));
            }
            apart.push(at);
        }
        let mut places: Vec<usize> = (0..given.len())
            .filter(|place| !apart.contains(place))
            .collect();
        if let Some(signature) = signature {
            places = in_call_order(given, &places, signature)?;
        }
        let mut columns = Vec::with_capacity(places.len());
        for &place in &places {
            let column = &given[place];
            let ignored = features
                .and_then(|f| f.get(&column.name))
                .is_some_and(|t| t == "ignore" || t.get("type").is_some_and(|t| t == "ignore"));
            match column.origin {
                Some(origin) => columns.push(Column::new(&column.name, &column.sql_type, origin)),
                None if ignored => {
                    // Never read, but calls still accept it.
                    columns.push(Column::new(&column.name, &column.sql_type, Origin::Text));
                }
                None => {
                    return Err(Error::Features(crate::features::Error::Type {
                        message: format!(
                            "column \"{}\" is of type {}, which a feature cannot have",
                            column.name, column.sql_type
                        ),
                        hint: Some(
                            "Cast it in the query, or leave it out with \
                             features => {\"column\": \"ignore\"}."
                                .into(),
                        ),
                    }));
                }
            }
        }
        let requests = parse_requests(features, &columns)?;
        for (column, request) in columns.iter_mut().zip(&requests) {
            column.kind = storage_kind(request, column.origin);
        }
        let target_column = {
            let column = &given[target_place];
            let origin = column.origin.ok_or_else(|| {
                Error::Features(crate::features::Error::Type {
                    message: format!(
                        "the target \"{}\" is of type {}, which cannot be predicted",
                        column.name, column.sql_type
                    ),
                    hint: Some("Cast it to a number, a boolean or text in the query.".into()),
                })
            })?;
            let request = TargetRequest {
                task,
                ..TargetRequest::default()
            };
            Column {
                kind: target_kind(&request, origin),
                ..Column::new(&column.name, &column.sql_type, origin)
            }
        };
        let mut reads: Vec<Read> = places
            .iter()
            .zip(&columns)
            .map(|(&place, column)| Read {
                place,
                kind: column.kind,
                hashed: false,
            })
            .collect();
        reads.push(Read {
            place: target_place,
            kind: target_column.kind,
            hashed: false,
        });
        let (mut weight, mut flag, mut group) = (None, None, None);
        for ((option, name), &place) in named.iter().zip(&apart[1..]) {
            let column = &given[place];
            let at = reads.len();
            let hashed = match (*option, column.origin) {
                ("sample_weight", Some(origin)) if origin.is_number() => {
                    weight = Some(at);
                    false
                }
                ("validation_split", Some(Origin::Boolean)) => {
                    flag = Some(at);
                    false
                }
                ("validation_group", Some(origin)) => {
                    group = Some(at);
                    !origin.is_number()
                }
                _ => {
                    return Err(Error::option(
                        option,
                        &format!(
                            "names column \"{name}\" of type {}, which it cannot take",
                            column.sql_type
                        ),
                    ));
                }
            };
            reads.push(Read {
                place,
                kind: Kind::Number,
                hashed,
            });
        }
        Ok(Plan {
            features: columns,
            requests,
            target: target_column,
            reads,
            weight,
            flag,
            group,
        })
    }

    /// Where among `reads` the target is.
    pub fn target_at(&self) -> usize {
        self.features.len()
    }
}

/// The places of the signature's features, in its order.
fn in_call_order(
    given: &[Given],
    places: &[usize],
    signature: &FeatureSet,
) -> Result<Vec<usize>, Error> {
    let mut ordered = Vec::with_capacity(signature.features.len());
    for feature in &signature.features {
        let Some(&place) = places
            .iter()
            .find(|&&place| given[place].name == feature.name)
        else {
            return Err(Error::Signature(format!(
                "column \"{}\", a feature of the model's earlier versions, is missing from the query",
                feature.name
            )));
        };
        if given[place].sql_type != feature.sql_type {
            return Err(Error::Signature(format!(
                "column \"{}\" is of type {}, but {} in the model's earlier versions",
                feature.name, given[place].sql_type, feature.sql_type
            )));
        }
        ordered.push(place);
    }
    if let Some(&other) = places.iter().find(|place| !ordered.contains(place)) {
        return Err(Error::Signature(format!(
            "column \"{}\" is no feature of the model's earlier versions",
            given[other].name
        )));
    }
    Ok(ordered)
}

//! Which column of a query's result plays which part in a training.

use serde_json::Value;

use super::choose_architecture::{architecture_for, read_architecture};
use super::error::Error;
use super::nearest::nearest;
use super::option_values::ValidationSplit;
use super::options::Options;
use crate::features::{
    ArrayShape, Column, Dictionary, Feature, FeatureSet, Fitted, Intake, Kind, Origin, Request,
    TargetRequest, Task, Treatment, features_argument, parse_requests, quote_identifier,
    storage_kind, target_kind,
};
use crate::nn::Rank;

/// A column of the query's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Its type's name.
    pub sql_type: String,
    /// Its type's family; `None` for a type that nothing here can read.
    pub origin: Option<Origin>,
    /// The family of an array's elements; `None` for what is no array.
    pub element: Option<Origin>,
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
    /// The columns that `features` says to ignore, which are no features.
    pub ignored: Vec<String>,
    /// The columns that the model's earlier versions have left out, which are no features.
    pub passed_over: Vec<String>,
    /// Every column that is read.
    pub reads: Vec<Read>,
    /// For each column read as a category the dictionary to read it with, which holds the levels
    /// that are fixed beforehand.
    pub dictionaries: Vec<Option<Dictionary>>,
    /// Where among `reads` the rows' weights are.
    pub weight: Option<usize>,
    /// Where the flag is that holds rows out.
    pub flag: Option<usize>,
    /// Where the group is whose rows stay together.
    pub group: Option<usize>,
    /// What makes sequences of the rows, if anything does.
    pub sequence: Option<SequencePlan>,
}

/// How a query's rows become sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencePlan {
    /// The places in the query's result of the columns in which the steps of a sequence agree.
    pub by: Vec<usize>,
    /// The places of the columns that order the steps.
    pub order: Vec<usize>,
    /// Where among `reads` the number is by which the newest sequences are told, when they are to
    /// be held out.
    pub newest: Option<usize>,
}

impl Plan {
    /// Assigns the parts.
    ///
    /// `signature` is the features of the model's earlier versions: theirs is the call order, and
    /// the query must have just these columns, of types that can stand for theirs, and those that
    /// the options add. Columns that the earlier versions left out may be there.
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
        let named_places = apart.split_off(1);
        let mut sequence = sequence_plan(given, target_place, options, &place)?;
        if let (Some(set), None) | (None, Some(set)) = (
            signature.filter(|set| set.steps.is_some()),
            signature.filter(|_| sequence.is_some()),
        ) {
            return Err(Error::Signature(match &set.steps {
                Some(steps) => format!(
                    "the model's earlier versions are of sequences; give option \"sequence_by\", \
                     then \"{}\", and option \"order_by\"",
                    steps.by.join("\", \"")
                ),
                None => "the model's earlier versions are of single rows, not of sequences".into(),
            }));
        }
        apart.extend_from_slice(&named_places);
        if let Some(sequence) = &sequence {
            apart.extend(sequence.by.iter().chain(&sequence.order));
        }
        let (ignored, mut places): (Vec<usize>, Vec<usize>) = (0..given.len())
            .filter(|place| !apart.contains(place))
            .partition(|&place| is_ignored(features, &given[place].name));
        let mut passed_over = Vec::new();
        let parts = Apart {
            target: target_place,
            named: named
                .iter()
                .map(|(option, _)| *option)
                .zip(named_places.iter().copied())
                .collect(),
            sequence: sequence.as_ref(),
        };
        let kept = signature.filter(|_| options.goes_on());
        if let Some(signature) = signature {
            let added = options.add_features.as_deref().unwrap_or_default();
            let is_named = |name: &str| features.is_some_and(|f| f.get(name).is_some());
            (places, passed_over) = in_call_order(given, &places, signature, added, &parts)?;
            if kept.is_some() {
                // What the network does not see is not read.
                places.retain(|&place| {
                    let known = signature.position(&given[place].name);
                    known.is_none_or(|at| signature.features[at].is_used())
                });
            }
            if let Some(&place) = passed_over.iter().find(|at| is_named(&given[**at].name)) {
                return Err(Error::NewColumn {
                    column: given[place].name.clone(),
                });
            }
        }
        let mut columns = Vec::with_capacity(places.len() + ignored.len());
        for &place in &places {
            let column = &given[place];
            match column.origin {
                Some(origin) => columns.push(Column::new(&column.name, &column.sql_type, origin)),
                None => {
                    return Err(Error::Features(crate::features::Error::Type {
                        message: format!(
                            "column \"{}\" is of type {}, which a feature cannot have",
                            column.name, column.sql_type
                        ),
                        hint: Some(format!(
                            "Cast it in the query, or leave it out with {}.",
                            features_argument(&column.name, &"ignore".into())
                        )),
                    }));
                }
            }
        }
        // What is ignored is parsed too, so that it is known by name, and then forgotten.
        columns.extend(ignored.iter().chain(&passed_over).map(|&place| {
            let column = &given[place];
            let origin = column.origin.unwrap_or(Origin::Text);
            Column::new(&column.name, &column.sql_type, origin)
        }));
        for (place, column) in given.iter().enumerate() {
            let asked = features.and_then(|features| features.get(&column.name));
            if let (Some(_), Some(part)) = (asked, parts.part_of(place)) {
                return Err(Error::Value {
                    name: "features".into(),
                    problem: match place == target_place {
                        true => format!("names column \"{}\", which is the target", column.name),
                        false => format!("names column \"{}\", as {part} does", column.name),
                    },
                    hint: Some("It is no feature: leave it out there.".into()),
                });
            }
        }
        let mut requests = parse_requests(features, &columns)?;
        columns.truncate(places.len());
        requests.truncate(places.len());
        let kept_feature = |name: &str| {
            let set = kept?;
            set.features.get(set.position(name)?)
        };
        for (column, request) in columns.iter().zip(&mut requests) {
            let earlier = signature.and_then(|set| set.features.get(set.position(&column.name)?));
            request.known = earlier.is_some_and(Feature::is_used);
            if kept_feature(&column.name).is_none() {
                continue;
            }
            if request.named {
                return Err(Error::Value {
                    name: "features".into(),
                    problem: format!(
                        "says how to treat column \"{}\", whose treatment by the deployed version \
                         is kept",
                        column.name
                    ),
                    hint: Some(
                        "Leave it out of features: a training that goes on from the deployed \
                         version's weights keeps its scales and levels, too."
                            .into(),
                    ),
                });
            }
            request.treatment = Treatment::Ignore;
        }
        let mut dictionaries = Vec::with_capacity(columns.len() + 1);
        for (column, request) in columns.iter_mut().zip(&requests) {
            let fitted = kept_feature(&column.name);
            column.kind = match fitted {
                Some(feature) => feature.kind(),
                None => storage_kind(request, column.origin),
            };
            dictionaries.push((column.kind == Kind::Category).then(|| match fitted {
                Some(feature) => Dictionary::with_levels(feature.levels().unwrap_or_default()),
                None => request.dictionary(),
            }));
        }
        let target_column = {
            let column = &given[target_place];
            let readable = column.origin.filter(|origin| !origin.is_array());
            let element = column
                .element
                .filter(|element| !matches!(element, Origin::Date | Origin::Timestamp));
            let origin = readable.or(element).ok_or_else(|| {
                Error::Features(crate::features::Error::Type {
                    message: format!(
                        "the target \"{}\" is of type {}, which cannot be predicted",
                        column.name, column.sql_type
                    ),
                    hint: Some(
                        "Cast it to a number, a boolean or text, or an array of these, in the \
                         query."
                            .into(),
                    ),
                })
            })?;
            let request = TargetRequest {
                task,
                ..TargetRequest::default()
            };
            Column {
                kind: target_kind(&request, origin, readable.is_none()),
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
        dictionaries.push(target_column.kind.is_coded().then(Dictionary::new));
        let (mut weight, mut flag, mut group) = (None, None, None);
        for ((option, name), &place) in named.iter().zip(&named_places) {
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
                ("validation_group", Some(origin)) if !origin.is_array() => {
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
            dictionaries.push(None);
        }
        if let Some(sequence) = &mut sequence
            && options.validation_split == Some(ValidationSplit::Last)
        {
            let place = sequence.order.first().copied().unwrap_or_default();
            let column = &given[place];
            if !column.origin.is_some_and(Origin::is_number) {
                return Err(Error::Value {
                    name: "option \"validation_split\"".into(),
                    problem: format!(
                        "cannot be last: order_by's column \"{}\" is of type {}, by which the \
                         newest sequences cannot be told",
                        column.name, column.sql_type
                    ),
                    hint: Some("Order the steps by a date, a timestamp or a number.".into()),
                });
            }
            sequence.newest = Some(reads.len());
            reads.push(Read {
                place,
                kind: Kind::Number,
                hashed: false,
            });
            dictionaries.push(None);
        }
        let names = |places: &[usize]| -> Vec<String> {
            let names = places.iter().map(|&place| given[place].name.clone());
            names.collect()
        };
        Ok(Plan {
            features: columns,
            requests,
            target: target_column,
            ignored: names(&ignored),
            passed_over: names(&passed_over),
            reads,
            dictionaries,
            weight,
            flag,
            group,
            sequence,
        })
    }

    /// Settles what the architecture decides: whether arrays that the user did not name are read as
    /// vectors, images or sequences, and which sequences are tokens of an embedding. Of no concern
    /// to a warm start, which keeps all that.
    ///
    /// # Errors
    /// An architecture that is unknown or cannot be read.
    pub fn settle_arrays(&mut self, architecture: Option<&str>) -> Result<(), Error> {
        if !self
            .features
            .iter()
            .any(|column| column.kind == Kind::Array)
        {
            return Ok(());
        }
        let architecture = match architecture {
            Some(given) => read_architecture(given)?,
            None => architecture_for(self)?,
        };
        let only = self.features.len() == 1;
        for (request, column) in self.requests.iter_mut().zip(&self.features) {
            let embedded = architecture.embedding_of(&column.name, only);
            let rank = match embedded {
                Some(_) => Rank::Sequence,
                None => architecture.input_rank(&column.name),
            };
            request.set_rank(column.origin, rank);
            if let (Treatment::Sequence(settings), Some(vocabulary)) =
                (&mut request.treatment, embedded)
            {
                settings.vocabulary = vocabulary.or(settings.vocabulary);
            }
        }
        Ok(())
    }

    /// Settles which arrays are held in double precision while they are read: those that are scaled
    /// number by number, unless their type has no more than single precision. `kept` is what a warm
    /// start goes on with.
    pub fn settle_precision(&mut self, kept: Option<&FeatureSet>) {
        for (at, column) in self.features.iter_mut().enumerate() {
            if column.kind != Kind::Array || column.is_single() {
                continue;
            }
            let fitted = kept.and_then(|set| set.features.get(set.position(&column.name)?));
            let is_scaled = match fitted {
                Some(feature) => {
                    matches!(
                        feature.treatment,
                        Fitted::Vector { .. } | Fitted::Sequence { .. }
                    )
                }
                None => self.requests.get(at).is_some_and(|request| {
                    matches!(
                        request.treatment,
                        Treatment::Vector(_) | Treatment::Sequence(_)
                    )
                }),
            };
            if is_scaled {
                column.kind = Kind::Numbers;
                if let Some(read) = self.reads.get_mut(at) {
                    read.kind = Kind::Numbers;
                }
            }
        }
    }

    /// For each column that is read as arrays what takes these in; `kept` is what a warm start goes
    /// on with, and `memory` the bytes that an image may take when it is decoded.
    pub fn intakes(&self, kept: Option<&FeatureSet>, memory: usize) -> Vec<Option<Intake>> {
        let of_feature = |at: usize| {
            let (column, request) = (self.features.get(at)?, self.requests.get(at)?);
            let fitted = kept.and_then(|set| set.features.get(set.position(&column.name)?));
            matches!(column.kind, Kind::Array | Kind::Numbers).then(|| match fitted {
                Some(feature) => Intake::fitted(feature, memory),
                None => Intake::new(request, column, memory),
            })
        };
        (0..self.reads.len()).map(of_feature).collect()
    }

    /// Keeps the shape of each feature's arrays, which reading them has told.
    pub fn set_shapes(&mut self, shapes: impl Iterator<Item = Option<ArrayShape>>) {
        for (column, shape) in self.features.iter_mut().zip(shapes) {
            column.shape = shape;
        }
    }

    /// Where among `reads` the target is.
    pub fn target_at(&self) -> usize {
        self.features.len()
    }
}

/// The columns that `sequence_by` and `order_by` name.
fn sequence_plan(
    given: &[Given],
    target: usize,
    options: &Options,
    place: &dyn Fn(&str, &str) -> Result<usize, Error>,
) -> Result<Option<SequencePlan>, Error> {
    let (Some(by), Some(order)) = (&options.sequence_by, &options.order_by) else {
        return Ok(None);
    };
    let places = |option: &str, columns: &[String]| {
        let places = columns.iter().map(|column| {
            let at = place(column, &format!("option {option}"))?;
            if at == target {
                return Err(Error::option(option, "names the target"));
            }
            Ok(at)
        });
        places.collect::<Result<Vec<usize>, Error>>()
    };
    let by = places("sequence_by", by)?;
    let unreadable = |column: &&Given| column.origin.is_none_or(Origin::is_array);
    if let Some(column) = by.iter().map(|&at| &given[at]).find(unreadable) {
        return Err(Error::option(
            "sequence_by",
            &format!(
                "names column \"{}\" of type {}, which it cannot take",
                column.name, column.sql_type
            ),
        ));
    }
    Ok(Some(SequencePlan {
        by,
        order: places("order_by", order)?,
        newest: None,
    }))
}

/// Whether `features` says to ignore the column.
fn is_ignored(features: Option<&Value>, column: &str) -> bool {
    let treatment = features.and_then(|features| features.get(column));
    treatment
        .map(|treatment| treatment.get("type").unwrap_or(treatment))
        .and_then(Value::as_str)
        .is_some_and(|name| name.eq_ignore_ascii_case("ignore"))
}

/// The columns that have a part of their own, and so are no features.
struct Apart<'a> {
    target: usize,
    /// By which option.
    named: Vec<(&'static str, usize)>,
    sequence: Option<&'a SequencePlan>,
}

impl Apart<'_> {
    /// What names the column at this place for its part.
    fn part_of(&self, place: usize) -> Option<&'static str> {
        let named = self.named.iter().find(|(_, at)| *at == place);
        let in_sequence = |plan: &SequencePlan| match (&plan.by, &plan.order) {
            (by, _) if by.contains(&place) => Some("option \"sequence_by\""),
            (_, order) if order.contains(&place) => Some("option \"order_by\""),
            _ => None,
        };
        match named {
            _ if place == self.target => Some("the argument target"),
            Some(("sample_weight", _)) => Some("option \"sample_weight\""),
            Some(("validation_split", _)) => Some("option \"validation_split\""),
            Some(_) => Some("option \"validation_group\""),
            None => self.sequence.and_then(in_sequence),
        }
    }
}

/// The places of the signature's features, in its order, then of those that are added; and of the
/// columns that the signature's versions left out.
fn in_call_order(
    given: &[Given],
    places: &[usize],
    signature: &FeatureSet,
    added: &[String],
    apart: &Apart<'_>,
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
            None => return Err(missing(given, &feature.name, apart)),
        }
    }
    for name in added {
        if signature.position(name).is_some() {
            return Err(Error::option(
                "add_features",
                &format!("names column \"{name}\", which is a feature already"),
            ));
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
fn missing(given: &[Given], name: &str, apart: &Apart<'_>) -> Error {
    let place = given.iter().position(|column| column.name == name);
    match place.map(|place| (place, apart.part_of(place))) {
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

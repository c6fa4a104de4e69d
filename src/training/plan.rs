//! Which column of a query's result plays which part in a training.

use serde_json::Value;

use super::call_order::CallOrder;
use super::default_architecture::{Reading, default_architecture, read_architecture};
use super::error::Error;
use super::option_values::ValidationSplit;
use super::options::Options;
use super::roles::{Given, Roles, SequencePlan};
use crate::features::{
    ArrayShape, Column, Dictionary, Feature, FeatureSet, IgnoreSettings, Intake, Kind, Origin,
    Request, STEPS_INPUT, TargetRequest, Task, Treatment, features_argument, is_plain_number,
    parse_requests, storage_kind, target_kind,
};
use crate::nn::{Architecture, Rank};

/// A column that is read.
#[derive(Debug)]
pub struct Read {
    /// Its place in the query's result.
    pub place: usize,
    /// As what it is kept.
    pub kind: Kind,
    /// Whether a text is kept as a number that tells it from others.
    pub hashed: bool,
    /// If it is read as a category the dictionary to read it with, which holds the levels that are
    /// fixed beforehand.
    pub dictionary: Option<Dictionary>,
}

/// Where among what is read the columns are that are no features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// The target.
    pub target: usize,
    /// The rows' weights.
    pub weight: Option<usize>,
    /// What the rows' numbers are over.
    pub exposure: Option<usize>,
    /// The flag that holds rows out.
    pub flag: Option<usize>,
    /// The group whose rows stay together.
    pub group: Option<usize>,
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
    /// Where among these the others than the features are.
    pub at: Parts,
    /// What makes sequences of the rows, if anything does.
    pub sequence: Option<SequencePlan>,
    /// The labels of the target's type in their order, if it is an enum and the order matters.
    pub enum_labels: Option<Vec<String>>,
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
        let roles = Roles::find(given, target, options)?;
        roles.check_form(signature)?;
        let order = CallOrder::find(given, &roles, features, options, signature)?;
        let mut columns = columns(given, &order)?;
        roles.check_no_features(|name| features.is_some_and(|f| f.get(name).is_some()))?;
        // What is ignored is parsed too, so that it is known by name, and then forgotten.
        let mut requests = parse_requests(features, &columns)?;
        columns.truncate(order.features.len());
        requests.truncate(order.features.len());
        let kept = signature.filter(|_| options.goes_on());
        ask_for_new(&columns, &mut requests, signature, kept)?;
        let mut reads = read_features(&order.features, &mut columns, &requests, kept);
        let target = target_column(&given[roles.target], task)?;
        let mut at = Parts {
            target: reads.len(),
            ..Parts::default()
        };
        reads.push(Read {
            dictionary: target.kind.is_coded().then(Dictionary::new),
            ..Read::new(roles.target, target.kind)
        });
        read_named(given, &roles.named, &mut reads, &mut at)?;
        let mut sequence = roles.sequence;
        if let Some(sequence) = &mut sequence
            && options.validation_split == Some(ValidationSplit::Last)
        {
            read_newest(given, sequence, &mut reads)?;
        }
        let names = |places: &[usize]| -> Vec<String> {
            let names = places.iter().map(|&place| given[place].name.clone());
            names.collect()
        };
        Ok(Plan {
            features: columns,
            requests,
            target,
            ignored: names(&order.ignored),
            passed_over: names(&order.passed_over),
            reads,
            at,
            sequence,
            enum_labels: None,
        })
    }

    /// The architecture that suits the columns where none is named.
    ///
    /// # Errors
    /// As of [`default_architecture`].
    pub(super) fn default_architecture(&self) -> Result<Architecture, Error> {
        if self.sequence.is_some() {
            return default_architecture(&[(STEPS_INPUT, Reading::Sequence)]);
        }
        let reading = |treatment: &Treatment| match treatment {
            Treatment::Image(_) => Reading::Image,
            Treatment::Sequence(_) => Reading::Sequence,
            _ => Reading::Column,
        };
        let features: Vec<(&str, Reading)> = (self.features.iter().zip(&self.requests))
            .map(|(column, request)| (column.name.as_str(), reading(&request.treatment)))
            .collect();
        default_architecture(&features)
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
            None => self.default_architecture()?,
        };
        let only = self.features.len() == 1;
        for (request, column) in self.requests.iter_mut().zip(&self.features) {
            let embedded = architecture.embedding_of(&column.name, only);
            let rank = match embedded {
                Some(_) => Rank::Sequence,
                None => architecture.input_rank(&column.name),
            };
            request.set_rank(column.origin, rank);
            if let Some(Some(vocabulary)) = embedded {
                request.set_vocabulary(vocabulary);
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
                Some(feature) => feature.is_scaled_array(),
                None => {
                    let request = self.requests.get(at);
                    request.is_some_and(Request::is_scaled_array)
                }
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
}

impl Read {
    fn new(place: usize, kind: Kind) -> Read {
        Read {
            place,
            kind,
            hashed: false,
            dictionary: None,
        }
    }
}

/// The features as columns, and behind them those that are ignored or passed over.
fn columns(given: &[Given], order: &CallOrder) -> Result<Vec<Column>, Error> {
    let features = order.features.iter().map(|&place| {
        let column = &given[place];
        let origin = column.origin.ok_or_else(|| {
            Error::Features(crate::features::Error::Type {
                message: format!(
                    "column \"{}\" is of type {}, which a feature cannot have",
                    column.name, column.sql_type
                ),
                hint: Some(format!(
                    "Cast it in the query, or leave it out with {}.",
                    features_argument(&column.name, &"ignore".into())
                )),
            })
        })?;
        Ok(Column::new(&column.name, &column.sql_type, origin))
    });
    let mut columns = features.collect::<Result<Vec<Column>, Error>>()?;
    let others = order.ignored.iter().chain(&order.passed_over);
    columns.extend(others.map(|&place| {
        let column = &given[place];
        let origin = column.origin.unwrap_or(Origin::Text);
        Column::new(&column.name, &column.sql_type, origin)
    }));
    Ok(columns)
}

/// The feature of an earlier version that has this name.
fn feature_of<'a>(set: Option<&'a FeatureSet>, name: &str) -> Option<&'a Feature> {
    let set = set?;
    set.features.get(set.position(name)?)
}

/// Asks nothing of the features whose treatment is kept, and notes which ones are known.
///
/// # Errors
/// `features` names one that is kept.
fn ask_for_new(
    columns: &[Column],
    requests: &mut [Request],
    signature: Option<&FeatureSet>,
    kept: Option<&FeatureSet>,
) -> Result<(), Error> {
    for (column, request) in columns.iter().zip(requests) {
        request.known = feature_of(signature, &column.name).is_some_and(Feature::is_used);
        if feature_of(kept, &column.name).is_none() {
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
        request.treatment = Treatment::Ignore(IgnoreSettings);
    }
    Ok(())
}

/// How the features are read, which becomes their columns' kind.
fn read_features(
    places: &[usize],
    columns: &mut [Column],
    requests: &[Request],
    kept: Option<&FeatureSet>,
) -> Vec<Read> {
    let features = columns.iter_mut().zip(requests).zip(places);
    let reads = features.map(|((column, request), &place)| {
        let fitted = feature_of(kept, &column.name);
        column.kind = match fitted {
            Some(feature) => feature.kind(),
            None => storage_kind(request, column.origin),
        };
        Read {
            dictionary: (column.kind == Kind::Category).then(|| match fitted {
                Some(feature) => Dictionary::with_levels(feature.levels().unwrap_or_default()),
                None => request.dictionary(),
            }),
            ..Read::new(place, column.kind)
        }
    });
    reads.collect()
}

/// The target as a column.
///
/// # Errors
/// A type that cannot be predicted.
fn target_column(column: &Given, task: Option<Task>) -> Result<Column, Error> {
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
                "Cast it to a number, a boolean or text, or an array of these, in the query."
                    .into(),
            ),
        })
    })?;
    let request = TargetRequest {
        task,
        ..TargetRequest::default()
    };
    Ok(Column {
        kind: target_kind(&request, origin, readable.is_none()),
        ..Column::new(&column.name, &column.sql_type, origin)
    })
}

/// Reads the columns that options name, which are of types that these can take.
fn read_named(
    given: &[Given],
    named: &[(&'static str, usize)],
    reads: &mut Vec<Read>,
    at: &mut Parts,
) -> Result<(), Error> {
    for &(option, place) in named {
        let column = &given[place];
        let mut read = Read::new(place, Kind::Number);
        let part = match (option, column.origin) {
            ("sample_weight", Some(origin)) if origin.is_number() => &mut at.weight,
            ("exposure", Some(origin)) if is_plain_number(origin) => &mut at.exposure,
            ("validation_split", Some(Origin::Boolean)) => &mut at.flag,
            ("validation_group", Some(origin)) if !origin.is_array() => {
                read.hashed = !origin.is_number();
                &mut at.group
            }
            _ => return Err(column.unfit(option)),
        };
        *part = Some(reads.len());
        reads.push(read);
    }
    Ok(())
}

/// Reads the number by which the newest sequences are told.
fn read_newest(
    given: &[Given],
    sequence: &mut SequencePlan,
    reads: &mut Vec<Read>,
) -> Result<(), Error> {
    let place = sequence.order.first().copied().unwrap_or_default();
    let column = &given[place];
    if !column.origin.is_some_and(Origin::is_number) {
        return Err(Error::Value {
            name: "option \"validation_split\"".into(),
            problem: format!(
                "cannot be last: order_by's column \"{}\" is of type {}, by which the newest \
                 sequences cannot be told",
                column.name, column.sql_type
            ),
            hint: Some("Order the steps by a date, a timestamp or a number.".into()),
        });
    }
    sequence.newest = Some(reads.len());
    reads.push(Read::new(place, Kind::Number));
    Ok(())
}

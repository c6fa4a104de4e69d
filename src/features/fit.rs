//! Fitting: from the training rows to scales, levels and profiles.

use super::column::{ArrayShape, Column};
use super::error::Error;
use super::feature::Feature;
use super::gather::gathered::{FitRows, Gathered, gather, identifiers};
use super::ignored::Ignored;
use super::left_out::LeftOut;
use super::request::Request;
use super::set::FeatureSet;
use super::treatment::Site;
use super::treatments::Treatment;

/// What fitting gives.
#[derive(Debug)]
pub struct Fit {
    /// The features in the columns' order, those left out as [`Ignored`].
    pub set: FeatureSet,
    /// What was left out without having been asked to.
    pub left_out: Vec<LeftOut>,
    /// What may be meant otherwise, a sentence each.
    pub warnings: Vec<String>,
}

/// Fits the treatments of these columns, the first ones of the rows, on those that are trained on.
///
/// Reads all rows once or twice, block by block, in memory that does not depend on their number
/// (but for two bits a row and candidate column while identifiers are looked for). `embedded` names
/// the features that the architecture embeds.
///
/// # Errors
/// No training row, no feature left, columns whose values are not of the kind that
/// [`storage_kind`](super::storage_kind) names, or an interruption.
pub fn fit(
    requests: &[Request],
    columns: &[Column],
    embedded: &[String],
    given: &mut FitRows<'_>,
) -> Result<Fit, Error> {
    if requests.len() != columns.len() || given.dictionaries.len() < columns.len() {
        return Err(Error::invalid("one request and dictionary a column"));
    }
    check_rows(given)?;
    let is_embedded = |column: &Column| embedded.contains(&column.name);
    for (request, column) in requests.iter().zip(columns) {
        if is_embedded(column) {
            request.treatment.asked().check_embedding(column)?;
        }
    }
    let shapes: Vec<Option<ArrayShape>> = requests
        .iter()
        .zip(columns)
        .map(|(request, column)| request.treatment.asked().seen_shape(column))
        .collect();
    let gathered = gather(columns, &shapes, given)?;
    let named: Vec<bool> = requests.iter().map(|request| request.named).collect();
    let identifiers = identifiers(&named, columns, &gathered, given)?;

    let mut left_out = Vec::new();
    let mut warnings = Vec::new();
    let mut features = Vec::with_capacity(columns.len());
    for (i, (request, column)) in requests.iter().zip(columns).enumerate() {
        let site = Site {
            column,
            gathered: &gathered[i],
            dictionary: given.dictionaries[i].as_ref(),
            embedded: is_embedded(column),
        };
        let reason = match request.treatment {
            Treatment::Ignore(_) => None,
            _ if request.named || site.embedded => None,
            _ if identifiers[i] && !request.known => Some(
                "all of its values are distinct integers close together, as in an identifier"
                    .to_owned(),
            ),
            _ => site.gathered.unusable(column, site.dictionary),
        };
        if let Some(reason) = &reason {
            left_out.push(LeftOut::new(&column.name, reason));
        } else {
            if !matches!(request.treatment, Treatment::Ignore(_)) {
                warnings.extend(site.gathered.infinities(column));
            }
            if !request.named {
                warnings.extend(numbers_as_texts(&site));
            }
        }
        let treatment = match reason {
            Some(reason) => Ignored::because(reason).into(),
            None => request.treatment.fit(&site)?,
        };
        features.push(Feature {
            name: column.name.clone(),
            sql_type: column.sql_type.clone(),
            origin: column.origin,
            profile: treatment.learnt().profile(site.gathered, site.dictionary),
            treatment,
        });
    }
    FeatureSet::check_inputs(&features)?;
    let set = FeatureSet::new(features)?;
    if set.step_width() == 0 {
        return Err(no_feature_left(given.is_training.count()));
    }
    Ok(Fit {
        set,
        left_out,
        warnings,
    })
}

fn check_rows(given: &FitRows<'_>) -> Result<(), Error> {
    match given.is_training.count() == 0 || given.rows.rows() == 0 {
        true => Err(Error::NoRows),
        false => Ok(()),
    }
}

/// The error of columns that tell nothing, for which it may be that too few rows are trained on.
fn no_feature_left(rows: usize) -> Error {
    const FEW: usize = 10;
    if rows >= FEW {
        return Error::invalid("no feature is left to learn from").with_hint(
            "Every column is ignored, constant or an identifier; name those to keep in features.",
        );
    }
    let are = if rows == 1 { "row is" } else { "rows are" };
    Error::invalid(format!(
        "no feature is left to learn from: only {rows} {are} trained on, in which every column is \
         constant, or ignored"
    ))
    .with_hint("Hold fewer rows out, or give the query more of them.")
}

/// The warning that a column of texts may be meant as numbers.
fn numbers_as_texts(site: &Site<'_>) -> Option<String> {
    let Gathered::Category(codes) = site.gathered else {
        return None;
    };
    let (levels, numbers) = codes.numbers_as_texts(site.column, site.dictionary)?;
    let name = &site.column.name;
    Some(format!(
        "column \"{name}\" is text whose values look like numbers: it is treated as {levels} \
         categories; {}",
        numbers.hint(name)
    ))
}

/// Fits nothing, and gives a set with the same treatments and the profile of other training rows:
/// for a version that starts from another one's weights and so must keep its scales and levels.
/// Gives what may be meant otherwise, too, a sentence each.
///
/// # Errors
/// As for [`fit`].
pub fn refresh_profiles(
    set: &FeatureSet,
    given: &mut FitRows<'_>,
) -> Result<(FeatureSet, Vec<String>), Error> {
    if given.dictionaries.len() < set.features.len() {
        return Err(Error::invalid("one dictionary a column"));
    }
    check_rows(given)?;
    let columns: Vec<Column> = set.features.iter().map(Feature::column).collect();
    let shapes: Vec<Option<ArrayShape>> = columns.iter().map(|column| column.shape).collect();
    let gathered = gather(&columns, &shapes, given)?;
    let mut set = set.clone();
    let dictionaries = given.dictionaries.iter().map(Option::as_ref);
    for ((feature, gathered), dictionary) in
        set.features.iter_mut().zip(&gathered).zip(dictionaries)
    {
        feature.profile = feature.treatment.learnt().profile(gathered, dictionary);
    }
    let infinite = columns.iter().zip(&gathered);
    let warnings = infinite.filter_map(|(column, gathered)| gathered.infinities(column));
    Ok((set, warnings.collect()))
}

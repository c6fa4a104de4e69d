//! Fitting: from the training rows to scales, levels and profiles.

use super::fit_arrays::fit_array;
use super::gather::{Gathered, gather, identifiers, wrong_kind};
use super::number_like::{NumberLike, looks_like_numbers};
use super::request::{CategoricalSettings, Encoding, Missing, NumericSettings};
use super::rows::statistics::{Moments, quantile};
use super::set::{MAX_VECTORS, MAX_WIDTH};
use super::{
    ArrayShape, BitMask, Column, Dictionary, Error, Feature, FeatureSet, Fitted, LeftOut, Origin,
    Profile, RawRows, Request, Scale, Treatment,
};
use crate::nn::Crew;

/// What fitting gives.
#[derive(Debug)]
pub struct Fit {
    /// The features in the columns' order, those left out as [`Fitted::Ignored`].
    pub set: FeatureSet,
    /// What was left out without having been asked to.
    pub left_out: Vec<LeftOut>,
    /// What may be meant otherwise, a sentence each.
    pub warnings: Vec<String>,
}

/// Fits the treatments on the training rows.
///
/// Reads all rows once or twice, block by block, in memory that does not depend on their number
/// (but for two bits a row and candidate column while identifiers are looked for). The first
/// columns of the blocks are `columns`, in this order; `is_training` has one bit a row;
/// `embedded` names the features that the architecture embeds; `crew` computes where there is one,
/// with the result of one thread.
///
/// # Errors
/// No training row, no feature left, columns whose values are not of the kind that
/// [`storage_kind`](super::storage_kind) names, or an interruption.
#[allow(clippy::too_many_arguments)]
pub fn fit(
    requests: &[Request],
    columns: &[Column],
    dictionaries: &[Option<Dictionary>],
    rows: &mut dyn RawRows,
    is_training: &BitMask,
    embedded: &[String],
    crew: Option<Crew<'_>>,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Fit, Error> {
    if requests.len() != columns.len() || dictionaries.len() < columns.len() {
        return Err(Error::invalid("one request and dictionary a column"));
    }
    let training = is_training.count();
    if training == 0 || rows.rows() == 0 {
        return Err(Error::NoRows);
    }
    for (request, column) in requests.iter().zip(columns) {
        if matches!(request.treatment, Treatment::Numeric(_)) && embedded.contains(&column.name) {
            return Err(Error::type_mismatch(
                format!(
                    "column \"{}\" is numeric and cannot be embedded",
                    column.name
                ),
                "Treat it as \"categorical\" in features, or take the embedding out of the \
                 architecture.",
            ));
        }
    }
    let shapes: Vec<Option<ArrayShape>> = requests
        .iter()
        .zip(columns)
        .map(|(request, column)| seen_shape(request, column))
        .collect();
    let gathered = gather(
        columns,
        &shapes,
        dictionaries,
        rows,
        is_training,
        crew,
        interrupted,
    )?;
    let identifiers = identifiers(requests, columns, &gathered, rows, interrupted)?;

    let mut left_out = Vec::new();
    let mut warnings = Vec::new();
    let mut features = Vec::with_capacity(columns.len());
    for (i, (request, column)) in requests.iter().zip(columns).enumerate() {
        let dictionary = dictionaries[i].as_ref();
        let reason = match request.treatment {
            Treatment::Ignore => Some("ignored as asked".to_owned()),
            _ if request.named || embedded.contains(&column.name) => None,
            _ if identifiers[i] && !request.known => Some(
                "all of its values are distinct integers close together, as in an identifier"
                    .to_owned(),
            ),
            _ => unusable(column, &gathered[i], dictionary),
        };
        if let Some(reason) = &reason
            && request.treatment != Treatment::Ignore
        {
            left_out.push(LeftOut::new(&column.name, reason));
        } else if !request.named
            && let Some((levels, numbers)) = numbers_as_texts(column, &gathered[i], dictionary)
        {
            warnings.push(format!(
                "column \"{}\" is text whose values look like numbers: it is treated as {levels} \
                 categories; {}",
                column.name,
                numbers.hint(&column.name)
            ));
        }
        let (treatment, profile) = match (&gathered[i], &request.treatment, reason) {
            (
                Gathered::Number {
                    moments, sample, ..
                },
                Treatment::Numeric(settings),
                None,
            ) => {
                let fitted = numeric(settings, moments, sample);
                (fitted, deciles(moments, sample))
            }
            (gathered, Treatment::Categorical(settings), None) => {
                let by_architecture = embedded.contains(&column.name);
                categorical(settings, by_architecture, gathered, dictionary, column)?
            }
            (
                Gathered::Array {
                    moments,
                    sample,
                    elements,
                },
                treatment,
                None,
            ) => {
                let by_architecture = embedded.contains(&column.name);
                let column = Column {
                    shape: shapes[i],
                    ..column.clone()
                };
                let mut fitted =
                    fit_array(treatment, by_architecture, elements.as_deref(), &column)?;
                if let Fitted::Image { geometry, .. } = &mut fitted {
                    geometry.shape = stored_image(&columns[i]);
                }
                (fitted, deciles(moments, sample))
            }
            (
                Gathered::Number {
                    moments, sample, ..
                }
                | Gathered::Array {
                    moments, sample, ..
                },
                _,
                Some(reason),
            ) => (Fitted::Ignored { reason }, deciles(moments, sample)),
            (_, _, Some(reason)) => (Fitted::Ignored { reason }, Profile::None),
            _ => return Err(wrong_kind(column)),
        };
        features.push(Feature {
            name: column.name.clone(),
            sql_type: column.sql_type.clone(),
            origin: column.origin,
            treatment,
            profile,
        });
    }
    check_inputs(&features)?;
    let set = FeatureSet::new(features)?;
    if set.step_width() == 0 {
        return Err(Error::invalid("no feature is left to learn from").with_hint(
            "Every column is ignored, constant or an identifier; name those to keep in features.",
        ));
    }
    Ok(Fit {
        set,
        left_out,
        warnings,
    })
}

/// Refuses more inputs than a model can have, while the user can still do something about it.
fn check_inputs(features: &[Feature]) -> Result<(), Error> {
    let width = |feature: &Feature| feature.width();
    let vectors = features
        .iter()
        .filter(|feature| matches!(feature.treatment, Fitted::Vector { .. }));
    for (what, total, most) in [
        (
            "features",
            features.iter().map(width).sum::<usize>(),
            MAX_WIDTH,
        ),
        ("vectors", vectors.map(width).sum(), MAX_VECTORS),
    ] {
        if total > most {
            return Err(Error::invalid(format!(
                "the {what} give {total} inputs together, and at most {most} are possible"
            ))
            .with_hint("Ignore some of them in features, or make their arrays smaller."));
        }
    }
    Ok(())
}

/// Fits nothing, and gives a set with the same treatments and the profile of other training rows:
/// for a version that starts from another one's weights and so must keep its scales and levels.
///
/// # Errors
/// As for [`fit`].
pub fn refresh_profiles(
    set: &FeatureSet,
    dictionaries: &[Option<Dictionary>],
    rows: &mut dyn RawRows,
    is_training: &BitMask,
    crew: Option<Crew<'_>>,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<FeatureSet, Error> {
    if dictionaries.len() < set.features.len() {
        return Err(Error::invalid("one dictionary a column"));
    }
    if is_training.count() == 0 || rows.rows() == 0 {
        return Err(Error::NoRows);
    }
    let columns: Vec<Column> = set
        .features
        .iter()
        .map(|f| Column {
            name: f.name.clone(),
            sql_type: f.sql_type.clone(),
            kind: f.kind(),
            origin: f.origin,
            shape: f.shape(),
        })
        .collect();
    let shapes: Vec<Option<ArrayShape>> = set.features.iter().map(Feature::shape).collect();
    let gathered = gather(
        &columns,
        &shapes,
        dictionaries,
        rows,
        is_training,
        crew,
        interrupted,
    )?;
    let mut set = set.clone();
    for (i, (feature, gathered)) in set.features.iter_mut().zip(gathered).enumerate() {
        let profile = match (gathered, feature.levels(), &dictionaries[i]) {
            (
                Gathered::Number {
                    moments, sample, ..
                }
                | Gathered::Array {
                    moments, sample, ..
                },
                None,
                _,
            ) => deciles(&moments, &sample),
            (gathered, Some(levels), Some(dictionary)) => {
                level_profile(levels, &gathered, dictionary)
            }
            _ => Profile::None,
        };
        feature.profile = profile;
    }
    Ok(set)
}

/// The shape that the arrays of a column have once they are taken in.
fn seen_shape(request: &Request, column: &Column) -> Option<ArrayShape> {
    match (&request.treatment, stored_image(column)) {
        (Treatment::Image(settings), Some(shape)) => {
            Some(ArrayShape::image(settings.geometry.output(shape)))
        }
        _ => column.shape,
    }
}

/// Channels, height and width of the images that a column holds.
fn stored_image(column: &Column) -> Option<[usize; 3]> {
    match column.shape {
        Some(ArrayShape::Image {
            channels,
            height,
            width,
        }) => Some([channels, height, width]),
        _ => None,
    }
}

/// Why a column that the user did not name is of no use, if it is.
fn unusable(
    column: &Column,
    gathered: &Gathered,
    dictionary: Option<&Dictionary>,
) -> Option<String> {
    match gathered {
        Gathered::Number { moments, .. } => {
            let infinite = moments.infinite > 0;
            if moments.count() == 0 && !infinite {
                return Some("it has no value in any training row".to_owned());
            }
            let same = moments.count() > 0 && moments.low == moments.high;
            (same && moments.missing == 0 && !infinite)
                .then(|| "it is constant in the training rows".to_owned())
        }
        Gathered::Array {
            elements, moments, ..
        } => {
            if moments.count() == 0 {
                return Some("it has no value in any training row".to_owned());
            }
            let vector = matches!(column.shape, Some(ArrayShape::Vector { .. }));
            let mut places = elements.iter().flat_map(|elements| elements.places());
            (vector && moments.missing == 0 && places.all(|(place, _)| place.low == place.high))
                .then(|| "it is constant in the training rows".to_owned())
        }
        Gathered::Category {
            counts,
            overflow,
            missing,
            present,
        } => {
            let levels = counts.iter().filter(|&&n| n > 0).count();
            if levels == 0 && *overflow == 0 {
                return Some("it has no value in any training row".to_owned());
            }
            if levels == 1 && *overflow == 0 && *missing == 0 {
                return Some("it is constant in the training rows".to_owned());
            }
            let distinct = dictionary.map_or(0.0, Dictionary::distinct);
            let identifies = matches!(column.origin, Origin::Text | Origin::Uuid);
            (identifies && distinct > 0.5 * *present as f64).then(|| {
                let reason = "more than half of its values are distinct, as in an identifier";
                match numbers_as_texts(column, gathered, dictionary) {
                    Some((_, numbers)) => format!(
                        "{reason}; its values look like numbers: {}",
                        numbers.hint(&column.name)
                    ),
                    None => reason.to_owned(),
                }
            })
        }
    }
}

/// How many levels a column of texts has whose values look like numbers, and how.
fn numbers_as_texts(
    column: &Column,
    gathered: &Gathered,
    dictionary: Option<&Dictionary>,
) -> Option<(usize, NumberLike)> {
    let (Origin::Text, Gathered::Category { counts, .. }) = (column.origin, gathered) else {
        return None;
    };
    let levels = counts.iter().filter(|&&count| count > 0).count();
    Some((levels, looks_like_numbers(dictionary?, counts)?))
}

/// Divisors from the center at which every clip has levelled off.
const FAR: f64 = 1e6;

fn numeric(settings: &NumericSettings, moments: &Moments, sorted: &[f64]) -> Fitted {
    let seen = moments.count() > 0;
    let (low, high) = if seen {
        (moments.low, moments.high)
    } else {
        (0.0, 0.0)
    };
    let at = |q| quantile(sorted, q).unwrap_or(0.0);
    let half_range = 0.5 * high - 0.5 * low;
    // Numbers so large that their sums overflow still have a middle and a range.
    let overflow = !(moments.mean().is_finite() && moments.deviation().is_finite());
    let mean = if overflow { at(0.5) } else { moments.mean() };
    let (center, divisor) = match settings.scale {
        Scale::Standard if overflow => (mean, half_range),
        Scale::Standard => (mean, moments.deviation()),
        Scale::Minmax => (low, high - low),
        Scale::Robust => {
            let range = at(0.75) - at(0.25);
            (at(0.5), if range > 0.0 { range } else { half_range })
        }
        Scale::None => (0.0, 1.0),
    };
    let divisor = usable(divisor);
    // Infinities that were there to be learnt from stay apart from the largest number where the clip
    // bounds what is made of them.
    let (low, high) = match settings.clip {
        Some(_) if moments.infinite > 0 => (center - FAR * divisor, center + FAR * divisor),
        _ => (low, high),
    };
    Fitted::Numeric {
        scale: settings.scale,
        center,
        divisor,
        missing: match settings.missing {
            Missing::Mean => mean,
            Missing::Median => at(0.5),
            Missing::Constant(value) => value,
        },
        low,
        high,
        indicator: settings.indicator.unwrap_or(moments.missing > 0),
        clip: settings.clip,
    }
}

/// A divisor whose reciprocal is finite: 1 in place of 0, as scikit-learn has it.
pub(super) fn usable(divisor: f64) -> f64 {
    if divisor == f64::INFINITY {
        f64::MAX
    } else if divisor > 0.0 && (1.0 / divisor).is_finite() {
        divisor
    } else {
        1.0
    }
}

fn deciles(moments: &Moments, sorted: &[f64]) -> Profile {
    let mut deciles: Vec<f64> = (0..=10)
        .filter_map(|tenth| quantile(sorted, f64::from(tenth) / 10.0))
        .collect();
    if let [first, .., last] = deciles.as_mut_slice() {
        (*first, *last) = (moments.low, moments.high);
    }
    Profile::Deciles {
        deciles,
        missing: moments.missing,
        rows: moments.count() + moments.missing + moments.infinite,
    }
}

fn categorical(
    settings: &CategoricalSettings,
    by_architecture: bool,
    gathered: &Gathered,
    dictionary: Option<&Dictionary>,
    column: &Column,
) -> Result<(Fitted, Profile), Error> {
    let (Gathered::Category { counts, .. }, Some(dictionary)) = (gathered, dictionary) else {
        return Err(wrong_kind(column));
    };
    let levels = match &settings.levels {
        Some(levels) => levels.clone(),
        None => commonest(counts, dictionary, settings.max_levels),
    };
    let profile = level_profile(&levels, gathered, dictionary);
    let embedding = settings.encoding == Encoding::Embedding;
    let fitted = if by_architecture || embedding {
        let vocabulary = levels.len() + 2;
        let units = settings
            .units
            .unwrap_or_else(|| embedding_width(vocabulary));
        Fitted::Index {
            levels,
            units: (!by_architecture).then_some(units),
            exact: false,
        }
    } else {
        Fitted::OneHot {
            levels,
            exact: false,
        }
    };
    Ok((fitted, profile))
}

/// fastai's rule of thumb for the width of an embedding.
fn embedding_width(vocabulary: usize) -> usize {
    ((1.6 * (vocabulary as f64).powf(0.56)).round() as usize).clamp(1, 64)
}

/// The commonest texts, commonest first; equally common ones in C collation.
fn commonest(counts: &[u64], dictionary: &Dictionary, most: usize) -> Vec<String> {
    let mut seen: Vec<(u64, &str)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .filter_map(|(code, &count)| Some((count, dictionary.text(code as u32)?)))
        .collect();
    seen.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    seen.truncate(most);
    seen.into_iter().map(|(_, text)| text.to_owned()).collect()
}

fn level_profile(levels: &[String], gathered: &Gathered, dictionary: &Dictionary) -> Profile {
    let Gathered::Category {
        counts,
        overflow,
        missing,
        ..
    } = gathered
    else {
        return Profile::None;
    };
    let mut result: Vec<u64> = levels
        .iter()
        .map(|level| {
            let code = dictionary.code(level);
            code.and_then(|code| counts.get(code as usize))
                .map_or(0, |&n| n)
        })
        .collect();
    let known: u64 = result.iter().sum();
    let total: u64 = counts.iter().sum::<u64>() + overflow;
    result.push(total - known);
    result.push(*missing);
    Profile::Levels(result)
}

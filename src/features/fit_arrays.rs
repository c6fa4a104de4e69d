//! Fitting of columns that hold many numbers.

use super::fit::usable;
use super::request_arrays::{ChannelStatistic, MAX_INPUTS, MAX_TOKENS, MAX_VECTOR};
use super::rows::elements::{Elements, Place};
use super::rows::statistics::quantile;
use super::{
    ArrayShape, Column, DEFAULT_STEPS, Error, Fitted, ImageSettings, Origin, Precision, Scale,
    SequenceSettings, Tokens, Treatment, VectorSettings,
};

/// Fits the treatment of a column of arrays.
///
/// # Errors
/// A column without any array, one that gives more inputs than allowed, tokens that are none.
pub(super) fn fit_array(
    treatment: &Treatment,
    embedded: bool,
    elements: Option<&Elements>,
    column: &Column,
) -> Result<Fitted, Error> {
    let (Some(elements), Some(shape)) = (elements, column.shape) else {
        return Err(Error::invalid(format!(
            "column \"{}\" has no value in any row",
            column.name
        ))
        .with_hint("Leave it out of the query, or ignore it in features."));
    };
    match (treatment, shape) {
        (Treatment::Vector(settings), ArrayShape::Vector { length }) => {
            if length > MAX_VECTOR {
                return Err(too_many(column, length, MAX_VECTOR));
            }
            Ok(vector(settings, elements))
        }
        (
            Treatment::Image(settings),
            ArrayShape::Image {
                channels,
                height,
                width,
            },
        ) => {
            let inputs = channels.saturating_mul(height).saturating_mul(width);
            if inputs > MAX_INPUTS {
                return Err(too_many(column, inputs, MAX_INPUTS));
            }
            image(settings, [channels, height, width], elements, column)
        }
        (Treatment::Sequence(settings), ArrayShape::Sequence { features }) => {
            let length = settings
                .length
                .unwrap_or_else(|| elements.longest.clamp(1, DEFAULT_STEPS));
            let inputs = length.saturating_mul(features);
            if inputs >= MAX_INPUTS {
                return Err(too_many(column, inputs, MAX_INPUTS - 1));
            }
            sequence(settings, embedded, (length, features), elements, column)
        }
        _ => Err(super::gather::wrong_kind(column)),
    }
}

fn too_many(column: &Column, inputs: usize, most: usize) -> Error {
    Error::invalid(format!(
        "column \"{}\" gives {inputs} inputs, and at most {most} are possible",
        column.name
    ))
    .with_hint(
        "Make the arrays smaller in the query, the images with \"resize\", the sequences with \
         \"length\".",
    )
}

/// What is subtracted from the numbers of one place, and what they are divided by.
fn location(scale: Scale, place: &Place, sorted: &[f64]) -> (f64, f64) {
    let (low, high) = if place.count() > 0 {
        (place.low, place.high)
    } else {
        (0.0, 0.0)
    };
    let (middle, half_range) = (0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low);
    let (center, divisor) = match scale {
        Scale::Standard if place.overflows() => (middle, half_range),
        Scale::Standard => (place.mean(), place.deviation()),
        Scale::Minmax => (low, high - low),
        Scale::Robust => {
            let at = |q| quantile(sorted, q).unwrap_or(0.0);
            let range = at(0.75) - at(0.25);
            (at(0.5), if range > 0.0 { range } else { half_range })
        }
        Scale::None => (0.0, 1.0),
    };
    (center, usable(divisor))
}

fn vector(settings: &VectorSettings, elements: &Elements) -> Fitted {
    let (mut center, mut divisor) = (Vec::new(), Vec::new());
    let (mut missing, mut low, mut high) = (Vec::new(), Vec::new(), Vec::new());
    for (place, sorted) in elements.places() {
        let (c, d) = location(settings.scale, place, sorted);
        center.push(c);
        divisor.push(d);
        let seen = place.count() > 0;
        missing.push(if place.overflows() { c } else { place.mean() });
        low.push(if seen { place.low } else { 0.0 });
        high.push(if seen { place.high } else { 0.0 });
    }
    Fitted::Vector {
        scale: settings.scale,
        center,
        divisor,
        missing,
        low,
        high,
        clip: settings.clip,
        precision: Precision::Double,
    }
}

fn image(
    settings: &ImageSettings,
    shape: [usize; 3],
    elements: &Elements,
    column: &Column,
) -> Result<Fitted, Error> {
    let mut geometry = settings.geometry.clone();
    geometry.shape.get_or_insert(shape);
    let largest = elements
        .places()
        .map(|(place, _)| place.high.max(-place.low))
        .fold(0.0, f64::max);
    let scale = settings.scale.unwrap_or(match column.origin {
        Origin::Bytes => 255.0,
        _ if largest > 1.0 => largest,
        _ => 1.0,
    });
    let statistic = |wanted: &ChannelStatistic, name: &str, of: &dyn Fn(&Place) -> f64| {
        Ok(match wanted {
            ChannelStatistic::None => Vec::new(),
            ChannelStatistic::Fit => elements
                .places()
                .map(|(place, _)| of(place) / scale)
                .collect(),
            ChannelStatistic::Given(values) if values.len() != 1 && values.len() != shape[0] => {
                return Err(Error::invalid(format!(
                    "setting \"{name}\" of column \"{}\" has {} numbers, but the images have {} \
                     channels",
                    column.name,
                    values.len(),
                    shape[0]
                ))
                .with_hint("Give one number, or one a channel."));
            }
            ChannelStatistic::Given(values) => values.clone(),
        })
    };
    Ok(Fitted::Image {
        mean: statistic(&settings.mean, "mean", &Place::mean)?,
        std: statistic(&settings.std, "std", &|place| {
            // A channel without variation keeps its values.
            let deviation = place.deviation() / scale;
            if deviation > 1e-12 {
                deviation * scale
            } else {
                scale
            }
        })?,
        geometry,
        scale,
        augment: settings.augment,
    })
}

fn sequence(
    settings: &SequenceSettings,
    embedded: bool,
    (length, features): (usize, usize),
    elements: &Elements,
    column: &Column,
) -> Result<Fitted, Error> {
    if embedded {
        if features != 1 {
            return Err(Error::type_mismatch(
                format!(
                    "the sequences of column \"{}\" have {features} numbers a step and cannot be \
                     embedded",
                    column.name
                ),
                "An embedding reads one token a step: an array of whole numbers.",
            ));
        }
        return Ok(Fitted::Sequence {
            length,
            features,
            scale: Scale::None,
            center: vec![0.0],
            divisor: vec![1.0],
            clip: None,
            precision: Precision::Double,
            tokens: Some(tokens(settings.vocabulary, elements, column)?),
        });
    }
    if settings.vocabulary.is_some() {
        return Err(Error::invalid(format!(
            "setting \"vocabulary\" of column \"{}\" goes with an embedding layer",
            column.name
        ))
        .with_hint("Leave it out, or let a layer of type embedding read the column."));
    }
    let scale = settings.scale.unwrap_or(Scale::Standard);
    let (center, divisor) = elements
        .places()
        .map(|(place, sorted)| location(scale, place, sorted))
        .unzip();
    Ok(Fitted::Sequence {
        length,
        features,
        scale,
        center,
        divisor,
        clip: settings.clip,
        precision: Precision::Double,
        tokens: None,
    })
}

/// The tokens of an embedding that knows so many; else those up to the largest training one.
fn tokens(
    vocabulary: Option<usize>,
    elements: &Elements,
    column: &Column,
) -> Result<Tokens, Error> {
    if let Some(known) = vocabulary {
        return Ok(Tokens {
            known,
            other: false,
        });
    }
    let largest = elements.places().map(|(place, _)| place.high).next();
    let largest = largest.filter(|value| value.is_finite()).unwrap_or(0.0);
    let known = largest.max(0.0) as usize + 1;
    if known >= MAX_TOKENS {
        return Err(Error::invalid(format!(
            "column \"{}\" has the token {largest}, and at most {MAX_TOKENS} different ones are \
             possible",
            column.name
        ))
        .with_hint("Number the tokens from 0 on."));
    }
    Ok(Tokens { known, other: true })
}

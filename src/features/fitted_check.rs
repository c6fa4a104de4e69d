//! What is checked of a fitted treatment that comes from outside.

use super::fitted::output;
use super::request::MAX_LEVELS;
use super::request_arrays::{MAX_INPUTS, MAX_TOKENS, MAX_VECTOR};
use super::{Fitted, Precision};

/// Most values of an image before it is resized or cropped.
const MAX_PIXELS: usize = 1 << 31;

impl Fitted {
    /// Checks that numbers, sizes and levels are some that a fit could have given.
    ///
    /// # Errors
    /// What is wrong, as a predicate: `has the same level twice`.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Fitted::Numeric {
                center,
                divisor,
                missing,
                low,
                high,
                clip,
                ..
            } => {
                if [center, missing, low, high].iter().any(|x| !x.is_finite()) {
                    return Err("has a value that is not finite");
                }
                if !(divisor.is_finite() && *divisor > 0.0 && (1.0 / divisor).is_finite()) {
                    return Err("has a divisor that is not a positive number");
                }
                if !is_clip(*clip) {
                    return Err("has a clip out of range");
                }
            }
            Fitted::OneHot { levels, .. } | Fitted::Index { levels, .. } => {
                if levels.len() > MAX_LEVELS {
                    return Err("has too many levels");
                }
                let mut seen = std::collections::HashSet::new();
                if !levels.iter().all(|level| seen.insert(level.as_str())) {
                    return Err("has the same level twice");
                }
                if let Fitted::Index {
                    units: Some(units), ..
                } = self
                    && !(1..=4096).contains(units)
                {
                    return Err("has an embedding width out of range");
                }
            }
            Fitted::Vector {
                center,
                divisor,
                missing,
                low,
                high,
                clip,
                precision,
                ..
            } => {
                let length = center.len();
                if !(1..=MAX_VECTOR).contains(&length)
                    || [divisor, missing, low, high]
                        .iter()
                        .any(|v| v.len() != length)
                {
                    return Err("has scales of different lengths");
                }
                if [center, missing, low, high]
                    .iter()
                    .any(|v| v.iter().any(|x| !is_finite(*x, *precision)))
                {
                    return Err("has a value that is not finite");
                }
                if !divisor.iter().all(|&d| is_divisor(d, *precision)) {
                    return Err("has a divisor that is not a positive number");
                }
                if !is_clip(*clip) {
                    return Err("has a clip out of range");
                }
            }
            Fitted::Image {
                geometry,
                scale,
                mean,
                std,
                augment,
            } => {
                let shape = geometry.shape.as_ref();
                let sizes = [
                    // A photograph has more pixels than a network inputs, until it is resized or cropped.
                    shape.map(|shape| (&shape[..], MAX_PIXELS)),
                    Some((&output(geometry)[..], MAX_INPUTS)),
                    geometry.resize.as_ref().map(|size| (&size[..], MAX_INPUTS)),
                ];
                let possible = |(sizes, most): (&[usize], usize)| {
                    let size = sizes.iter().try_fold(1_usize, |a, b| a.checked_mul(*b));
                    size.is_some_and(|size| (1..=most).contains(&size))
                };
                if shape.is_none() || !sizes.into_iter().flatten().all(possible) {
                    return Err("has a shape that no image has");
                }
                let channels = output(geometry)[0];
                if ![mean, std]
                    .iter()
                    .all(|v| matches!(v.len(), 0 | 1) || v.len() == channels)
                {
                    return Err("has another number of channels than of means");
                }
                let positive = |x: &f64| *x > 1e-31 && *x < 1e31;
                if !positive(scale)
                    || !std.iter().all(positive)
                    || !mean.iter().all(|x| x.abs() < 1e31)
                {
                    return Err("has a scale out of range");
                }
                if augment.is_some_and(|augment| {
                    augment.crop > MAX_INPUTS || !(0.0..=MAX_INPUTS as f64).contains(&augment.shift)
                }) {
                    return Err("has an augmentation out of range");
                }
            }
            Fitted::Sequence {
                length,
                features,
                center,
                divisor,
                clip,
                precision,
                tokens,
                ..
            } => {
                let size = length.saturating_mul(*features);
                if !(1..=MAX_INPUTS).contains(&size) {
                    return Err("has a length that no sequence has");
                }
                if center.len() != *features || divisor.len() != *features {
                    return Err("has scales of different lengths");
                }
                if !center.iter().all(|&x| is_finite(x, *precision))
                    || !divisor.iter().all(|&d| is_divisor(d, *precision))
                {
                    return Err("has a scale out of range");
                }
                if !is_clip(*clip) {
                    return Err("has a clip out of range");
                }
                if tokens.is_some_and(|tokens| {
                    *features != 1 || !(1..=MAX_TOKENS).contains(&tokens.vocabulary())
                }) {
                    return Err("has a vocabulary out of range");
                }
            }
            Fitted::Ignored { .. } => {}
        }
        Ok(())
    }
}

fn is_clip(clip: Option<f64>) -> bool {
    clip.is_none_or(|clip| (0.01..=1e6).contains(&clip))
}

fn is_finite(number: f64, precision: Precision) -> bool {
    match precision {
        Precision::Single => (number as f32).is_finite(),
        Precision::Double => number.is_finite(),
    }
}

/// Whether a number can be divided by without leaving the numbers.
fn is_divisor(divisor: f64, precision: Precision) -> bool {
    let reciprocal = match precision {
        Precision::Single => f64::from(1.0 / divisor as f32),
        Precision::Double => 1.0 / divisor,
    };
    divisor > 0.0 && is_finite(divisor, precision) && reciprocal.is_finite()
}

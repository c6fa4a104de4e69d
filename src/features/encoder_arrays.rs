//! Arrays to network inputs.

use super::encoder::LIMIT;
use super::{Error, Feature, Fitted, Tokens};
use crate::nn::processor::{Processor, Task};

/// How the arrays of one feature are encoded, as they were taken in.
#[derive(Clone, Debug)]
pub(super) struct ArrayPlan {
    column: Box<str>,
    form: ArrayForm,
}

#[derive(Clone, Debug)]
enum ArrayForm {
    Vector {
        center: Box<[f32]>,
        factor: Box<[f32]>,
        /// 1 / clip², 0 without a clip.
        bend: f32,
        /// The encoded stand-ins for a missing number and for the two infinities.
        missing: Box<[f32]>,
        low: Box<[f32]>,
        high: Box<[f32]>,
    },
    /// Of each channel what its values are multiplied by, and what is added.
    Image(Box<[(f64, f64)]>),
    Sequence {
        center: Box<[f32]>,
        factor: Box<[f32]>,
        bend: f32,
    },
    Tokens(Tokens),
}

/// A number scaled and clipped. Only operations that IEEE 754 rounds exactly, so that it has the
/// same bits on every processor.
#[inline(always)]
fn scaled(value: f32, center: f32, factor: f32, bend: f32) -> f32 {
    let z = ((value - center) * factor).clamp(-LIMIT, LIMIT);
    // Without a bend the division is by one, and exact.
    z / (1.0 + z * z * bend).sqrt()
}

fn bend(clip: Option<f64>) -> f32 {
    clip.map_or(0.0, |clip| (1.0 / (clip * clip)) as f32)
}

fn reciprocals(divisors: &[f32]) -> Box<[f32]> {
    divisors.iter().map(|divisor| 1.0 / divisor).collect()
}

/// Of each channel what its values are multiplied by, and what is added.
fn lines(scale: f64, mean: &[f64], std: &[f64], channels: usize) -> Box<[(f64, f64)]> {
    let of = |values: &[f64], channel: usize, none: f64| match values {
        [] => none,
        [one] => *one,
        several => several.get(channel).copied().unwrap_or(none),
    };
    (0..channels)
        .map(|channel| {
            let (mean, std) = (of(mean, channel, 0.0), of(std, channel, 1.0));
            (1.0 / (scale * std), -mean / std)
        })
        .collect()
}

impl Feature {
    /// Of each channel of an image what a black pixel is encoded as.
    pub(super) fn black(&self) -> Vec<f32> {
        match ArrayPlan::new(self).map(|plan| plan.form) {
            Some(ArrayForm::Image(lines)) => lines.iter().map(|line| line.1 as f32).collect(),
            _ => Vec::new(),
        }
    }
}

impl ArrayPlan {
    /// The plan of a feature that holds arrays and is used.
    pub fn new(feature: &Feature) -> Option<ArrayPlan> {
        let form = match &feature.treatment {
            Fitted::Vector {
                center,
                divisor,
                missing,
                low,
                high,
                clip,
                ..
            } => {
                let (factor, bend) = (reciprocals(divisor), bend(*clip));
                let encoded = |values: &[f32]| {
                    let lanes = values.iter().zip(center).zip(&factor);
                    lanes.map(|((v, c), f)| scaled(*v, *c, *f, bend)).collect()
                };
                ArrayForm::Vector {
                    missing: encoded(missing),
                    low: encoded(low),
                    high: encoded(high),
                    center: center.as_slice().into(),
                    factor,
                    bend,
                }
            }
            Fitted::Image {
                geometry,
                scale,
                mean,
                std,
                ..
            } => {
                let channels = geometry.shape.map_or(0, |shape| shape[0]);
                ArrayForm::Image(lines(*scale, mean, std, channels))
            }
            Fitted::Sequence {
                tokens: Some(tokens),
                ..
            } => ArrayForm::Tokens(*tokens),
            Fitted::Sequence {
                center,
                divisor,
                clip,
                ..
            } => ArrayForm::Sequence {
                center: center.as_slice().into(),
                factor: reciprocals(divisor),
                bend: bend(*clip),
            },
            _ => return None,
        };
        Some(ArrayPlan {
            column: feature.name.as_str().into(),
            form,
        })
    }

    /// Writes the feature's slice of the row.
    ///
    /// # Errors
    /// An array of another shape, or a token that is none.
    pub fn encode(&self, array: &[f32], slice: &mut [f32]) -> Result<(), Error> {
        match &self.form {
            ArrayForm::Vector {
                center,
                factor,
                bend,
                missing,
                low,
                high,
            } => {
                if array.is_empty() {
                    slice.copy_from_slice(missing);
                    return Ok(());
                }
                self.check(array.len() == slice.len())?;
                Processor::detect().run(EncodeVector {
                    array,
                    slice,
                    center,
                    factor,
                    bend: *bend,
                    missing,
                    low,
                    high,
                });
            }
            ArrayForm::Image(lines) => {
                self.check(array.len() == slice.len())?;
                let area = (slice.len() / lines.len().max(1)).max(1);
                let planes = array.chunks_exact(area).zip(slice.chunks_exact_mut(area));
                for ((from, to), &(factor, offset)) in planes.zip(lines) {
                    Processor::detect().run(EncodePlane {
                        from,
                        to,
                        factor,
                        offset,
                    });
                }
            }
            ArrayForm::Sequence {
                center,
                factor,
                bend,
            } => {
                let features = center.len();
                let (array, steps) = self.last_steps(array, features, slice)?;
                for (from, to) in array.chunks_exact(features).zip(steps) {
                    let lanes = center.iter().zip(factor);
                    for ((x, value), (c, f)) in to.iter_mut().zip(from).zip(lanes) {
                        *x = scaled(*value, *c, *f, *bend);
                    }
                }
            }
            ArrayForm::Tokens(tokens) => {
                let (array, steps) = self.last_steps(array, 1, slice)?;
                for (token, to) in array.iter().zip(steps) {
                    to[0] = self.token(*token, *tokens)?;
                }
            }
        }
        Ok(())
    }

    /// The last steps of a sequence, as many as there is room for behind their number, which is
    /// written, and their places; the others are zero.
    fn last_steps<'a, 'b>(
        &self,
        array: &'a [f32],
        features: usize,
        slice: &'b mut [f32],
    ) -> Result<(&'a [f32], std::slice::ChunksExactMut<'b, f32>), Error> {
        let Some((count, room)) = slice.split_first_mut() else {
            return Err(self.other_shape());
        };
        self.check(!array.is_empty() && array.len().is_multiple_of(features))?;
        let array = &array[array.len().saturating_sub(room.len())..];
        *count = (array.len() / features) as f32;
        let (steps, rest) = room.split_at_mut(array.len());
        rest.fill(0.0);
        Ok((array, steps.chunks_exact_mut(features)))
    }

    fn token(&self, token: f32, tokens: Tokens) -> Result<f32, Error> {
        let column = &self.column;
        if !(token >= 0.0 && token.fract() == 0.0) {
            return Err(Error::invalid(format!(
                "a sequence in column \"{column}\" has {token} where a token is read"
            ))
            .with_hint("An embedding reads whole numbers from 0 on."));
        }
        if token < tokens.known as f32 {
            return Ok(token);
        }
        match tokens.other {
            true => Ok(tokens.known as f32),
            false => Err(Error::invalid(format!(
                "a sequence in column \"{column}\" has the token {token}, but the embedding's \
                 vocabulary is {}",
                tokens.known
            ))
            .with_hint("Tokens are below the vocabulary; raise it, or number the tokens from 0.")),
        }
    }

    fn check(&self, fits: bool) -> Result<(), Error> {
        if fits {
            Ok(())
        } else {
            Err(self.other_shape())
        }
    }

    fn other_shape(&self) -> Error {
        Error::invalid(format!(
            "an array in column \"{}\" has another shape than its feature",
            self.column
        ))
    }

    /// Bytes of memory it takes.
    pub fn size_bytes(&self) -> usize {
        match &self.form {
            ArrayForm::Vector { center, .. } => 5 * size_of_val::<[f32]>(center),
            ArrayForm::Image(lines) => size_of_val::<[(f64, f64)]>(lines),
            ArrayForm::Sequence { center, .. } => 2 * size_of_val::<[f32]>(center),
            ArrayForm::Tokens(_) => 0,
        }
    }
}

/// The numbers of a vector.
struct EncodeVector<'a> {
    array: &'a [f32],
    slice: &'a mut [f32],
    center: &'a [f32],
    factor: &'a [f32],
    bend: f32,
    missing: &'a [f32],
    low: &'a [f32],
    high: &'a [f32],
}

impl Task for EncodeVector<'_> {
    #[inline(always)]
    fn run(self) {
        let count = self.slice.len();
        // Slices of one known length, so that the loop needs no checks.
        let (array, center, factor) = (
            &self.array[..count],
            &self.center[..count],
            &self.factor[..count],
        );
        let (missing, low, high) = (
            &self.missing[..count],
            &self.low[..count],
            &self.high[..count],
        );
        for i in 0..count {
            let value = array[i];
            let x = scaled(value, center[i], factor[i], self.bend);
            let x = if value == f32::INFINITY { high[i] } else { x };
            let x = if value == f32::NEG_INFINITY {
                low[i]
            } else {
                x
            };
            self.slice[i] = if value.is_nan() { missing[i] } else { x };
        }
    }
}

/// One channel of an image.
struct EncodePlane<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
    factor: f64,
    offset: f64,
}

impl Task for EncodePlane<'_> {
    #[inline(always)]
    fn run(self) {
        let limit = f64::from(LIMIT);
        for (x, &value) in self.to.iter_mut().zip(self.from) {
            *x = (f64::from(value) * self.factor + self.offset).clamp(-limit, limit) as f32;
        }
    }
}

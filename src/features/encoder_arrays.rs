//! Arrays to network inputs.

use super::encoder::LIMIT;
use super::{Error, Feature, Fitted, Precision, Real, Tokens};
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
        lanes: Lanes,
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
        lanes: Lanes,
        bend: f32,
    },
    Tokens(Tokens),
}

/// Of each number what is subtracted, and what the difference is multiplied by.
#[derive(Clone, Debug)]
enum Lanes {
    Single(Pairs<f32>),
    Double(Pairs<f64>),
}

#[derive(Clone, Debug)]
struct Pairs<P> {
    center: Box<[P]>,
    factor: Box<[P]>,
}

/// A precision in which numbers are scaled. Only operations that IEEE 754 rounds exactly, so that
/// what comes out has the same bits on every processor.
trait Scaling: Copy {
    /// `(value − center) · factor`, then rounded to single precision.
    fn scale<T: Real>(value: T, center: Self, factor: Self) -> f32;
}

impl Scaling for f32 {
    #[inline(always)]
    fn scale<T: Real>(value: T, center: f32, factor: f32) -> f32 {
        (value.single() - center) * factor
    }
}

impl Scaling for f64 {
    #[inline(always)]
    fn scale<T: Real>(value: T, center: f64, factor: f64) -> f32 {
        ((value.double() - center) * factor) as f32
    }
}

/// A number scaled and clipped.
#[inline(always)]
fn scaled<T: Real, P: Scaling>(value: T, center: P, factor: P, bend: f32) -> f32 {
    let z = P::scale(value, center, factor).clamp(-LIMIT, LIMIT);
    // Without a bend the division is by one, and exact.
    z / (1.0 + z * z * bend).sqrt()
}

fn bend(clip: Option<f64>) -> f32 {
    clip.map_or(0.0, |clip| (1.0 / (clip * clip)) as f32)
}

impl Lanes {
    fn new(center: &[f64], divisor: &[f64], precision: Precision) -> Lanes {
        match precision {
            Precision::Single => Lanes::Single(Pairs {
                center: center.iter().map(|&c| c as f32).collect(),
                factor: divisor.iter().map(|&d| 1.0 / d as f32).collect(),
            }),
            Precision::Double => Lanes::Double(Pairs {
                center: center.into(),
                factor: divisor.iter().map(|d| 1.0 / d).collect(),
            }),
        }
    }

    fn len(&self) -> usize {
        match self {
            Lanes::Single(pairs) => pairs.center.len(),
            Lanes::Double(pairs) => pairs.center.len(),
        }
    }

    /// The encoding of a number a lane.
    fn encoded(&self, values: &[f64], bend: f32) -> Box<[f32]> {
        match self {
            Lanes::Single(pairs) => pairs.encoded(values, bend),
            Lanes::Double(pairs) => pairs.encoded(values, bend),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Lanes::Single(pairs) => 2 * size_of_val::<[f32]>(&pairs.center),
            Lanes::Double(pairs) => 2 * size_of_val::<[f64]>(&pairs.center),
        }
    }
}

impl<P: Scaling> Pairs<P> {
    fn encoded(&self, values: &[f64], bend: f32) -> Box<[f32]> {
        let lanes = values.iter().zip(&self.center).zip(&self.factor);
        lanes.map(|((v, c), f)| scaled(*v, *c, *f, bend)).collect()
    }
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
                precision,
                ..
            } => {
                let (lanes, bend) = (Lanes::new(center, divisor, *precision), bend(*clip));
                ArrayForm::Vector {
                    missing: lanes.encoded(missing, bend),
                    low: lanes.encoded(low, bend),
                    high: lanes.encoded(high, bend),
                    lanes,
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
                precision,
                ..
            } => ArrayForm::Sequence {
                lanes: Lanes::new(center, divisor, *precision),
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
    pub fn encode<T: Real>(&self, array: &[T], slice: &mut [f32]) -> Result<(), Error> {
        match &self.form {
            ArrayForm::Vector {
                lanes,
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
                let (bend, stand_ins) = (*bend, [&missing[..], &low[..], &high[..]]);
                match lanes {
                    Lanes::Single(lanes) => Processor::detect().run(EncodeVector {
                        array,
                        slice,
                        lanes,
                        bend,
                        stand_ins,
                    }),
                    Lanes::Double(lanes) => Processor::detect().run(EncodeVector {
                        array,
                        slice,
                        lanes,
                        bend,
                        stand_ins,
                    }),
                }
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
            ArrayForm::Sequence { lanes, bend } => {
                let (array, steps) = self.last_steps(array, lanes.len(), slice)?;
                match lanes {
                    Lanes::Single(lanes) => encode_steps(array, steps, lanes, *bend),
                    Lanes::Double(lanes) => encode_steps(array, steps, lanes, *bend),
                }
            }
            ArrayForm::Tokens(tokens) => {
                let (array, steps) = self.last_steps(array, 1, slice)?;
                for (token, to) in array.iter().zip(steps) {
                    to[0] = self.token(token.double(), *tokens)?;
                }
            }
        }
        Ok(())
    }

    /// The last steps of a sequence, as many as there is room for behind their number, which is
    /// written, and their places; the others are zero.
    fn last_steps<'a, 'b, T>(
        &self,
        array: &'a [T],
        features: usize,
        slice: &'b mut [f32],
    ) -> Result<(&'a [T], std::slice::ChunksExactMut<'b, f32>), Error> {
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

    fn token(&self, token: f64, tokens: Tokens) -> Result<f32, Error> {
        let column = &self.column;
        if !(token >= 0.0 && token.fract() == 0.0) {
            return Err(Error::invalid(format!(
                "a sequence in column \"{column}\" has {token} where a token is read"
            ))
            .with_hint("An embedding reads whole numbers from 0 on."));
        }
        if token < tokens.known as f64 {
            return Ok(token as f32);
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
            ArrayForm::Vector { lanes, missing, .. } => {
                lanes.size_bytes() + 3 * size_of_val::<[f32]>(missing)
            }
            ArrayForm::Image(lines) => size_of_val::<[(f64, f64)]>(lines),
            ArrayForm::Sequence { lanes, .. } => lanes.size_bytes(),
            ArrayForm::Tokens(_) => 0,
        }
    }
}

fn encode_steps<T: Real>(
    array: &[T],
    steps: std::slice::ChunksExactMut<'_, f32>,
    lanes: &Pairs<impl Scaling>,
    bend: f32,
) {
    for (from, to) in array.chunks_exact(lanes.center.len()).zip(steps) {
        let pairs = lanes.center.iter().zip(&lanes.factor);
        for ((x, value), (c, f)) in to.iter_mut().zip(from).zip(pairs) {
            *x = scaled(*value, *c, *f, bend);
        }
    }
}

/// The numbers of a vector.
struct EncodeVector<'a, T, P> {
    array: &'a [T],
    slice: &'a mut [f32],
    lanes: &'a Pairs<P>,
    bend: f32,
    /// For a missing number, and for the two infinities.
    stand_ins: [&'a [f32]; 3],
}

impl<T: Real, P: Scaling> Task for EncodeVector<'_, T, P> {
    #[inline(always)]
    fn run(self) {
        let count = self.slice.len();
        // Slices of one known length, so that the loop needs no checks.
        let array = &self.array[..count];
        let (center, factor) = (&self.lanes.center[..count], &self.lanes.factor[..count]);
        let [missing, low, high] = self.stand_ins.map(|values| &values[..count]);
        for i in 0..count {
            let value = array[i].double();
            let x = scaled(array[i], center[i], factor[i], self.bend);
            let x = if value == f64::INFINITY { high[i] } else { x };
            let x = if value == f64::NEG_INFINITY {
                low[i]
            } else {
                x
            };
            self.slice[i] = if value.is_nan() { missing[i] } else { x };
        }
    }
}

/// One channel of an image.
struct EncodePlane<'a, T> {
    from: &'a [T],
    to: &'a mut [f32],
    factor: f64,
    offset: f64,
}

impl<T: Real> Task for EncodePlane<'_, T> {
    #[inline(always)]
    fn run(self) {
        let limit = f64::from(LIMIT);
        for (x, &value) in self.to.iter_mut().zip(self.from) {
            *x = (value.double() * self.factor + self.offset).clamp(-limit, limit) as f32;
        }
    }
}

//! The numbers of arrays scaled, each by a center and a divisor of its own.

use serde::{Deserialize, Serialize};

use super::clip::{LIMIT, bent};
use crate::features::rows::arrays::Real;

/// In which precision the numbers of arrays are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// In single precision, to which numbers and scales are rounded first: as version 0.1 did, whose
    /// versions say nothing of it.
    #[default]
    Single,
    /// In double precision, as numbers in columns of their own are; what comes out is then rounded.
    Double,
}

impl Precision {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(in crate::features) fn is_single(&self) -> bool {
        *self == Precision::Single
    }

    /// Whether a number is finite in this precision.
    pub(in crate::features) fn is_finite(self, number: f64) -> bool {
        match self {
            Precision::Single => (number as f32).is_finite(),
            Precision::Double => number.is_finite(),
        }
    }

    /// Whether a number can be divided by without leaving the numbers.
    pub(in crate::features) fn is_divisor(self, divisor: f64) -> bool {
        let reciprocal = match self {
            Precision::Single => f64::from(1.0 / divisor as f32),
            Precision::Double => 1.0 / divisor,
        };
        divisor > 0.0 && self.is_finite(divisor) && reciprocal.is_finite()
    }
}

/// Of each number what is subtracted, and what the difference is multiplied by.
#[derive(Clone, Debug)]
pub(in crate::features) enum Lanes {
    Single(Pairs<f32>),
    Double(Pairs<f64>),
}

#[derive(Clone, Debug)]
pub(in crate::features) struct Pairs<P> {
    pub center: Box<[P]>,
    pub factor: Box<[P]>,
}

/// A precision in which numbers are scaled. Only operations that IEEE 754 rounds exactly, so that
/// what comes out has the same bits on every processor.
pub(in crate::features) trait Scaling: Copy {
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
pub(in crate::features) fn scaled<T: Real, P: Scaling>(
    value: T,
    center: P,
    factor: P,
    bend: f32,
) -> f32 {
    bent(P::scale(value, center, factor).clamp(-LIMIT, LIMIT), bend)
}

impl Lanes {
    pub fn new(center: &[f64], divisor: &[f64], precision: Precision) -> Lanes {
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

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Lanes::Single(pairs) => pairs.center.len(),
            Lanes::Double(pairs) => pairs.center.len(),
        }
    }

    /// The encoding of a number a lane.
    pub fn encoded(&self, values: &[f64], bend: f32) -> Box<[f32]> {
        match self {
            Lanes::Single(pairs) => pairs.encoded(values, bend),
            Lanes::Double(pairs) => pairs.encoded(values, bend),
        }
    }

    /// Bytes of memory they take.
    pub fn size_bytes(&self) -> usize {
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

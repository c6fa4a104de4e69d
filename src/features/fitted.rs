//! What training rows made of a column's treatment.

use serde::{Deserialize, Serialize};

use super::{ArrayShape, Augment, Geometry, Scale};
use crate::nn::InputForm;

/// The fitted treatment of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fitted {
    /// `(value − center) / divisor`, then clipped: one input, and a second one (0 or 1) that tells
    /// a missing value when there is an indicator.
    Numeric {
        /// How `center` and `divisor` were chosen.
        scale: Scale,
        /// What is subtracted.
        center: f64,
        /// What is divided by; above 0.
        divisor: f64,
        /// Stands in for a missing value, in the column's own unit.
        missing: f64,
        /// Stands in for minus infinity: the smallest training value.
        low: f64,
        /// Stands in for infinity: the largest training value.
        high: f64,
        /// Whether there is an indicator.
        indicator: bool,
        /// z becomes z / sqrt(1 + (z / clip)²).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
    },
    /// One input a level, then one for every other level, then one for a missing value.
    OneHot {
        /// The levels.
        levels: Vec<String>,
        /// Whether only levels have an input, so that all are 0 for another one or none.
        #[serde(default, skip_serializing_if = "is_false")]
        exact: bool,
    },
    /// One input that holds the level's number, for an embedding: the levels, then the other
    /// ones, then missing.
    Index {
        /// The levels.
        levels: Vec<String>,
        /// The width of the embedding that the treatment asked for; none when the architecture
        /// embeds the feature by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        units: Option<usize>,
        /// Whether the embedding came from elsewhere with vectors for the levels alone. Its
        /// vectors for others and for none are zeros, and no part of a file as long as they are.
        #[serde(default, skip_serializing_if = "is_false")]
        exact: bool,
    },
    /// As many inputs as a row has numbers, each as a [`Numeric`](Fitted::Numeric) one without an
    /// indicator.
    Vector {
        /// How `center` and `divisor` were chosen.
        scale: Scale,
        /// What is subtracted, a number each.
        center: Vec<f64>,
        /// What is divided by; above 0.
        divisor: Vec<f64>,
        /// Stands in for a missing number, in its own unit.
        missing: Vec<f64>,
        /// The smallest training values, which stand in for minus infinity.
        low: Vec<f64>,
        /// The largest training values, which stand in for infinity.
        high: Vec<f64>,
        /// z becomes z / sqrt(1 + (z / clip)²).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
        /// In which precision a number is scaled.
        #[serde(default, skip_serializing_if = "Precision::is_single")]
        precision: Precision,
    },
    /// An input a pixel and channel, channel after channel: `(value / scale − mean) / std`.
    Image {
        /// How the images lie, their shape known.
        geometry: Geometry,
        /// What values are divided by.
        scale: f64,
        /// What is then subtracted: none, one number, or one a channel.
        mean: Vec<f64>,
        /// What is then divided by: none, one number, or one a channel.
        std: Vec<f64>,
        /// How images are varied while training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        augment: Option<Augment>,
    },
    /// One input with the number of steps that are there, then the steps, each feature as a
    /// [`Numeric`](Fitted::Numeric) one; zeros where there is no step.
    Sequence {
        /// Most steps that are kept, the last ones.
        length: usize,
        /// Numbers a step.
        features: usize,
        /// How `center` and `divisor` were chosen.
        scale: Scale,
        /// What is subtracted, a number a feature.
        center: Vec<f64>,
        /// What is divided by; above 0.
        divisor: Vec<f64>,
        /// z becomes z / sqrt(1 + (z / clip)²).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
        /// In which precision a number is scaled.
        #[serde(default, skip_serializing_if = "Precision::is_single")]
        precision: Precision,
        /// For an embedding: the steps are whole numbers from 0 on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Tokens>,
    },
    /// Accepted in calls and left out of the network.
    Ignored {
        /// Why.
        reason: String,
    },
}

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
    fn is_single(&self) -> bool {
        *self == Precision::Single
    }
}

/// Which whole numbers the steps of a sequence can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Those below this one.
    pub known: usize,
    /// Whether all others count as one more, rather than as an error.
    pub other: bool,
}

impl Tokens {
    /// How many an embedding needs vectors for.
    pub fn vocabulary(self) -> usize {
        self.known + usize::from(self.other)
    }
}

impl Fitted {
    /// Inputs of the network it fills.
    pub(super) fn width(&self) -> usize {
        match self {
            Fitted::Numeric { indicator, .. } => 1 + usize::from(*indicator),
            Fitted::OneHot { levels, exact } => levels.len() + if *exact { 0 } else { 2 },
            Fitted::Index { .. } => 1,
            Fitted::Vector { center, .. } => center.len(),
            Fitted::Image { geometry, .. } => output(geometry)
                .iter()
                .fold(1, |size: usize, side| size.saturating_mul(*side)),
            Fitted::Sequence {
                length, features, ..
            } => length.saturating_mul(*features).saturating_add(1),
            Fitted::Ignored { .. } => 0,
        }
    }

    /// The shape of its arrays, if it is used and holds arrays.
    pub(super) fn shape(&self) -> Option<ArrayShape> {
        match self {
            Fitted::Vector { center, .. } => Some(ArrayShape::Vector {
                length: center.len(),
            }),
            Fitted::Image { geometry, .. } => Some(ArrayShape::image(output(geometry))),
            Fitted::Sequence { features, .. } => Some(ArrayShape::Sequence {
                features: *features,
            }),
            _ => None,
        }
    }

    /// As what the network reads it.
    pub(super) fn form(&self) -> InputForm {
        match (self, self.shape()) {
            (Fitted::Index { levels, .. }, _) => InputForm::Level {
                vocabulary: levels.len() + 2,
            },
            (
                _,
                Some(ArrayShape::Image {
                    channels,
                    height,
                    width,
                }),
            ) => InputForm::Image {
                channels,
                height,
                width,
            },
            (
                Fitted::Sequence {
                    length,
                    features,
                    tokens,
                    ..
                },
                _,
            ) => InputForm::Sequence {
                steps: *length,
                features: *features,
                vocabulary: tokens.map(Tokens::vocabulary),
            },
            _ => InputForm::Numbers(self.width()),
        }
    }

    /// The levels of a category that is used.
    pub(super) fn levels(&self) -> Option<&[String]> {
        match self {
            Fitted::OneHot { levels, .. } | Fitted::Index { levels, .. } => Some(levels),
            _ => None,
        }
    }

    /// Whether the feature may be one of the steps of sequences.
    pub(super) fn fits_a_step(&self) -> bool {
        matches!(
            self,
            Fitted::Numeric { .. } | Fitted::OneHot { .. } | Fitted::Ignored { .. }
        )
    }
}

/// The shape that the network sees; of a geometry without one, nothing.
pub(super) fn output(geometry: &Geometry) -> [usize; 3] {
    geometry.output(geometry.shape.unwrap_or([0; 3]))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

//! What was fitted: the features of one stored version.

use serde::{Deserialize, Serialize};

use super::request::MAX_LEVELS;
use super::request_arrays::{MAX_INPUTS, MAX_TOKENS, MAX_VECTOR};
use super::{ArrayShape, Augment, Error, Geometry, Kind, Origin, Scale, Steps};
use crate::nn::{Augmentation, InputFeature, InputForm};

/// Most feature columns: PostgreSQL's own limit of a table's columns.
pub const MAX_FEATURES: usize = 1600;
/// Most inputs that all features may have together.
pub(super) const MAX_WIDTH: usize = 1 << 20;
/// Most numbers that all vectors may have together, so that their scales stay small beside a model.
pub(super) const MAX_VECTORS: usize = 1 << 18;
/// What an architecture calls the only input of a set of sequences.
pub const STEPS_INPUT: &str = "steps";
/// The layout of the JSON this release writes.
const FORMAT: u32 = 1;

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
    },
    /// As many inputs as a row has numbers, each as a [`Numeric`](Fitted::Numeric) one without an
    /// indicator.
    Vector {
        /// How `center` and `divisor` were chosen.
        scale: Scale,
        /// What is subtracted, a number each.
        center: Vec<f32>,
        /// What is divided by; above 0.
        divisor: Vec<f32>,
        /// Stands in for a missing number, in its own unit.
        missing: Vec<f32>,
        /// The smallest training values, which stand in for minus infinity.
        low: Vec<f32>,
        /// The largest training values, which stand in for infinity.
        high: Vec<f32>,
        /// z becomes z / sqrt(1 + (z / clip)²).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
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
        center: Vec<f32>,
        /// What is divided by; above 0.
        divisor: Vec<f32>,
        /// z becomes z / sqrt(1 + (z / clip)²).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
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

/// How a feature was distributed among the training rows, so that drift can be told later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing is known.
    #[default]
    None,
    /// Of a number; of many numbers a row of their mean.
    Deciles {
        /// Minimum, the nine deciles, maximum; empty when every value was missing.
        deciles: Vec<f64>,
        /// Training rows without a value.
        missing: u64,
        /// Training rows.
        rows: u64,
    },
    /// Of a category: training rows a level, then of other levels, then missing.
    Levels(Vec<u64>),
}

/// One feature column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// The name of its SQL type.
    pub sql_type: String,
    /// The family of its SQL type.
    pub origin: Origin,
    /// What is done with its values.
    pub treatment: Fitted,
    /// How it was distributed.
    #[serde(default)]
    pub profile: Profile,
}

impl Feature {
    /// Inputs of the network it fills.
    pub fn width(&self) -> usize {
        match &self.treatment {
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
    pub fn shape(&self) -> Option<ArrayShape> {
        match &self.treatment {
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
    fn form(&self) -> InputForm {
        match (&self.treatment, self.shape()) {
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

    /// How its raw values are stored: what [`Encoder`](super::Encoder) method takes them.
    pub fn kind(&self) -> Kind {
        match &self.treatment {
            Fitted::Numeric { .. } => Kind::Number,
            Fitted::OneHot { .. } | Fitted::Index { .. } => Kind::Category,
            Fitted::Vector { .. } | Fitted::Image { .. } | Fitted::Sequence { .. } => Kind::Array,
            Fitted::Ignored { .. } => self.origin.kind(),
        }
    }

    /// The levels of a category that is used.
    pub fn levels(&self) -> Option<&[String]> {
        match &self.treatment {
            Fitted::OneHot { levels, .. } | Fitted::Index { levels, .. } => Some(levels),
            _ => None,
        }
    }

    /// Whether the feature may be one of the steps of sequences.
    fn fits_a_step(&self) -> bool {
        matches!(
            self.treatment,
            Fitted::Numeric { .. } | Fitted::OneHot { .. } | Fitted::Ignored { .. }
        )
    }

    fn validate(&self) -> Result<(), String> {
        let name = &self.name;
        let fault = |what: &str| Err(format!("feature {name:?} {what}"));
        match &self.treatment {
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
                    return fault("has a value that is not finite");
                }
                if !(divisor.is_finite() && *divisor > 0.0 && (1.0 / divisor).is_finite()) {
                    return fault("has a divisor that is not a positive number");
                }
                if clip.is_some_and(|clip| !(0.01..=1e6).contains(&clip)) {
                    return fault("has a clip out of range");
                }
            }
            Fitted::OneHot { levels, .. } | Fitted::Index { levels, .. } => {
                if levels.len() > MAX_LEVELS {
                    return fault("has too many levels");
                }
                let mut seen = std::collections::HashSet::new();
                if !levels.iter().all(|level| seen.insert(level.as_str())) {
                    return fault("has the same level twice");
                }
                if let Fitted::Index {
                    units: Some(units), ..
                } = &self.treatment
                    && !(1..=4096).contains(units)
                {
                    return fault("has an embedding width out of range");
                }
            }
            Fitted::Vector {
                center,
                divisor,
                missing,
                low,
                high,
                clip,
                ..
            } => {
                let length = center.len();
                if !(1..=MAX_VECTOR).contains(&length)
                    || [divisor, missing, low, high]
                        .iter()
                        .any(|v| v.len() != length)
                {
                    return fault("has scales of different lengths");
                }
                if [center, missing, low, high]
                    .iter()
                    .any(|v| v.iter().any(|x| !x.is_finite()))
                {
                    return fault("has a value that is not finite");
                }
                if !divisor.iter().all(|&d| is_divisor(d)) {
                    return fault("has a divisor that is not a positive number");
                }
                if clip.is_some_and(|clip| !(0.01..=1e6).contains(&clip)) {
                    return fault("has a clip out of range");
                }
            }
            Fitted::Image {
                geometry,
                scale,
                mean,
                std,
                augment,
            } => {
                let sizes = [
                    geometry.shape.as_ref().map(<[usize; 3]>::as_slice),
                    Some(&output(geometry)[..]),
                    geometry.resize.as_ref().map(<[usize; 2]>::as_slice),
                ];
                let possible = |sizes: &[usize]| {
                    let size = sizes.iter().try_fold(1_usize, |a, b| a.checked_mul(*b));
                    size.is_some_and(|size| (1..=MAX_INPUTS).contains(&size))
                };
                if geometry.shape.is_none() || !sizes.into_iter().flatten().all(possible) {
                    return fault("has a shape that no image has");
                }
                let channels = output(geometry)[0];
                if ![mean, std]
                    .iter()
                    .all(|v| matches!(v.len(), 0 | 1) || v.len() == channels)
                {
                    return fault("has another number of channels than of means");
                }
                let positive = |x: &f64| *x > 1e-31 && *x < 1e31;
                if !positive(scale)
                    || !std.iter().all(positive)
                    || !mean.iter().all(|x| x.abs() < 1e31)
                {
                    return fault("has a scale out of range");
                }
                if augment.is_some_and(|augment| {
                    augment.crop > MAX_INPUTS || !(0.0..=MAX_INPUTS as f64).contains(&augment.shift)
                }) {
                    return fault("has an augmentation out of range");
                }
            }
            Fitted::Sequence {
                length,
                features,
                center,
                divisor,
                clip,
                tokens,
                ..
            } => {
                let size = length.saturating_mul(*features);
                if !(1..=MAX_INPUTS).contains(&size) {
                    return fault("has a length that no sequence has");
                }
                if center.len() != *features || divisor.len() != *features {
                    return fault("has scales of different lengths");
                }
                if !center.iter().all(|x| x.is_finite()) || !divisor.iter().all(|&d| is_divisor(d))
                {
                    return fault("has a scale out of range");
                }
                if clip.is_some_and(|clip| !(0.01..=1e6).contains(&clip)) {
                    return fault("has a clip out of range");
                }
                if tokens.is_some_and(|tokens| {
                    *features != 1 || !(1..=MAX_TOKENS).contains(&tokens.vocabulary())
                }) {
                    return fault("has a vocabulary out of range");
                }
            }
            Fitted::Ignored { .. } => {}
        }
        match (&self.profile, self.levels()) {
            (Profile::None, _) => Ok(()),
            (Profile::Deciles { deciles, .. }, None)
                if matches!(deciles.len(), 0 | 11) && deciles.iter().all(|d| d.is_finite()) =>
            {
                Ok(())
            }
            (Profile::Levels(counts), Some(levels)) if counts.len() == levels.len() + 2 => Ok(()),
            _ => fault("has a profile that does not fit its treatment"),
        }
    }
}

/// The shape that the network sees; of a geometry without one, nothing.
fn output(geometry: &Geometry) -> [usize; 3] {
    geometry.output(geometry.shape.unwrap_or([0; 3]))
}

/// Whether a number can be divided by without leaving the numbers.
fn is_divisor(divisor: f32) -> bool {
    divisor > 0.0 && divisor.is_finite() && (1.0 / divisor).is_finite()
}

/// The features of a version, in call order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSet {
    #[serde(rename = "format")]
    format: u32,
    /// The features in call order, ignored ones included.
    pub features: Vec<Feature>,
    /// What a set of sequences has beside the features of a step; none where an example is a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
}

impl FeatureSet {
    /// A set of these features.
    ///
    /// # Errors
    /// Those of [`validate`](FeatureSet::validate).
    pub fn new(features: Vec<Feature>) -> Result<FeatureSet, Error> {
        let set = FeatureSet {
            format: FORMAT,
            features,
            steps: None,
        };
        set.validate()?;
        Ok(set)
    }

    /// The same features as those of the steps of sequences.
    ///
    /// # Errors
    /// Sequences without a step or beyond all bounds, or a feature that a step cannot have.
    pub fn with_steps(mut self, steps: Steps) -> Result<FeatureSet, Error> {
        if steps.length == 0 {
            return Err(Error::invalid("a sequence must have room for a step"));
        }
        if steps.length.saturating_mul(self.step_width()) >= MAX_WIDTH {
            return Err(Error::invalid(format!(
                "sequences of {} steps of {} inputs each are too large",
                steps.length,
                self.step_width()
            ))
            .with_hint("Set option \"sequence_length\", or leave features out."));
        }
        if let Some(feature) = self.features.iter().find(|f| !f.fits_a_step()) {
            let (what, hint) = match feature.treatment {
                Fitted::Index { .. } => (
                    "an embedding",
                    "Give it {\"type\": \"categorical\", \"encoding\": \"one_hot\"} in features.",
                ),
                _ => (
                    feature.treatment_name(),
                    "Say \"ignore\" of it in features, or leave it out of the query.",
                ),
            };
            return Err(Error::invalid(format!(
                "feature \"{}\" is treated as {what}, which a step of a sequence cannot have",
                feature.name
            ))
            .with_hint(hint));
        }
        self.steps = Some(steps);
        Ok(self)
    }

    /// The width of what an example is encoded to: a row, or a sequence, whose number of steps
    /// stands before the steps.
    pub fn width(&self) -> usize {
        match &self.steps {
            None => self.step_width(),
            Some(steps) => (self.step_width().saturating_mul(steps.length)).saturating_add(1),
        }
    }

    /// The width of an encoded row; a step of a sequence is one.
    pub fn step_width(&self) -> usize {
        self.features
            .iter()
            .fold(0, |sum: usize, feature| sum.saturating_add(feature.width()))
    }

    /// The feature of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|f| f.name == name)
    }

    /// What the network's input is made of: the features that are used, in call order; of
    /// sequences one, whose steps they make up.
    pub fn inputs(&self) -> Vec<InputFeature> {
        if let Some(steps) = &self.steps {
            return vec![InputFeature {
                name: STEPS_INPUT.to_owned(),
                form: InputForm::Sequence {
                    steps: steps.length,
                    features: self.step_width(),
                    vocabulary: None,
                },
            }];
        }
        self.features
            .iter()
            .filter(|feature| feature.is_used())
            .map(|feature| InputFeature {
                name: feature.name.clone(),
                form: feature.form(),
            })
            .collect()
    }

    /// How training varies the images of a row at random.
    pub fn augmentations(&self) -> Vec<Augmentation> {
        let mut offset = 0;
        let mut found = Vec::new();
        for feature in &self.features {
            if let Fitted::Image {
                geometry,
                augment: Some(augment),
                ..
            } = &feature.treatment
            {
                let [channels, height, width] = output(geometry);
                let [rows, columns] = augment.reach(height, width);
                found.push(Augmentation {
                    offset,
                    channels,
                    height,
                    width,
                    horizontal: augment.horizontal,
                    vertical: augment.vertical,
                    rows,
                    columns,
                    fill: feature.black(),
                });
            }
            offset += feature.width();
        }
        found
    }

    /// The categories for which the treatments, not the architecture, ask for an embedding, each
    /// with its width: what `Architecture::with_embeddings` wants.
    pub fn embeddings(&self) -> Vec<(String, usize)> {
        self.features
            .iter()
            .filter_map(|feature| match feature.treatment {
                Fitted::Index {
                    units: Some(units), ..
                } => Some((feature.name.clone(), units)),
                _ => None,
            })
            .collect()
    }

    /// Checks a description from outside.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it could not have been fitted: an unknown format, numbers that are
    /// not finite, repeated names or levels, sizes beyond all bounds.
    pub fn validate(&self) -> Result<(), Error> {
        if self.format != FORMAT {
            return Err(Error::Damaged(format!(
                "its format is {}, and this release reads {FORMAT}",
                self.format
            )));
        }
        if self.features.len() > MAX_FEATURES {
            return Err(Error::Damaged("too many features".to_owned()));
        }
        let mut names = std::collections::HashSet::new();
        for feature in &self.features {
            if !names.insert(feature.name.as_str()) {
                return Err(Error::Damaged(format!("two features {:?}", feature.name)));
            }
            feature.validate().map_err(Error::Damaged)?;
        }
        if let Some(steps) = &self.steps
            && (steps.length == 0
                || self.step_width() == 0
                || !self.features.iter().all(Feature::fits_a_step))
        {
            return Err(Error::Damaged("its sequences cannot be".to_owned()));
        }
        let vectors = self
            .features
            .iter()
            .map(|feature| match &feature.treatment {
                Fitted::Vector { center, .. } => center.len(),
                _ => 0,
            });
        if self.width() > MAX_WIDTH || vectors.sum::<usize>() > MAX_VECTORS {
            return Err(Error::Damaged("too many inputs".to_owned()));
        }
        Ok(())
    }
}

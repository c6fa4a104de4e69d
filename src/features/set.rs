//! What was fitted: the features of one stored version.

use serde::{Deserialize, Serialize};

use super::request::MAX_LEVELS;
use super::{Error, Kind, Origin, Scale, Steps};
use crate::nn::{InputFeature, InputForm};

/// Most feature columns: PostgreSQL's own limit of a table's columns.
pub const MAX_FEATURES: usize = 1600;
/// Most inputs that all features may have together.
const MAX_WIDTH: usize = 1 << 20;
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

/// How a feature was distributed among the training rows, so that drift can be told later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing is known.
    #[default]
    None,
    /// Of a number.
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
            Fitted::Ignored { .. } => 0,
        }
    }

    /// How its raw values are stored: what [`Encoder`](super::Encoder) method takes them.
    pub fn kind(&self) -> Kind {
        match &self.treatment {
            Fitted::Numeric { .. } => Kind::Number,
            Fitted::OneHot { .. } | Fitted::Index { .. } => Kind::Category,
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
        self.features.iter().map(Feature::width).sum()
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
            .map(|feature| {
                let vocabulary = match &feature.treatment {
                    Fitted::Index { levels, .. } => Some(levels.len() + 2),
                    _ => None,
                };
                InputFeature::column(&feature.name, feature.width(), vocabulary)
            })
            .collect()
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
        if self.width() > MAX_WIDTH {
            return Err(Error::Damaged("too many inputs".to_owned()));
        }
        Ok(())
    }
}

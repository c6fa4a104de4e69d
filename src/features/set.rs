//! The features of one stored version.

use serde::{Deserialize, Serialize};

use super::fitted::output;
use super::{Error, Feature, Fitted, LeftOut, Profile, Steps};
use crate::nn::{Augmentation, InputFeature, InputForm};

/// Most feature columns: PostgreSQL's own limit of a table's columns.
pub const MAX_FEATURES: usize = 1600;
/// Most columns that all versions of a model together leave out.
const MAX_LEFT_OUT: usize = 10 * MAX_FEATURES;
/// Most inputs that all features may have together.
pub(super) const MAX_WIDTH: usize = 1 << 20;
/// Most numbers that all vectors may have together, so that their scales stay small beside a model.
pub(super) const MAX_VECTORS: usize = 1 << 18;
/// What an architecture calls the only input of a set of sequences.
pub const STEPS_INPUT: &str = "steps";
/// The layout of the JSON this release writes.
const FORMAT: u32 = 1;

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
    /// The columns of the training's query that are no features: a row may have them, a later
    /// training too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
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
            left_out: Vec::new(),
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

    /// The set without the features that the network does not see.
    #[must_use]
    pub fn used(&self) -> FeatureSet {
        let mut set = self.clone();
        set.features.retain(Feature::is_used);
        set
    }

    /// The features as a model has them: in the call order of its earlier versions and with their
    /// types, then those that are new; of a new model those that the network sees.
    ///
    /// A feature that an earlier version has and this training does not use keeps its place, so
    /// that calls by position stay right.
    #[must_use]
    pub fn in_call_order(mut self, earlier: Option<&FeatureSet>) -> FeatureSet {
        let Some(earlier) = earlier else {
            return self.used();
        };
        let mut ordered = Vec::with_capacity(self.features.len());
        for known in &earlier.features {
            let own = self
                .position(&known.name)
                .map(|at| self.features.remove(at));
            ordered.push(match own {
                Some(own) => Feature {
                    sql_type: known.sql_type.clone(),
                    origin: known.origin,
                    ..own
                },
                None => Feature {
                    treatment: Fitted::Ignored {
                        reason: "it is not in the query".to_owned(),
                    },
                    profile: Profile::None,
                    ..known.clone()
                },
            });
        }
        ordered.append(&mut self.features);
        self.features = ordered;
        self
    }

    /// Takes note of columns that are no features: those of this training, and those of the
    /// earlier versions.
    pub fn leave_out(&mut self, columns: Vec<LeftOut>, earlier: Option<&FeatureSet>) {
        let earlier = earlier.iter().flat_map(|set| set.left_out.iter().cloned());
        for left_out in columns.into_iter().chain(earlier) {
            let known = self
                .left_out
                .iter()
                .any(|known| known.column == left_out.column);
            if !known && self.position(&left_out.column).is_none() {
                self.left_out.push(left_out);
            }
        }
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

    /// Says of the features with so many levels that their embeddings came with vectors for the
    /// levels alone.
    pub fn embed_levels_alone(&mut self, counts: &[usize]) {
        for feature in &mut self.features {
            if let Fitted::Index { levels, exact, .. } = &mut feature.treatment {
                *exact = counts.contains(&levels.len());
            }
        }
    }

    /// Whether a feature with so many levels has an embedding that came with vectors for the levels
    /// alone.
    pub fn embeds_levels_alone(&self, count: usize) -> bool {
        self.features
            .iter()
            .any(|feature| match &feature.treatment {
                Fitted::Index { levels, exact, .. } => *exact && levels.len() == count,
                _ => false,
            })
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
        if self.features.len() > MAX_FEATURES || self.left_out.len() > MAX_LEFT_OUT {
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

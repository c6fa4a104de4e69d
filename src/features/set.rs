//! The features of one stored version.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;
use super::feature::Feature;
use super::ignored::Ignored;
use super::left_out::LeftOut;
use super::profile::Profile;
use super::rows::sequences::Steps;
use super::treatments::Fitted;
use crate::nn::{Augmentation, InputFeature, InputForm};

/// Most feature columns: PostgreSQL's own limit of a table's columns.
pub const MAX_FEATURES: usize = 1600;
/// Most columns that all versions of a model together leave out.
const MAX_LEFT_OUT: usize = 10 * MAX_FEATURES;
/// Most inputs that all features may have together.
const MAX_WIDTH: usize = 1 << 20;
/// Most numbers that all vectors may have together, so that their scales stay small beside a model.
const MAX_VECTORS: usize = 1 << 18;
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
        for feature in &self.features {
            let Some((what, hint)) = feature.treatment.learnt().step_fault() else {
                continue;
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
                    treatment: Ignored::because("it is not in the query").into(),
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
            found.extend(feature.treatment.learnt().augmentation(offset));
            offset += feature.width();
        }
        found
    }

    /// The categories for which the treatments, not the architecture, ask for an embedding, each
    /// with its width: what `Architecture::with_embeddings` wants.
    pub fn embeddings(&self) -> Vec<(String, usize)> {
        let features = self.features.iter();
        features
            .filter_map(|feature| {
                let units = feature.treatment.learnt().embedding()?;
                Some((feature.name.clone(), units))
            })
            .collect()
    }

    /// The features whose levels an embedding reads, each with how many levels it has.
    pub fn embedded_levels(&self) -> impl Iterator<Item = (&str, usize)> {
        let features = self.features.iter();
        features.filter_map(|feature| match &feature.treatment {
            Fitted::Index(index) => Some((feature.name.as_str(), index.levels.len())),
            _ => None,
        })
    }

    /// Says of the features with so many levels that their embeddings came with vectors for the
    /// levels alone.
    pub fn embed_levels_alone(&mut self, counts: &[usize]) {
        for feature in &mut self.features {
            if let Fitted::Index(index) = &mut feature.treatment {
                index.exact = counts.contains(&index.levels.len());
            }
        }
    }

    /// Whether a feature with so many levels has an embedding that came with vectors for the levels
    /// alone.
    pub fn embeds_levels_alone(&self, count: usize) -> bool {
        self.features
            .iter()
            .any(|feature| match &feature.treatment {
                Fitted::Index(index) => index.exact && index.levels.len() == count,
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
            && (steps.length == 0 || self.step_width() == 0 || { self.features.iter() }
                .any(|feature| feature.treatment.learnt().step_fault().is_some()))
        {
            return Err(Error::Damaged("its sequences cannot be".to_owned()));
        }
        let features = self.features.iter();
        let scales: usize = features.map(|f| f.treatment.learnt().scales()).sum();
        if self.width() > MAX_WIDTH || scales > MAX_VECTORS {
            return Err(Error::Damaged("too many inputs".to_owned()));
        }
        Ok(())
    }

    /// Refuses more inputs than a model can have, while the user can still do something about it.
    ///
    /// # Errors
    /// They are more.
    pub(super) fn check_inputs(features: &[Feature]) -> Result<(), Error> {
        let inputs = features.iter().map(Feature::width).sum::<usize>();
        let scales = features.iter().map(|f| f.treatment.learnt().scales()).sum();
        for (what, total, most) in [
            ("features", inputs, MAX_WIDTH),
            ("vectors", scales, MAX_VECTORS),
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

    /// What whoever may call the model may see: an array of names, types and treatments in call
    /// order, without anything that was fitted; those of a sequence's steps with its length and
    /// the columns that told sequences apart and ordered their steps.
    pub fn public_json(&self) -> Value {
        let features = self.features.iter();
        features
            .map(|feature| Value::Object(feature.public(self.steps.as_ref())))
            .collect()
    }

    /// What the owner sees: [`public_json`](FeatureSet::public_json) with scales, ranges, levels
    /// and the reasons for what is left out.
    pub fn owner_json(&self) -> Value {
        let features = self.features.iter();
        features
            .map(|feature| Value::Object(feature.owned(self.steps.as_ref())))
            .collect()
    }
}

//! Decoded models of this backend, ready to predict.
//!
//! A version's bytes never change, so an entry keyed by their hash cannot be stale. What a call
//! site holds lives on when the cache lets it go.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use crate::artifact::Model;
use crate::features::{Encoder, FeatureSet, Target};
use crate::metrics;
use crate::nn::Predictor;
use crate::pg::error::Report;
use crate::pg::interrupt;
use crate::pg::reader::{self, Resolved};
use crate::pg::settings;
use crate::training::positive_probability;

/// A stored version, decoded.
pub struct DecodedModel {
    /// What its features are.
    pub features: FeatureSet,
    /// From values to the network's input.
    pub encoder: Encoder,
    /// What it predicts.
    pub target: Target,
    /// The network with packed weights.
    pub predictor: Predictor,
    /// Memory it takes, about.
    pub bytes: usize,
    outputs: usize,
}

impl DecodedModel {
    /// Makes a model ready to predict.
    pub fn new(model: Model) -> Result<DecodedModel, Report> {
        let network = model
            .network()
            .map_err(|error| Report::damaged(format!("a stored model is damaged: {error}")))?;
        let predictor = Predictor::new(&network, &model.parameters)?;
        let encoder = model.features.encoder();
        let bytes = predictor.size_bytes() + encoder.size_bytes() + 4096;
        Ok(DecodedModel {
            encoder,
            predictor,
            bytes,
            outputs: network.output_units(),
            features: model.features,
            target: model.target,
        })
    }

    /// Numbers that the network gives for a row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The one number of a row: a regression's value, or the positive class's probability.
    #[inline]
    pub fn value(&self, outputs: &[f32]) -> f64 {
        match &self.target {
            Target::Regression { .. } => self
                .target
                .decode(0, outputs.first().copied().unwrap_or(f32::NAN)),
            Target::Classes { .. } | Target::Labels { .. } => positive_probability(outputs),
        }
    }

    /// The place of the predicted class: by the threshold of two, the likeliest of more.
    pub fn class_index(&self, outputs: &[f32]) -> usize {
        match &self.target {
            Target::Classes {
                positive: Some(positive),
                threshold,
                ..
            } => {
                let is_positive = metrics::is_positive(positive_probability(outputs), *threshold);
                if is_positive {
                    *positive
                } else {
                    1 - *positive
                }
            }
            _ => outputs
                .iter()
                .enumerate()
                .max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)))
                .map_or(0, |(i, _)| i),
        }
    }

    /// The predicted class; of several labels those predicted, as the text of an array; empty for
    /// a regression.
    pub fn class(&self, outputs: &[f32]) -> Cow<'_, str> {
        if let Target::Labels { .. } = &self.target {
            return self.target.label_set(outputs).into();
        }
        self.target
            .classes()
            .get(self.class_index(outputs))
            .map_or("", String::as_str)
            .into()
    }

    /// A probability for each class or label in their order, or each output of a regression.
    pub fn all(&self, outputs: &[f32]) -> Vec<f64> {
        match &self.target {
            Target::Regression { .. } => outputs
                .iter()
                .enumerate()
                .map(|(i, &output)| self.target.decode(i, output))
                .collect(),
            Target::Classes {
                positive: Some(positive),
                ..
            } => {
                let p = positive_probability(outputs);
                if *positive == 0 {
                    vec![p, 1.0 - p]
                } else {
                    vec![1.0 - p, p]
                }
            }
            Target::Classes { .. } | Target::Labels { .. } => {
                outputs.iter().copied().map(f64::from).collect()
            }
        }
    }
}

thread_local! {
    /// The least recently used comes first. A backend uses few models: a list is enough.
    static CACHE: RefCell<Vec<([u8; 32], Rc<DecodedModel>)>> = const { RefCell::new(Vec::new()) };
}

/// The decoded version, from the cache or from the catalog as the active snapshot shows it.
pub fn model(version: &Resolved) -> Result<Rc<DecodedModel>, Report> {
    if let Some(found) = CACHE.with_borrow_mut(|cache| {
        let place = cache.iter().position(|(hash, _)| *hash == version.sha256)?;
        let entry = cache.remove(place);
        let model = entry.1.clone();
        cache.push(entry);
        Some(model)
    }) {
        return Ok(found);
    }
    let bytes = reader::load(version)?;
    let model = Model::from_bytes(&bytes).map_err(|error| {
        Report::damaged(format!(
            "the stored model \"{}\" is damaged: {error}",
            version.label()
        ))
    })?;
    drop(bytes);
    // A large model takes a while to decode, and again to pack.
    interrupt::check();
    let model = Rc::new(DecodedModel::new(model)?);
    let limit = settings::model_cache();
    CACHE.with_borrow_mut(|cache| {
        cache.push((version.sha256, model.clone()));
        let mut total: usize = cache.iter().map(|(_, model)| model.bytes).sum();
        // The newest stays even when it alone is larger: the call at hand needs it.
        while total > limit && cache.len() > 1 {
            total -= cache.remove(0).1.bytes;
        }
    });
    Ok(model)
}

//! A model ready to predict.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;
use super::model::Model;
use crate::features::{FeatureSet, Target};
use crate::memory;
use crate::nn::{Architecture, Network, Never, Predictor, Quantization, SharedWeights, Stop};

/// What predicting takes of a model: everything but how it was trained.
pub struct Prepared {
    /// The features in call order, as fitted.
    pub features: FeatureSet,
    /// What is predicted, and how the outputs are read.
    pub target: Target,
    /// The network with packed weights.
    pub predictor: Predictor,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({} inputs)", self.predictor.input_width())
    }
}

/// What is kept of a model beside its packed weights.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outline<A, F, T> {
    architecture: A,
    features: F,
    target: T,
    /// Number of parameters, which bounds what the network may ask for.
    parameters: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantization: Option<Quantization>,
}

impl Prepared {
    /// Packs a model.
    ///
    /// # Errors
    /// [`Error::Damaged`] when architecture, features, target and parameters do not fit together;
    /// [`Error::Refused`] when there is no memory for the packed weights.
    pub fn new(model: Model) -> Result<Prepared, Error> {
        Self::new_until(model, &Never)
    }

    /// [`Prepared::new`] that ends early once `stop` is set.
    ///
    /// # Errors
    /// As [`Prepared::new`], and [`Error::Interrupted`].
    pub fn new_until(model: Model, stop: &dyn Stop) -> Result<Prepared, Error> {
        ask_to_pack(&model)?;
        let predictor =
            Predictor::new_until(&model.network()?, &model.parameters, stop).map_err(network)?;
        Ok(Self::with(model, predictor))
    }

    /// Packs a model, and hands the packed weights piece by piece to `keep`.
    ///
    /// # Errors
    /// As [`Prepared::new_until`].
    pub(super) fn keeping(
        model: Model,
        keep: &mut dyn FnMut(&[u8]),
        stop: &dyn Stop,
    ) -> Result<Prepared, Error> {
        ask_to_pack(&model)?;
        let network_of = model.network()?;
        let predictor =
            Predictor::keeping(&network_of, &model.parameters, keep, stop).map_err(network)?;
        Ok(Self::with(model, predictor))
    }

    fn with(model: Model, predictor: Predictor) -> Prepared {
        Prepared {
            features: model.features,
            target: model.target,
            predictor,
        }
    }

    /// What [`Prepared::shared`] needs beside the weights, as JSON.
    pub(super) fn outline(model: &Model) -> Result<Vec<u8>, Error> {
        let outline = Outline {
            architecture: model.architecture.to_json(),
            features: &model.features,
            target: &model.target,
            parameters: model.parameters.len(),
            quantization: model.quantization.clone(),
        };
        serde_json::to_vec(&outline)
            .map_err(|error| Error::damaged("the model's outline", error.to_string()))
    }

    /// The model whose weights were packed before.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the parts do not fit together.
    pub(super) fn shared(outline: &[u8], weights: SharedWeights) -> Result<Prepared, Error> {
        let damaged =
            |error: &dyn fmt::Display| Error::damaged("the model's outline", error.to_string());
        let outline: Outline<Value, FeatureSet, Target> =
            serde_json::from_slice(outline).map_err(|error| damaged(&error))?;
        let Outline {
            architecture,
            features,
            target,
            parameters,
            quantization,
        } = outline;
        features.validate().map_err(|error| damaged(&error))?;
        target.validate().map_err(|error| damaged(&error))?;
        let architecture = Architecture::from_json(&architecture).map_err(network)?;
        let limit = parameters.saturating_mul(size_of::<f32>());
        let mut network_of = Network::build(
            &architecture,
            &features.inputs(),
            target.head(),
            Some(limit),
        )
        .map_err(network)?;
        if let Some(quantization) = &quantization {
            network_of.quantize(quantization).map_err(network)?;
        }
        let predictor = Predictor::shared(&network_of, weights).map_err(network)?;
        Ok(Prepared {
            features,
            target,
            predictor,
        })
    }
}

/// Packed weights are filled up to whole vectors; the layers' own are small.
fn ask_to_pack(model: &Model) -> Result<(), Error> {
    let bytes = size_of_val(model.parameters.as_slice());
    Ok(memory::ask_for_many(bytes.saturating_mul(2))?)
}

fn network(error: crate::nn::Error) -> Error {
    match error {
        crate::nn::Error::Interrupted => Error::Interrupted,
        error => Error::damaged("the network", error.to_string()),
    }
}

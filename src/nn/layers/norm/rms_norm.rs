//! Normalisation by the root of the mean square (Zhang and Sennrich, 2019), as `torch.nn.RMSNorm`:
//! y = x / √(mean(x²) + ε) · weight.
//!
//! What is normalised together is what `layer_norm` normalises together.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::layer_norm::LayerNorm;
use super::{NormSettings, is_keras};
use crate::nn::base::error::Error;
use crate::nn::layer::settings::shortest;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};

/// PyTorch's default for single precision, the distance from 1 to the next f32.
const EPSILON: f32 = f32::EPSILON;
/// Keras's, for a layer that has Keras's name.
const KERAS_EPSILON: f32 = 1e-6;

/// The type `rms_norm`.
pub(in crate::nn) const RMS_NORM: LayerType = LayerType {
    name: "rms_norm",
    aliases: &["rmsnorm", "rmsnormalization"],
    settings: &["epsilon", "scale"],
    rank: Rank::Any,
    read: |_, settings| {
        let epsilon = match is_keras(settings) {
            true => KERAS_EPSILON,
            false => EPSILON,
        };
        Ok(Arc::new(RmsNormSpec(NormSettings {
            epsilon: settings.positive("epsilon")?.unwrap_or(epsilon),
            scale: settings.flag("scale")?.unwrap_or(true),
            center: false,
        })))
    },
};

#[derive(Debug)]
struct RmsNormSpec(NormSettings);

impl Spec for RmsNormSpec {
    fn type_name(&self) -> &'static str {
        RMS_NORM.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if self.0.epsilon != EPSILON {
            settings.insert("epsilon".into(), shortest(self.0.epsilon).into());
        }
        if !self.0.scale {
            settings.insert("scale".into(), false.into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        LayerNorm::build(self.0, false, site)
    }
}

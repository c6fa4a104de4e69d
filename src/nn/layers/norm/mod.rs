//! Layers that bring values to mean 0 and variance 1 (or just to a mean square of 1), then multiply
//! by a learnt weight and add a learnt bias.

pub(in crate::nn) mod batch_norm;
mod channels;
mod group;
pub(in crate::nn) mod group_norm;
pub(in crate::nn) mod layer_norm;
mod packed;
pub(in crate::nn) mod rms_norm;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub(super) use group::{Affine, AffineGradient, Group};

use crate::nn::base::error::Error;
use crate::nn::layer::ParameterSpec;
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::settings::{Settings, shortest};

/// Added to a variance, PyTorch's default.
pub(super) const EPSILON: f32 = 1e-5;
/// Keras's, for a layer that has Keras's name.
const KERAS_EPSILON: f32 = 1e-3;

/// Whether the layer has the name of Keras's class (`BatchNormalization`), whose defaults differ.
fn is_keras(settings: &Settings<'_>) -> bool {
    settings.type_as_written().ends_with("normalization")
}

/// The settings that all of them have.
#[derive(Debug, Clone, Copy, PartialEq)]
struct NormSettings {
    /// Added to the variance.
    epsilon: f32,
    /// Whether there is a weight.
    scale: bool,
    /// Whether there is a bias.
    center: bool,
}

impl NormSettings {
    fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        let epsilon = match is_keras(settings) {
            true => KERAS_EPSILON,
            false => EPSILON,
        };
        Ok(Self {
            epsilon: settings.positive("epsilon")?.unwrap_or(epsilon),
            scale: settings.flag("scale")?.unwrap_or(true),
            center: settings.flag("center")?.unwrap_or(true),
        })
    }

    fn write(self, settings: &mut Map<String, Value>) {
        if self.epsilon != EPSILON {
            settings.insert("epsilon".into(), shortest(self.epsilon).into());
        }
        for (name, given) in [("scale", self.scale), ("center", self.center)] {
            if !given {
                settings.insert(name.into(), false.into());
            }
        }
    }

    /// `weight` and `bias` of this shape.
    fn parameters(self, shape: &[usize]) -> Vec<ParameterSpec> {
        let weight = parameter("weight", shape, ParameterKind::Gain, 1.0);
        let bias = parameter("bias", shape, ParameterKind::Bias, 0.0);
        let both = [(self.scale, weight), (self.center, bias)];
        both.into_iter()
            .filter_map(|(there, parameter)| there.then_some(parameter))
            .collect()
    }

    /// Number of the values of both.
    fn count(self, width: usize) -> usize {
        (usize::from(self.scale) + usize::from(self.center)) * width
    }

    /// The two parts of the parameters, each `width` long.
    fn affine(self, parameters: &[f32], width: usize) -> Affine<'_> {
        let (weight, bias) = parameters.split_at(if self.scale { width } else { 0 });
        Affine {
            weight: self.scale.then_some(weight),
            bias: self.center.then(|| &bias[..width]),
        }
    }

    /// The two parts of their gradient.
    fn affine_gradient(self, gradient: Option<&mut [f32]>, width: usize) -> AffineGradient<'_> {
        let Some(gradient) = gradient else {
            return AffineGradient::default();
        };
        let (weight, bias) = gradient.split_at_mut(if self.scale { width } else { 0 });
        AffineGradient {
            weight: self.scale.then_some(weight),
            bias: self.center.then(|| &mut bias[..width]),
        }
    }
}

/// A parameter that starts at the same value everywhere.
pub(super) fn parameter(
    name: impl Into<Cow<'static, str>>,
    shape: &[usize],
    kind: ParameterKind,
    start: f32,
) -> ParameterSpec {
    ParameterSpec {
        name: name.into(),
        shape: shape.to_vec(),
        kind,
        fan_in: 1,
        fan_out: 1,
        initializer: None,
        start: Some(start),
    }
}

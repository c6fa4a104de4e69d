//! The leaky ReLU whose slope is learnt (He et al., 2015), as `torch.nn.PReLU`; parameters:
//! `weight`, one for all values or one a channel, at first 0.25.
//!
//! `y = x` where x is positive, else `weight · x`. The channels of a vector are its values, those of
//! a sequence its features, those of an image its channels.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::kernels::reduction::sum_of_pairs;
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// PyTorch's default of what the slopes are at first.
const START: f32 = 0.25;

/// The type `prelu`.
pub(in crate::nn) const PRELU: LayerType = LayerType {
    name: "prelu",
    aliases: &["p_relu"],
    settings: &["num_parameters"],
    rank: Rank::Any,
    read: |_, settings| {
        Ok(Arc::new(PreluSpec {
            slopes: settings.count("num_parameters")?.unwrap_or(1),
        }))
    },
};

#[derive(Debug)]
struct PreluSpec {
    slopes: usize,
}

impl Spec for PreluSpec {
    fn type_name(&self) -> &'static str {
        PRELU.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if self.slopes != 1 {
            settings.insert("num_parameters".into(), self.slopes.into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.one()?;
        let (channels, plane) = match shape {
            Shape::Vector(count)
            | Shape::Sequence {
                features: count, ..
            } => (count, 1),
            Shape::Image {
                channels,
                height,
                width,
            } => (channels, height * width),
        };
        if self.slopes != 1 && self.slopes != channels {
            return Err(site.error(
                format!(
                    "has {} parameters, but reads {channels} channels",
                    self.slopes
                ),
                format!("Give \"num_parameters\" as 1 or {channels}."),
            ));
        }
        Ok(Built::Layer {
            layer: Box::new(Prelu {
                size: shape.size(),
                slopes: self.slopes,
                plane,
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows to rows of the same shape.
#[derive(Debug, Clone, Copy)]
struct Prelu {
    /// Values of a row.
    size: usize,
    slopes: usize,
    /// Neighbouring values that share a slope.
    plane: usize,
}

impl Prelu {
    /// The slope of the value at this place of a row.
    #[inline(always)]
    fn slope(self, place: usize) -> usize {
        match self.slopes {
            1 => 0,
            slopes => place / self.plane % slopes,
        }
    }

    fn row(self, x: &[f32], weight: &[f32], y: &mut [f32]) {
        for (place, (y, x)) in y.iter_mut().zip(x).enumerate() {
            *y = if *x > 0.0 {
                *x
            } else {
                weight[self.slope(place)] * x
            };
        }
    }
}

impl Layer for Prelu {
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight".into(),
            shape: vec![self.slopes],
            // Decay would pull the slopes to zero, and with them the layer to a plain ReLU.
            kind: ParameterKind::Bias,
            fan_in: 1,
            fan_out: 1,
            initializer: None,
            start: Some(START),
        }]
    }

    fn products(&self) -> usize {
        self.size
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.size).enumerate() {
            self.row(input.row(row), pass.parameters, output);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let input = pass.inputs.view(0);
        if let Some(gradient) = pass.parameter_gradient {
            for (row, upper) in pass.gradient.chunks_exact(self.size).enumerate() {
                let x = input.row(row);
                if self.slopes == 1 {
                    let below = |u: f32, x: f32| if x > 0.0 { 0.0 } else { u * x };
                    gradient[0] += sum_of_pairs(upper, x, below) as f32;
                    continue;
                }
                for (place, (u, x)) in upper.iter().zip(x).enumerate() {
                    if *x <= 0.0 {
                        gradient[self.slope(place)] += u * x;
                    }
                }
            }
        }
        let (weight, upper) = (pass.parameters, &*pass.gradient);
        pass.input_gradients.put(0, |i| {
            let (row, place) = (i / self.size, i % self.size);
            match input.row(row)[place] > 0.0 {
                true => upper[i],
                false => weight[self.slope(place)] * upper[i],
            }
        });
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(PackedPrelu {
            layer: *self,
            weight: packer.copy_all(),
        }))
    }
}

#[derive(Debug)]
struct PackedPrelu {
    layer: Prelu,
    weight: Values,
}

impl Packed for PackedPrelu {
    fn size_bytes(&self) -> usize {
        self.weight.own_bytes()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let input = pass.inputs.view(0);
        for row in 0..pass.rows {
            let output = &mut pass.output[row * pass.stride..][..self.layer.size];
            self.layer.row(input.row(row), &self.weight, output);
        }
    }
}

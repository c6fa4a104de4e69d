//! A learnt factor for each input; parameters: `weight`, one a column, at first zero.
//!
//! `y = x · (1 + factor · w)`. It lets training turn features up and down before they are mixed
//! (Holzmüller et al., "Better by default", 2024, from whom also the idea of a larger learning
//! rate for it: `factor` multiplies the step that an adaptive optimizer takes).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::shortest;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// The type `scale`.
pub(in crate::nn) const SCALE: LayerType = LayerType {
    name: "scale",
    aliases: &[],
    settings: &["factor"],
    rank: Rank::Any,
    read: |_, settings| {
        Ok(Arc::new(ScaleSpec {
            factor: settings.positive("factor")?.unwrap_or(1.0),
        }))
    },
};

#[derive(Debug)]
struct ScaleSpec {
    /// What the weight is multiplied by.
    factor: f32,
}

impl Spec for ScaleSpec {
    fn type_name(&self) -> &'static str {
        SCALE.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("factor".into(), shortest(self.factor).into());
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.one()?;
        Ok(Built::Layer {
            layer: Box::new(Scale {
                width: shape.size(),
                factor: self.factor,
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, width] to rows of the same shape.
#[derive(Debug)]
struct Scale {
    width: usize,
    factor: f32,
}

impl Layer for Scale {
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight".into(),
            shape: vec![self.width],
            // Like a bias: decay would pull the factors to one, not the network to zero.
            kind: ParameterKind::Bias,
            fan_in: 1,
            fan_out: 1,
            initializer: Some(Initializer::Zeros),
            start: None,
        }]
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
            let factors = pass.parameters.iter();
            for ((y, x), w) in output.iter_mut().zip(input.row(row)).zip(factors) {
                *y = scaled(*x, *w, self.factor);
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let input = pass.inputs.view(0);
        if let Some(gradient) = pass.parameter_gradient {
            for (row, upper) in pass.gradient.chunks_exact(self.width).enumerate() {
                for ((g, u), x) in gradient.iter_mut().zip(upper).zip(input.row(row)) {
                    *g += u * x * self.factor;
                }
            }
        }
        let (parameters, upper) = (pass.parameters, &*pass.gradient);
        pass.input_gradients.put(0, |i| {
            scaled(upper[i], parameters[i % self.width], self.factor)
        });
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let factors = packer.values(self.width, |own, factors| {
            for (to, w) in factors.iter_mut().zip(own) {
                *to = 1.0 + self.factor * w;
            }
        });
        Some(Box::new(PackedScale(factors)))
    }
}

/// `x · (1 + factor · w)`, rounded in one fixed way.
#[inline(always)]
fn scaled(x: f32, w: f32, factor: f32) -> f32 {
    x * (1.0 + factor * w)
}

/// The factors.
#[derive(Debug)]
struct PackedScale(Values);

impl Packed for PackedScale {
    fn size_bytes(&self) -> usize {
        self.0.own_bytes()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let (input, factors) = (pass.inputs.view(0), &*self.0);
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            for ((y, x), factor) in output.iter_mut().zip(input.row(row)).zip(factors) {
                *y = x * factor;
            }
        }
    }
}

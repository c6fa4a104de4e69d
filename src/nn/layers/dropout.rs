//! Inverted dropout, as in `torch.nn.Dropout`: in training each value is zero with probability
//! `rate` and otherwise scaled by 1 / (1 - rate); outside training nothing happens.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::layer::settings::shortest;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, Operation};

/// The type `dropout`.
pub(in crate::nn) const DROPOUT: LayerType = LayerType {
    name: "dropout",
    aliases: &[],
    settings: &["rate"],
    rank: Rank::Any,
    read: |_, settings| {
        let rate = settings.rate("rate")?;
        Ok(Arc::new(DropoutSpec {
            rate: rate.ok_or_else(|| settings.missing("rate"))?,
        }))
    },
};

/// Settings of a dropout layer.
#[derive(Debug, Clone)]
pub struct DropoutSpec {
    /// Probability of a zero, in [0, 1).
    pub rate: f32,
}

impl Spec for DropoutSpec {
    fn type_name(&self) -> &'static str {
        DROPOUT.name
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("rate".into(), shortest(self.rate).into());
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.one()?;
        Ok(Built::Layer {
            layer: Box::new(Dropout {
                rate: self.rate,
                width: shape.size(),
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, width] to rows of the same shape.
#[derive(Debug)]
struct Dropout {
    rate: f32,
    width: usize,
}

impl Layer for Dropout {
    /// The factor of each value: 0 or 1 / (1 - rate).
    fn saved_per_row(&self) -> usize {
        self.width
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        match pass.random {
            Some(random) if self.rate > 0.0 => {
                let scale = 1.0 / (1.0 - self.rate);
                // A value is dropped when 32 random bits are below the rate's share of 2^32.
                let bound = (f64::from(self.rate) * 4_294_967_296.0) as u32;
                for factor in pass.saved.iter_mut() {
                    *factor = if random.next_u32() < bound {
                        0.0
                    } else {
                        scale
                    };
                }
            }
            _ => pass.saved.fill(1.0),
        }
        let rows = pass.output.chunks_exact_mut(self.width);
        for (row, (output, factors)) in rows.zip(pass.saved.chunks_exact(self.width)).enumerate() {
            for ((output, x), factor) in output.iter_mut().zip(input.row(row)).zip(factors) {
                *output = x * factor;
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        pass.input_gradients
            .put(0, |i| pass.gradient[i] * pass.saved[i]);
    }

    fn operation(&self) -> Operation {
        Operation::Identity
    }
}

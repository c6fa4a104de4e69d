//! Positions added to the steps of a sequence.
//!
//! `sinusoidal` (Vaswani and others, 2017, section 3.5): feature 2i of step t is raised by
//! sin(t / 10000^(2i/features)), feature 2i+1 by the cosine of the same; nothing is learnt. `learned`:
//! a parameter `weight`, [steps, features], as of `torch.nn.Embedding`.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// The type `positional_encoding`.
pub(in crate::nn) const POSITIONAL_ENCODING: LayerType = LayerType {
    name: "positional_encoding",
    aliases: &[
        "positionalencoding",
        "positionembedding",
        "sinepositionencoding",
    ],
    settings: &["kind"],
    rank: Rank::Sequence,
    read: |_, settings| {
        let kind = settings.choice("kind", &["sinusoidal", "learned"])?;
        Ok(Arc::new(PositionsSpec {
            learned: kind == Some(1),
        }))
    },
};

#[derive(Debug)]
struct PositionsSpec {
    learned: bool,
}

impl Spec for PositionsSpec {
    fn type_name(&self) -> &'static str {
        POSITIONAL_ENCODING.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if self.learned {
            settings.insert("kind".into(), "learned".into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (steps, features) = site.sequence()?;
        Ok(Built::Layer {
            layer: Box::new(PositionalEncoding {
                steps,
                features,
                learned: self.learned,
                fixed: OnceLock::new(),
            }),
            shape: site.one()?,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, steps, features] to rows of the same shape.
#[derive(Debug)]
struct PositionalEncoding {
    steps: usize,
    features: usize,
    learned: bool,
    /// What is added where it is not learnt, from the first pass on: packed weights have it, too.
    fixed: OnceLock<Vec<f32>>,
}

impl PositionalEncoding {
    fn size(&self) -> usize {
        self.steps * self.features
    }

    /// What is added.
    fn table<'a>(&'a self, parameters: &'a [f32]) -> &'a [f32] {
        match self.learned {
            true => parameters,
            false => self
                .fixed
                .get_or_init(|| sinusoidal(self.steps, self.features)),
        }
    }
}

impl Layer for PositionalEncoding {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let weight = ParameterSpec {
            name: "weight".into(),
            shape: vec![self.steps, self.features],
            kind: ParameterKind::Embedding,
            fan_in: self.steps,
            fan_out: self.features,
            initializer: None,
            start: None,
        };
        match self.learned {
            false => Vec::new(),
            true => vec![weight],
        }
    }

    fn products(&self) -> usize {
        self.size()
    }

    fn forward(&self, pass: Forward<'_>) {
        let table = self.table(pass.parameters);
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.size()).enumerate() {
            add(input.row(row), table, output);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(weight) = pass.parameter_gradient {
            for gradient in pass.gradient.chunks_exact(self.size()) {
                // Nothing where the positions are fixed: then there is no weight.
                weight.iter_mut().zip(gradient).for_each(|(w, g)| *w += g);
            }
        }
        let gradient = &*pass.gradient;
        pass.input_gradients.put(0, |i| gradient[i]);
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let table = packer.values(self.size(), |own, values| {
            values.copy_from_slice(self.table(own));
        });
        Some(Box::new(PackedPositions(table)))
    }
}

#[inline]
fn add(x: &[f32], table: &[f32], output: &mut [f32]) {
    for ((y, x), position) in output.iter_mut().zip(x).zip(table) {
        *y = x + position;
    }
}

/// What is added to each step.
#[derive(Debug)]
struct PackedPositions(Values);

impl Packed for PackedPositions {
    fn size_bytes(&self) -> usize {
        self.0.own_bytes()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let input = pass.inputs.view(0);
        for row in 0..pass.rows {
            let output = &mut pass.output[row * pass.stride..][..self.0.len()];
            add(input.row(row), &self.0, output);
        }
    }
}

/// The table [steps, features] of sines and cosines.
fn sinusoidal(steps: usize, features: usize) -> Vec<f32> {
    let mut table = vec![0.0; steps * features];
    for i in (0..features).step_by(2) {
        let frequency = exp(-(i as f64 / features as f64) * std::f64::consts::LN_10 * 4.0);
        for step in 0..steps {
            let (sine, cosine) = sine_and_cosine(step as f64 * frequency);
            let pair = &mut table[step * features + i..][..2.min(features - i)];
            for (value, wave) in pair.iter_mut().zip([sine, cosine]) {
                *value = wave as f32;
            }
        }
    }
    table
}

/// e^x for x in -16..=0, from basic operations only, so that it has the same bits everywhere.
fn exp(x: f64) -> f64 {
    // Taylor's series of e^(x / 16), then four squarings.
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..24 {
        term *= x / 16.0 / f64::from(n);
        sum += term;
    }
    for _ in 0..4 {
        sum *= sum;
    }
    sum
}

/// Sine and cosine of an angle from 0 on, likewise; exact to 1e-10 for angles up to a million.
fn sine_and_cosine(angle: f64) -> (f64, f64) {
    let turns = (angle / std::f64::consts::FRAC_PI_2).floor();
    // π / 2 in two parts, the first exact in products with whole numbers below 2^20.
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let x = (angle - turns * HIGH) - turns * LOW;
    // Taylor's series; x is below 1.6.
    let (mut sine, mut cosine) = (0.0, 0.0);
    let mut term = 1.0;
    for n in 0..26 {
        match n % 4 {
            0 => cosine += term,
            1 => sine += term,
            2 => cosine -= term,
            _ => sine -= term,
        }
        term *= x / f64::from(n + 1);
    }
    match turns as u64 % 4 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests {
    use super::{exp, sine_and_cosine};

    #[test]
    fn waves_agree_with_the_standard_library() {
        for i in 0..200_000 {
            let angle = f64::from(i) * 5.0 / 7.0;
            let (sine, cosine) = sine_and_cosine(angle);
            assert!((sine - angle.sin()).abs() < 1e-10, "sin {angle}");
            assert!((cosine - angle.cos()).abs() < 1e-10, "cos {angle}");
            let x = -f64::from(i) * 5e-5;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp {x}");
        }
    }
}

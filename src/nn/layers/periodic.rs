//! Each number beside a few learnt waves of it: `[x, b + W · cos 2π(f·x + φ)]`, with weights of its own
//! for every number (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning",
//! 2022; with phases, no activation and the number itself as "PBLD" in Holzmüller et al., "Better by
//! default", 2024).
//!
//! Parameters: `frequency`, inputs × frequencies, which is multiplied by `frequency_scale` and counts
//! cycles a unit of the number; `phase` of the same shape, in turns; `weight`, inputs × frequencies ×
//! (units − 1), and `bias`, inputs × (units − 1).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::math::cos_turns;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::{MAX_UNITS, shortest};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// The type `periodic`.
pub(in crate::nn) const PERIODIC: LayerType = LayerType {
    name: "periodic",
    aliases: &["periodicembeddings"],
    settings: &[
        "frequencies",
        "frequency_scale",
        "units",
        "kernel_initializer",
    ],
    rank: Rank::Any,
    read: |_, settings| {
        let hint = "The first of them is the number itself.";
        let units = settings.count_within("units", 2..=MAX_UNITS, hint)?;
        Ok(Arc::new(PeriodicSpec {
            frequencies: settings.count("frequencies")?.unwrap_or(FREQUENCIES),
            frequency_scale: settings.positive("frequency_scale")?.unwrap_or(SCALE),
            units: units.unwrap_or(UNITS),
            kernel_initializer: settings.initializer("kernel_initializer")?,
        }))
    },
};

/// The defaults of "Better by default".
const FREQUENCIES: usize = 16;
const UNITS: usize = 4;
const SCALE: f32 = 0.1;

#[derive(Debug)]
struct PeriodicSpec {
    frequencies: usize,
    frequency_scale: f32,
    units: usize,
    kernel_initializer: Option<Initializer>,
}

impl Spec for PeriodicSpec {
    fn type_name(&self) -> &'static str {
        PERIODIC.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("frequencies".into(), self.frequencies.into());
        let scale = shortest(self.frequency_scale);
        settings.insert("frequency_scale".into(), scale.into());
        settings.insert("units".into(), self.units.into());
        if let Some(initializer) = self.kernel_initializer {
            settings.insert("kernel_initializer".into(), initializer.name().into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let inputs = site.vector()?;
        let size = (self.frequencies.checked_mul(self.units))
            .and_then(|size| size.checked_mul(inputs))
            .filter(|size| *size <= isize::MAX as usize / size_of::<f64>());
        if size.is_none() {
            return Err(site.error(
                "has more parameters than can be addressed",
                "Give it fewer units or frequencies.",
            ));
        }
        Ok(Built::Layer {
            layer: Box::new(Periodic {
                sizes: Sizes {
                    inputs,
                    frequencies: self.frequencies,
                    waves: self.units - 1,
                    scale: self.frequency_scale,
                },
                kernel_initializer: self.kernel_initializer,
            }),
            shape: Shape::Vector(inputs * self.units),
            lengths: LengthRule::Keep,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    inputs: usize,
    frequencies: usize,
    /// Values that the waves of a number give, beside itself.
    waves: usize,
    scale: f32,
}

/// Rows [rows, inputs] to rows [rows, inputs, units].
#[derive(Debug)]
struct Periodic {
    sizes: Sizes,
    kernel_initializer: Option<Initializer>,
}

/// The parameters of all inputs, or those of one.
#[derive(Clone, Copy)]
struct Parts<'p> {
    frequency: &'p [f32],
    phase: &'p [f32],
    weight: &'p [f32],
    bias: &'p [f32],
}

impl Sizes {
    fn units(self) -> usize {
        self.waves + 1
    }

    /// Lengths of the four parameters.
    fn lengths(self) -> [usize; 4] {
        let cycles = self.inputs * self.frequencies;
        [
            cycles,
            cycles,
            cycles * self.waves,
            self.inputs * self.waves,
        ]
    }

    fn parts(self, parameters: &[f32]) -> Parts<'_> {
        let [cycles, _, weights, biases] = self.lengths();
        let (frequency, rest) = parameters.split_at(cycles);
        let (phase, rest) = rest.split_at(cycles);
        let (weight, rest) = rest.split_at(weights);
        Parts {
            frequency,
            phase,
            weight,
            bias: &rest[..biases],
        }
    }

    fn products(self) -> usize {
        // A cosine is about as much as so many products.
        self.inputs * self.frequencies * (self.waves + 12)
    }

    /// How far a number is through its waves, in turns.
    #[inline(always)]
    fn turns<'p>(self, of: Parts<'p>, x: f32) -> impl Iterator<Item = f32> + use<'p> {
        let scale = self.scale;
        let cycles = of.frequency.iter().zip(of.phase);
        cycles.map(move |(frequency, phase)| (frequency * scale).mul_add(x, *phase))
    }
}

impl<'p> Parts<'p> {
    #[inline(always)]
    fn of(self, sizes: Sizes, input: usize) -> Parts<'p> {
        let (cycles, waves) = (sizes.frequencies, sizes.waves);
        Parts {
            frequency: &self.frequency[input * cycles..][..cycles],
            phase: &self.phase[input * cycles..][..cycles],
            weight: &self.weight[input * cycles * waves..][..cycles * waves],
            bias: &self.bias[input * waves..][..waves],
        }
    }
}

/// The waves of a row of numbers.
struct RowWaves<'a> {
    sizes: Sizes,
    parts: Parts<'a>,
    row: &'a [f32],
    /// Room for the cosines of a number.
    cosines: &'a mut [f32],
    y: &'a mut [f32],
}

impl Task for RowWaves<'_> {
    #[inline(always)]
    fn run(self) {
        let sizes = self.sizes;
        let each = self.y.chunks_exact_mut(sizes.units()).zip(self.row);
        for (input, (y, &x)) in each.enumerate() {
            let own = self.parts.of(sizes, input);
            let cosines = &mut self.cosines[..sizes.frequencies];
            for (cosine, turns) in cosines.iter_mut().zip(sizes.turns(own, x)) {
                *cosine = cos_turns(turns);
            }
            y[0] = x;
            let y = &mut y[1..];
            y.copy_from_slice(own.bias);
            for (cosine, weight) in cosines.iter().zip(own.weight.chunks_exact(sizes.waves)) {
                for (y, weight) in y.iter_mut().zip(weight) {
                    *y = cosine.mul_add(*weight, *y);
                }
            }
        }
    }
}

/// The gradients of a row.
struct RowGradients<'a> {
    sizes: Sizes,
    parts: Parts<'a>,
    row: &'a [f32],
    upper: &'a [f32],
    /// Of the parameters, in their order; empty where they are frozen.
    parameters: &'a mut [f32],
    /// Of the numbers.
    inputs: &'a mut [f32],
}

impl Task for RowGradients<'_> {
    #[inline(always)]
    fn run(self) {
        let sizes = self.sizes;
        let learns = !self.parameters.is_empty();
        let [cycles, _, weights, _] = match learns {
            true => sizes.lengths(),
            false => [0; 4],
        };
        let (frequencies, rest) = self.parameters.split_at_mut(cycles);
        let (phases, rest) = rest.split_at_mut(cycles);
        let (weights, biases) = rest.split_at_mut(weights);
        let each = self.upper.chunks_exact(sizes.units()).zip(self.row);
        for (input, (upper, &x)) in each.enumerate() {
            let own = self.parts.of(sizes, input);
            let mut sum = upper[0];
            let upper = &upper[1..];
            for (at, turns) in sizes.turns(own, x).enumerate() {
                let place = input * sizes.frequencies + at;
                let weight = &own.weight[at * sizes.waves..][..sizes.waves];
                let product: f32 = weight.iter().zip(upper).map(|(w, g)| w * g).sum();
                // The derivative of cos 2πt is −2π sin 2πt, and a sine a cosine a quarter later.
                let turned = -std::f32::consts::TAU * cos_turns(turns - 0.25) * product;
                sum += turned * own.frequency[at] * sizes.scale;
                if learns {
                    frequencies[place] += turned * x * sizes.scale;
                    phases[place] += turned;
                    let cosine = cos_turns(turns);
                    let weights = weights[place * sizes.waves..].iter_mut();
                    weights.zip(upper).for_each(|(w, g)| *w += cosine * g);
                }
            }
            self.inputs[input] = sum;
            if learns {
                let biases = biases[input * sizes.waves..].iter_mut();
                biases.zip(upper).for_each(|(b, g)| *b += g);
            }
        }
    }
}

impl Layer for Periodic {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let Sizes {
            inputs,
            frequencies,
            waves,
            ..
        } = self.sizes;
        let wave = |name: &'static str| ParameterSpec {
            name: name.into(),
            shape: vec![inputs, frequencies],
            kind: ParameterKind::Wave,
            fan_in: 1,
            fan_out: 1,
            initializer: None,
            start: None,
        };
        let weight = ParameterSpec {
            name: "weight".into(),
            shape: vec![inputs, frequencies, waves],
            kind: ParameterKind::Weight,
            fan_in: frequencies,
            fan_out: waves,
            initializer: self.kernel_initializer,
            start: None,
        };
        let bias = ParameterSpec {
            name: "bias".into(),
            shape: vec![inputs, waves],
            kind: ParameterKind::Bias,
            initializer: None,
            ..weight.clone()
        };
        vec![wave("frequency"), wave("phase"), weight, bias]
    }

    fn products(&self) -> usize {
        self.sizes.products()
    }

    /// The cosines of a number; in a backward pass the gradients of a row's numbers.
    fn scratch(&self, _rows: usize) -> usize {
        self.sizes.frequencies.max(self.sizes.inputs)
    }

    fn forward(&self, pass: Forward<'_>) {
        let sizes = self.sizes;
        let parts = sizes.parts(pass.parameters);
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_exact_mut(sizes.inputs * sizes.units());
        for (row, y) in rows.enumerate() {
            if pass.pace.spend(sizes.products()) {
                return;
            }
            Processor::detect().run(RowWaves {
                sizes,
                parts,
                row: input.row(row),
                cosines: pass.scratch,
                y,
            });
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let sizes = self.sizes;
        let parts = sizes.parts(pass.parameters);
        let input = pass.inputs.view(0);
        let mut gradient = pass.parameter_gradient;
        let inputs = &mut pass.scratch[..sizes.inputs];
        let rows = pass.gradient.chunks_exact(sizes.inputs * sizes.units());
        for (row, upper) in rows.enumerate() {
            if pass.pace.spend(2 * sizes.products()) {
                return;
            }
            Processor::detect().run(RowGradients {
                sizes,
                parts,
                row: input.row(row),
                upper,
                parameters: gradient.as_deref_mut().unwrap_or_default(),
                inputs,
            });
            let Some((target, add)) = pass.input_gradients.get(0) else {
                continue;
            };
            let target = target[row * sizes.inputs..].iter_mut().zip(&*inputs);
            match add {
                true => target.for_each(|(target, g)| *target += g),
                false => target.for_each(|(target, g)| *target = *g),
            }
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(PackedPeriodic {
            sizes: self.sizes,
            parameters: packer.copy_all(),
        }))
    }
}

#[derive(Debug)]
struct PackedPeriodic {
    sizes: Sizes,
    parameters: Values,
}

impl Packed for PackedPeriodic {
    fn size_bytes(&self) -> usize {
        self.parameters.own_bytes()
    }

    fn scratch(&self, _rows: usize) -> usize {
        self.sizes.frequencies
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let sizes = self.sizes;
        let parts = sizes.parts(&self.parameters);
        let input = pass.inputs.view(0);
        let width = sizes.inputs * sizes.units();
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            if pass.pace.spend(sizes.products()) {
                return;
            }
            Processor::detect().run(RowWaves {
                sizes,
                parts,
                row: input.row(row),
                cosines: pass.scratch,
                y: &mut output[..width],
            });
        }
    }
}

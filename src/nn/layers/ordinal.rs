//! The layer that ends a network for classes in order: one number that rises with the class, and the
//! thresholds between the classes; parameters: `weight`, [1, inputs], and `thresholds`, one fewer than
//! there are classes.
//!
//! The cumulative logit model with proportional odds (McCullagh, "Regression models for ordinal data",
//! 1980), parametrised as statsmodels' `OrderedModel` has it: with f = weight · x,
//! P(class ≤ k) = σ(θ_k - f), where θ_0 = thresholds_0 and θ_k = θ_(k-1) + exp(thresholds_k). So the
//! thresholds rise whatever is learnt, and no class's probability is below 0.
//!
//! In training the output is the logarithm of each class's probability, whose softmax the
//! probabilities are. Since σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b-a)), nothing cancels.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::math;
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::head::Head;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec, View};

/// The type `ordinal`.
pub(in crate::nn) const ORDINAL: LayerType = LayerType {
    name: "ordinal",
    aliases: &[],
    settings: &["classes", "kernel_initializer"],
    rank: Rank::Any,
    read: |_, settings| {
        Ok(Arc::new(OrdinalSpec {
            classes: settings.count("classes")?,
            kernel_initializer: settings.initializer("kernel_initializer")?,
        }))
    },
};

/// Settings of the layer that ends a network for classes in order.
#[derive(Debug, Clone)]
pub struct OrdinalSpec {
    /// Number of classes; `None`: as many as the target has.
    pub classes: Option<usize>,
    /// How the weights start; `None`: the training's initializer.
    pub kernel_initializer: Option<Initializer>,
}

impl Spec for OrdinalSpec {
    fn type_name(&self) -> &'static str {
        ORDINAL.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if let Some(classes) = self.classes {
            settings.insert("classes".into(), classes.into());
        }
        if let Some(initializer) = self.kernel_initializer {
            settings.insert("kernel_initializer".into(), initializer.name().into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let Some(Head::Ordinal { classes }) = site.head else {
            return Err(site.error(
                "is the output of classes in order, which this network has not",
                "Set option \"loss\" to \"ordinal\", with the layer at the end, or leave it out.",
            ));
        };
        let width = match site.one()? {
            Shape::Vector(width) => width,
            input => {
                return Err(site.error(
                    format!("is the output and reads {input}, but takes the numbers of a row"),
                    "Put a layer before it that gives a vector: flatten, global_avg_pool, \
                     select_step, or a recurrent layer without \"return_sequences\".",
                ));
            }
        };
        Ok(Built::Layer {
            layer: Box::new(Ordinal {
                width,
                classes,
                kernel_initializer: self.kernel_initializer,
            }),
            shape: Shape::Vector(classes),
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, width] to the logarithms of probabilities [rows, classes].
#[derive(Debug, Clone, Copy)]
struct Ordinal {
    width: usize,
    /// At least 2.
    classes: usize,
    kernel_initializer: Option<Initializer>,
}

/// What the thresholds' parameters say.
#[derive(Clone, Copy)]
struct Cut {
    /// The threshold above the class.
    threshold: f32,
    /// How far it is above the one below the class; of the first class without meaning.
    gap: f32,
}

/// The largest logarithm of a gap: the thresholds stay finite.
const WIDEST: f32 = 60.0;

impl Ordinal {
    /// Calls `each` with the number of each class but the last, and the cut above it.
    #[inline(always)]
    fn cuts(parameters: &[f32], mut each: impl FnMut(usize, Cut)) {
        let mut threshold = 0.0;
        for (class, &parameter) in parameters.iter().enumerate() {
            let gap = math::exp(if parameter > WIDEST {
                WIDEST
            } else {
                parameter
            });
            threshold = match class {
                0 => parameter,
                _ => threshold + gap,
            };
            each(class, Cut { threshold, gap });
        }
    }

    /// The number that rises with the class.
    #[inline(always)]
    fn latent(weight: &[f32], x: &[f32]) -> f32 {
        // As many sums as fill a vector, in an order of their own.
        let mut lanes = [0.0_f32; 16];
        let (blocks, rest) = x.as_chunks::<16>();
        let (weights, last) = weight.as_chunks::<16>();
        for (x, w) in blocks.iter().zip(weights) {
            for (lane, (x, w)) in lanes.iter_mut().zip(x.iter().zip(w)) {
                *lane += x * w;
            }
        }
        for (lane, (x, w)) in lanes.iter_mut().zip(rest.iter().zip(last)) {
            *lane += x * w;
        }
        lanes.iter().sum()
    }
}

impl Layer for Ordinal {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let weight = ParameterSpec {
            name: "weight".into(),
            shape: vec![1, self.width],
            kind: ParameterKind::Weight,
            fan_in: self.width,
            fan_out: 1,
            initializer: self.kernel_initializer,
            start: None,
        };
        let thresholds = ParameterSpec {
            name: "thresholds".into(),
            shape: vec![self.classes - 1],
            // Decay would pull the classes' shares to where nobody put them.
            kind: ParameterKind::Bias,
            initializer: None,
            start: Some(0.0),
            ..weight.clone()
        };
        vec![weight, thresholds]
    }

    /// The latent number, and in its place later its gradient.
    fn saved_per_row(&self) -> usize {
        1
    }

    /// Of each cut the threshold, the gap, and the logarithm of what the gap leaves of a probability.
    fn scratch(&self, _rows: usize) -> usize {
        3 * (self.classes - 1)
    }

    fn forward(&self, pass: Forward<'_>) {
        let (weight, parameters) = pass.parameters.split_at(self.width);
        let cuts = self.classes - 1;
        let (thresholds, rest) = pass.scratch.split_at_mut(cuts);
        let left = &mut rest[..cuts];
        Ordinal::cuts(parameters, |class, cut| {
            thresholds[class] = cut.threshold;
            // ln(1 - e^-gap), which of a small gap is ln gap.
            left[class] = (-(-f64::from(cut.gap)).exp_m1()).ln() as f32;
        });
        Processor::detect().run(Logarithms {
            input: pass.inputs.view(0),
            weight,
            thresholds,
            left,
            latents: pass.saved,
            output: pass.output,
        });
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (weight, parameters) = pass.parameters.split_at(self.width);
        let cuts = self.classes - 1;
        let (thresholds, rest) = pass.scratch.split_at_mut(cuts);
        let (gaps, rest) = rest.split_at_mut(cuts);
        let pulls = &mut rest[..cuts];
        Ordinal::cuts(parameters, |class, cut| {
            thresholds[class] = cut.threshold;
            gaps[class] = cut.gap;
            // d ln(1 - e^-gap) / d ln gap.
            let gap = f64::from(cut.gap);
            pulls[class] = (gap / gap.exp_m1()) as f32;
        });
        Processor::detect().run(Slopes {
            input: pass.inputs.view(0),
            thresholds,
            gaps,
            pulls,
            upper: pass.gradient,
            latents: pass.saved,
            gradient: pass
                .parameter_gradient
                .map(|gradient| gradient.split_at_mut(self.width)),
        });
        let (saved, width) = (&*pass.saved, self.width);
        pass.input_gradients
            .put(0, |i| saved[i / width] * weight[i % width]);
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let cuts = self.classes - 1;
        let latent = packer.dense(1, self.width, Default::default(), |own, packing| {
            packing.rows(&own[..self.width], 0, self.width);
        });
        let thresholds = packer.values(2 * cuts, |own, values| {
            Ordinal::cuts(&own[self.width..], |class, cut| {
                values[class] = cut.threshold;
                values[cuts + class] = -math::exp_m1_bounded(-cut.gap);
            });
        });
        Some(Box::new(PackedOrdinal {
            classes: self.classes,
            latent,
            thresholds,
        }))
    }
}

/// Rows to probabilities.
#[derive(Debug)]
struct PackedOrdinal {
    classes: usize,
    latent: PackedDense,
    /// The thresholds, and of each what the gap below it leaves of a probability.
    thresholds: Values,
}

impl Packed for PackedOrdinal {
    fn size_bytes(&self) -> usize {
        self.latent.size_bytes() + self.thresholds.own_bytes()
    }

    fn scratch(&self, rows: usize) -> usize {
        rows
    }

    fn is_activated(&self) -> bool {
        true
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let input = pass.inputs.view(0);
        let latent = &mut pass.scratch[..pass.rows];
        self.latent
            .forward_paced(input.data, input.stride, pass.rows, latent, 1, pass.pace);
        let (thresholds, left) = self.thresholds.split_at(self.classes - 1);
        Processor::detect().run(Probabilities {
            latents: latent,
            thresholds,
            left,
            output: pass.output,
            stride: pass.stride,
        });
    }
}

/// Writes the logarithm of each class's probability.
struct Logarithms<'a> {
    input: View<'a>,
    weight: &'a [f32],
    thresholds: &'a [f32],
    /// The logarithm of what the gap below each threshold leaves of a probability.
    left: &'a [f32],
    /// Where each row's latent number goes.
    latents: &'a mut [f32],
    output: &'a mut [f32],
}

impl Task for Logarithms<'_> {
    #[inline(always)]
    fn run(self) {
        let cuts = self.thresholds.len();
        let rows = self.output.chunks_exact_mut(cuts + 1);
        for (row, (output, latent)) in rows.zip(self.latents).enumerate() {
            *latent = Ordinal::latent(self.weight, self.input.row(row));
            let (last, others) = match output.split_last_mut() {
                Some(split) => split,
                None => return,
            };
            let mut below = 0.0;
            for (class, output) in others.iter_mut().enumerate() {
                let logit = self.thresholds[class] - *latent;
                let left = if class > 0 { self.left[class] } else { 0.0 };
                *output = left - below - math::ln_1p_exp(-logit);
                below = math::ln_1p_exp(logit);
            }
            *last = -below;
        }
    }
}

/// Adds up the gradients, and puts those of the latent numbers in their place.
struct Slopes<'a> {
    input: View<'a>,
    thresholds: &'a [f32],
    gaps: &'a [f32],
    /// The slope of the logarithm of what each gap leaves, by the gap's logarithm.
    pulls: &'a [f32],
    upper: &'a [f32],
    latents: &'a mut [f32],
    /// Of the weight and of the thresholds.
    gradient: Option<(&'a mut [f32], &'a mut [f32])>,
}

impl Task for Slopes<'_> {
    #[inline(always)]
    fn run(mut self) {
        let cuts = self.thresholds.len();
        let rows = self.upper.chunks_exact(cuts + 1);
        for (row, (upper, latent)) in rows.zip(self.latents).enumerate() {
            let mut down = 0.0;
            // From the last cut to the first, so that a gap gathers what all cuts above it want.
            for class in (0..cuts).rev() {
                let logit = self.thresholds[class] - *latent;
                down +=
                    upper[class] * math::sigmoid(-logit) - upper[class + 1] * math::sigmoid(logit);
                if let Some((_, thresholds)) = &mut self.gradient {
                    thresholds[class] += match class {
                        0 => down,
                        _ => down * self.gaps[class] + upper[class] * self.pulls[class],
                    };
                }
            }
            *latent = -down;
            if let Some((weight, _)) = &mut self.gradient {
                for (gradient, x) in weight.iter_mut().zip(self.input.row(row)) {
                    *gradient -= down * x;
                }
            }
        }
    }
}

/// Writes each class's probability.
struct Probabilities<'a> {
    latents: &'a [f32],
    thresholds: &'a [f32],
    /// What the gap below each threshold leaves of a probability.
    left: &'a [f32],
    output: &'a mut [f32],
    stride: usize,
}

impl Task for Probabilities<'_> {
    #[inline(always)]
    fn run(self) {
        let cuts = self.thresholds.len();
        for (row, latent) in self.latents.iter().enumerate() {
            let output = &mut self.output[row * self.stride..][..cuts + 1];
            let (others, last) = output.split_at_mut(cuts);
            let mut above = 1.0;
            for (class, output) in others.iter_mut().enumerate() {
                let logit = self.thresholds[class] - latent;
                let left = if class > 0 { self.left[class] } else { 1.0 };
                *output = above * left * math::sigmoid(logit);
                above = math::sigmoid(-logit);
            }
            last[0] = above;
        }
    }
}

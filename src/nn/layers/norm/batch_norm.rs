//! Batch normalisation (Ioffe and Szegedy, 2015), as `torch.nn.BatchNorm1d` and `BatchNorm2d`: each
//! channel over all rows of a batch in training, and by what was seen then in prediction.
//!
//! The channels of a vector are its values, those of a sequence its features (over the steps that
//! are there), those of an image its channels. Values are normalised by the batch's mean and biased
//! variance; the running statistics take over `momentum` (PyTorch's sense, one minus Keras's) of
//! the batch's mean and unbiased variance. `num_batches_tracked`, which changes no result, is not
//! kept.
//!
//! Where a channel has a single value in a batch there is no variance to learn from: the output is
//! the bias, and the running statistics stay. A layer that is not trainable uses the running
//! statistics in training too, as in Keras.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::channels::{Channels, GradientRows, InputRows, Rows};
use super::packed::{NormRow, PackedNorm};
use super::{Affine, NormSettings, is_keras, parameter};
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::packed::Packed;
use crate::nn::layer::settings::shortest;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// PyTorch's default.
const MOMENTUM: f32 = 0.1;
/// Keras's, in its own sense: what is kept of the running statistics.
const KERAS_MOMENTUM: f32 = 0.99;

/// The type `batch_norm`.
pub(in crate::nn) const BATCH_NORM: LayerType = LayerType {
    name: "batch_norm",
    aliases: &[
        "batchnorm",
        "batchnorm1d",
        "batchnorm2d",
        "batchnormalization",
    ],
    settings: &["epsilon", "momentum", "scale", "center"],
    rank: Rank::Any,
    read: |_, settings| {
        let given = settings.positive("momentum")?;
        let momentum = match is_keras(settings) {
            // In double precision, so that 0.99 becomes the f32 that 0.01 is.
            true => (1.0 - shortest(given.unwrap_or(KERAS_MOMENTUM))) as f32,
            false => given.unwrap_or(MOMENTUM),
        };
        if momentum > 1.0 || momentum <= 0.0 {
            return Err(settings.error(
                "\"momentum\" must be a number above 0, at most 1 (for BatchNormalization below 1)",
                "It is the share of the running statistics that each batch replaces, PyTorch's \
                 sense; in a layer with Keras's name, BatchNormalization, the share that is kept.",
            ));
        }
        Ok(Arc::new(BatchNormSpec {
            settings: NormSettings::read(settings)?,
            momentum,
        }))
    },
};

#[derive(Debug)]
struct BatchNormSpec {
    settings: NormSettings,
    momentum: f32,
}

impl Spec for BatchNormSpec {
    fn type_name(&self) -> &'static str {
        BATCH_NORM.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if self.momentum != MOMENTUM {
            settings.insert("momentum".into(), shortest(self.momentum).into());
        }
        self.settings.write(settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.one()?;
        let channels = match shape {
            Shape::Vector(count)
            | Shape::Sequence {
                features: count, ..
            } => Channels { count, plane: 1 },
            Shape::Image {
                channels,
                height,
                width,
            } => Channels {
                count: channels,
                plane: height * width,
            },
        };
        Ok(Built::Layer {
            layer: Box::new(BatchNorm {
                settings: self.settings,
                momentum: self.momentum,
                channels,
                size: shape.size(),
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows to rows of the same shape.
#[derive(Debug)]
struct BatchNorm {
    settings: NormSettings,
    momentum: f32,
    channels: Channels,
    /// Values of a row.
    size: usize,
}

/// The parameters or, in a gradient, the new statistics behind weight and bias.
struct Statistics<T> {
    mean: T,
    variance: T,
}

impl BatchNorm {
    fn statistics<'p>(&self, parameters: &'p [f32]) -> Statistics<&'p [f32]> {
        let count = self.channels.count;
        let (mean, variance) = parameters[self.settings.count(count)..].split_at(count);
        Statistics { mean, variance }
    }

    fn statistics_mut<'p>(&self, parameters: &'p mut [f32]) -> Statistics<&'p mut [f32]> {
        let count = self.channels.count;
        let (mean, variance) = parameters[self.settings.count(count)..].split_at_mut(count);
        Statistics { mean, variance }
    }
}

impl Layer for BatchNorm {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let shape = [self.channels.count];
        let mut all = self.settings.parameters(&shape);
        all.push(parameter(
            "running_mean",
            &shape,
            ParameterKind::Statistic,
            0.0,
        ));
        all.push(parameter(
            "running_var",
            &shape,
            ParameterKind::Statistic,
            1.0,
        ));
        all
    }

    /// Each channel's mean, 1 / √(variance + ε) and variance, and whether they are the batch's.
    fn saved_per_row(&self) -> usize {
        3 * self.channels.count + 1
    }

    fn products(&self) -> usize {
        4 * self.size
    }

    /// Two numbers a channel for the backward pass.
    fn scratch(&self, _rows: usize) -> usize {
        2 * self.channels.count
    }

    fn couples_rows(&self) -> bool {
        true
    }

    fn forward(&self, pass: Forward<'_>) {
        Processor::detect().run(ForwardTask { layer: self, pass });
    }

    fn backward(&self, pass: Backward<'_>) {
        Processor::detect().run(BackwardTask { layer: self, pass });
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let count = self.channels.count;
        let fill = |own: &[f32], values: &mut [f32]| {
            let Affine { weight, bias } = self.settings.affine(own, count);
            let running = self.statistics(own);
            let epsilon = f64::from(self.settings.epsilon);
            let (factors, terms) = values.split_at_mut(count);
            for (channel, (to, term)) in factors.iter_mut().zip(terms).enumerate() {
                let weight = weight.map_or(1.0, |weight| f64::from(weight[channel]));
                let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
                let factor = weight / (f64::from(running.variance[channel]) + epsilon).sqrt();
                *to = factor as f32;
                *term = (bias - f64::from(running.mean[channel]) * factor) as f32;
            }
        };
        Some(Box::new(PackedNorm {
            norm: FactorsAndTerms {
                channels: self.channels,
                size: self.size,
            },
            values: packer.values(2 * count, fill),
        }))
    }
}

struct ForwardTask<'a> {
    layer: &'a BatchNorm,
    pass: Forward<'a>,
}

impl Task for ForwardTask<'_> {
    #[inline(always)]
    fn run(self) {
        let (layer, pass) = (self.layer, self.pass);
        let (channels, count) = (layer.channels, layer.channels.count);
        let input = InputRows::new(pass.inputs, pass.rows, channels);
        let of_batch = pass.training() && !pass.frozen;
        let (mean, rest) = pass.saved.split_at_mut(count);
        let (inverse, rest) = rest.split_at_mut(count);
        let (variance, rest) = rest.split_at_mut(count);
        rest[0] = f32::from(u8::from(of_batch));
        if of_batch {
            let values = channels.values(&input);
            channels.mean(&input, values, mean, |_, x| x);
            let mean = &*mean;
            channels.mean(&input, values, variance, |channel, x| {
                (x - mean[channel]) * (x - mean[channel])
            });
        } else {
            let running = layer.statistics(pass.parameters);
            mean.copy_from_slice(running.mean);
            variance.copy_from_slice(running.variance);
        }
        for (inverse, variance) in inverse.iter_mut().zip(&*variance) {
            let shifted = f64::from(*variance) + f64::from(layer.settings.epsilon);
            *inverse = (1.0 / shifted.sqrt()) as f32;
        }
        let (mean, inverse) = (&*mean, &*inverse);
        let Affine { weight, bias } = layer.settings.affine(pass.parameters, count);
        for (row, y) in pass.output.chunks_exact_mut(layer.size).enumerate() {
            let x = input.row(row);
            let y = &mut y[..x.len()];
            y.copy_from_slice(x);
            channels.map(y, |channel, _, x| (x - mean[channel]) * inverse[channel]);
            if let Some(weight) = weight {
                channels.map(y, |channel, _, y| y * weight[channel]);
            }
            if let Some(bias) = bias {
                channels.map(y, |channel, _, y| y + bias[channel]);
            }
        }
    }
}

struct BackwardTask<'a> {
    layer: &'a BatchNorm,
    pass: Backward<'a>,
}

impl Task for BackwardTask<'_> {
    #[inline(always)]
    fn run(self) {
        let (layer, mut pass) = (self.layer, self.pass);
        let (channels, count) = (layer.channels, layer.channels.count);
        let input = InputRows::new(pass.inputs, pass.rows, channels);
        let (mean, rest) = pass.saved.split_at(count);
        let (inverse, rest) = rest.split_at(count);
        let (variance, rest) = rest.split_at(count);
        let of_batch = rest[0] > 0.0;
        let values = channels.values(&input) as f64;
        let weight = layer.settings.affine(pass.parameters, count).weight;
        // For each channel what is taken off the gradient: a constant and a part along the values.
        let (constant, along) = pass.scratch[..2 * count].split_at_mut(count);
        let mut parameter_gradient = pass.parameter_gradient;
        let mut affine = layer
            .settings
            .affine_gradient(parameter_gradient.as_deref_mut(), count);
        let gradients = GradientRows {
            gradient: pass.gradient,
            input: &input,
        };
        channels.sums(
            &input,
            &gradients,
            |channel, x| (x - mean[channel]) * inverse[channel],
            |channel, plain, product| {
                if let Some(target) = &mut affine.bias {
                    target[channel] += plain as f32;
                }
                if let Some(target) = &mut affine.weight {
                    target[channel] += product as f32;
                }
                constant[channel] = if of_batch {
                    (plain / values) as f32
                } else {
                    0.0
                };
                along[channel] = if of_batch {
                    (product / values) as f32
                } else {
                    0.0
                };
            },
        );
        if let Some(gradient) = parameter_gradient {
            let running = layer.statistics(pass.parameters);
            let target = layer.statistics_mut(gradient);
            target.mean.copy_from_slice(running.mean);
            target.variance.copy_from_slice(running.variance);
            if of_batch && values > 1.0 {
                let momentum = layer.momentum;
                for (target, mean) in target.mean.iter_mut().zip(mean) {
                    *target += momentum * (mean - *target);
                }
                let unbiased = (values / (values - 1.0)) as f32;
                for (target, variance) in target.variance.iter_mut().zip(variance) {
                    *target += momentum * (variance * unbiased - *target);
                }
            }
        }
        let Some((target, add)) = pass.input_gradients.get(0) else {
            return;
        };
        let (constant, along) = (&*constant, &*along);
        for (row, (target, gradient)) in target
            .chunks_exact_mut(layer.size)
            .zip(pass.gradient.chunks_exact_mut(layer.size))
            .enumerate()
        {
            let x = input.row(row);
            let (target, gradient) = (&mut target[..x.len()], &mut gradient[..x.len()]);
            channels.map(gradient, |channel, place, g| {
                let z = (x[place] - mean[channel]) * inverse[channel];
                inverse[channel] * (-z).mul_add(along[channel], g - constant[channel])
            });
            if let Some(weight) = weight {
                channels.map(gradient, |channel, _, g| g * weight[channel]);
            }
            if add {
                for (target, g) in target.iter_mut().zip(gradient) {
                    *target += *g;
                }
            } else {
                target.copy_from_slice(gradient);
            }
        }
    }
}

/// `x · factor + term`, a factor and a term for each channel.
#[derive(Debug)]
struct FactorsAndTerms {
    channels: Channels,
    size: usize,
}

impl NormRow for FactorsAndTerms {
    fn size(&self) -> usize {
        self.size
    }

    #[inline(always)]
    fn row(&self, values: &[f32], x: &[f32], _: impl Fn() -> usize, y: &mut [f32]) {
        let (factors, terms) = values.split_at(self.channels.count);
        y.copy_from_slice(x);
        self.channels.map(y, |channel, _, x| {
            x.mul_add(factors[channel], terms[channel])
        });
    }
}

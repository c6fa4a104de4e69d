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
use crate::nn::base::stop::Pace;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::packed::Packed;
use crate::nn::layer::settings::shortest;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{
    Backward, Coupled, CoupledGradients, Forward, Inputs, Layer, ParameterSpec,
};

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

    /// A channel's mean and 1 / √(variance + ε): the batch's or, without one, the running ones.
    #[inline]
    fn normal(&self, parameters: &[f32], batch: Option<&[f64]>, channel: usize) -> (f32, f32) {
        let (mean, variance) = match batch.map(Moments::of) {
            Some(batch) => (batch.mean[channel] as f32, batch.variance(channel)),
            None => {
                let running = self.statistics(parameters);
                (running.mean[channel], running.variance[channel])
            }
        };
        let shifted = f64::from(variance) + f64::from(self.settings.epsilon);
        (mean, (1.0 / shifted.sqrt()) as f32)
    }

    /// Work of a pass over rows, for its pace.
    fn work(&self, rows: usize) -> usize {
        self.size.saturating_mul(rows).saturating_mul(4)
    }
}

impl Coupled for BatchNorm {
    /// The count of a channel's values, each channel's mean, and its sum of squares about that. Of
    /// gradients each channel's sum, and that of its gradients times the values as normalised.
    fn sums(&self) -> usize {
        2 * self.channels.count + 1
    }

    fn gather(&self, inputs: Inputs<'_>, rows: usize, sums: &mut [f64], pace: &Pace<'_>) {
        if !pace.spend(self.work(rows)) {
            Processor::detect().run(Gather {
                layer: self,
                rows: InputRows::new(inputs, rows, self.channels),
                sums,
            });
        }
    }

    /// As Chan, Golub and LeVeque join variances (Updating formulae and a pairwise algorithm for
    /// computing sample variances, 1979).
    fn join(&self, sums: &mut [f64], more: &[f64]) {
        let (before, count) = (sums[0], sums[0] + more[0]);
        if more[0] > 0.0 {
            let channels = self.channels.count;
            let part = more[0] / count;
            let (mean, squares) = sums[1..].split_at_mut(channels);
            let more = Moments::of(more);
            for i in 0..channels {
                let distance = more.mean[i] - mean[i];
                mean[i] += distance * part;
                squares[i] += more.squares[i] + distance * distance * before * part;
            }
            sums[0] = count;
        }
    }

    fn gather_gradients(&self, of: CoupledGradients<'_>, sums: &mut [f64], pace: &Pace<'_>) {
        if !pace.spend(self.work(of.rows)) {
            Processor::detect().run(GatherGradients {
                layer: self,
                of,
                sums,
            });
        }
    }

    fn settle(
        &self,
        parameters: &[f32],
        batch: Option<&[f64]>,
        gradients: &[f64],
        gradient: &mut [f32],
    ) {
        let count = self.channels.count;
        let (plain, along) = (&gradients[..count], &gradients[count..2 * count]);
        let affine = self.settings.affine_gradient(Some(gradient), count);
        for (target, sums) in [(affine.bias, plain), (affine.weight, along)] {
            let target = target.unwrap_or_default().iter_mut();
            target
                .zip(sums)
                .for_each(|(target, sum)| *target += *sum as f32);
        }
        let (old, new) = (self.statistics(parameters), self.statistics_mut(gradient));
        new.mean.copy_from_slice(old.mean);
        new.variance.copy_from_slice(old.variance);
        let Some(batch) = batch.map(Moments::of).filter(|batch| batch.count > 1.0) else {
            return;
        };
        let unbiased = (batch.count / (batch.count - 1.0)) as f32;
        for i in 0..count {
            let (mean, variance) = (batch.mean[i] as f32, batch.variance(i));
            new.mean[i] += self.momentum * (mean - new.mean[i]);
            new.variance[i] += self.momentum * (variance * unbiased - new.variance[i]);
        }
    }
}

/// What [`BatchNorm::gather`] gives.
struct Moments<'a> {
    count: f64,
    mean: &'a [f64],
    squares: &'a [f64],
}

impl Moments<'_> {
    fn of(sums: &[f64]) -> Moments<'_> {
        let (mean, squares) = sums[1..].split_at(sums.len() / 2);
        Moments {
            count: sums[0],
            mean,
            squares,
        }
    }

    /// That of a channel; biased. Sums that are rounded may come out below 0 where all values are one.
    fn variance(&self, channel: usize) -> f32 {
        (self.squares[channel] / self.count.max(1.0)).max(0.0) as f32
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

    fn products(&self) -> usize {
        4 * self.size
    }

    /// Four numbers a channel.
    fn scratch(&self, _rows: usize) -> usize {
        4 * self.channels.count
    }

    fn coupled(&self) -> Option<&dyn Coupled> {
        Some(self)
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

struct Gather<'a> {
    layer: &'a BatchNorm,
    rows: InputRows<'a>,
    sums: &'a mut [f64],
}

impl Task for Gather<'_> {
    #[inline(always)]
    fn run(self) {
        let Gather { layer, rows, sums } = self;
        let (count, moments) = sums.split_at_mut(1);
        let (mean, squares) = moments.split_at_mut(layer.channels.count);
        count[0] = layer.channels.moments(&rows, mean, squares) as f64;
    }
}

struct GatherGradients<'a> {
    layer: &'a BatchNorm,
    of: CoupledGradients<'a>,
    sums: &'a mut [f64],
}

impl Task for GatherGradients<'_> {
    #[inline(always)]
    fn run(self) {
        let GatherGradients { layer, of, sums } = self;
        let channels = layer.channels;
        let input = InputRows::new(of.inputs, of.rows, channels);
        let (plain, rest) = sums.split_at_mut(channels.count);
        let along = &mut rest[..channels.count];
        let gradients = GradientRows {
            gradient: of.gradient,
            input: &input,
        };
        let normal = |channel| layer.normal(of.parameters, of.batch, channel);
        channels.sums(
            &input,
            &gradients,
            |channel| normal(channel).0,
            plain,
            along,
        );
        for (channel, along) in along.iter_mut().enumerate() {
            *along *= f64::from(normal(channel).1);
        }
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
        let (mean, rest) = pass.scratch.split_at_mut(count);
        let (inverse, rest) = rest.split_at_mut(count);
        let (weight, rest) = rest.split_at_mut(count);
        for (i, (mean, inverse)) in mean.iter_mut().zip(&mut *inverse).enumerate() {
            (*mean, *inverse) = layer.normal(pass.parameters, pass.batch, i);
        }
        let affine = layer.settings.affine(pass.parameters, count);
        let bias = &mut rest[..count];
        weight.fill(1.0);
        bias.fill(0.0);
        for (values, given) in [(&mut *weight, affine.weight), (&mut *bias, affine.bias)] {
            if let Some(given) = given {
                values.copy_from_slice(given);
            }
        }
        let factors = [&*mean, &*inverse, &*weight, &*bias];
        for (row, y) in pass.output.chunks_exact_mut(layer.size).enumerate() {
            if pass.pace.spend(layer.work(1)) {
                return;
            }
            let x = input.row(row);
            channels.combine(
                y,
                [x, x],
                factors,
                |_, [x, _], [mean, inverse, weight, bias]| (x - mean) * inverse * weight + bias,
            );
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
        let Some((target, add)) = pass.input_gradients.get(0) else {
            return;
        };
        let (channels, count) = (layer.channels, layer.channels.count);
        let input = InputRows::new(pass.inputs, pass.rows, channels);
        let (mean, rest) = pass.scratch.split_at_mut(count);
        // For each channel what is taken off the gradient: a constant and a part along the values.
        let (constant, rest) = rest.split_at_mut(count);
        let (along, rest) = rest.split_at_mut(count);
        let factor = &mut rest[..count];
        let weight = layer.settings.affine(pass.parameters, count).weight;
        let batch = pass.batch.map(|(rows, _)| rows);
        for i in 0..count {
            let (near, inverse) = layer.normal(pass.parameters, batch, i);
            mean[i] = near;
            factor[i] = inverse * weight.map_or(1.0, |weight| weight[i]);
            (constant[i], along[i]) = match pass.batch {
                Some((rows, gradients)) => {
                    let part = |sum: f64| sum / rows[0].max(1.0);
                    // Of the values as normalised: times their distance from the mean.
                    let along = part(gradients[count + i]) * f64::from(inverse);
                    (part(gradients[i]) as f32, along as f32)
                }
                None => (0.0, 0.0),
            };
        }
        let factors = [&*mean, &*constant, &*along, &*factor];
        let rows = target.chunks_exact_mut(layer.size);
        for (row, (target, g)) in rows.zip(pass.gradient.chunks_exact(layer.size)).enumerate() {
            if pass.pace.spend(layer.work(1)) {
                return;
            }
            let x = input.row(row);
            let value = |[x, g]: [f32; 2], [mean, constant, along, factor]: [f32; 4]| {
                (mean - x).mul_add(along, g - constant) * factor
            };
            if add {
                channels.combine(target, [x, g], factors, |y, xg, factors| {
                    y + value(xg, factors)
                });
            } else {
                channels.combine(target, [x, g], factors, |_, xg, factors| value(xg, factors));
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

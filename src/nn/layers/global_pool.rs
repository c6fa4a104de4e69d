//! The largest or the mean value over all steps that are there, or over each channel; no parameters.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::pooling::larger;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer};

/// PyTorch's adaptive pooling to one value is the same.
const SETTINGS: &[&str] = &["output_size"];

/// The type `global_max_pool`.
pub(in crate::nn) const GLOBAL_MAX_POOL: LayerType = LayerType {
    name: "global_max_pool",
    aliases: &[
        "globalmaxpooling1d",
        "globalmaxpooling2d",
        "globalmaxpool1d",
        "globalmaxpool2d",
        "adaptivemaxpool1d",
        "adaptivemaxpool2d",
    ],
    settings: SETTINGS,
    rank: Rank::Any,
    read,
};

/// The type `global_avg_pool`.
pub(in crate::nn) const GLOBAL_AVG_POOL: LayerType = LayerType {
    name: "global_avg_pool",
    aliases: &[
        "globalaveragepooling1d",
        "globalaveragepooling2d",
        "globalavgpool1d",
        "globalavgpool2d",
        "adaptiveavgpool1d",
        "adaptiveavgpool2d",
    ],
    settings: SETTINGS,
    rank: Rank::Any,
    read,
};

#[derive(Debug)]
struct GlobalPoolSpec {
    type_name: &'static str,
}

fn read(type_name: &'static str, settings: &Settings<'_>) -> Result<Arc<dyn Spec>, Error> {
    let sizes = settings.sizes("output_size", 2, 1)?;
    if sizes.is_some_and(|sizes| sizes != [1, 1]) {
        return Err(settings.error(
            "\"output_size\" must be 1",
            "The layer gives one value a channel; a layer of type max_pool2d or avg_pool2d gives \
             more.",
        ));
    }
    Ok(Arc::new(GlobalPoolSpec { type_name }))
}

impl Spec for GlobalPoolSpec {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn write(&self, _: &mut Map<String, Value>) {}

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (channels, width) = match site.one()? {
            Shape::Sequence { features, .. } => (features, None),
            Shape::Image {
                channels,
                height,
                width,
            } => (channels, Some(height * width)),
            other => {
                return Err(site.error(
                    format!("reads {other}, but takes a sequence or an image"),
                    "Remove the layer, or let the layer before give a sequence or an image.",
                ));
            }
        };
        Ok(Built::Layer {
            layer: Box::new(GlobalPool {
                channels,
                channel: width,
                largest: self.type_name == GLOBAL_MAX_POOL.name,
            }),
            shape: Shape::Vector(channels),
            lengths: LengthRule::Drop,
        })
    }
}

/// Rows [rows, steps, channels] or [rows, channels, height, width] to rows [rows, channels].
#[derive(Debug, Clone)]
struct GlobalPool {
    channels: usize,
    /// Values of an image's channel, which lie side by side; those of a sequence's feature are a
    /// step apart.
    channel: Option<usize>,
    largest: bool,
}

impl GlobalPool {
    /// The values of a row that are there.
    fn there(&self, steps: usize) -> usize {
        self.channels * self.channel.unwrap_or(steps)
    }

    fn row(&self, x: &[f32], steps: usize, y: &mut [f32]) {
        Processor::detect().run(Reduce {
            pool: self,
            x: &x[..self.there(steps)],
            y: &mut y[..self.channels],
        });
    }
}

struct Reduce<'a> {
    pool: &'a GlobalPool,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for Reduce<'_> {
    #[inline(always)]
    fn run(self) {
        let Reduce { pool, x, y } = self;
        if x.is_empty() {
            y.fill(0.0);
            return;
        }
        let count = (x.len() / pool.channels) as f32;
        let start = if pool.largest { f32::NEG_INFINITY } else { 0.0 };
        if let Some(channel) = pool.channel {
            for (y, x) in y.iter_mut().zip(x.chunks_exact(channel)) {
                *y = match pool.largest {
                    true => reduce(x, start, larger),
                    false => reduce(x, start, |a, b| a + b) / count,
                };
            }
            return;
        }
        y.fill(start);
        for x in x.chunks_exact(pool.channels) {
            if pool.largest {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = larger(*y, *x));
            } else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
            }
        }
        if !pool.largest {
            y.iter_mut().for_each(|y| *y /= count);
        }
    }
}

/// Lanes of [`reduce`]; a fixed number, so that sums have one order on every processor.
const LANES: usize = 16;

#[inline(always)]
fn reduce(x: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    for x in x.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = combine(*lane, *x);
        }
    }
    lanes.into_iter().fold(start, combine)
}

impl Layer for GlobalPool {
    fn products(&self) -> usize {
        self.there(1)
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.channels).enumerate() {
            self.row(input.row(row), pass.inputs.steps(0, row), output);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let input = pass.inputs.view(0);
        let Some((target, add)) = pass.input_gradients.get(0) else {
            return;
        };
        for (row, target) in target.chunks_exact_mut(input.width).enumerate() {
            if !add {
                target.fill(0.0);
            }
            let there = self.there(pass.inputs.steps(0, row));
            if there == 0 {
                continue;
            }
            let x = &input.row(row)[..there];
            let start = row * self.channels;
            let y = &pass.output[start..start + self.channels];
            let gradient = &mut pass.gradient[start..start + self.channels];
            if !self.largest {
                let count = (there / self.channels) as f32;
                gradient.iter_mut().for_each(|g| *g /= count);
            }
            // A channel's values lie one after another, or channels after channels.
            let run = self.channel.unwrap_or(1);
            for (i, (target, x)) in target[..there]
                .chunks_mut(run)
                .zip(x.chunks(run))
                .enumerate()
            {
                let (y, left) = (y[i % self.channels], &mut gradient[i % self.channels]);
                for (target, x) in target.iter_mut().zip(x) {
                    if !self.largest {
                        *target += *left;
                    } else if *x == y {
                        // The first one; nothing is left for others as large.
                        *target += std::mem::take(left);
                    }
                }
            }
        }
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(self.clone()))
    }
}

impl Packed for GlobalPool {
    fn size_bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        pass.for_each_row(|x, steps, y| self.row(x, steps, y));
    }
}

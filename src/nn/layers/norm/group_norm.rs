//! Group normalisation (Wu and He, 2018), as `torch.nn.GroupNorm`: each row's channels in groups,
//! every group over all its values, with a weight and a bias a channel.
//!
//! The channels of a vector are its values, those of a sequence its features (over all steps that
//! are there), those of an image its channels.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::packed::{NormRow, PackedNorm};
use super::{Group, NormSettings};
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::packed::Packed;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// Keras's default; PyTorch has none.
const GROUPS: usize = 32;

/// The type `group_norm`.
pub(in crate::nn) const GROUP_NORM: LayerType = LayerType {
    name: "group_norm",
    aliases: &["groupnorm", "groupnormalization"],
    settings: &["groups", "epsilon", "scale", "center"],
    rank: Rank::Any,
    read: |_, settings| {
        Ok(Arc::new(GroupNormSpec {
            settings: NormSettings::read(settings)?,
            groups: settings.count("groups")?.unwrap_or(GROUPS),
        }))
    },
};

#[derive(Debug)]
struct GroupNormSpec {
    settings: NormSettings,
    groups: usize,
}

impl Spec for GroupNormSpec {
    fn type_name(&self) -> &'static str {
        GROUP_NORM.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("groups".into(), self.groups.into());
        self.settings.write(settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.one()?;
        let (channels, plane, what) = match shape {
            Shape::Vector(width) => (width, 1, "values"),
            Shape::Sequence { features, .. } => (features, 1, "features"),
            Shape::Image {
                channels,
                height,
                width,
            } => (channels, height * width, "channels"),
        };
        if !channels.is_multiple_of(self.groups) {
            return Err(site.error(
                format!("cannot divide {channels} {what} in {} groups", self.groups),
                "Give \"groups\" as a divisor of that number.",
            ));
        }
        Ok(Built::Layer {
            layer: Box::new(GroupNorm {
                settings: self.settings,
                sizes: Sizes {
                    steps: shape.steps(),
                    channels,
                    plane,
                    groups: self.groups,
                },
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Steps of a sequence, else 1.
    steps: usize,
    channels: usize,
    /// Values of a channel that lie side by side.
    plane: usize,
    groups: usize,
}

impl Sizes {
    fn size(self) -> usize {
        self.steps * self.channels * self.plane
    }

    /// A row's groups: the first channel of each, where it begins, and its layout over the steps
    /// that are there.
    #[inline(always)]
    fn groups(self, there: usize) -> impl Iterator<Item = (usize, usize, Group)> {
        let channels = self.channels / self.groups;
        (0..self.groups).map(move |group| {
            let first = group * channels;
            let layout = Group {
                runs: there,
                length: channels * self.plane,
                stride: self.channels * self.plane,
                plane: self.plane,
            };
            (first, first * self.plane, layout)
        })
    }
}

/// Rows to rows of the same shape.
#[derive(Clone, Copy, Debug)]
struct GroupNorm {
    settings: NormSettings,
    sizes: Sizes,
}

impl Layer for GroupNorm {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.settings.parameters(&[self.sizes.channels])
    }

    /// The moments of each group.
    fn saved_per_row(&self) -> usize {
        2 * self.sizes.groups
    }

    fn products(&self) -> usize {
        4 * self.sizes.size()
    }

    fn forward(&self, pass: Forward<'_>) {
        Processor::detect().run(ForwardTask { layer: self, pass });
    }

    fn backward(&self, pass: Backward<'_>) {
        Processor::detect().run(BackwardTask { layer: self, pass });
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(PackedNorm {
            norm: *self,
            values: packer.copy_all(),
        }))
    }
}

struct ForwardTask<'a> {
    layer: &'a GroupNorm,
    pass: Forward<'a>,
}

impl Task for ForwardTask<'_> {
    #[inline(always)]
    fn run(self) {
        let (GroupNorm { settings, sizes }, pass) = (self.layer, self.pass);
        let affine = settings.affine(pass.parameters, sizes.channels);
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_exact_mut(sizes.size());
        let moments = pass.saved.as_chunks_mut::<2>().0;
        for (row, (y, moments)) in rows.zip(moments.chunks_exact_mut(sizes.groups)).enumerate() {
            let x = input.row(row);
            let groups = sizes.groups(pass.inputs.steps(0, row));
            for ((channel, at, group), moments) in groups.zip(moments) {
                let affine = affine.from(channel);
                *moments = group.forward(&x[at..], affine, settings.epsilon, &mut y[at..]);
            }
        }
    }
}

struct BackwardTask<'a> {
    layer: &'a GroupNorm,
    pass: Backward<'a>,
}

impl Task for BackwardTask<'_> {
    #[inline(always)]
    fn run(self) {
        let (GroupNorm { settings, sizes }, mut pass) = (self.layer, self.pass);
        let weight = settings.affine(pass.parameters, sizes.channels).weight;
        let mut affine = settings.affine_gradient(pass.parameter_gradient, sizes.channels);
        let input = pass.inputs.view(0);
        let mut target = pass.input_gradients.get(0);
        let moments = pass.saved.as_chunks::<2>().0;
        let rows = pass.gradient.chunks_exact_mut(sizes.size());
        for (row, (gradient, moments)) in rows.zip(moments.chunks_exact(sizes.groups)).enumerate() {
            let x = input.row(row);
            let groups = sizes.groups(pass.inputs.steps(0, row));
            for ((channel, at, group), moments) in groups.zip(moments) {
                let (x, gradient) = (&x[at..], &mut gradient[at..]);
                let weight = weight.map(|weight| &weight[channel..]);
                let slope =
                    group.backward(x, *moments, weight, gradient, &mut affine.from(channel));
                if let Some((target, add)) = &mut target {
                    let target = &mut target[row * sizes.size() + at..];
                    group.input_gradient(x, slope, gradient, *add, target);
                }
            }
        }
    }
}

impl NormRow for GroupNorm {
    fn size(&self) -> usize {
        self.sizes.size()
    }

    #[inline(always)]
    fn row(&self, values: &[f32], x: &[f32], there: impl Fn() -> usize, y: &mut [f32]) {
        let affine = self.settings.affine(values, self.sizes.channels);
        for (channel, at, group) in self.sizes.groups(there()) {
            let affine = affine.from(channel);
            group.forward(&x[at..], affine, self.settings.epsilon, &mut y[at..]);
        }
    }
}

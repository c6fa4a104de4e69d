//! Layer normalisation (Ba and others, 2016), as `torch.nn.LayerNorm`.
//!
//! A vector is normalised over its values, a sequence step by step over the features
//! (`LayerNorm(features)`), an image over all channels, lines and columns, each with a weight of
//! its own (`LayerNorm([channels, height, width])`).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::NormSettings;
use super::group::{Affine, Group, Moments};
use super::packed::{NormRow, PackedNorm};
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::packed::Packed;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// The type `layer_norm`.
pub(in crate::nn) const LAYER_NORM: LayerType = LayerType {
    name: "layer_norm",
    aliases: &["layernorm", "layernormalization"],
    settings: &["epsilon", "scale", "center"],
    rank: Rank::Any,
    read: |_, settings| Ok(Arc::new(LayerNormSpec(NormSettings::read(settings)?))),
};

#[derive(Debug)]
struct LayerNormSpec(NormSettings);

impl Spec for LayerNormSpec {
    fn type_name(&self) -> &'static str {
        LAYER_NORM.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        self.0.write(settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        LayerNorm::build(self.0, true, site)
    }
}

/// What it does to a step, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    settings: NormSettings,
    /// Whether the mean is taken off; else values are only divided by the root of their mean
    /// square.
    centred: bool,
    steps: usize,
    width: usize,
}

/// Rows [rows, steps, width] to rows of the same shape.
#[derive(Debug)]
pub(super) struct LayerNorm {
    sizes: Sizes,
    /// The shape of what is normalised together, and of the weight.
    normalised: Vec<usize>,
}

impl LayerNorm {
    /// The layer over the site's only input.
    pub(super) fn build(
        settings: NormSettings,
        centred: bool,
        site: &Site<'_>,
    ) -> Result<Built, Error> {
        let shape = site.one()?;
        let normalised = match shape {
            Shape::Vector(width) => vec![width],
            Shape::Sequence { features, .. } => vec![features],
            Shape::Image {
                channels,
                height,
                width,
            } => vec![channels, height, width],
        };
        Ok(Built::Layer {
            layer: Box::new(LayerNorm {
                sizes: Sizes {
                    settings,
                    centred,
                    steps: shape.steps(),
                    width: shape.step_size(),
                },
                normalised,
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

impl Layer for LayerNorm {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.sizes.settings.parameters(&self.normalised)
    }

    /// The moments of each step.
    fn saved_per_row(&self) -> usize {
        2 * self.sizes.steps
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
            norm: self.sizes,
            values: packer.copy_all(),
        }))
    }
}

impl Sizes {
    /// Normalises a step. To be inlined into a task.
    #[inline(always)]
    fn normalise(self, x: &[f32], affine: Affine<'_>, y: &mut [f32]) -> Moments {
        let group = Group::run(self.width);
        match self.centred {
            true => group.forward(x, affine, self.settings.epsilon, y),
            false => group.forward_uncentred(x, affine, self.settings.epsilon, y),
        }
    }
}

struct ForwardTask<'a> {
    layer: &'a LayerNorm,
    pass: Forward<'a>,
}

impl Task for ForwardTask<'_> {
    #[inline(always)]
    fn run(self) {
        let (layer, pass) = (self.layer.sizes, self.pass);
        let affine = layer.settings.affine(pass.parameters, layer.width);
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_exact_mut(layer.size());
        let rows = rows.zip(pass.saved.chunks_exact_mut(2 * layer.steps));
        for (row, (output, saved)) in rows.enumerate() {
            let steps = input.row(row).chunks_exact(layer.width);
            let steps = steps.zip(output.chunks_exact_mut(layer.width));
            for ((x, y), saved) in steps.zip(saved.chunks_exact_mut(2)) {
                let moments = layer.normalise(x, affine, y);
                saved.copy_from_slice(&moments);
            }
        }
    }
}

struct BackwardTask<'a> {
    layer: &'a LayerNorm,
    pass: Backward<'a>,
}

impl Task for BackwardTask<'_> {
    #[inline(always)]
    fn run(self) {
        let (layer, mut pass) = (self.layer.sizes, self.pass);
        let width = layer.width;
        let group = Group::run(width);
        let weight = layer.settings.affine(pass.parameters, width).weight;
        let mut affine = layer
            .settings
            .affine_gradient(pass.parameter_gradient, width);
        let input = pass.inputs.view(0);
        let mut target = pass.input_gradients.get(0);
        let moments = pass.saved.as_chunks::<2>().0;
        for (i, (gradient, moments)) in pass
            .gradient
            .chunks_exact_mut(width)
            .zip(moments)
            .enumerate()
        {
            let (row, step) = (i / layer.steps, i % layer.steps);
            let x = &input.row(row)[step * width..][..width];
            let slope = group.backward(x, *moments, weight, gradient, &mut affine);
            let slope = match layer.centred {
                true => slope,
                false => slope.uncentred(),
            };
            if let Some((target, add)) = &mut target {
                let target = &mut target[i * width..][..width];
                group.input_gradient(x, slope, gradient, *add, target);
            }
        }
    }
}

impl NormRow for Sizes {
    fn size(&self) -> usize {
        self.steps * self.width
    }

    #[inline(always)]
    fn row(&self, values: &[f32], x: &[f32], _: impl Fn() -> usize, y: &mut [f32]) {
        let affine = self.settings.affine(values, self.width);
        let steps = x.chunks_exact(self.width);
        for (x, y) in steps.zip(y.chunks_exact_mut(self.width)) {
            self.normalise(x, affine, y);
        }
    }
}

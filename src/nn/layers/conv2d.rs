//! Convolution of images; parameters and layout as in `torch.nn.Conv2d`.
//!
//! `y[filter] = activation(bias + Σ weight[filter][channel][i][j] · x[channel][row + i][column + j])`,
//! for each group of channels and filters by itself. All passes are those of
//! [`crate::nn::kernels::convolution`], so that training and predicting give the same bits.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::conv::{Filters, MAX_LAID_OUT, SETTINGS};
use super::quantized_conv2d::Shape;
use super::windows::KERNEL;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape;
use crate::nn::base::stop::{Pace, VALUE};
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::convolution::{Axis, Convolution, Mirrored, bias_gradient};
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::kernels::processor::Processor;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec, Quantizable, Quantized};

/// The type `conv2d`.
pub(in crate::nn) const CONV2D: LayerType = LayerType {
    name: "conv2d",
    aliases: &["convolution2d"],
    settings: SETTINGS,
    rank: Rank::Image,
    read,
};

/// Values of the unfolded images and of their gradients that the weights' gradient is taken of at
/// once: what the second cache holds.
const AT_ONCE: usize = 1 << 17;

fn read(_: &'static str, settings: &Settings<'_>) -> Result<Arc<dyn Spec>, Error> {
    let filters: Arc<Filters<2>> = Filters::read(settings)?;
    if filters.activation == Activation::Softmax {
        return Err(settings.error(
            "softmax is no activation of a convolution of images",
            "Put a layer of type flatten behind it, and softmax behind that.",
        ));
    }
    Ok(filters)
}

impl Spec for Filters<2> {
    fn type_name(&self) -> &'static str {
        CONV2D.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        Filters::write(self, settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (channels, height, width) = site.image()?;
        KERNEL.check(site, site.one()?, &self.windows, [height, width])?;
        self.check_groups(site, channels, "channels")?;
        let rows = Axis::new(self.windows[0], height);
        let columns = Axis::new(self.windows[1], width);
        let shape = shape::Shape::Image {
            channels: self.filters,
            height: rows.output,
            width: columns.output,
        };
        let group = channels / self.groups;
        if Convolution::size_bound(group, rows, columns).max(shape.size()) > MAX_LAID_OUT {
            return Err(self.too_large(site));
        }
        let convolution = Convolution::new(group, self.filters / self.groups, rows, columns);
        let layer = Conv2d {
            filters: self.clone(),
            channels,
            mirrored: convolution.mirrored(),
            convolution,
        };
        Ok(Built::Layer {
            layer: Box::new(layer),
            shape,
            lengths: LengthRule::Drop,
        })
    }
}

/// Rows [rows, channels, height, width] to rows [rows, filters, height', width'].
#[derive(Debug, Clone)]
struct Conv2d {
    filters: Filters<2>,
    channels: usize,
    /// That of each group.
    convolution: Convolution,
    /// The one that gives its input's gradient, if there is one.
    mirrored: Option<Mirrored>,
}

/// Where a group's parts lie.
struct Group {
    /// In a row of the input.
    input: std::ops::Range<usize>,
    /// In a row of the output.
    output: std::ops::Range<usize>,
    /// Among the weights.
    weight: std::ops::Range<usize>,
    /// Among the biases.
    bias: std::ops::Range<usize>,
}

impl Conv2d {
    /// Length of an output row.
    fn outputs(&self) -> usize {
        self.filters.filters * self.convolution.positions()
    }

    fn weights(&self) -> usize {
        self.filters.filters * self.convolution.taps()
    }

    fn groups(&self) -> impl Iterator<Item = Group> {
        let filters = self.filters.filters / self.filters.groups;
        let inputs = self.convolution.inputs();
        let outputs = filters * self.convolution.positions();
        let weights = filters * self.convolution.taps();
        let part = |size: usize, group: usize| group * size..(group + 1) * size;
        (0..self.filters.groups).map(move |group| Group {
            input: part(inputs, group),
            output: part(outputs, group),
            weight: part(weights, group),
            bias: part(filters, group),
        })
    }

    /// What of it counts for 8 bits.
    fn shape(&self) -> Shape {
        let (rows, columns) = self.convolution.axes();
        let groups = self.filters.groups;
        Shape {
            rows,
            columns,
            channels: self.channels / groups,
            filters: self.filters.filters / groups,
            groups,
            activation: self.filters.activation,
        }
    }

    /// Images whose unfolded forms are held at the same time.
    fn at_once(&self, rows: usize) -> usize {
        let image = self.convolution.unfolded() + self.outputs();
        (AT_ONCE / image).clamp(1, rows.max(1))
    }

    /// Values of the working memory that holds unfolded images.
    fn unfolded(&self, rows: usize) -> usize {
        let own = self.at_once(rows) * self.convolution.unfolded();
        let other = self.mirrored.as_ref();
        own.max(other.map_or(0, |mirrored| mirrored.convolution.unfolded()))
    }

    /// Writes the gradient with respect to an image, or adds it, from the one with respect to the
    /// output and the weights as packed for it.
    fn image_gradient(
        &self,
        processor: Processor,
        gradient: &[f32],
        packed: &[f32],
        (target, add): (&mut [f32], bool),
        unfolded: &mut [f32],
        pace: &Pace<'_>,
    ) {
        if !add && self.mirrored.is_none() {
            target.fill(0.0);
        }
        for group in self.groups() {
            if pace.spend_values(self.convolution.unfolded()) {
                return;
            }
            let (gradient, target) = (&gradient[group.output], &mut target[group.input]);
            let packed = &packed[group.weight];
            match &self.mirrored {
                Some(Mirrored { convolution }) => {
                    convolution.unfold(processor, gradient, unfolded);
                    convolution.product(processor, unfolded, packed, target, add, pace);
                }
                None => {
                    let convolution = &self.convolution;
                    convolution.input_gradient(processor, gradient, packed, unfolded, pace);
                    convolution.fold(processor, unfolded, target);
                }
            }
        }
    }

    /// One image, activation included but for `before`, which is told the values it is applied to.
    #[expect(clippy::too_many_arguments, reason = "a pass's parts, and its pace")]
    fn convolve(
        &self,
        processor: Processor,
        (weight, bias): (&[f32], Option<&[f32]>),
        image: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
        pace: &Pace<'_>,
        before: impl FnOnce(&[f32]),
    ) {
        let unfolded = aligned(scratch);
        let activation = self.filters.activation;
        for group in self.groups() {
            // Beside the product, which looks for itself.
            if pace.spend_values(self.convolution.unfolded() / 4) {
                return;
            }
            self.convolution
                .unfold(processor, &image[group.input], unfolded);
            self.convolution.forward(
                processor,
                unfolded,
                &weight[group.weight],
                bias.map(|bias| &bias[group.bias]),
                activation == Activation::Relu,
                &mut output[group.output],
                pace,
            );
        }
        before(output);
        if activation != Activation::Relu {
            for part in pace.parts(output.len(), VALUE, 1) {
                activation.apply_on(processor, &mut output[part], 1);
            }
        }
    }
}

impl Layer for Conv2d {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.filters.parameters(self.channels)
    }

    fn saved_per_row(&self) -> usize {
        match self.filters.activation.backward_needs_input() {
            true => self.outputs(),
            false => 0,
        }
    }

    fn scratch(&self, rows: usize) -> usize {
        let turned = self.at_once(rows) * self.convolution.turned();
        ALIGNMENT + self.unfolded(rows) + self.weights().max(turned)
    }

    fn products(&self) -> usize {
        self.outputs().saturating_mul(self.convolution.taps())
    }

    fn forward(&self, pass: Forward<'_>) {
        let processor = Processor::detect();
        let parameters = self.filters.split(pass.parameters);
        let input = pass.inputs.view(0);
        let size = self.outputs();
        for (row, output) in pass.output.chunks_exact_mut(size).enumerate() {
            let image = input.row(row);
            let (scratch, pace) = (&mut *pass.scratch, pass.pace);
            self.convolve(
                processor,
                parameters,
                image,
                output,
                scratch,
                pace,
                |sums| {
                    if let Some(saved) = pass.saved.get_mut(row * size..(row + 1) * size) {
                        saved.copy_from_slice(sums);
                    }
                },
            );
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let processor = Processor::detect();
        let convolution = &self.convolution;
        let (size, unfolded_size) = (self.outputs(), convolution.unfolded());
        let activation = self.filters.activation;
        let (weight, _) = self.filters.split(pass.parameters);
        let input = pass.inputs.view(0);
        let scratch = aligned(pass.scratch);
        let at_once = self.at_once(pass.rows);
        // What is turned for the weights' gradient, and the weights as the image's takes them, share
        // what is left: one is done before the other begins.
        let (unfolded, rest) = scratch.split_at_mut(self.unfolded(pass.rows));
        for first in (0..pass.rows).step_by(at_once) {
            let count = at_once.min(pass.rows - first);
            let range = first * size..(first + count) * size;
            let pace = pass.pace;
            let saved = pass.saved.get(range.clone()).unwrap_or_default();
            let gradient = &mut pass.gradient[range.clone()];
            activation.backward_paced(saved, &pass.output[range], gradient, 1, pace);
            let Some(parameters) = pass.parameter_gradient.as_deref_mut() else {
                continue;
            };
            let (weight, bias) = self.filters.split_mut(parameters);
            for gradient in gradient.chunks_exact(size) {
                bias_gradient(processor, gradient, convolution.positions(), bias);
            }
            for group in self.groups() {
                let images = unfolded.chunks_exact_mut(unfolded_size).take(count);
                for (i, unfolded) in images.enumerate() {
                    if pace.spend_values(unfolded_size / 4) {
                        return;
                    }
                    let image = &input.row(first + i)[group.input.clone()];
                    convolution.unfold(processor, image, unfolded);
                }
                convolution.weight_gradient(
                    processor,
                    count,
                    unfolded,
                    &gradient[group.output.start..],
                    size,
                    rest,
                    &mut weight[group.weight],
                    pace,
                );
            }
        }
        let Some((target, add)) = pass.input_gradients.get(0) else {
            return;
        };
        for group in self.groups() {
            let (weight, packed) = (&weight[group.weight.clone()], &mut rest[group.weight]);
            match &self.mirrored {
                Some(mirrored) => mirrored.pack(weight, packed),
                None => convolution.pack_for_input_gradient(weight, packed),
            }
        }
        let rows = target.chunks_exact_mut(input.width);
        for (target, gradient) in rows.zip(pass.gradient.chunks_exact(size)) {
            let to = (target, add);
            self.image_gradient(processor, gradient, rest, to, unfolded, pass.pace);
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(PackedConv2d {
            layer: Conv2d {
                mirrored: None,
                ..self.clone()
            },
            parameters: packer.copy_all(),
            processor: Processor::detect(),
        }))
    }

    fn quantizable(&self) -> Option<Quantizable> {
        self.shape().pays().then(Quantizable::weight)
    }

    fn pack_quantized(&self, packer: &mut Packer<'_>, input: InputScale) -> Option<Quantized> {
        let packed = { self.shape() }.pack(packer, input, |own| self.filters.split(own));
        Some(Quantized::Layer(Box::new(packed)))
    }
}

/// The layer with its parameters.
#[derive(Debug)]
struct PackedConv2d {
    layer: Conv2d,
    parameters: Values,
    processor: Processor,
}

impl Packed for PackedConv2d {
    fn size_bytes(&self) -> usize {
        let taps = self.layer.convolution.taps() * size_of::<usize>();
        self.parameters.own_bytes() + taps + size_of::<Self>()
    }

    fn scratch(&self, _: usize) -> usize {
        ALIGNMENT + self.layer.convolution.unfolded()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let parameters = self.layer.filters.split(&self.parameters);
        let size = self.layer.outputs();
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            self.layer.convolve(
                self.processor,
                parameters,
                input.row(row),
                &mut output[..size],
                pass.scratch,
                pass.pace,
                |_| {},
            );
        }
    }
}

/// Values of a cache line.
const ALIGNMENT: usize = 16;

/// The part of the memory that begins with a cache line; up to [`ALIGNMENT`] values are left out.
fn aligned(memory: &mut [f32]) -> &mut [f32] {
    let skip = memory.as_ptr().align_offset(ALIGNMENT * size_of::<f32>());
    &mut memory[skip.min(ALIGNMENT)..]
}

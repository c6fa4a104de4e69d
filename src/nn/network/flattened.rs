//! Which dense layers read an image or a sequence as one vector: libraries differ in the order in
//! which the values then come.

use std::collections::HashMap;

use super::graph::Network;
use crate::nn::architecture::input::{InputFeature, InputForm};
use crate::nn::base::error::Error;
use crate::nn::base::shape::Shape;
use crate::nn::layer::Source;
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::spec::Spec;
use crate::nn::layers::{DenseSpec, OrdinalSpec};

/// What a dense layer's input was before it was flattened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flattened {
    /// An image: its channels, and the places of each.
    Image {
        /// Number of channels.
        channels: usize,
        /// Height times width.
        places: usize,
    },
    /// A sequence that a convolution or pooling gave, whose features PyTorch holds before its
    /// steps.
    Convolved {
        /// Number of steps.
        steps: usize,
        /// Values of a step.
        features: usize,
    },
}

/// Layers behind which PyTorch has features before steps; those that keep a shape leave the order.
const CONVOLVES: [&str; 3] = ["conv1d", "max_pool1d", "avg_pool1d"];

impl Network {
    /// The weights, by name, whose columns stand for the values of a flattened image or convolved
    /// sequence, as far as `wanted` asks for it. Where there is a single channel, or a single place or step, order does not matter
    /// and nothing is listed.
    ///
    /// # Errors
    /// A layer that reads such values and is neither dense nor acts on each value alike.
    pub fn flattened(
        &self,
        inputs: &[InputFeature],
        wanted: impl Fn(Flattened) -> bool,
    ) -> Result<HashMap<String, Flattened>, Error> {
        let columns = image_columns(inputs, &wanted);
        let kinds: HashMap<&str, &dyn Spec> = self
            .architecture()
            .layers
            .iter()
            .map(|layer| (layer.name(), &*layer.kind))
            .collect();
        let kind_of = |name: &str| {
            let own = name.split_once('.').filter(|_| self.members() > 1);
            kinds.get(own.map_or(name, |(_, own)| own)).copied()
        };
        let mut found = HashMap::new();
        // Of each node, what its vector was before, or what its sequence or image is.
        let mut kept: Vec<Option<Flattened>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let of = |source: &Source| match source {
                Source::Node(place) => kept.get(*place).copied().flatten(),
                Source::Columns { start, width } => columns
                    .get(start)
                    .filter(|(size, _)| size == width)
                    .map(|(_, f)| *f),
            };
            let read = node.sources.iter().find_map(of);
            let error = || {
                Error::layer(
                    format!("layer \"{}\"", node.name),
                    "reads a flattened image or sequence, whose values other libraries have in \
                     another order",
                    "Only the weights of dense layers are put in order: save the weights in \
                     PyTorch's layout, an image's values channel after channel and a sequence's step \
                     after step.",
                )
            };
            let own = match node.shape() {
                Shape::Image {
                    channels,
                    height,
                    width,
                } => image(channels, height * width),
                Shape::Sequence { .. } if matches!(read, Some(Flattened::Image { .. })) => {
                    return Err(error());
                }
                Shape::Sequence { steps, features } => {
                    let kind = kind_of(&node.name);
                    let follows = matches!(read, Some(Flattened::Convolved { .. }))
                        && kind.is_some_and(features_stay);
                    let name = kind.map_or("", Spec::type_name);
                    (CONVOLVES.contains(&name) || follows)
                        .then_some(Flattened::Convolved { steps, features })
                        .filter(|_| steps > 1 && features > 1)
                }
                Shape::Vector(width) => {
                    let (Some(read), Some(kind)) = (read, kind_of(&node.name)) else {
                        kept.push(None);
                        continue;
                    };
                    if kind.get::<DenseSpec>().is_some() || kind.get::<OrdinalSpec>().is_some() {
                        let weight = self.parameters.iter().find(|parameter| {
                            parameter.kind == ParameterKind::Weight
                                && node.parameters.start == parameter.range.start
                                && parameter.shape.last() == Some(&size(read))
                        });
                        found.extend(weight.map(|weight| (weight.name.clone(), read)));
                        None
                    } else if size(read) != width {
                        None
                    } else if kind.is_elementwise() {
                        Some(read)
                    } else if node.sources.len() > 1 || changes_each(kind) {
                        return Err(error());
                    } else {
                        None
                    }
                }
            };
            kept.push(own.filter(|own| wanted(*own)));
        }
        Ok(found)
    }
}

/// Images among the network's columns: where each begins, its size and itself.
fn image_columns(
    inputs: &[InputFeature],
    wanted: impl Fn(Flattened) -> bool,
) -> HashMap<usize, (usize, Flattened)> {
    let mut start = 0;
    let mut found = HashMap::new();
    for input in inputs {
        if let InputForm::Image {
            channels,
            height,
            width,
        } = input.form
        {
            let image = image(channels, height * width).filter(|image| wanted(*image));
            found.extend(image.map(|image| (start, (input.width(), image))));
        }
        start += input.width();
    }
    found
}

fn image(channels: usize, places: usize) -> Option<Flattened> {
    (channels > 1 && places > 1).then_some(Flattened::Image { channels, places })
}

fn size(flattened: Flattened) -> usize {
    match flattened {
        Flattened::Image { channels, places } => channels * places,
        Flattened::Convolved { steps, features } => steps * features,
    }
}

/// Whether a layer leaves a convolved sequence one.
fn features_stay(kind: &dyn Spec) -> bool {
    kind.is_elementwise()
        || matches!(
            kind.type_name(),
            "scale" | "add" | "batch_norm" | "group_norm" | "prelu"
        )
}

/// Whether a layer has parameters, or results, for each value of its own.
fn changes_each(kind: &dyn Spec) -> bool {
    matches!(
        kind.type_name(),
        "scale" | "batch_norm" | "layer_norm" | "group_norm" | "rms_norm" | "prelu"
    )
}

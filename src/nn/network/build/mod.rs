//! Building a network: columns chosen, shapes met and sizes checked before anything is allocated.

mod add_layer;
mod columns;
mod turned_back;

use std::collections::{HashMap, HashSet};

use super::graph::{Network, Node, Parameter};
use crate::nn::architecture::input::{InputFeature, InputForm};
use crate::nn::architecture::parse::MAX_LAYERS;
use crate::nn::architecture::{Architecture, LayerSpec};
use crate::nn::base::error::Error;
use crate::nn::base::lengths::{Lengths, Steps};
use crate::nn::base::shape::Shape;
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::head::Head;
use crate::nn::layer::{Layer, Source, Wanted};
use crate::nn::layers::{ConcatSpec, DenseSpec, InputSpec};

/// What a layer of the architecture gives to its readers.
#[derive(Debug, Clone)]
struct Slot {
    source: Source,
    shape: Shape,
    /// The vocabulary, if this is a level's index (or one a step) and not a number.
    level: Option<usize>,
    /// How many of its steps are there; `None`: all.
    lengths: Option<Lengths>,
}

impl Slot {
    fn width(&self) -> usize {
        self.shape.size()
    }

    fn steps(&self) -> Steps {
        Steps {
            most: self.shape.steps(),
            size: self.shape.step_size(),
            lengths: self.lengths.clone(),
        }
    }
}

/// Most values of a row in any node: what fits a workspace of many rows.
const MAX_VALUES: usize = 1 << 26;

impl Network {
    /// Builds the network of an architecture over these features for this task.
    ///
    /// # Errors
    /// A layer whose inputs do not exist or whose shapes do not meet, named in the message;
    /// parameters of more than `memory_limit` bytes.
    pub fn build(
        architecture: &Architecture,
        inputs: &[InputFeature],
        head: Head,
        memory_limit: Option<usize>,
    ) -> Result<Network, Error> {
        let mut architecture = architecture.resolve(head)?;
        let members = architecture.members;
        if members == 0 || architecture.layers.len().saturating_mul(members) > MAX_LAYERS {
            return Err(Error::architecture(
                format!("the network has more than {MAX_LAYERS} layers, those of all members"),
                "Describe the network with fewer layers, or fewer members.",
            ));
        }
        let mut builder = Builder::new(inputs)?;
        for layer in &architecture.layers {
            let names = layer
                .get::<InputSpec>()
                .and_then(|input| input.features.as_ref());
            builder.named.extend(names.into_iter().flatten().cloned());
        }
        let edges = architecture.edges()?;
        let last = edges.len() - 1;
        let mut outputs: Vec<Slot> = Vec::with_capacity(members);
        for member in 1..=members {
            if members > 1 {
                builder.prefix = format!("member{member}.");
            }
            let mut slots: Vec<Slot> = Vec::with_capacity(edges.len());
            for (i, sources) in edges.iter().enumerate() {
                let read: Vec<Slot> = sources.iter().map(|s| slots[*s].clone()).collect();
                let head = (i == last).then_some(head);
                slots.push(builder.add(&mut architecture.layers[i], read, i == 0, head)?);
            }
            if let (Some(output), Some(layer)) = (slots.pop(), architecture.layers.last()) {
                outputs.push(builder.turned_back(layer, output, head)?);
            }
        }
        if members > 1 {
            builder.prefix.clear();
            let mut join = LayerSpec::new(ConcatSpec).named("members");
            builder.add(&mut join, outputs, false, None)?;
        }
        builder.finish(architecture, head, memory_limit)
    }
}

/// A network while its layers are added, one after those it reads.
struct Builder<'a> {
    features: &'a [InputFeature],
    /// First column of each feature.
    starts: Vec<usize>,
    places: HashMap<&'a str, usize>,
    input_width: usize,
    nodes: Vec<Node>,
    widths: Vec<usize>,
    parameters: Vec<Parameter>,
    parameter_count: usize,
    /// Features that input layers name.
    named: HashSet<String>,
    /// What stands before the names of the member that is being built.
    prefix: String,
}

impl<'a> Builder<'a> {
    fn new(features: &'a [InputFeature]) -> Result<Self, Error> {
        let mut starts = Vec::with_capacity(features.len());
        let mut input_width: usize = 0;
        for feature in features {
            starts.push(input_width);
            input_width = input_width
                .checked_add(feature.width())
                .filter(|width| *width <= MAX_VALUES)
                .ok_or_else(|| {
                    Error::architecture(
                        format!("the features are encoded in more than {MAX_VALUES} columns"),
                        "Leave features out, or embed those with many levels.",
                    )
                })?;
            let tokens = matches!(
                feature.form,
                InputForm::Sequence {
                    features,
                    vocabulary: Some(_),
                    ..
                } if features != 1
            );
            if tokens {
                return Err(Error::architecture(
                    format!("feature \"{}\" has several levels in a step", feature.name),
                    "A step's level takes one column.",
                ));
            }
        }
        if input_width == 0 {
            return Err(Error::architecture(
                "there are no features for the network to read",
                "Give at least one column besides the target that is not ignored.",
            ));
        }
        let places = features
            .iter()
            .enumerate()
            .map(|(i, f)| (f.name.as_str(), i))
            .collect();
        Ok(Builder {
            features,
            starts,
            places,
            input_width,
            nodes: Vec::new(),
            widths: Vec::new(),
            parameters: Vec::new(),
            parameter_count: 0,
            named: HashSet::new(),
            prefix: String::new(),
        })
    }

    /// Adds a node for a layer, and its parameters.
    fn push(
        &mut self,
        spec: &LayerSpec,
        layer: Box<dyn Layer>,
        read: &[Slot],
        shape: Shape,
        lengths: Option<Lengths>,
    ) -> Result<Slot, Error> {
        let width = shape.size();
        if width > MAX_VALUES {
            return Err(Error::layer(
                spec.label(),
                format!("gives {shape}, more than {MAX_VALUES} values"),
                "Make its inputs smaller, or give it fewer units or filters.",
            ));
        }
        let start = self.parameter_count;
        for parameter in layer.parameters() {
            let end = parameter
                .shape
                .iter()
                .try_fold(1_usize, |size, n| size.checked_mul(*n))
                .and_then(|size| self.parameter_count.checked_add(size))
                .filter(|end| *end <= isize::MAX as usize / size_of::<f64>())
                .ok_or_else(|| too_large(spec))?;
            self.parameters.push(Parameter {
                name: format!("{}{}.{}", self.prefix, spec.name(), parameter.name),
                shape: parameter.shape,
                range: self.parameter_count..end,
                trainable: spec.trainable,
                kind: parameter.kind,
                is_integer: false,
                fan_in: parameter.fan_in,
                fan_out: parameter.fan_out,
                initializer: parameter.initializer,
                start: parameter.start,
            });
            self.parameter_count = end;
        }
        let parameters = start..self.parameter_count;
        let sources: Vec<Source> = read.iter().map(|slot| slot.source).collect();
        let trainable = spec.trainable && !parameters.is_empty();
        let before = sources.iter().any(|source| match source {
            Source::Node(node) => self.nodes[*node].learns,
            Source::Columns { .. } => false,
        });
        self.nodes.push(Node {
            name: format!("{}{}", self.prefix, spec.name()),
            layer,
            sources,
            parameters,
            trainable,
            learns: trainable || before,
            wanted: Vec::new(),
            shape,
            steps: Steps {
                most: shape.steps(),
                size: shape.step_size(),
                lengths: lengths.clone(),
            },
            source_steps: read.iter().map(Slot::steps).collect(),
            quantized: None,
        });
        self.widths.push(width);
        Ok(Slot {
            source: Source::Node(self.nodes.len() - 1),
            shape,
            level: None,
            lengths,
        })
    }

    /// The network of all nodes, of which the last is the output.
    fn finish(
        mut self,
        architecture: Architecture,
        head: Head,
        memory_limit: Option<usize>,
    ) -> Result<Network, Error> {
        let needed = self.parameter_count * size_of::<f32>();
        if let Some(limit) = memory_limit.filter(|limit| needed > *limit) {
            return Err(Error::Memory {
                what: "the network's parameters".into(),
                needed,
                limit,
            });
        }
        // The backward pass goes from the last node to the first: who comes first to a node's
        // gradient replaces what is left from the batch before, the others add.
        let mut reached = vec![false; self.nodes.len()];
        let learns: Vec<bool> = self.nodes.iter().map(|node| node.learns).collect();
        for node in self.nodes.iter_mut().rev() {
            node.wanted = node
                .sources
                .iter()
                .map(|source| match source {
                    Source::Node(source) if learns[*source] => {
                        match std::mem::replace(&mut reached[*source], true) {
                            true => Wanted::Add,
                            false => Wanted::Replace,
                        }
                    }
                    _ => Wanted::No,
                })
                .collect();
        }
        let output_activation = match head {
            Head::Regression { .. } => Activation::Linear,
            // Its layer gives the logarithms of probabilities.
            Head::Ordinal { .. } => Activation::Softmax,
            _ => {
                architecture
                    .layers
                    .last()
                    .and_then(LayerSpec::get::<DenseSpec>)
            }
            .and_then(|output| output.activation)
            .unwrap_or_default(),
        };
        Ok(Network {
            architecture,
            head,
            input_width: self.input_width,
            nodes: self.nodes,
            widths: self.widths,
            parameters: self.parameters,
            output_activation,
        })
    }
}

fn too_large(spec: &LayerSpec) -> Error {
    Error::layer(
        spec.label(),
        "has more parameters than can be addressed",
        "Give it or the layer before it fewer units.",
    )
}

//! Building a network: columns chosen, shapes met and sizes checked before anything is allocated.

use std::collections::HashMap;
use std::ops::Range;

use super::activation::Activation;
use super::architecture::{Architecture, DenseSpec, LayerKind, LayerSpec};
use super::architecture_parse::{MAX_LAYERS, MAX_UNITS};
use super::architecture_resolve::Head;
use super::error::{Error, nearest};
use super::layers::{
    ActivationLayer, Add, Concat, Dense, Dropout, Embedding, Layer, Multiply, Scale, Select,
    Source, Wanted,
};
use super::network::{InputFeature, Network, Node, Parameter};

/// What a layer of the architecture gives to its readers.
#[derive(Debug, Clone)]
struct Slot {
    source: Source,
    width: usize,
    /// The vocabulary, if this is a level's index and not a number.
    level: Option<usize>,
}

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
            outputs.extend(slots.pop());
        }
        if members > 1 {
            builder.prefix.clear();
            let mut join = LayerSpec::new(LayerKind::Concat).named("members");
            builder.add(&mut join, outputs, false, None)?;
        }
        builder.finish(architecture, head, memory_limit)
    }
}

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
    output_activation: Activation,
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
                .checked_add(feature.width)
                .filter(|width| *width <= MAX_UNITS)
                .ok_or_else(|| {
                    Error::architecture(
                        format!("the features are encoded in more than {MAX_UNITS} columns"),
                        "Leave features out, or embed those with many levels.",
                    )
                })?;
            if feature.vocabulary.is_some() && feature.width != 1 {
                return Err(Error::architecture(
                    format!(
                        "feature \"{}\" is a level but {} wide",
                        feature.name, feature.width
                    ),
                    "A level's index takes one column.",
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
            output_activation: Activation::Linear,
            prefix: String::new(),
        })
    }

    /// Adds a layer that reads `read`; the first may read the columns.
    fn add(
        &mut self,
        spec: &mut LayerSpec,
        mut read: Vec<Slot>,
        first: bool,
        head: Option<Head>,
    ) -> Result<Slot, Error> {
        if let LayerKind::Input { features } = &spec.kind {
            let features = features.clone();
            return self.columns(spec, features.as_deref());
        }
        if first {
            read.push(self.columns(spec, None)?);
        }
        let label = spec.label();
        let fail = |message: String, hint: &str| Err(Error::layer(label.clone(), message, hint));
        let join = matches!(
            spec.kind,
            LayerKind::Add | LayerKind::Multiply | LayerKind::Concat
        );
        if !join && read.len() != 1 {
            return fail(
                format!("reads {} layers, but takes one", read.len()),
                "Join them by a layer of type concat, add or multiply.",
            );
        }
        if let LayerKind::Embedding { vocabulary, units } = &mut spec.kind {
            let Some(levels) = read[0].level else {
                return fail(
                    format!(
                        "must read one categorical feature, not {} numbers",
                        read[0].width
                    ),
                    "Put {\"type\": \"input\", \"features\": [\"a categorical column\"]} before it.",
                );
            };
            let vocabulary = *vocabulary.get_or_insert(levels);
            if vocabulary < levels {
                return fail(
                    format!(
                        "has a vocabulary of {vocabulary}, but the feature has {levels} levels"
                    ),
                    "Leave \"vocabulary\" out: it follows from the feature.",
                );
            }
            let units = *units;
            return self.push(
                spec,
                Box::new(Embedding { vocabulary, units }),
                &read,
                units,
            );
        }
        if read.iter().any(|slot| slot.level.is_some()) {
            return fail(
                "reads a level's index, which only an embedding can".to_owned(),
                "A feature that an embedding reads is encoded as its level's index; read the \
                 embedding instead.",
            );
        }
        if let LayerKind::Concat = spec.kind {
            // Columns of no width come from an input layer when all features are embedded.
            read.retain(|slot| slot.width > 0);
        }
        if read.iter().any(|slot| slot.width == 0) || read.is_empty() {
            return fail(
                "has no columns to read, as all features are embedded".to_owned(),
                "Read the embeddings, or leave a feature that is not embedded.",
            );
        }
        let width = read[0].width;
        match &spec.kind {
            LayerKind::Dense(dense) | LayerKind::Output(dense) => {
                let layer = self.dense(dense, width, head);
                let units = layer.units;
                self.push(spec, Box::new(layer), &read, units)
            }
            LayerKind::Dropout { rate } => {
                let rate = *rate;
                self.push(spec, Box::new(Dropout { rate, width }), &read, width)
            }
            LayerKind::Scale { factor } => {
                let factor = *factor;
                self.push(spec, Box::new(Scale { width, factor }), &read, width)
            }
            LayerKind::Activation(activation) => {
                let activation = *activation;
                self.push(
                    spec,
                    Box::new(ActivationLayer { activation, width }),
                    &read,
                    width,
                )
            }
            LayerKind::Add | LayerKind::Multiply => {
                if read.len() < 2 {
                    return fail(
                        "reads one layer, but joins two or more".to_owned(),
                        "Name them: \"input\": [\"…\", \"…\"].",
                    );
                }
                if let Some(other) = read.iter().find(|slot| slot.width != width) {
                    return fail(
                        format!("its inputs are {width} and {} wide", other.width),
                        "Its inputs must have one width; use concat, or dense layers of as many \
                         units.",
                    );
                }
                let layer: Box<dyn Layer> = match spec.kind {
                    LayerKind::Add => Box::new(Add { width }),
                    _ => Box::new(Multiply { width }),
                };
                self.push(spec, layer, &read, width)
            }
            _ => {
                let width = read
                    .iter()
                    .map(|slot| slot.width)
                    .fold(0, usize::saturating_add);
                if width > MAX_UNITS {
                    return fail(
                        format!("is {width} wide, more than {MAX_UNITS}"),
                        "Make its inputs narrower.",
                    );
                }
                self.push(spec, Box::new(Concat { width }), &read, width)
            }
        }
    }

    fn dense(&mut self, dense: &DenseSpec, width: usize, head: Option<Head>) -> Dense {
        let mut activation = dense.activation.unwrap_or_default();
        // The loss wants logits, so the activation of classes is left to the caller.
        if matches!(head, Some(Head::Binary | Head::Multiclass { .. })) {
            self.output_activation = std::mem::take(&mut activation);
        }
        Dense {
            width,
            units: dense.units.unwrap_or(1),
            activation,
            use_bias: dense.use_bias,
            kernel_initializer: dense.kernel_initializer,
            bias_initializer: dense.bias_initializer,
        }
    }

    /// The columns of the named features, or of all that are numbers.
    fn columns(&mut self, spec: &LayerSpec, names: Option<&[String]>) -> Result<Slot, Error> {
        let mut chosen: Vec<usize> = Vec::new();
        match names {
            None => {
                chosen.extend(
                    (0..self.features.len()).filter(|f| self.features[*f].vocabulary.is_none()),
                );
            }
            Some(names) => {
                for name in names {
                    let Some(&place) = self.places.get(name.as_str()) else {
                        return Err(self.unknown_feature(spec, name));
                    };
                    if chosen.contains(&place) {
                        return Err(Error::layer(
                            spec.label(),
                            format!("names the feature \"{name}\" twice"),
                            "Name each feature once.",
                        ));
                    }
                    chosen.push(place);
                }
            }
        }
        if let ([place], Some(_)) = (chosen.as_slice(), names)
            && let Some(vocabulary) = self.features[*place].vocabulary
        {
            let source = Source::Columns {
                start: self.starts[*place],
                width: 1,
            };
            return Ok(Slot {
                source,
                width: 1,
                level: Some(vocabulary),
            });
        }
        if let Some(level) = chosen
            .iter()
            .find(|f| self.features[**f].vocabulary.is_some())
        {
            return Err(Error::layer(
                spec.label(),
                format!(
                    "mixes the embedded feature \"{}\" with others",
                    self.features[*level].name
                ),
                "Give each embedded feature an input layer of its own.",
            ));
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for feature in chosen {
            let start = self.starts[feature];
            let end = start + self.features[feature].width;
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start == end => {}
                _ => ranges.push(start..end),
            }
        }
        let width = ranges.iter().map(ExactSizeIterator::len).sum();
        if let [] | [_] = ranges.as_slice() {
            let start = ranges.first().map_or(0, |range| range.start);
            let source = Source::Columns { start, width };
            return Ok(Slot {
                source,
                width,
                level: None,
            });
        }
        self.push(spec, Box::new(Select { ranges, width }), &[], width)
    }

    fn unknown_feature(&self, spec: &LayerSpec, name: &str) -> Error {
        let name: String = name.chars().take(64).collect();
        let known = self.features.iter().map(|feature| feature.name.as_str());
        Error::layer(
            spec.label(),
            format!(
                "names the feature \"{name}\", which there is not; the nearest is \"{}\"",
                nearest(&name, known)
            ),
            "Name columns of the query that are features of the model.",
        )
    }

    fn push(
        &mut self,
        spec: &LayerSpec,
        layer: Box<dyn Layer>,
        read: &[Slot],
        width: usize,
    ) -> Result<Slot, Error> {
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
                fan_in: parameter.fan_in,
                fan_out: parameter.fan_out,
                initializer: parameter.initializer,
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
        });
        self.widths.push(width);
        Ok(Slot {
            source: Source::Node(self.nodes.len() - 1),
            width,
            level: None,
        })
    }

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
        Ok(Network {
            architecture,
            head,
            input_width: self.input_width,
            nodes: self.nodes,
            widths: self.widths,
            parameters: self.parameters,
            output_activation: self.output_activation,
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

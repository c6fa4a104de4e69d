//! Building a network: columns chosen, shapes met and sizes checked before anything is allocated.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::activation::Activation;
use super::architecture::{Architecture, DenseSpec, LayerKind, LayerSpec};
use super::architecture_parse::MAX_LAYERS;
use super::architecture_resolve::Head;
use super::error::{Error, nearest};
use super::input::{InputFeature, InputForm};
use super::layer_types::{Built, Site};
use super::layers::{
    ActivationLayer, Add, Concat, Dense, Dropout, Embedding, JoinSteps, Layer, Multiply, Scale,
    Select, Source, Wanted,
};
use super::lengths::{Lengths, Steps};
use super::network::{Network, Node, Parameter};
use super::shape::Shape;

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
            if let LayerKind::Input {
                features: Some(names),
            } = &layer.kind
            {
                builder.named.extend(names.iter().cloned());
            }
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
            output_activation: Activation::Linear,
            named: HashSet::new(),
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
            LayerKind::Add | LayerKind::Multiply | LayerKind::Concat | LayerKind::Typed(_)
        );
        if !join && read.len() != 1 {
            return fail(
                format!("reads {} layers, but takes one", read.len()),
                "Join them by a layer of type concat, add or multiply.",
            );
        }
        if let LayerKind::Embedding { .. } = spec.kind {
            return self.embedding(spec, &read);
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
            read.retain(|slot| slot.width() > 0);
        }
        if read.iter().any(|slot| slot.width() == 0) || read.is_empty() {
            return fail(
                "has no columns to read, as all features are embedded".to_owned(),
                "Read the embeddings, or leave a feature that is not embedded.",
            );
        }
        let shape = read[0].shape;
        let lengths = Lengths::joined(read.iter().map(|slot| slot.lengths.as_ref()));
        let width = shape.size();
        match &spec.kind {
            LayerKind::Dense(dense) | LayerKind::Output(dense) => {
                match (shape, head) {
                    (Shape::Vector(_), _) | (Shape::Sequence { .. }, None) => {}
                    (Shape::Sequence { .. }, Some(_)) => {
                        return fail(
                            format!("is the output and reads {shape}, but the task is a row's"),
                            "Put a layer before it that leaves the steps: flatten, \
                             global_avg_pool, select_step, or a recurrent layer without \
                             \"return_sequences\".",
                        );
                    }
                    (Shape::Image { .. }, _) => {
                        return fail(
                            format!("reads {shape}, but takes a vector"),
                            "Put {\"type\": \"flatten\"} or {\"type\": \"global_avg_pool\"} \
                             before it.",
                        );
                    }
                }
                let layer = self.dense(dense, shape, head);
                let units = layer.units;
                let shape = match shape {
                    Shape::Sequence { steps, .. } => Shape::Sequence {
                        steps,
                        features: units,
                    },
                    _ => Shape::Vector(units),
                };
                self.push(spec, Box::new(layer), &read, shape, lengths)
            }
            LayerKind::Dropout { rate } => {
                let rate = *rate;
                let layer = Box::new(Dropout { rate, width });
                self.push(spec, layer, &read, shape, lengths)
            }
            LayerKind::Scale { factor } => {
                let factor = *factor;
                let layer = Box::new(Scale { width, factor });
                self.push(spec, layer, &read, shape, lengths)
            }
            LayerKind::Activation(activation) => {
                let layer = Box::new(ActivationLayer {
                    activation: *activation,
                    width,
                    slice: shape.step_size(),
                });
                self.push(spec, layer, &read, shape, lengths)
            }
            LayerKind::Add | LayerKind::Multiply => {
                if read.len() < 2 {
                    return fail(
                        "reads one layer, but joins two or more".to_owned(),
                        "Name them: \"input\": [\"…\", \"…\"].",
                    );
                }
                if let Some(other) = read.iter().find(|slot| slot.shape != shape) {
                    return fail(
                        format!("its inputs are {shape} and {}", other.shape),
                        "Its inputs must have one shape; use concat, or layers of as many units \
                         or filters.",
                    );
                }
                let layer: Box<dyn Layer> = match spec.kind {
                    LayerKind::Add => Box::new(Add { width }),
                    _ => Box::new(Multiply { width }),
                };
                self.push(spec, layer, &read, shape, lengths)
            }
            LayerKind::Typed(typed) => {
                let shapes: Vec<Shape> = read.iter().map(|slot| slot.shape).collect();
                let varying: Vec<bool> = read.iter().map(|slot| slot.lengths.is_some()).collect();
                let site = Site {
                    label: &label,
                    shapes: &shapes,
                    varying: &varying,
                };
                match typed.build(&site)? {
                    Built::Layer {
                        layer,
                        shape,
                        lengths: rule,
                    } => {
                        let lengths = lengths.and_then(|lengths| lengths.after(rule));
                        self.push(spec, layer, &read, shape, lengths)
                    }
                    Built::View(shape) => Ok(Slot {
                        source: read[0].source,
                        shape,
                        level: None,
                        lengths: None,
                    }),
                }
            }
            _ => self.concat(spec, &read),
        }
    }

    fn embedding(&mut self, spec: &mut LayerSpec, read: &[Slot]) -> Result<Slot, Error> {
        let label = spec.label();
        let LayerKind::Embedding { vocabulary, units } = &mut spec.kind else {
            return Err(Error::layer(label, "is no embedding", "Name another type."));
        };
        let slot = &read[0];
        let Some(levels) = slot.level else {
            return Err(Error::layer(
                label,
                format!("must read one categorical feature, not {}", slot.shape),
                "Put {\"type\": \"input\", \"features\": [\"a categorical column\"]} before it, or \
                 treat the column as a sequence of whole numbers.",
            ));
        };
        let vocabulary = *vocabulary.get_or_insert(levels);
        if vocabulary < levels {
            return Err(Error::layer(
                label,
                format!("has a vocabulary of {vocabulary}, but the feature has {levels} levels"),
                "Leave \"vocabulary\" out: it follows from the feature.",
            ));
        }
        let units = *units;
        let steps = slot.shape.steps();
        let shape = match slot.shape {
            Shape::Sequence { steps, .. } => Shape::Sequence {
                steps,
                features: units,
            },
            _ => Shape::Vector(units),
        };
        let layer = Box::new(Embedding {
            steps,
            vocabulary,
            units,
        });
        self.push(spec, layer, read, shape, slot.lengths.clone())
    }

    /// Vectors side by side; sequences step by step; images channel after channel.
    fn concat(&mut self, spec: &LayerSpec, read: &[Slot]) -> Result<Slot, Error> {
        let lengths = Lengths::joined(read.iter().map(|slot| slot.lengths.as_ref()));
        let sum = |part: &dyn Fn(Shape) -> usize| {
            let parts = read.iter().map(|slot| part(slot.shape));
            parts.fold(0, usize::saturating_add)
        };
        let alike = |shape: Shape| match (read[0].shape, shape) {
            (Shape::Vector(_), Shape::Vector(_)) => true,
            (Shape::Sequence { steps: a, .. }, Shape::Sequence { steps: b, .. }) => a == b,
            (
                Shape::Image {
                    height: a,
                    width: b,
                    ..
                },
                Shape::Image { height, width, .. },
            ) => (a, b) == (height, width),
            _ => false,
        };
        if let Some(other) = read.iter().find(|slot| !alike(slot.shape)) {
            return Err(Error::layer(
                spec.label(),
                format!("cannot join {} and {}", read[0].shape, other.shape),
                "It joins vectors, sequences of as many steps, or images of one height and width; \
                 a layer of type flatten makes a vector of anything.",
            ));
        }
        let width = sum(&Shape::size);
        match read[0].shape {
            Shape::Sequence { steps, .. } => {
                let features = sum(&Shape::step_size);
                let shape = Shape::Sequence { steps, features };
                let layer = Box::new(JoinSteps {
                    steps,
                    width: features,
                });
                self.push(spec, layer, read, shape, lengths)
            }
            Shape::Image {
                height, width: w, ..
            } => {
                let channels = sum(&|shape| match shape {
                    Shape::Image { channels, .. } => channels,
                    _ => 0,
                });
                let shape = Shape::Image {
                    channels,
                    height,
                    width: w,
                };
                self.push(spec, Box::new(Concat { width }), read, shape, None)
            }
            Shape::Vector(_) => {
                let shape = Shape::Vector(width);
                self.push(spec, Box::new(Concat { width }), read, shape, None)
            }
        }
    }

    fn dense(&mut self, dense: &DenseSpec, shape: Shape, head: Option<Head>) -> Dense {
        let mut activation = dense.activation.unwrap_or_default();
        // The loss wants logits, so the activation of classes is left to the caller.
        if !matches!(head, None | Some(Head::Regression { .. })) {
            self.output_activation = std::mem::take(&mut activation);
        }
        Dense {
            steps: shape.steps(),
            width: shape.step_size(),
            units: dense.units.unwrap_or(1),
            activation,
            use_bias: dense.use_bias,
            kernel_initializer: dense.kernel_initializer,
            bias_initializer: dense.bias_initializer,
        }
    }

    /// The columns of the named features, or of all that are not levels.
    fn columns(&mut self, spec: &LayerSpec, names: Option<&[String]>) -> Result<Slot, Error> {
        let mut chosen: Vec<usize> = Vec::new();
        match names {
            None => {
                let is_level = |f: &InputFeature| {
                    matches!(f.form, InputForm::Level { .. } | InputForm::Numbers(0))
                };
                chosen.extend((0..self.features.len()).filter(|f| !is_level(&self.features[*f])));
                if !self.only_numbers(&chosen) {
                    // Sequences and images that are read elsewhere are not meant here.
                    chosen.retain(|f| {
                        self.only_numbers(&[*f]) || !self.named.contains(&self.features[*f].name)
                    });
                }
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
        if let ([place], true) = (
            chosen.as_slice(),
            names.is_some() || !self.only_numbers(&chosen),
        ) {
            return Ok(self.feature(*place));
        }
        if let Some(level) = chosen
            .iter()
            .find(|f| self.features[**f].vocabulary().is_some())
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
        if !self.only_numbers(&chosen) {
            return self.joined_columns(spec, &chosen);
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for feature in chosen {
            let start = self.starts[feature];
            let end = start + self.features[feature].width();
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start == end => {}
                _ => ranges.push(start..end),
            }
        }
        let width = ranges.iter().map(ExactSizeIterator::len).sum();
        let shape = Shape::Vector(width);
        if let [] | [_] = ranges.as_slice() {
            let start = ranges.first().map_or(0, |range| range.start);
            return Ok(Slot {
                source: Source::Columns { start, width },
                shape,
                level: None,
                lengths: None,
            });
        }
        self.push(spec, Box::new(Select { ranges, width }), &[], shape, None)
    }

    fn only_numbers(&self, features: &[usize]) -> bool {
        let is_number = |f: &usize| matches!(self.features[*f].form, InputForm::Numbers(_));
        features.iter().all(is_number)
    }

    /// A feature by itself, in its own shape.
    fn feature(&self, place: usize) -> Slot {
        let feature = &self.features[place];
        let column = self.starts[place];
        let is_sequence = matches!(feature.form, InputForm::Sequence { .. });
        Slot {
            source: Source::Columns {
                // The number of steps stands before them.
                start: column + usize::from(is_sequence),
                width: feature.shape().size(),
            },
            shape: feature.shape(),
            level: feature.vocabulary(),
            lengths: is_sequence.then_some(Lengths::Column(column)),
        }
    }

    /// Sequences, or images, joined to one.
    fn joined_columns(&mut self, spec: &LayerSpec, chosen: &[usize]) -> Result<Slot, Error> {
        let slots: Vec<Slot> = chosen.iter().map(|place| self.feature(*place)).collect();
        let mixed = slots.iter().position(|slot| {
            std::mem::discriminant(&slot.shape) != std::mem::discriminant(&slots[0].shape)
        });
        if let Some(other) = mixed {
            return Err(Error::layer(
                spec.label(),
                format!(
                    "reads feature \"{}\", {}, and feature \"{}\", {}, which cannot be joined",
                    self.features[chosen[0]].name,
                    slots[0].shape,
                    self.features[chosen[other]].name,
                    slots[other].shape
                ),
                "Give each an input layer, {\"type\": \"input\", \"name\": \"a\", \"features\": \
                 [\"column\"]}, and join what comes of them by concat.",
            ));
        }
        self.concat(spec, &slots)
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
        });
        self.widths.push(width);
        Ok(Slot {
            source: Source::Node(self.nodes.len() - 1),
            shape,
            level: None,
            lengths,
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

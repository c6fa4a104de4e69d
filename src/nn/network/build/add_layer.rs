//! From a layer's description and what it reads to the layer and the shape it gives.

use super::{Builder, Slot};
use crate::nn::architecture::resolve::Head;
use crate::nn::architecture::{DenseSpec, LayerKind, LayerSpec};
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Lengths;
use crate::nn::base::shape::Shape;
use crate::nn::layer::Layer;
use crate::nn::layer::spec::{Built, Site};
use crate::nn::layers::{
    ActivationLayer, Add, Concat, Dense, Dropout, Embedding, JoinSteps, Multiply, Scale,
};

impl Builder<'_> {
    /// Adds a layer that reads `read`; the first may read the columns.
    pub(super) fn add(
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
    pub(super) fn concat(&mut self, spec: &LayerSpec, read: &[Slot]) -> Result<Slot, Error> {
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
}

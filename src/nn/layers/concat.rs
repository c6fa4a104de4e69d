//! Several inputs side by side: vectors, sequences step by step, images channel after channel; no
//! parameters.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, Operation, View};

/// The type `concat`.
pub(in crate::nn) const CONCAT: LayerType = LayerType {
    name: "concat",
    aliases: &["concatenate", "cat"],
    settings: &[],
    rank: Rank::Any,
    read: |_, _| Ok(Arc::new(ConcatSpec)),
};

/// Settings of a concatenation: none.
#[derive(Debug, Clone)]
pub struct ConcatSpec;

impl Spec for ConcatSpec {
    fn type_name(&self) -> &'static str {
        CONCAT.name
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    /// Columns of no width come from an input layer when all features are embedded.
    fn skips_empty(&self) -> bool {
        true
    }

    fn write(&self, _: &mut Map<String, Value>) {}

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let first = site.shapes[0];
        let alike = |shape: Shape| match (first, shape) {
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
        if let Some(other) = site.shapes.iter().find(|shape| !alike(**shape)) {
            return Err(site.error(
                format!("cannot join {first} and {other}"),
                "It joins vectors, sequences of as many steps, or images of one height and width; a \
                 layer of type flatten makes a vector of anything.",
            ));
        }
        let sum = |part: fn(Shape) -> usize| {
            let parts = site.shapes.iter().map(|shape| part(*shape));
            parts.fold(0, usize::saturating_add)
        };
        let width = sum(Shape::step_size);
        let shape = match first {
            Shape::Vector(_) => Shape::Vector(width),
            Shape::Sequence { steps, .. } => Shape::Sequence {
                steps,
                features: width,
            },
            Shape::Image { height, width, .. } => Shape::Image {
                channels: sum(|shape| match shape {
                    Shape::Image { channels, .. } => channels,
                    _ => 0,
                }),
                height,
                width,
            },
        };
        let is_sequence = matches!(shape, Shape::Sequence { .. });
        Ok(Built::Layer {
            layer: Box::new(Concat {
                steps: shape.steps(),
                width,
                is_sequence,
            }),
            shape,
            lengths: match is_sequence {
                true => LengthRule::Keep,
                false => LengthRule::Drop,
            },
        })
    }
}

/// Inputs [rows, steps, width₁], [rows, steps, width₂] … side by side, step by step.
#[derive(Debug, Clone, Copy)]
struct Concat {
    /// Steps of a row; what is no sequence is one.
    steps: usize,
    /// Length of an output step.
    width: usize,
    is_sequence: bool,
}

impl Concat {
    /// Copies the inputs to rows of the output that begin `stride` apart.
    fn copy<'a>(
        self,
        rows: usize,
        inputs: impl Iterator<Item = View<'a>>,
        output: &mut [f32],
        stride: usize,
    ) {
        let mut start = 0;
        for input in inputs {
            let width = input.width / self.steps;
            for (row, output) in output.chunks_mut(stride).take(rows).enumerate() {
                let steps = output[..self.steps * self.width].chunks_exact_mut(self.width);
                for (output, x) in steps.zip(input.row(row).chunks_exact(width)) {
                    output[start..start + width].copy_from_slice(x);
                }
            }
            start += width;
        }
    }
}

impl Layer for Concat {
    fn forward(&self, pass: Forward<'_>) {
        let inputs = (0..pass.inputs.len()).map(|input| pass.inputs.view(input));
        self.copy(pass.rows, inputs, pass.output, self.steps * self.width);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let mut start = 0;
        for input in 0..pass.inputs.len() {
            let width = pass.inputs.view(input).width / self.steps;
            if let Some((target, add)) = pass.input_gradients.get(input) {
                // Steps of all rows stand side by side on both sides.
                let steps = pass.gradient.chunks_exact(self.width);
                for (target, gradient) in target.chunks_exact_mut(width).zip(steps) {
                    let gradient = &gradient[start..start + width];
                    if add {
                        target
                            .iter_mut()
                            .zip(gradient)
                            .for_each(|(target, g)| *target += g);
                    } else {
                        target.copy_from_slice(gradient);
                    }
                }
            }
            start += width;
        }
    }

    /// What is no sequence may be computed where it is to stand.
    fn operation(&self) -> Operation {
        match self.is_sequence {
            true => Operation::Packed,
            false => Operation::Concat,
        }
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(*self))
    }
}

impl Packed for Concat {
    fn size_bytes(&self) -> usize {
        0
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let inputs = (0..pass.inputs.len()).map(|input| pass.inputs.view(input));
        self.copy(pass.rows, inputs, pass.output, pass.stride);
    }
}

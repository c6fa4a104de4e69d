//! The sum, or the product element by element, of several inputs of one shape; no parameters.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::kernels::add::add;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, View};

/// The type `add`.
pub(in crate::nn) const ADD: LayerType = LayerType {
    name: "add",
    aliases: &[],
    settings: &[],
    rank: Rank::Any,
    read: |_, _| Ok(Arc::new(Combine::Add)),
};

/// The type `multiply`.
pub(in crate::nn) const MULTIPLY: LayerType = LayerType {
    name: "multiply",
    aliases: &[],
    settings: &[],
    rank: Rank::Any,
    read: |_, _| Ok(Arc::new(Combine::Multiply)),
};

#[derive(Debug, Clone, Copy)]
enum Combine {
    Add,
    Multiply,
}

impl Spec for Combine {
    fn type_name(&self) -> &'static str {
        match self {
            Combine::Add => ADD.name,
            Combine::Multiply => MULTIPLY.name,
        }
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn write(&self, _: &mut Map<String, Value>) {}

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.shapes[0];
        if site.shapes.len() < 2 {
            return Err(site.error(
                "reads one layer, but joins two or more",
                "Name them: \"input\": [\"…\", \"…\"].",
            ));
        }
        if let Some(other) = site.shapes.iter().find(|other| **other != shape) {
            return Err(site.error(
                format!("its inputs are {shape} and {other}"),
                "Its inputs must have one shape; use concat, or layers of as many units or filters.",
            ));
        }
        Ok(Built::Layer {
            layer: Box::new(Combined {
                by: *self,
                width: shape.size(),
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Inputs [rows, width] to rows of the same shape.
#[derive(Debug, Clone, Copy)]
struct Combined {
    by: Combine,
    width: usize,
}

impl Combined {
    /// The rows of each input but the first, combined with what is there; those of the first replace
    /// it. Rows of the output begin `stride` apart.
    fn fold<'a>(
        self,
        rows: usize,
        inputs: impl Iterator<Item = View<'a>>,
        output: &mut [f32],
        stride: usize,
    ) {
        for (i, input) in inputs.enumerate() {
            for (row, output) in output.chunks_mut(stride).take(rows).enumerate() {
                let (output, x) = (&mut output[..self.width], input.row(row));
                match self.by {
                    _ if i == 0 => output.copy_from_slice(x),
                    Combine::Add => add(output, x),
                    Combine::Multiply => output.iter_mut().zip(x).for_each(|(y, x)| *y *= x),
                }
            }
        }
    }
}

impl Layer for Combined {
    fn forward(&self, pass: Forward<'_>) {
        let inputs = (0..pass.inputs.len()).map(|input| pass.inputs.view(input));
        self.fold(pass.rows, inputs, pass.output, self.width);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (inputs, width) = (pass.inputs, self.width);
        for input in 0..inputs.len() {
            match self.by {
                Combine::Add => pass.input_gradients.put_all(input, pass.gradient),
                // The others are multiplied anew: dividing the product would fail at zero.
                Combine::Multiply => pass.input_gradients.put(input, |i| {
                    let (row, column) = (i / width, i % width);
                    (0..inputs.len())
                        .filter(|other| *other != input)
                        .fold(pass.gradient[i], |g, other| {
                            g * inputs.view(other).row(row)[column]
                        })
                }),
            }
        }
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(*self))
    }
}

impl Packed for Combined {
    fn size_bytes(&self) -> usize {
        0
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let inputs = (0..pass.inputs.len()).map(|input| pass.inputs.view(input));
        self.fold(pass.rows, inputs, pass.output, pass.stride);
    }
}

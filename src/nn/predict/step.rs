//! The steps of a prediction: each computes one node's values, from where others left theirs.

use super::layout::Place;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Steps;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::PackedIntegers;
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedInputs, PackedPass};
use crate::nn::layer::{Quantized, View};
use crate::nn::network::Node;

/// What computes one node's values.
#[derive(Debug)]
pub(super) struct Step {
    pub action: Action,
    pub sources: Vec<Place>,
    pub target: Place,
    /// Which steps of the target's rows are there.
    pub steps: Steps,
    /// The same of each source.
    pub source_steps: Vec<Steps>,
    /// The node that it computes.
    pub node: usize,
    /// Work of a row beside what its layer counts: the values that are read and written.
    pub work: usize,
}

#[derive(Debug)]
pub(super) enum Action {
    /// The product, applied to so many steps of a row.
    Dense(PackedDense, usize),
    /// The same in 8 bits.
    Integers(PackedIntegers, usize),
    /// Sources side by side; those that are computed in place are not among them. Holds the first
    /// column of each.
    Copy(Vec<usize>),
    Layer(Box<dyn Packed>),
}

impl Step {
    pub fn size_bytes(&self) -> usize {
        let held = match &self.action {
            Action::Dense(layer, _) => layer.size_bytes(),
            Action::Integers(layer, _) => layer.size_bytes(),
            Action::Layer(layer) => layer.size_bytes(),
            Action::Copy(starts) => size_of_val(&starts[..]),
        };
        held + size_of::<Self>() + std::mem::size_of_val(&self.sources[..])
    }

    /// Writes `count` rows, `stride` apart, from the target's first column on.
    #[expect(clippy::too_many_arguments, reason = "where to read and to write")]
    #[inline]
    pub fn run<'a>(
        &self,
        count: usize,
        target: &mut [f32],
        stride: usize,
        (x, x_width): (&'a [f32], usize),
        working: &mut [f32],
        pace: &Pace<'_>,
        rows: impl Fn(Place) -> View<'a>,
    ) {
        let width = self.target.width;
        match &self.action {
            Action::Dense(layer, 1) => {
                let source = rows(self.sources[0]);
                layer.forward_paced(source.data, source.stride, count, target, stride, pace);
            }
            Action::Dense(layer, steps) => {
                let source = rows(self.sources[0]);
                let (from, to) = (source.width / steps, width / steps);
                if source.stride == source.width && stride == width {
                    layer.forward_paced(source.data, from, count * steps, target, to, pace);
                } else {
                    for (r, row) in target.chunks_mut(stride).take(count).enumerate() {
                        layer.forward_paced(source.row(r), from, *steps, row, to, pace);
                    }
                }
            }
            Action::Integers(layer, steps) => {
                let source = rows(self.sources[0]);
                let (from, to) = (source.width / steps, width / steps);
                if *steps == 1 {
                    let (x, each) = (source.data, source.stride);
                    layer.forward_paced(x, each, count, target, stride, working, pace);
                } else if source.stride == source.width && stride == width {
                    let count = count * steps;
                    layer.forward_paced(source.data, from, count, target, to, working, pace);
                } else {
                    for (r, row) in target.chunks_mut(stride).take(count).enumerate() {
                        layer.forward_paced(source.row(r), from, *steps, row, to, working, pace);
                    }
                }
            }
            Action::Layer(layer) => layer.forward(PackedPass {
                rows: count,
                inputs: PackedInputs {
                    views: &|input| rows(self.sources[input]),
                    steps: &self.source_steps,
                    x,
                    x_width,
                },
                output: target,
                stride,
                scratch: working,
                pace,
            }),
            Action::Copy(starts) => {
                for (source, start) in self.sources.iter().zip(starts) {
                    let source = rows(*source);
                    for (r, row) in target.chunks_mut(stride).take(count).enumerate() {
                        row[*start..][..source.width].copy_from_slice(source.row(r));
                    }
                }
            }
        }
    }
}

/// Working memory of the steps for so many rows, in values.
pub(super) fn working(steps: &[Step], rows: usize) -> usize {
    let each = steps.iter().map(|step| match &step.action {
        Action::Layer(layer) => layer.scratch(rows),
        Action::Integers(layer, steps) => layer.scratch(rows * steps),
        _ => 0,
    });
    each.max().unwrap_or(0)
}

/// The node's layer in the form in which it predicts.
pub(super) fn pack(node: &Node, packer: &mut Packer<'_>) -> Result<Action, Error> {
    let layer = node.layer();
    if let Some(input) = node.quantized {
        let packed = layer
            .pack_quantized(packer, input)
            .map(|packed| match packed {
                Quantized::Dense(dense, steps) => Action::Integers(dense, steps),
                Quantized::Layer(layer) => Action::Layer(layer),
            });
        return packed.ok_or_else(|| cannot_predict(node));
    }
    if let Some((dense, steps)) = layer.pack_dense(packer) {
        return Ok(Action::Dense(dense, steps));
    }
    let packed = layer.pack(packer).map(Action::Layer);
    packed.ok_or_else(|| cannot_predict(node))
}

fn cannot_predict(node: &Node) -> Error {
    let label = format!("layer \"{}\"", node.name());
    Error::layer(label, "cannot predict", "Report this.")
}

impl Action {
    /// The dense product's activation, if it is one.
    pub fn activation(&self) -> Option<Activation> {
        match self {
            Action::Dense(dense, _) => Some(dense.activation()),
            Action::Integers(dense, _) => Some(dense.activation()),
            Action::Copy(_) | Action::Layer(_) => None,
        }
    }

    /// Replaces it.
    pub fn set_activation(&mut self, activation: Activation) {
        match self {
            Action::Dense(dense, _) => dense.set_activation(activation),
            Action::Integers(dense, _) => dense.set_activation(activation),
            Action::Copy(_) | Action::Layer(_) => {}
        }
    }
}

/// The first column of each when they stand side by side.
pub(super) fn starts(places: &[Place]) -> Vec<usize> {
    let ends = places.iter().scan(0, |end, place| {
        *end += place.width;
        Some(*end - place.width)
    });
    ends.collect()
}

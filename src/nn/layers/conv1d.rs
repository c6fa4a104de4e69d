//! Convolution along the steps of a sequence; parameters and layout as in `torch.nn.Conv1d`.
//!
//! `y[step] = activation(bias + Σ weight[filter][feature][i] · x[step + i][feature])`, for each group
//! of features and filters by itself. The steps that a window sees lie one after another, so that
//! with the weights in the order `[filter][i][feature]` it is a dense layer over windows. A row
//! shorter than the longest is padded at its own ends.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::conv::{Filters, MAX_LAID_OUT, SETTINGS};
use super::quantized_conv1d;
use super::windows::KERNEL;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::{LengthRule, Window};
use crate::nn::base::shape::Shape;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::matrix::{Matrix, matrix, multiply_paced, strided, strided_mut};
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Inputs, Layer, ParameterSpec, Quantizable, Quantized};

/// The type `conv1d`.
pub(in crate::nn) const CONV1D: LayerType = LayerType {
    name: "conv1d",
    aliases: &["convolution1d"],
    settings: SETTINGS,
    rank: Rank::Sequence,
    read: |_, settings: &Settings<'_>| {
        let filters: Arc<Filters<1>> = Filters::read(settings)?;
        Ok(filters)
    },
};

/// Values of the windows that are laid out at once in training: what the second cache holds.
const AT_ONCE: usize = 1 << 17;

impl Spec for Filters<1> {
    fn type_name(&self) -> &'static str {
        CONV1D.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        Filters::write(self, settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (steps, features) = site.sequence()?;
        let window = self.windows[0];
        KERNEL.check(site, site.one()?, &self.windows, [steps])?;
        self.check_groups(site, features, "features")?;
        let shape = Shape::Sequence {
            steps: window.outputs(steps),
            features: self.filters,
        };
        let laid_out = self.taps(features).saturating_mul(shape.steps());
        if laid_out.max(shape.size()) > MAX_LAID_OUT {
            return Err(self.too_large(site));
        }
        Ok(Built::Layer {
            layer: Box::new(Conv1d {
                filters: self.clone(),
                windows: Windows {
                    window,
                    features,
                    groups: self.groups,
                    outputs: shape.steps(),
                },
            }),
            shape,
            lengths: LengthRule::Window(window),
        })
    }
}

/// Where the windows of a row stand.
#[derive(Debug, Clone)]
struct Windows {
    window: Window,
    /// Values of a step.
    features: usize,
    groups: usize,
    /// Windows of a row of all steps.
    outputs: usize,
}

impl Windows {
    /// Values that a window sees.
    fn size(&self) -> usize {
        self.window.size * self.features
    }

    /// Calls `each` for every place in the windows, laid out as `[window][group][tap][feature]`, the
    /// features being the group's: with the place, and where in the row's `steps` steps its values are; `None` is
    /// padding. The values of a place are as many as a group has features.
    #[inline(always)]
    fn places(&self, steps: usize, mut each: impl FnMut(usize, Option<usize>)) {
        let before = self.window.before(steps);
        let group = self.features / self.groups;
        let mut place = 0;
        for output in 0..self.outputs {
            for first in (0..self.features).step_by(group) {
                for tap in 0..self.window.size {
                    let at = output * self.window.stride + tap * self.window.dilation;
                    let step = at.checked_sub(before).filter(|step| *step < steps);
                    each(place, step.map(|step| step * self.features + first));
                    place += group;
                }
            }
        }
    }

    /// Lays out the windows of a row of so many steps.
    fn lay_out(&self, row: &[f32], steps: usize, windows: &mut [f32]) {
        let group = self.features / self.groups;
        self.places(steps, |place, values| {
            let target = &mut windows[place..place + group];
            match values {
                Some(values) => target.copy_from_slice(&row[values..values + group]),
                None => target.fill(0.0),
            }
        });
    }

    /// Adds to a row's values those at their places in the windows.
    fn add_back(&self, windows: &[f32], steps: usize, row: &mut [f32]) {
        let group = self.features / self.groups;
        self.places(steps, |place, values| {
            if let Some(values) = values {
                let row = &mut row[values..values + group];
                let window = &windows[place..place + group];
                row.iter_mut().zip(window).for_each(|(x, w)| *x += w);
            }
        });
    }
}

/// Rows [rows, steps, features] to rows [rows, steps', filters].
#[derive(Debug, Clone)]
struct Conv1d {
    filters: Filters<1>,
    windows: Windows,
}

/// A group's matrices: its windows begin at `window` of those of all groups, its outputs at
/// `filter`; its weights are [filters, taps].
struct Group {
    window: usize,
    taps: usize,
    filter: usize,
    filters: usize,
}

impl Group {
    fn weight<'a>(&self, weights: &'a [f32]) -> Matrix<'a> {
        let own = &weights[self.filter * self.taps..][..self.filters * self.taps];
        matrix(own, self.filters, self.taps)
    }
}

impl Conv1d {
    /// Length of an output row.
    fn outputs(&self) -> usize {
        self.windows.outputs * self.filters.filters
    }

    /// Values that the windows of a row take.
    fn laid_out(&self) -> usize {
        self.windows.outputs * self.windows.size()
    }

    fn weights(&self) -> usize {
        self.filters.filters * self.windows.size() / self.filters.groups
    }

    /// Rows whose windows are laid out at the same time.
    fn at_once(&self, rows: usize) -> usize {
        (AT_ONCE / self.laid_out()).clamp(1, rows.max(1))
    }

    fn groups(&self) -> impl Iterator<Item = Group> {
        let groups = self.filters.groups;
        let (taps, filters) = (self.windows.size() / groups, self.filters.filters / groups);
        (0..groups).map(move |group| Group {
            window: group * taps,
            taps,
            filter: group * filters,
            filters,
        })
    }

    /// Calls `each` with places of a weight of these filters in PyTorch's order `[filter][feature][tap]` and in that
    /// of the windows, `[filter][tap][feature]`.
    fn reorder(&self, filters: Range<usize>, mut each: impl FnMut(usize, usize)) {
        let (taps, features) = (
            self.windows.window.size,
            self.windows.features / self.filters.groups,
        );
        for filter in filters {
            let start = filter * taps * features;
            for tap in 0..taps {
                for feature in 0..features {
                    each(
                        start + feature * taps + tap,
                        start + tap * features + feature,
                    );
                }
            }
        }
    }

    /// What of it counts for 8 bits.
    fn quantized(&self) -> quantized_conv1d::Shape {
        quantized_conv1d::Shape {
            window: self.windows.window,
            features: self.windows.features,
            filters: self.filters.filters,
            outputs: self.windows.outputs,
            groups: self.filters.groups,
            activation: self.filters.activation,
        }
    }

    fn lay_out(&self, inputs: Inputs<'_>, first: usize, windows: &mut [f32]) {
        let view = inputs.view(0);
        for (i, windows) in windows.chunks_exact_mut(self.laid_out()).enumerate() {
            let row = first + i;
            self.windows
                .lay_out(view.row(row), inputs.steps(0, row), windows);
        }
    }
}

impl Layer for Conv1d {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.filters.parameters(self.windows.features)
    }

    fn saved_per_row(&self) -> usize {
        match self.filters.activation.backward_needs_input() {
            true => self.outputs(),
            false => 0,
        }
    }

    /// The weights and their gradient in the windows' order, the windows and their gradients.
    fn scratch(&self, rows: usize) -> usize {
        2 * (self.weights() + self.at_once(rows) * self.laid_out())
    }

    fn products(&self) -> usize {
        self.windows.outputs.saturating_mul(self.weights())
    }

    fn forward(&self, pass: Forward<'_>) {
        let filters = self.filters.filters;
        let (parameters, bias) = self.filters.split(pass.parameters);
        let (weight, scratch) = pass.scratch.split_at_mut(self.weights());
        self.reorder(0..self.filters.filters, |from, to| {
            weight[to] = parameters[from];
        });
        if let Some(bias) = bias {
            for step in pass.output.chunks_exact_mut(filters) {
                step.copy_from_slice(bias);
            }
        }
        let beta = if bias.is_some() { 1.0 } else { 0.0 };
        let (at_once, width) = (self.at_once(pass.rows), self.windows.size());
        let blocks = pass.output.chunks_mut(at_once * self.outputs());
        for (block, output) in blocks.enumerate() {
            let places = output.len() / filters;
            if pass.pace.spend_values(places * width / 4) {
                return;
            }
            let windows = &mut scratch[..places * width];
            self.lay_out(pass.inputs, block * at_once, windows);
            for group in self.groups() {
                multiply_paced(
                    &strided(&windows[group.window..], places, group.taps, width),
                    &group.weight(weight).t(),
                    beta,
                    &mut strided_mut(&mut output[group.filter..], places, group.filters, filters),
                    pass.pace,
                );
            }
        }
        if self.filters.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        self.filters
            .activation
            .apply_paced(pass.output, filters, pass.pace);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let filters = self.filters.filters;
        let activation = self.filters.activation;
        activation.backward_paced(pass.saved, pass.output, pass.gradient, filters, pass.pace);
        let (parameters, _) = self.filters.split(pass.parameters);
        let (weight, scratch) = pass.scratch.split_at_mut(self.weights());
        let (weight_gradient, scratch) = scratch.split_at_mut(self.weights());
        let (at_once, width) = (self.at_once(pass.rows), self.windows.size());
        let (windows, window_gradients) = scratch.split_at_mut(at_once * self.laid_out());
        self.reorder(0..self.filters.filters, |from, to| {
            weight[to] = parameters[from];
        });
        weight_gradient.fill(0.0);
        let row_width = pass.inputs.view(0).width;
        let blocks = pass.gradient.chunks(at_once * self.outputs());
        for (block, gradient) in blocks.enumerate() {
            let first = block * at_once;
            let places = gradient.len() / filters;
            if pass.pace.spend_values(places * width) {
                return;
            }
            let windows = &mut windows[..places * width];
            let window_gradients = &mut window_gradients[..places * width];
            if pass.parameter_gradient.is_some() {
                self.lay_out(pass.inputs, first, windows);
                for group in self.groups() {
                    let own = &mut weight_gradient[group.filter * group.taps..];
                    multiply_paced(
                        &strided(&gradient[group.filter..], places, group.filters, filters).t(),
                        &strided(&windows[group.window..], places, group.taps, width),
                        1.0,
                        &mut strided_mut(own, group.filters, group.taps, group.taps),
                        pass.pace,
                    );
                }
            }
            if let Some((target, add)) = pass.input_gradients.get(0) {
                for group in self.groups() {
                    let own = &mut window_gradients[group.window..];
                    multiply_paced(
                        &strided(&gradient[group.filter..], places, group.filters, filters),
                        &group.weight(weight),
                        0.0,
                        &mut strided_mut(own, places, group.taps, width),
                        pass.pace,
                    );
                }
                let rows = target.chunks_exact_mut(row_width).enumerate().skip(first);
                for ((row, target), windows) in
                    rows.zip(window_gradients.chunks_exact(self.laid_out()))
                {
                    if !add {
                        target.fill(0.0);
                    }
                    self.windows
                        .add_back(windows, pass.inputs.steps(0, row), target);
                }
            }
        }
        if let Some(parameters) = pass.parameter_gradient {
            let (target, bias) = self.filters.split_mut(parameters);
            self.reorder(0..self.filters.filters, |to, from| {
                target[to] += weight_gradient[from];
            });
            for step in pass.gradient.chunks_exact(filters) {
                bias.iter_mut().zip(step).for_each(|(bias, g)| *bias += g);
            }
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let activation = self.filters.activation;
        // Softmax is over all filters, not over those of a group.
        let apart = self.filters.groups > 1 && activation == Activation::Softmax;
        let groups = self.groups().map(|group| {
            let activation = match apart {
                true => Activation::Linear,
                false => activation,
            };
            packer.dense(group.filters, group.taps, activation, |own, packing| {
                let (parameters, bias) = self.filters.split(own);
                let filters = group.filter..group.filter + group.filters;
                let first = filters.start * group.taps;
                let mut weight = vec![0.0; group.filters * group.taps];
                self.reorder(filters.clone(), |from, to| {
                    weight[to - first] = parameters[from];
                });
                packing.rows(&weight, 0, group.taps);
                if let Some(bias) = bias {
                    packing.bias(&bias[filters]);
                }
            })
        });
        Some(Box::new(PackedConv1d {
            groups: groups.collect(),
            layer: self.clone(),
            softmax: apart,
        }))
    }

    fn quantizable(&self) -> Option<Quantizable> {
        self.quantized().pays().then(Quantizable::weight)
    }

    fn pack_quantized(&self, packer: &mut Packer<'_>, input: InputScale) -> Option<Quantized> {
        let packed = { self.quantized() }.pack(packer, input, |own| self.filters.split(own));
        Some(Quantized::Layer(Box::new(packed)))
    }
}

/// The layer with its parameters.
#[derive(Debug)]
struct PackedConv1d {
    layer: Conv1d,
    groups: Vec<PackedDense>,
    /// Whether softmax is still to be applied.
    softmax: bool,
}

impl PackedConv1d {
    /// Whether windows overlap as they stand in a row, so that they need not be laid out.
    fn in_place(&self) -> bool {
        let Windows { window, groups, .. } = self.layer.windows;
        groups == 1 && window.dilation == 1
    }

    /// Steps from the first window's begin to the last one's end.
    fn span(&self) -> usize {
        let Windows {
            window, outputs, ..
        } = self.layer.windows;
        (outputs - 1) * window.stride + window.size
    }
}

impl Packed for PackedConv1d {
    fn size_bytes(&self) -> usize {
        let groups = self.groups.iter().map(PackedDense::size_bytes);
        groups.sum::<usize>() + size_of::<Self>()
    }

    fn scratch(&self, _: usize) -> usize {
        match self.in_place() {
            true => self.span() * self.layer.windows.features,
            false => self.layer.laid_out(),
        }
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let Windows {
            ref window,
            features,
            outputs,
            ..
        } = self.layer.windows;
        let filters = self.layer.filters.filters;
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            let (x, steps) = (input.row(row), pass.inputs.steps(0, row));
            if pass
                .pace
                .spend_values(outputs * self.layer.windows.size() / 4)
            {
                return;
            }
            if self.in_place() {
                let (before, span) = (window.before(steps), self.span());
                let padded = if before == 0 && span * features <= x.len() {
                    x
                } else {
                    let padded = &mut pass.scratch[..span * features];
                    let inner = steps.min(span.saturating_sub(before)) * features;
                    let before = before.min(span) * features;
                    padded[..before].fill(0.0);
                    padded[before..before + inner].copy_from_slice(&x[..inner]);
                    padded[before + inner..].fill(0.0);
                    padded
                };
                let stride = window.stride * features;
                self.groups[0].forward_paced(padded, stride, outputs, output, filters, pass.pace);
            } else {
                let windows = &mut pass.scratch[..self.layer.laid_out()];
                self.layer.windows.lay_out(x, steps, windows);
                let width = self.layer.windows.size();
                for (packed, group) in self.groups.iter().zip(self.layer.groups()) {
                    let output = &mut output[group.filter..];
                    let windows = &windows[group.window..];
                    packed.forward_paced(windows, width, outputs, output, filters, pass.pace);
                }
            }
            if self.softmax {
                let output = &mut output[..outputs * filters];
                Activation::Softmax.apply_paced(output, filters, pass.pace);
            }
        }
    }
}

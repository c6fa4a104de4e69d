//! Convolution of images in 8 bits: the same sums as `conv2d`'s, of whole numbers.
//!
//! An image becomes bytes once, with its channels side by side and its padding around it, so that the
//! values that a window sees in a row of the kernel lie one after another. Windows are then laid out
//! for as many positions as stay in the cache, which makes it a product with the weights in the order
//! `[filter][row][column][channel]`.

use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::convolution::Axis;
use crate::nn::kernels::integer::{InputScale, MOST_INPUTS, PackedIntegers};
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::transpose::transpose;
use crate::nn::layer::packed::{Packed, PackedPass};

/// Windows that are laid out at a time.
const POSITIONS: usize = 96;
/// Fewer inputs, or filters, of a group gain nothing.
const LEAST: (usize, usize) = (32, 8);
/// Values that a window sees in a row of the kernel, from which on laying them out is cheap.
const LEAST_RUN: usize = 8;

/// One group's convolution.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub rows: Axis,
    pub columns: Axis,
    pub channels: usize,
    pub filters: usize,
    pub groups: usize,
    pub activation: Activation,
}

impl Shape {
    /// Whether 8 bits gain anything.
    pub fn pays(&self) -> bool {
        let (inputs, filters) = LEAST;
        (inputs..=MOST_INPUTS).contains(&self.taps())
            && self.filters >= filters
            && self.columns.kernel * self.channels >= LEAST_RUN
    }

    fn taps(&self) -> usize {
        self.channels * self.rows.kernel * self.columns.kernel
    }

    fn positions(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Values of an image.
    fn inputs(&self) -> usize {
        self.channels * self.rows.input * self.columns.input
    }

    /// Rows and columns that the windows reach over, padding included.
    fn reach(axis: &Axis) -> usize {
        (axis.output - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1
    }

    /// Packs the weights, `[filter][channel][row][column]`.
    pub fn pack(
        self,
        packer: &mut Packer<'_>,
        input: InputScale,
        split: impl Fn(&[f32]) -> (&[f32], Option<&[f32]>),
    ) -> QuantizedConv2d {
        let taps = self.taps();
        let activation = match self.activation {
            Activation::Relu => Activation::Relu,
            _ => Activation::Linear,
        };
        let groups = (0..self.groups).map(|group| {
            let filters = group * self.filters..(group + 1) * self.filters;
            packer.integers(self.filters, taps, input, activation, |own, packing| {
                let (weight, bias) = split(own);
                let own = filters.start * taps..filters.end * taps;
                let mut turned = vec![0.0; taps];
                for (filter, weight) in weight[own].chunks_exact(taps).enumerate() {
                    let places = self.rows.kernel * self.columns.kernel;
                    for (from, value) in weight.iter().enumerate() {
                        let (channel, place) = (from / places, from % places);
                        turned[place * self.channels + channel] = *value;
                    }
                    packing.rows(filter, &turned);
                }
                if let Some(bias) = bias {
                    packing.bias(&bias[filters]);
                }
            })
        });
        QuantizedConv2d {
            groups: groups.collect(),
            shape: self,
            processor: Processor::detect(),
        }
    }
}

/// The layer with its weights.
#[derive(Debug)]
pub(super) struct QuantizedConv2d {
    shape: Shape,
    groups: Vec<PackedIntegers>,
    processor: Processor,
}

/// Bytes as values of working memory.
fn values(bytes: usize) -> usize {
    bytes.div_ceil(size_of::<f32>())
}

impl QuantizedConv2d {
    fn at_once(&self) -> usize {
        POSITIONS.min(self.shape.positions())
    }

    /// Values of working memory: the image in bytes, the same padded with channels side by side, the
    /// windows laid out, their scales, and the products.
    fn parts(&self) -> [usize; 5] {
        let shape = &self.shape;
        let padded = Shape::reach(&shape.rows) * Shape::reach(&shape.columns) * shape.channels;
        [
            values(shape.inputs()),
            values(padded),
            values(shape.taps().next_multiple_of(size_of::<f32>()) * self.at_once()),
            self.at_once(),
            self.at_once() * shape.filters,
        ]
    }

    /// Puts an image's bytes, channel by channel, side by side into `padded`, which is all zero points.
    fn place(&self, image: &[u8], padded: &mut [u8]) {
        let Shape {
            rows,
            columns,
            channels,
            ..
        } = &self.shape;
        let width = Shape::reach(columns);
        let kept = columns.input.min(width.saturating_sub(columns.before));
        for (place, row) in image.chunks_exact(columns.input).enumerate() {
            let (channel, row_of) = (place / rows.input, place % rows.input + rows.before);
            if row_of >= Shape::reach(rows) {
                continue;
            }
            let start = (row_of * width + columns.before) * channels + channel;
            let target = padded[start..].iter_mut().step_by(*channels);
            target.zip(&row[..kept]).for_each(|(to, from)| *to = *from);
        }
    }

    /// Lays out the windows of positions from the first given on.
    fn lay_out(&self, padded: &[u8], first: usize, windows: &mut [u8]) {
        let Shape {
            rows,
            columns,
            channels,
            ..
        } = &self.shape;
        let width = Shape::reach(columns);
        let length = self.shape.taps().next_multiple_of(size_of::<f32>());
        let run = columns.kernel * channels;
        for (i, window) in windows.chunks_exact_mut(length).enumerate() {
            let (row, column) = (
                (first + i) / columns.output * rows.stride,
                (first + i) % columns.output * columns.stride,
            );
            for tap in 0..rows.kernel {
                let start = ((row + tap * rows.dilation) * width + column) * channels;
                let target = &mut window[tap * run..][..run];
                if columns.dilation == 1 {
                    target.copy_from_slice(&padded[start..start + run]);
                    continue;
                }
                for (tap, target) in target.chunks_exact_mut(*channels).enumerate() {
                    let start = start + tap * columns.dilation * channels;
                    target.copy_from_slice(&padded[start..start + channels]);
                }
            }
        }
    }

    /// One image of one group.
    fn convolve(
        &self,
        group: &PackedIntegers,
        image: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
        pass: &impl Fn(usize) -> bool,
    ) {
        let shape = &self.shape;
        let [bytes, padded, windows, scales, _] = self.parts();
        let (bytes, scratch) = scratch.split_at_mut(bytes);
        let (padded, scratch) = scratch.split_at_mut(padded);
        let (windows, scratch) = scratch.split_at_mut(windows);
        let (scales, products) = scratch.split_at_mut(scales);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
        let padded: &mut [u8] = bytemuck::cast_slice_mut(padded);
        let windows: &mut [u8] = bytemuck::cast_slice_mut(windows);
        scales.fill(group.to_bytes(image, bytes));
        padded.fill(group.zero_point());
        self.place(&bytes[..shape.inputs()], padded);
        let length = shape.taps().next_multiple_of(size_of::<f32>());
        let positions = shape.positions();
        for first in (0..positions).step_by(self.at_once()) {
            let count = self.at_once().min(positions - first);
            if pass(count * shape.taps() * shape.filters) {
                return;
            }
            let windows = &mut windows[..count * length];
            self.lay_out(padded, first, windows);
            let products = &mut products[..count * shape.filters];
            group.multiply((windows, length), &scales[..count], products, shape.filters);
            transpose(products, shape.filters, &mut output[first..], positions);
        }
    }
}

impl Packed for QuantizedConv2d {
    fn size_bytes(&self) -> usize {
        let groups = self.groups.iter().map(PackedIntegers::size_bytes);
        groups.sum::<usize>() + size_of::<Self>()
    }

    fn scratch(&self, _: usize) -> usize {
        self.parts().iter().sum()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let shape = &self.shape;
        let input = pass.inputs.view(0);
        let each = shape.filters * shape.positions();
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            let images = input.row(row).chunks_exact(shape.inputs());
            let outputs = output.chunks_exact_mut(each);
            for ((group, image), output) in self.groups.iter().zip(images).zip(outputs) {
                self.convolve(group, image, output, pass.scratch, &|work| {
                    pass.pace.spend(work)
                });
            }
            let output = &mut output[..each * shape.groups];
            if shape.activation != Activation::Relu {
                shape.activation.apply_on(self.processor, output, 1);
            }
        }
    }
}

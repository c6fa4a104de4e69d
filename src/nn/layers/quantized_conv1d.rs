//! Convolution along steps in 8 bits: a row becomes bytes once, and its windows overlap there.

use crate::nn::base::lengths::Window;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::{InputScale, MOST_INPUTS, PackedIntegers};
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};

/// Fewer inputs, or filters, gain nothing.
const LEAST: (usize, usize) = (32, 8);
/// Bytes behind a row that the product may read, and nothing uses.
const SLACK: usize = size_of::<f32>();

/// The convolution.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub window: Window,
    pub features: usize,
    pub filters: usize,
    /// Windows of a row of all steps.
    pub outputs: usize,
    pub groups: usize,
    pub activation: Activation,
}

impl Shape {
    /// Whether 8 bits gain anything. Windows with gaps would have to be laid out.
    pub fn pays(&self) -> bool {
        let (inputs, filters) = LEAST;
        (inputs..=MOST_INPUTS).contains(&self.taps())
            && self.filters >= filters
            && self.groups == 1
            && self.window.dilation == 1
    }

    /// Inputs of a window.
    fn taps(&self) -> usize {
        self.window.size * self.features
    }

    /// Values from the first window's begin to the last one's end.
    fn span(&self) -> usize {
        ((self.outputs - 1) * self.window.stride + self.window.size) * self.features
    }

    /// Packs the weights, `[filter][feature][tap]`.
    pub fn pack(
        self,
        packer: &mut Packer<'_>,
        input: InputScale,
        split: impl Fn(&[f32]) -> (&[f32], Option<&[f32]>),
    ) -> QuantizedConv1d {
        let taps = self.taps();
        let product = packer.integers(
            self.filters,
            taps,
            input,
            self.activation,
            |own, packing| {
                let (weight, bias) = split(own);
                let mut turned = vec![0.0; taps];
                for (filter, weight) in weight.chunks_exact(taps).enumerate() {
                    for (from, value) in weight.iter().enumerate() {
                        let (feature, tap) = (from / self.window.size, from % self.window.size);
                        turned[tap * self.features + feature] = *value;
                    }
                    packing.rows(filter, &turned);
                }
                if let Some(bias) = bias {
                    packing.bias(bias);
                }
            },
        );
        QuantizedConv1d {
            shape: self,
            product,
        }
    }
}

/// The layer with its weights.
#[derive(Debug)]
pub(super) struct QuantizedConv1d {
    shape: Shape,
    product: PackedIntegers,
}

impl Packed for QuantizedConv1d {
    fn size_bytes(&self) -> usize {
        self.product.size_bytes() + size_of::<Self>()
    }

    /// The windows' scales, and a row in bytes.
    fn scratch(&self, _: usize) -> usize {
        self.shape.outputs + (self.shape.span() + SLACK).div_ceil(size_of::<f32>())
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let Shape {
            window,
            features,
            filters,
            outputs,
            ..
        } = &self.shape;
        let work = outputs * self.shape.taps() * filters;
        let input = pass.inputs.view(0);
        let (scales, bytes) = pass.scratch.split_at_mut(*outputs);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            if pass.pace.spend(work) {
                return;
            }
            let (x, steps) = (input.row(row), pass.inputs.steps(0, row));
            let span = self.shape.span();
            let before = (window.before(steps) * features).min(span);
            let inner = (steps * features).min(span - before);
            bytes.fill(self.product.zero_point());
            let own = &mut bytes[before..before + inner];
            scales.fill(self.product.to_bytes(&x[..inner], own));
            let windows = (&*bytes, window.stride * features);
            self.product.multiply(windows, scales, output, *filters);
        }
    }
}

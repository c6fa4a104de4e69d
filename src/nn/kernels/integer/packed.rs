//! A dense layer of 8-bit weights, packed.

use super::lanes::BYTES;
use super::product::Product;
use super::rows::{InputScale, ToBytes, row_bytes};
use super::weights::{integer, row_scale};
use crate::nn::base::stop::Pace;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::packed_memory::{Lines, Packer};
use crate::nn::kernels::packing::{GROUP, Line};
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::vector::LANES;

/// Rows that are turned into bytes at a time.
const ROWS: usize = 240;

/// The product `activation(x · weightᵀ + bias)` of inputs and weights in 8 bits.
#[derive(Clone, Debug)]
pub struct PackedIntegers {
    /// The weights' lines, and behind them a line a panel of what sums begin with, of scales and of
    /// biases.
    lines: Lines,
    n: usize,
    k: usize,
    input: InputScale,
    activation: Activation,
    /// Whether outputs are added to what stands in their place, instead of to the biases.
    adds: bool,
    processor: Processor,
}

/// Lines of the weights, and of each of the three parts behind them.
fn lines(n: usize, k: usize) -> (usize, usize) {
    let panels = n.div_ceil(LANES);
    (panels * (row_bytes(k) / BYTES), panels)
}

impl PackedIntegers {
    /// Packs `weight`, `[n, k]` as PyTorch lays it out, rounded to 8 bits.
    ///
    /// # Panics
    /// When `weight` does not have n · k values, or `bias` not n.
    pub fn new(
        weight: &[f32],
        bias: Option<&[f32]>,
        n: usize,
        k: usize,
        input: InputScale,
        activation: Activation,
    ) -> Self {
        assert_eq!(
            Some(weight.len()),
            n.checked_mul(k),
            "weights of a {n} by {k} layer"
        );
        Packer::new(&[], None).integers(n, k, input, activation, |_, packing| {
            packing.rows(0, weight);
            if let Some(bias) = bias {
                packing.bias(bias);
            }
        })
    }

    /// The same layer, computed with other instructions of this machine; the results are the same.
    pub fn on(mut self, processor: Processor) -> Self {
        self.processor = processor;
        self
    }

    /// The same layer, which adds its outputs to what stands in their place, and has no biases.
    pub(in crate::nn) fn adding(mut self) -> Self {
        self.adds = true;
        self
    }

    /// Outputs of a row.
    pub fn outputs(&self) -> usize {
        self.n
    }

    /// What is applied to the outputs.
    pub(in crate::nn) fn activation(&self) -> Activation {
        self.activation
    }

    /// Replaces it.
    pub(in crate::nn) fn set_activation(&mut self, activation: Activation) {
        self.activation = activation;
    }

    /// Memory that the packed weights hold for themselves, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.lines.own_bytes()
    }

    /// Working memory for so many rows, in values.
    pub fn scratch(&self, rows: usize) -> usize {
        rows.min(ROWS) * self.row_scratch()
    }

    fn row_scratch(&self) -> usize {
        row_bytes(self.k) / BYTES + 1
    }

    /// Computes `rows` rows: row r reads `x[r * stride..][..k]` and writes
    /// `out[r * out_stride..][..n]`, nothing else. Rows of `x` may overlap.
    ///
    /// # Panics
    /// When the slices are too short, rows of `out` would overlap, or `scratch` is shorter than
    /// [`PackedIntegers::scratch`] says of one row.
    pub fn forward(
        &self,
        (x, stride): (&[f32], usize),
        rows: usize,
        (out, out_stride): (&mut [f32], usize),
        scratch: &mut [f32],
    ) {
        let pace = Pace::endless();
        self.forward_paced(x, stride, rows, out, out_stride, scratch, &pace);
    }

    /// [`PackedIntegers::forward`] in parts if it is large, with a look before each.
    ///
    /// # Panics
    /// Likewise.
    #[expect(clippy::too_many_arguments, reason = "where to read and to write")]
    pub(in crate::nn) fn forward_paced(
        &self,
        x: &[f32],
        stride: usize,
        rows: usize,
        out: &mut [f32],
        out_stride: usize,
        scratch: &mut [f32],
        pace: &Pace<'_>,
    ) {
        assert!(rows <= 1 || out_stride >= self.n, "rows overlap");
        let most = (scratch.len() / self.row_scratch()).min(ROWS);
        assert!(most > 0, "working memory for a row");
        let work = self.n.saturating_mul(self.k);
        let mut begin = 0;
        while begin < rows {
            let count = most.min(rows - begin);
            if pace.spend(work.saturating_mul(count)) {
                return;
            }
            let (scales, bytes) = scratch.split_at_mut(most);
            let scales = &mut scales[..count];
            let length = row_bytes(self.k);
            let bytes = &mut bytemuck::cast_slice_mut(bytes)[..count * length];
            self.processor.run(ToBytes {
                input: self.input,
                x: &x[begin * stride..],
                stride,
                width: self.k,
                bytes,
                length,
                scales,
            });
            let out = &mut out[begin * out_stride..];
            self.multiply((bytes, length), scales, out, out_stride);
            begin += count;
        }
    }

    /// Turns values into as many bytes, for [`PackedIntegers::multiply`]; the scale of rows of them.
    pub(in crate::nn) fn to_bytes(&self, x: &[f32], bytes: &mut [u8]) -> f32 {
        let mut scale = [0.0];
        if !x.is_empty() {
            self.processor.run(ToBytes {
                input: self.input,
                x,
                stride: 0,
                width: x.len(),
                bytes,
                length: x.len(),
                scales: &mut scale,
            });
        }
        scale[0]
    }

    /// The byte of zero.
    pub(in crate::nn) fn zero_point(&self) -> u8 {
        self.input.zero_point()
    }

    /// The rows' outputs from their scales and bytes, of which row r begins at `r * row`. What lies
    /// behind a row's inputs up to a multiple of four bytes is read and does not count.
    ///
    /// # Panics
    /// When the slices are too short.
    pub(in crate::nn) fn multiply(
        &self,
        (bytes, row): (&[u8], usize),
        scales: &[f32],
        out: &mut [f32],
        out_stride: usize,
    ) {
        let (weights, panels) = lines(self.n, self.k);
        let (weight, rest) = self.lines.split_at(weights);
        let (begin, rest) = rest.split_at(panels);
        let (scale, bias) = rest.split_at(panels);
        self.processor.run_integers(Product {
            weight,
            begin,
            scale,
            bias,
            n: self.n,
            length: row_bytes(self.k),
            bytes,
            row,
            scales,
            adds: self.adds,
            relu: self.activation == Activation::Relu,
            out,
            out_stride,
        });
        let rows = scales.len();
        match self.activation {
            Activation::Linear | Activation::Relu => {}
            activation if rows == 1 || out_stride == self.n => {
                let out = &mut out[..rows * self.n];
                activation.apply_on(self.processor, out, self.n);
            }
            activation => {
                for row in out.chunks_mut(out_stride).take(rows) {
                    activation.apply_on(self.processor, &mut row[..self.n], self.n);
                }
            }
        }
    }
}

/// Lines that a layer's weights are packed into.
pub(in crate::nn) struct IntegerPacking<'a> {
    lines: &'a mut [Line],
    n: usize,
    k: usize,
    zero_point: i32,
    pace: &'a Pace<'a>,
}

impl IntegerPacking<'_> {
    /// The weights of outputs from the first given on: `[outputs, k]`.
    ///
    /// # Panics
    /// When there are more than the layer's.
    pub fn rows(&mut self, first: usize, weight: &[f32]) {
        let (weights, panels) = lines(self.n, self.k);
        let (weight_lines, rest) = self.lines.split_at_mut(weights);
        let (begin, rest) = rest.split_at_mut(panels);
        let begin: &mut [i32] = bytemuck::cast_slice_mut(begin);
        let scales: &mut [f32] = bytemuck::cast_slice_mut(&mut rest[..panels]);
        let bytes: &mut [i8] = bytemuck::cast_slice_mut(weight_lines);
        let steps = row_bytes(self.k) / BYTES;
        for (j, row) in (first..).zip(weight.chunks_exact(self.k.max(1))) {
            if self.pace.spend_values(row.len()) {
                return;
            }
            let scale = row_scale(row);
            let (panel, lane) = (j / LANES, j % LANES);
            let group = panel - panel % GROUP;
            let step = GROUP.min(panels - group);
            let line = group * steps + panel % GROUP;
            let mut sum = 0;
            for (i, &weight) in row.iter().enumerate() {
                let weight = integer(weight, scale);
                sum += i32::from(weight);
                let line = line + i / BYTES * step;
                bytes[(line * LANES + lane) * BYTES + i % BYTES] = weight;
            }
            begin[j] = -self.zero_point * sum;
            scales[j] = scale;
        }
    }

    /// Adds to the biases, which are zeros at first.
    ///
    /// # Panics
    /// When there are not as many as outputs.
    pub fn bias(&mut self, bias: &[f32]) {
        assert_eq!(bias.len(), self.n, "biases of a layer of {} units", self.n);
        let (weights, panels) = lines(self.n, self.k);
        let lines = &mut self.lines[weights + 2 * panels..];
        let values: &mut [f32] = bytemuck::cast_slice_mut(lines);
        values[..self.n]
            .iter_mut()
            .zip(bias)
            .for_each(|(to, bias)| *to += bias);
    }
}

impl Packer<'_> {
    /// A layer of `n` outputs and `k` inputs in 8 bits; `fill` gives it each output's weights.
    pub(in crate::nn) fn integers(
        &mut self,
        n: usize,
        k: usize,
        input: InputScale,
        activation: Activation,
        fill: impl FnOnce(&[f32], &mut IntegerPacking<'_>),
    ) -> PackedIntegers {
        let (weights, panels) = lines(n, k);
        // Taken out while the lines are given out; its count of work may begin anew.
        let pace = Pace::new(self.stop());
        let lines = self.lines(weights + 3 * panels, |own, lines| {
            let mut packing = IntegerPacking {
                lines,
                n,
                k,
                zero_point: i32::from(input.zero_point()),
                pace: &pace,
            };
            fill(own, &mut packing);
        });
        PackedIntegers {
            lines,
            n,
            k,
            input,
            activation,
            adds: false,
            processor: Processor::detect(),
        }
    }
}

//! The packed dense product that predicts: activation(x · weightᵀ + bias).
//!
//! The bits of an output depend on its row, the weights and the layer's shape, never on the other
//! rows of the call, on how many there are, or on the processor. BLAS promises none of that, and a
//! function that is IMMUTABLE to PostgreSQL needs it. What fixes them is the order of the sum:
//!
//! * More than `NARROW` outputs: the sum over the inputs is cut into `segments` of equal length.
//!   Each is one accumulator with fused multiply-adds in the order of the inputs, the first starting
//!   from the bias; the segments are added up in their order. Wide layers have one segment. Narrow
//!   ones have more so that a single row keeps the processor's multipliers busy.
//! * Up to `NARROW` outputs: the inputs go round sixteen lanes and four accumulators, which are
//!   added up pairwise, the bias last.
//!
//! Tiles, blocks and vector widths only choose which of these sums run at the same time.

use super::activation::Activation;
use super::packed_memory::{Lines, Packer};
use super::packed_product::{Panels, Product};
use super::packing::{self, Packing};
use super::processor::Processor;
use super::vector::LANES;
use crate::nn::base::stop::{Pace, WORK};

/// Rows of a product that is computed in parts: enough for a tile's weights to be worth their way.
const PART_ROWS: usize = 64;

/// Into how many segments the sum over `k` inputs is cut for `n` outputs. Part of the definition of
/// every stored model's results: a change changes bits.
fn segments(n: usize, k: usize) -> usize {
    let wanted = match n.div_ceil(LANES) {
        1 => 8,
        2 => 4,
        3 | 4 => 2,
        _ => 1,
    };
    // At least 16 inputs a segment.
    let mut segments = wanted;
    while segments > 1 && k < 16 * segments {
        segments /= 2;
    }
    segments
}

/// A dense layer's weights in the order in which the kernel reads them.
#[derive(Clone, Debug)]
pub struct PackedDense {
    /// The weights' lines, and behind them the biases'.
    lines: Lines,
    n: usize,
    k: usize,
    segments: usize,
    activation: Activation,
    processor: Processor,
}

impl PackedDense {
    /// Packs `weight`, `[n, k]` as PyTorch lays it out, for the best instructions of this machine.
    ///
    /// # Panics
    /// When `weight` does not have n · k values, or `bias` not n.
    pub fn new(
        weight: &[f32],
        bias: Option<&[f32]>,
        n: usize,
        k: usize,
        activation: Activation,
    ) -> Self {
        assert_eq!(
            Some(weight.len()),
            n.checked_mul(k),
            "weights of a {n} by {k} layer"
        );
        Packer::new(&[], None).dense(n, k, activation, |_, packing| {
            packing.rows(weight, 0, k);
            if let Some(bias) = bias {
                packing.bias(bias);
            }
        })
    }

    /// A layer whose weights are packed in these lines, the biases behind them.
    ///
    /// # Panics
    /// When there are not as many lines as the layer's shape asks for.
    fn from_lines(lines: Lines, n: usize, k: usize, activation: Activation) -> Self {
        let (weights, biases) = packing::lines(n, k);
        assert_eq!(lines.len(), weights + biases, "lines of a {n} by {k} layer");
        Self {
            lines,
            n,
            k,
            segments: segments(n, k),
            activation,
            processor: Processor::detect(),
        }
    }

    /// The same layer, computed with other instructions of this machine; the results are the same.
    pub fn on(mut self, processor: Processor) -> Self {
        self.processor = processor;
        self
    }

    /// Outputs of a row.
    pub fn outputs(&self) -> usize {
        self.n
    }

    /// Inputs of a row.
    pub fn inputs(&self) -> usize {
        self.k
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

    /// The weights to compute with.
    #[inline]
    pub(in crate::nn) fn panels(&self) -> Panels<'_> {
        let biases = self.lines.len() - self.n.div_ceil(LANES);
        let (weight, bias) = self.lines.split_at(biases);
        Panels {
            weight,
            bias,
            n: self.n,
            k: self.k,
            segments: self.segments,
            activation: self.activation,
            processor: self.processor,
        }
    }

    /// Computes `rows` rows: row r reads `x[r * stride..][..k]` and writes
    /// `out[r * out_stride..][..n]`, nothing else. Rows of `x` may overlap.
    ///
    /// # Panics
    /// When the slices are too short, or rows of `out` would overlap.
    pub fn forward(
        &self,
        x: &[f32],
        stride: usize,
        rows: usize,
        out: &mut [f32],
        out_stride: usize,
    ) {
        self.forward_paced(x, stride, rows, out, out_stride, &Pace::endless());
    }

    /// [`PackedDense::forward`] in parts if it is large, with a look before each.
    ///
    /// # Panics
    /// Likewise.
    pub(in crate::nn) fn forward_paced(
        &self,
        x: &[f32],
        stride: usize,
        rows: usize,
        out: &mut [f32],
        out_stride: usize,
        pace: &Pace<'_>,
    ) {
        let panels = self.panels();
        panels.forward(x, stride, rows, out, out_stride, pace);
    }
}

impl<'a> Panels<'a> {
    /// Weights that were packed, to compute with by the best instructions of this machine.
    pub fn new(packing: Packing<'a>) -> Self {
        let (n, k) = (packing.n, packing.k);
        let (weight, bias) = packing.finish();
        Self {
            weight,
            bias,
            n,
            k,
            segments: segments(n, k),
            activation: Activation::Linear,
            processor: Processor::detect(),
        }
    }

    /// As [`PackedDense::forward`], in parts if it is large, with a look before each.
    ///
    /// # Panics
    /// Likewise.
    pub fn forward(
        &self,
        x: &[f32],
        stride: usize,
        rows: usize,
        out: &mut [f32],
        out_stride: usize,
        pace: &Pace<'_>,
    ) {
        if rows == 0 || self.n == 0 {
            return;
        }
        let end = |stride: usize, width: usize| (rows - 1).checked_mul(stride)?.checked_add(width);
        assert!(
            end(stride, self.k).is_some_and(|e| e <= x.len()),
            "rows beyond the input"
        );
        assert!(
            end(out_stride, self.n).is_some_and(|e| e <= out.len()),
            "rows beyond the output"
        );
        assert!(
            rows == 1 || out_stride >= self.n,
            "rows of the output overlap"
        );
        let each = self.n.saturating_mul(self.k);
        let work = rows.saturating_mul(each);
        if work <= WORK {
            if !pace.spend(work) {
                let (x, out) = (x.as_ptr(), &mut *out);
                self.processor.run_vectors(Product {
                    layer: self,
                    x,
                    stride,
                    rows,
                    out,
                    out_stride,
                    pace: None,
                });
            }
            return;
        }
        for part in pace.parts(rows, each, PART_ROWS) {
            let product = Product {
                layer: self,
                x: x[part.start * stride..].as_ptr(),
                stride,
                rows: part.len(),
                out: &mut out[part.start * out_stride..],
                out_stride,
                // Where these few rows still take long.
                pace: (part.len().saturating_mul(each) > WORK).then_some(pace),
            };
            self.processor.run_vectors(product);
        }
    }
}

impl Packer<'_> {
    /// A dense layer of `n` outputs and `k` inputs; `fill` gives it each input's weights.
    pub(in crate::nn) fn dense(
        &mut self,
        n: usize,
        k: usize,
        activation: Activation,
        fill: impl FnOnce(&[f32], &mut Packing<'_>),
    ) -> PackedDense {
        let (weights, biases) = packing::lines(n, k);
        // Taken out while the lines are given out; its count of work may begin anew.
        let pace = Pace::new(self.stop());
        let lines = self.lines(weights + biases, |own, lines| {
            let (weight, bias) = lines.split_at_mut(weights);
            let mut packing = Packing {
                weight,
                bias,
                n,
                k,
                pace: Some(&pace),
            };
            fill(own, &mut packing);
        });
        PackedDense::from_lines(lines, n, k, activation)
    }
}

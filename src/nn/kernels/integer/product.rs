//! The loops of the product of bytes and 8-bit weights.

use super::lanes::{BYTES, IntegerTask, Integers};
use crate::nn::kernels::packing::{GROUP, Line};
use crate::nn::kernels::vector::{LANES, Vector, even, load, store, unrolled, with_constant};

/// One call: `rows` rows of bytes and their scales.
pub(super) struct Product<'a> {
    /// `[group][inputs / 4][panel of the group]`; four weights of each of sixteen outputs a line.
    pub weight: &'a [Line],
    /// For each panel what its sums begin with.
    pub begin: &'a [Line],
    /// For each panel its outputs' scales.
    pub scale: &'a [Line],
    pub bias: &'a [Line],
    /// Outputs.
    pub n: usize,
    /// Bytes that are read of a row, a multiple of four.
    pub length: usize,
    pub bytes: &'a [u8],
    /// From a row's first byte to the next row's.
    pub row: usize,
    /// A scale for each row.
    pub scales: &'a [f32],
    /// Whether to add to what stands there, instead of to the biases.
    pub adds: bool,
    pub relu: bool,
    /// Row r is written to `out[r * out_stride..][..n]`.
    pub out: &'a mut [f32],
    pub out_stride: usize,
}

/// Most rows of a tile of so many panels.
const fn tile_rows<I: Integers>(panels: usize) -> usize {
    let rows = I::SUMS / panels;
    if rows > 8 { 8 } else { rows }
}

impl IntegerTask for Product<'_> {
    #[inline(always)]
    unsafe fn run<I: Integers>(self) {
        let rows = self.scales.len();
        let panels = self.n.div_ceil(LANES);
        let steps = self.length / BYTES;
        assert!(
            rows > 0
                && (rows - 1) * self.row + self.length <= self.bytes.len()
                && self.weight.len() >= panels * steps
                && [self.begin, self.scale, self.bias]
                    .iter()
                    .all(|lines| lines.len() >= panels)
                && (rows == 1 || self.out_stride >= self.n)
                && (rows - 1) * self.out_stride + self.n <= self.out.len(),
            "rows beyond the product"
        );
        let out = self.out.as_mut_ptr();
        for group in (0..panels).step_by(GROUP) {
            let group_panels = GROUP.min(panels - group);
            // A single row has registers left, and else too few sums to keep the multipliers busy.
            let most = if rows == 1 { GROUP } else { I::PANELS };
            for panel in (0..group_panels).step_by(most) {
                let first = group + panel;
                // SAFETY: the panels lie within the layer, by the assertion.
                let tile = unsafe {
                    Tile {
                        bytes: self.bytes.as_ptr(),
                        row: self.row,
                        length: self.length,
                        weight: self.weight.as_ptr().add(group * steps + panel),
                        step: group_panels,
                        begin: self.begin.as_ptr().add(first),
                        scale: self.scale.as_ptr().add(first),
                        bias: self.bias.as_ptr().add(first),
                        scales: self.scales.as_ptr(),
                        adds: self.adds,
                        relu: self.relu,
                        out: out.add(first * LANES),
                        out_stride: self.out_stride,
                        width: self.n - first * LANES,
                    }
                };
                let count = most.min(group_panels - panel);
                // SAFETY: the rows lie within the call's, the panels within the group.
                unsafe {
                    if rows == 1 {
                        with_constant!(count, P in 1..=GROUP => tile.compute::<I, 1, P>());
                    } else {
                        with_constant!(count, P in 1..=I::PANELS => tile.rows::<I, P>(rows));
                    }
                }
            }
        }
    }
}

/// A tile's place: the first row's bytes, the first panel's weights, the outputs.
#[derive(Clone, Copy)]
struct Tile {
    bytes: *const u8,
    row: usize,
    length: usize,
    weight: *const Line,
    /// Lines from four inputs' weights to the next four's.
    step: usize,
    begin: *const Line,
    scale: *const Line,
    bias: *const Line,
    scales: *const f32,
    adds: bool,
    relu: bool,
    out: *mut f32,
    out_stride: usize,
    /// Outputs from the first panel on.
    width: usize,
}

impl Tile {
    /// So many rows, from the tile's on.
    #[inline(always)]
    unsafe fn rows<I: Integers, const P: usize>(mut self, rows: usize) {
        for tile in even(rows, const { tile_rows::<I>(P) }) {
            let height = tile.len();
            // SAFETY: the caller's.
            unsafe {
                with_constant!(height, R in 1..=tile_rows::<I>(P) => self.compute::<I, R, P>());
            }
            // After the last one they may point beyond the matrices, and are not used.
            self.bytes = self.bytes.wrapping_add(height * self.row);
            self.scales = self.scales.wrapping_add(height);
            self.out = self.out.wrapping_add(height * self.out_stride);
        }
    }

    /// R rows by P panels, all of their sums in registers.
    #[inline(always)]
    unsafe fn compute<I: Integers, const R: usize, const P: usize>(self) {
        // SAFETY: the rows and panels of the tile lie within the matrices.
        unsafe {
            let mut rows = [self.bytes; R];
            unrolled!(r in 0..R => {
                rows[r] = std::hint::black_box(self.bytes.add(r * self.row));
            });
            let mut sums = [[I::load(self.begin); P]; R];
            unrolled!(p in 0..P => {
                let begin = I::load(self.begin.add(p));
                unrolled!(r in 0..R => {
                    sums[r][p] = begin;
                });
            });
            let mut weight = self.weight;
            for i in (0..self.length).step_by(BYTES) {
                let mut weights = [I::weights(weight); P];
                unrolled!(p in 0..P => {
                    weights[p] = I::weights(weight.add(p));
                });
                unrolled!(r in 0..R => {
                    let bytes = I::bytes(rows[r].add(i));
                    unrolled!(p in 0..P => {
                        sums[r][p] = sums[r][p].dot(bytes, weights[p]);
                    });
                });
                // After the last ones it may point beyond the weights, and is not used.
                weight = weight.wrapping_add(self.step);
            }
            unrolled!(r in 0..R => {
                let row_scale = I::Floats::splat(*self.scales.add(r));
                let out = self.out.add(r * self.out_stride);
                unrolled!(p in 0..P => {
                    let scale = I::Floats::load(self.scale.add(p).cast());
                    let scale = row_scale.multiply_add(scale, I::Floats::splat(0.0));
                    let (out, width) = (out.add(p * LANES), self.width - p * LANES);
                    let start = match self.adds {
                        true => load(out, width),
                        false => I::Floats::load(self.bias.add(p).cast()),
                    };
                    let y = sums[r][p].floats().multiply_add(scale, start);
                    let y = if self.relu { y.relu() } else { y };
                    store(y, out, width);
                });
            });
        }
    }
}

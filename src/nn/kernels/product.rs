//! Products of matrices that stay in the cache, with a fixed order of each sum: those of a training
//! step's small layers, of one head's attention.
//!
//! At 64 rows × 64 inputs × 64 outputs half of a call of BLAS is not the product: it checks, copies
//! its factors and finds its kernel anew each time. Here a tile of the result stays in registers
//! while factors are read where they lie, and what follows the product is done to the tile: a bias
//! or what the result held to start from, a relu at the end.
//!
//! An element is one accumulator with fused multiply-adds in the order of the inner index, whatever
//! the tile it is computed in, so that its bits depend neither on the processor nor on the other
//! rows and columns.
//!
//! The packed product that predicts ([`packed_product`](super::packed_product)) and the convolutions
//! have tiles of their own: their factors lie in another order, and in each the way to the next
//! factor is what its inner loop's speed hangs on.

use super::processor::Processor;
use super::vector::{LANES, Vector, VectorTask, even, tile_rows, unrolled, with_constant};
use crate::nn::base::stop::{Pace, WORK};

/// Rows of a part of a large product.
const PART_ROWS: usize = 48;

/// The next multiple of the sixteen lanes.
pub(in crate::nn) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}

/// A left factor: element (i, k) is `data[i * row + k * step]`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Left<'a> {
    /// From element (0, 0) on.
    pub data: &'a [f32],
    /// Distance from a row to the next.
    pub row: usize,
    /// Distance from an inner index to the next.
    pub step: usize,
}

/// A right factor: element (k, j) is `data[k * row + j]`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Right<'a> {
    /// From element (0, 0) on.
    pub data: &'a [f32],
    /// Distance from a row to the next.
    pub row: usize,
}

/// What a sum begins with.
#[derive(Clone, Copy)]
pub(in crate::nn) enum Start<'a> {
    Zero,
    /// What the result holds.
    Result,
    /// A value a column.
    Bias(&'a [f32]),
}

/// A product `c = a · b`.
pub(in crate::nn) struct Product<'a> {
    /// Rows of `a` and `c`.
    pub rows: usize,
    /// Columns of `a`, rows of `b`.
    pub inner: usize,
    /// Columns of `b` and `c`.
    pub columns: usize,
    pub a: Left<'a>,
    pub b: Right<'a>,
    pub start: Start<'a>,
    /// Whether negative results become zero.
    pub relu: bool,
    pub c: &'a mut [f32],
    /// Distance from a row of `c` to the next.
    pub c_row: usize,
}

impl Product<'_> {
    /// Computes it, in parts if it is large, with a look before each.
    ///
    /// # Panics
    /// If a slice is too short, or rows of `c` overlap.
    #[inline]
    pub fn compute(self, processor: Processor, pace: &Pace<'_>) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        let row = self.inner.saturating_mul(self.columns);
        let work = self.rows.saturating_mul(row);
        if work > WORK {
            self.compute_parts(processor, pace, row);
        } else if !pace.spend(work) {
            self.compute_part(processor);
        }
    }

    fn compute_parts(self, processor: Processor, pace: &Pace<'_>, row: usize) {
        for rows in pace.parts(self.rows, row, PART_ROWS) {
            // A sum that is stored goes on where it was.
            let each = rows.len() * self.columns;
            for inner in pace.parts(self.inner, each, 1) {
                Product {
                    rows: rows.len(),
                    inner: inner.len(),
                    a: Left {
                        data: &self.a.data[rows.start * self.a.row + inner.start * self.a.step..],
                        ..self.a
                    },
                    b: Right {
                        data: &self.b.data[inner.start * self.b.row..],
                        ..self.b
                    },
                    start: match inner.start {
                        0 => self.start,
                        _ => Start::Result,
                    },
                    relu: self.relu && inner.end == self.inner,
                    c: &mut self.c[rows.start * self.c_row..],
                    ..self
                }
                .compute_part(processor);
            }
        }
    }

    #[inline]
    fn compute_part(self, processor: Processor) {
        let (last_row, last_inner) = (self.rows - 1, self.inner.max(1) - 1);
        assert!(last_row == 0 || self.c_row >= self.columns, "rows overlap");
        assert!(
            last_row * self.c_row + self.columns <= self.c.len(),
            "rows beyond the product"
        );
        assert!(
            self.inner == 0
                || last_row * self.a.row + last_inner * self.a.step < self.a.data.len()
                    && last_inner * self.b.row + self.columns <= self.b.data.len(),
            "rows beyond the factors"
        );
        if let Start::Bias(bias) = self.start {
            assert!(bias.len() >= self.columns, "a bias for each column");
        }
        processor.run_vectors(self);
    }
}

impl VectorTask for Product<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let c = self.c.as_mut_ptr();
        let mut column = 0;
        while column < self.columns {
            let panels = (self.columns - column).div_ceil(LANES).min(V::PANELS);
            let width = (self.columns - column).min(panels * LANES);
            let tile = Tile {
                inner: self.inner,
                a: self.a.data.as_ptr(),
                a_row: self.a.row,
                a_step: self.a.step,
                b: self.b.data.as_ptr().wrapping_add(column),
                b_row: self.b.row,
                c: c.wrapping_add(column),
                c_row: self.c_row,
                bias: match self.start {
                    Start::Bias(bias) => Some(bias[column..].as_ptr()),
                    _ => None,
                },
                add: matches!(self.start, Start::Result),
                relu: self.relu,
                last: width - (panels - 1) * LANES,
            };
            // SAFETY: columns of the product, whose sizes `compute` checked.
            unsafe {
                if width == panels * LANES {
                    with_constant!(panels, P in 1..=V::PANELS => tile.rows::<V, P, false>(self.rows));
                } else {
                    with_constant!(panels, P in 1..=V::PANELS => tile.rows::<V, P, true>(self.rows));
                }
            }
            column += width;
        }
    }
}

/// A tile's place in the product, and what is done to it.
#[derive(Clone, Copy)]
struct Tile {
    inner: usize,
    a: *const f32,
    a_row: usize,
    a_step: usize,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    bias: Option<*const f32>,
    add: bool,
    relu: bool,
    /// Columns of the last panel.
    last: usize,
}

impl Tile {
    /// So many rows of P panels, the last of which is not whole if PART.
    #[inline(always)]
    unsafe fn rows<V: Vector, const P: usize, const PART: bool>(mut self, rows: usize) {
        for tile in even(rows, const { tile_rows::<V>(P) }) {
            let height = tile.len();
            // SAFETY: the caller's.
            unsafe {
                with_constant!(height, R in 1..=tile_rows::<V>(P) => self.compute::<V, R, P, PART>());
            }
            // After the last one they may point beyond the matrices, and are not used.
            self.a = self.a.wrapping_add(height * self.a_row);
            self.c = self.c.wrapping_add(height * self.c_row);
        }
    }

    /// R rows by P panels, all of their accumulators in registers.
    #[inline(always)]
    unsafe fn compute<V: Vector, const R: usize, const P: usize, const PART: bool>(self) {
        // SAFETY: the rows and panels of the tile lie within the matrices.
        unsafe {
            let mut sums = [[V::splat(0.0); P]; R];
            if let Some(bias) = self.bias {
                unrolled!(p in 0..P => {
                    let bias: V = self.load::<V, P, PART>(bias, p);
                    unrolled!(r in 0..R => {
                        sums[r][p] = bias;
                    });
                });
            } else if self.add {
                unrolled!(r in 0..R => {
                    unrolled!(p in 0..P => {
                        sums[r][p] = self.load::<V, P, PART>(self.c.add(r * self.c_row), p);
                    });
                });
            }
            let (mut a, mut b) = (self.a, self.b);
            for _ in 0..self.inner {
                let mut right = [V::splat(0.0); P];
                unrolled!(p in 0..P => {
                    right[p] = self.load::<V, P, PART>(b, p);
                });
                unrolled!(r in 0..R => {
                    let left = V::splat(*a.add(r * self.a_row));
                    unrolled!(p in 0..P => {
                        sums[r][p] = left.multiply_add(right[p], sums[r][p]);
                    });
                });
                // After the last one they may point beyond the matrices, and are not used.
                a = a.wrapping_add(self.a_step);
                b = b.wrapping_add(self.b_row);
            }
            unrolled!(r in 0..R => {
                unrolled!(p in 0..P => {
                    let sum = if self.relu { sums[r][p].relu() } else { sums[r][p] };
                    let to = self.c.add(r * self.c_row + p * LANES);
                    if PART && p + 1 == P {
                        sum.store_first(to, self.last);
                    } else {
                        sum.store(to);
                    }
                });
            });
        }
    }

    /// A panel's values from those of the first.
    #[inline(always)]
    unsafe fn load<V: Vector, const P: usize, const PART: bool>(
        &self,
        from: *const f32,
        panel: usize,
    ) -> V {
        // SAFETY: the panel lies within the matrix.
        unsafe {
            let from = from.add(panel * LANES);
            if PART && panel + 1 == P {
                V::load_first(from, self.last)
            } else {
                V::load(from)
            }
        }
    }
}

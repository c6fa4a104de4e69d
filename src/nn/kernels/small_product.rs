//! Products of small matrices, such as one head's of attention, with a fixed order of each sum.
//!
//! An element is one accumulator with fused multiply-adds in the order of the inner index, whatever
//! the tile it is computed in, so that its bits depend neither on the processor nor on the other
//! rows and columns. Columns come in panels of sixteen; whoever calls pads them.

use super::processor::Processor;
use super::vector::{LANES, Vector, VectorTask, tile_rows, unrolled, with_constant};
use crate::nn::base::stop::{Pace, WORK};

/// Rows of a part of a large product.
pub(in crate::nn) const PART_ROWS: usize = 48;

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

/// A product `c = a · b`, or `c += a · b` if `add`.
pub(in crate::nn) struct Product<'a> {
    /// Rows of `a` and `c`.
    pub rows: usize,
    /// Columns of `a`, rows of `b`.
    pub inner: usize,
    /// Columns of `b` and `c`, a multiple of sixteen.
    pub columns: usize,
    pub a: Left<'a>,
    pub b: Right<'a>,
    pub add: bool,
    pub c: &'a mut [f32],
    /// Distance from a row of `c` to the next.
    pub c_row: usize,
}

impl Product<'_> {
    /// Computes it, in parts if it is large, with a look before each.
    ///
    /// # Panics
    /// If a slice is too short, rows of `c` overlap, or the columns are no multiple of sixteen.
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
                    columns: self.columns,
                    a: Left {
                        data: &self.a.data[rows.start * self.a.row + inner.start * self.a.step..],
                        ..self.a
                    },
                    b: Right {
                        data: &self.b.data[inner.start * self.b.row..],
                        ..self.b
                    },
                    add: self.add || inner.start > 0,
                    c: &mut self.c[rows.start * self.c_row..],
                    c_row: self.c_row,
                }
                .compute_part(processor);
            }
        }
    }

    #[inline]
    fn compute_part(self, processor: Processor) {
        let (last_row, last_inner) = (self.rows - 1, self.inner.max(1) - 1);
        assert!(
            self.columns.is_multiple_of(LANES),
            "columns in whole panels"
        );
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
        processor.run_vectors(self);
    }
}

impl VectorTask for Product<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let panels = self.columns / LANES;
        for panel in (0..panels).step_by(V::PANELS) {
            let count = V::PANELS.min(panels - panel);
            // SAFETY: the panels lie within the matrices, whose sizes `compute` checked.
            unsafe {
                let tile = Tile {
                    inner: self.inner,
                    a: self.a.data.as_ptr(),
                    a_row: self.a.row,
                    a_step: self.a.step,
                    b: self.b.data.as_ptr().wrapping_add(panel * LANES),
                    b_row: self.b.row,
                    c: self.c.as_mut_ptr().add(panel * LANES),
                    c_row: self.c_row,
                    add: self.add,
                };
                with_constant!(count, P in 1..=V::PANELS => tile.rows::<V, P>(self.rows));
            }
        }
    }
}

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
    add: bool,
}

impl Tile {
    /// So many rows, from the tile's on.
    #[inline(always)]
    unsafe fn rows<V: Vector, const P: usize>(mut self, rows: usize) {
        let tiles = rows.div_ceil(const { tile_rows::<V>(P) });
        for t in 0..tiles {
            // Tiles of even size: a last one of a single row would be slow.
            let height = rows / tiles + usize::from(t < rows % tiles);
            // SAFETY: the caller's.
            unsafe {
                with_constant!(height, R in 1..=tile_rows::<V>(P) => self.compute::<V, R, P>());
            }
            // After the last one they may point beyond the matrices, and are not used.
            self.a = self.a.wrapping_add(height * self.a_row);
            self.c = self.c.wrapping_add(height * self.c_row);
        }
    }

    /// R rows by P panels, all of their accumulators in registers.
    #[inline(always)]
    unsafe fn compute<V: Vector, const R: usize, const P: usize>(self) {
        // SAFETY: the rows and panels of the tile lie within the matrices.
        unsafe {
            let mut sums = [[V::splat(0.0); P]; R];
            if self.add {
                unrolled!(r in 0..R => {
                    unrolled!(p in 0..P => {
                        sums[r][p] = V::load(self.c.add(r * self.c_row + p * LANES));
                    });
                });
            }
            let (mut a, mut b) = (self.a, self.b);
            for _ in 0..self.inner {
                let mut right = [V::splat(0.0); P];
                unrolled!(p in 0..P => {
                    right[p] = V::load(b.add(p * LANES));
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
                    sums[r][p].store(self.c.add(r * self.c_row + p * LANES));
                });
            });
        }
    }
}

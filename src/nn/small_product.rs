//! Products of small matrices, such as one head's of attention, with a fixed order of each sum.
//!
//! An element is one accumulator with fused multiply-adds in the order of the inner index, whatever
//! the tile it is computed in, so that its bits depend neither on the processor nor on the other
//! rows and columns. Columns come in panels of sixteen; whoever calls pads them.

use std::marker::PhantomData;

use super::processor::{Instructions, Processor, Task};
#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::vector::{Baseline, LANES, Vector, unrolled};

/// The next multiple of the sixteen lanes.
pub(super) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}

/// A left factor: element (i, k) is `data[i * row + k * step]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    /// From element (0, 0) on.
    pub data: &'a [f32],
    /// Distance from a row to the next.
    pub row: usize,
    /// Distance from an inner index to the next.
    pub step: usize,
}

/// A right factor: element (k, j) is `data[k * row + j]`.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    /// From element (0, 0) on.
    pub data: &'a [f32],
    /// Distance from a row to the next.
    pub row: usize,
}

/// A product `c = a · b`, or `c += a · b` if `add`.
pub(super) struct Product<'a> {
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
    /// Computes it.
    ///
    /// # Panics
    /// If a slice is too short, rows of `c` overlap, or the columns are no multiple of sixteen.
    #[inline]
    pub fn compute(self, processor: Processor) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
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
        match processor.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => processor.run(On::<Avx512>(self, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => processor.run(On::<Avx2>(self, PhantomData)),
            Instructions::Baseline => processor.run(On::<Baseline>(self, PhantomData)),
        }
    }
}

struct On<'a, V>(Product<'a>, PhantomData<V>);

impl<V: Vector> Task for On<'_, V> {
    #[inline(always)]
    fn run(self) {
        let product = self.0;
        let most_panels = V::TILE.1;
        let panels = product.columns / LANES;
        for panel in (0..panels).step_by(most_panels) {
            let count = most_panels.min(panels - panel);
            let tile_rows = if count > 3 || most_panels == 1 { 6 } else { 8 };
            let tiles = product.rows.div_ceil(tile_rows);
            let mut row = 0;
            for t in 0..tiles {
                // Tiles of even size: a last one of a single row would be slow.
                let height = product.rows / tiles + usize::from(t < product.rows % tiles);
                // SAFETY: the tile lies within the matrices, whose sizes `compute` checked, as it
                // pairs V with the processor whose instructions it takes.
                unsafe {
                    let tile = Tile {
                        inner: product.inner,
                        a: product.a.data.as_ptr().wrapping_add(row * product.a.row),
                        a_row: product.a.row,
                        a_step: product.a.step,
                        b: product.b.data.as_ptr().wrapping_add(panel * LANES),
                        b_row: product.b.row,
                        c: product
                            .c
                            .as_mut_ptr()
                            .add(row * product.c_row + panel * LANES),
                        c_row: product.c_row,
                        add: product.add,
                    };
                    match count {
                        1 => tile.rows::<V, 1>(height),
                        2 if most_panels > 1 => tile.rows::<V, 2>(height),
                        3 if most_panels > 1 => tile.rows::<V, 3>(height),
                        4 if most_panels > 1 => tile.rows::<V, 4>(height),
                        other => unreachable!("a tile of {other} panels"),
                    }
                }
                row += height;
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
    #[inline(always)]
    unsafe fn rows<V: Vector, const P: usize>(self, rows: usize) {
        // SAFETY: the caller's.
        unsafe {
            match rows {
                1 => self.compute::<V, 1, P>(),
                2 => self.compute::<V, 2, P>(),
                3 => self.compute::<V, 3, P>(),
                4 => self.compute::<V, 4, P>(),
                5 => self.compute::<V, 5, P>(),
                6 => self.compute::<V, 6, P>(),
                7 if V::TILE.1 > 1 && P < 4 => self.compute::<V, 7, P>(),
                8 if V::TILE.1 > 1 && P < 4 => self.compute::<V, 8, P>(),
                _ => unreachable!("a tile of {rows} rows"),
            }
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

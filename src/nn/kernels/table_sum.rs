//! Sums of table rows, each times a factor: what piecewise-linear functions of many numbers come
//! to when the slopes before a value's bin are added up beforehand.

use bytemuck::{Pod, Zeroable};

use super::vector::{LANES, Vector, VectorTask, load, store};

/// A row of a table with its factor.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(in crate::nn) struct Term {
    /// Where the row begins in the table.
    pub at: u32,
    pub factor: f32,
}

// SAFETY: zeros are a u32 and an f32.
unsafe impl Zeroable for Term {}
// SAFETY: both fill it to the last byte, and any bits are valid ones.
unsafe impl Pod for Term {}

/// `y = start + Σ factor · row` over the terms in their order.
pub(in crate::nn) struct TableSum<'a> {
    /// The rows, in the order in which they are added up.
    pub terms: &'a [Term],
    /// The table, whose rows are as long as `y`.
    pub table: &'a [f32],
    /// What the sum begins with; empty: zeros.
    pub start: &'a [f32],
    pub y: &'a mut [f32],
}

impl VectorTask for TableSum<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let units = self.y.len();
        assert!(self.start.is_empty() || self.start.len() == units);
        let last = self.table.len().checked_sub(units);
        let within = |term: &Term| last.is_some_and(|last| term.at as usize <= last);
        assert!(self.terms.iter().all(within), "rows beyond the table");
        for first in (0..units).step_by(LANES) {
            let count = units - first;
            // SAFETY: a row has `units` values from its place on, all within the table, by the
            // assertion; the start, if any, and y have as many.
            unsafe {
                let mut sum: V = match self.start.is_empty() {
                    true => V::splat(0.0),
                    false => load(self.start.as_ptr().add(first), count),
                };
                for &Term { at, factor } in self.terms {
                    let row: V = load(self.table.as_ptr().add(at as usize + first), count);
                    sum = row.multiply_add(V::splat(factor), sum);
                }
                store(sum, self.y.as_mut_ptr().add(first), count);
            }
        }
    }
}

/// `row += factor · x` for each term: the reverse of [`TableSum`].
pub(in crate::nn) struct TableAdd<'a> {
    /// The rows, in the order in which they are added up.
    pub terms: &'a [Term],
    pub x: &'a [f32],
    /// The table, whose rows are as long as `x`.
    pub table: &'a mut [f32],
}

impl VectorTask for TableAdd<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let units = self.x.len();
        let last = self.table.len().checked_sub(units);
        let within = |term: &Term| last.is_some_and(|last| term.at as usize <= last);
        assert!(self.terms.iter().all(within), "rows beyond the table");
        for first in (0..units).step_by(LANES) {
            let count = units - first;
            // SAFETY: as in `TableSum`.
            unsafe {
                let x: V = load(self.x.as_ptr().add(first), count);
                for &Term { at, factor } in self.terms {
                    let row = self.table.as_mut_ptr().add(at as usize + first);
                    let sum = x.multiply_add(V::splat(factor), load(row, count));
                    store(sum, row, count);
                }
            }
        }
    }
}

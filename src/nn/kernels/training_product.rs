//! The products of a training step's small layers.
//!
//! At 64 rows × 64 inputs × 64 outputs half of a call of BLAS is not the product: it checks, copies
//! its factors and finds its kernel anew each time. Here a tile of the result stays in registers
//! while factors are read where they lie, bias and relu included. Rows are few and layers narrow, so
//! that both factors stay in the cache.
//!
//! An element is one accumulator with fused multiply-adds in the order of the inner index, whatever
//! the tile it is computed in.

use super::processor::Processor;
use super::small_product::{Left, PART_ROWS, Right};
use super::vector::{LANES, Vector, VectorTask, unrolled, with_constant};
use crate::nn::base::stop::{Pace, WORK};

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
pub(in crate::nn) struct TrainingProduct<'a> {
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
    /// Rows of the result, one after the other.
    pub c: &'a mut [f32],
}

impl TrainingProduct<'_> {
    /// Computes it, in parts if it is large, with a look before each.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn compute(self, pace: &Pace<'_>) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        let row = self.inner.saturating_mul(self.columns);
        if self.rows.saturating_mul(row) <= WORK {
            if !pace.spend(self.rows * row) {
                self.compute_part();
            }
            return;
        }
        for rows in pace.parts(self.rows, row, PART_ROWS) {
            // A sum that is stored goes on where it was.
            let each = rows.len() * self.columns;
            for inner in pace.parts(self.inner, each, 1) {
                TrainingProduct {
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
                    start: match inner.start {
                        0 => self.start,
                        _ => Start::Result,
                    },
                    relu: self.relu && inner.end == self.inner,
                    c: &mut self.c[rows.start * self.columns..],
                }
                .compute_part();
            }
        }
    }

    fn compute_part(self) {
        let (last_row, last_inner) = (self.rows - 1, self.inner.max(1) - 1);
        assert!(
            self.rows * self.columns <= self.c.len(),
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
        Processor::detect().run_vectors(self);
    }
}

impl VectorTask for TrainingProduct<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let mut column = 0;
        while column < self.columns {
            let panels = (self.columns - column).div_ceil(LANES).min(V::PANELS);
            let width = (self.columns - column).min(panels * LANES);
            // SAFETY: columns of the product, whose sizes `compute` checked.
            unsafe {
                if width == panels * LANES {
                    with_constant!(panels, P in 1..=V::PANELS => {
                        self.panels::<V, P, false>(column, width);
                    });
                } else {
                    with_constant!(panels, P in 1..=V::PANELS => {
                        self.panels::<V, P, true>(column, width);
                    });
                }
            }
            column += width;
        }
    }
}

impl TrainingProduct<'_> {
    /// All rows of P panels, the last of which is not whole if PART.
    #[inline(always)]
    unsafe fn panels<V: Vector, const P: usize, const PART: bool>(
        &mut self,
        column: usize,
        width: usize,
    ) {
        let bias = match self.start {
            Start::Bias(bias) => Some(bias[column..].as_ptr()),
            _ => None,
        };
        let c = self.c.as_mut_ptr();
        let mut row = 0;
        while row < self.rows {
            // SAFETY: the tile lies within the product; no one else has its result.
            unsafe {
                let tile = Tile {
                    inner: self.inner,
                    a: self.a.data.as_ptr().wrapping_add(row * self.a.row),
                    a_row: self.a.row,
                    a_step: self.a.step,
                    b: self.b.data.as_ptr().wrapping_add(column),
                    b_row: self.b.row,
                    c: c.add(row * self.columns + column),
                    c_row: self.columns,
                    bias,
                    add: matches!(self.start, Start::Result),
                    relu: self.relu,
                    last: width - (P - 1) * LANES,
                };
                // Few panels leave registers for more rows, and need them to hide what a sum waits
                // for the one before.
                row += match self.rows - row {
                    8.. if P * 8 <= V::SUMS => tile.compute::<V, 8, P, PART>(),
                    6.. => tile.compute::<V, 6, P, PART>(),
                    4.. => tile.compute::<V, 4, P, PART>(),
                    2.. => tile.compute::<V, 2, P, PART>(),
                    _ => tile.compute::<V, 1, P, PART>(),
                };
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
    bias: Option<*const f32>,
    add: bool,
    relu: bool,
    /// Columns of the last panel.
    last: usize,
}

impl Tile {
    /// R rows by P panels, all of their accumulators in registers. Gives the number of rows.
    #[inline(always)]
    unsafe fn compute<V: Vector, const R: usize, const P: usize, const PART: bool>(self) -> usize {
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
        R
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

/// `c = x · wᵀ + bias` for few outputs: a dot product each. `x` has its rows `stride` apart, `w` and
/// `c` theirs one after the other.
pub(in crate::nn) struct DotProducts<'a> {
    pub rows: usize,
    pub inner: usize,
    pub outputs: usize,
    pub x: &'a [f32],
    pub stride: usize,
    pub w: &'a [f32],
    pub bias: &'a [f32],
    pub c: &'a mut [f32],
}

impl DotProducts<'_> {
    /// Computes them, in parts if they are many, with a look before each.
    ///
    /// # Panics
    /// If a slice is too short; the bias may be empty.
    pub fn compute(self, pace: &Pace<'_>) {
        if self.rows == 0 || self.inner == 0 {
            return;
        }
        assert!(
            (self.rows - 1) * self.stride + self.inner <= self.x.len()
                && self.outputs * self.inner <= self.w.len()
                && self.rows * self.outputs <= self.c.len()
                && (self.bias.is_empty() || self.bias.len() >= self.outputs),
            "rows beyond the factors"
        );
        let row = self.inner.saturating_mul(self.outputs);
        for rows in pace.parts(self.rows, row, 1) {
            Processor::detect().run_vectors(DotProducts {
                rows: rows.len(),
                x: &self.x[rows.start * self.stride..],
                c: &mut self.c[rows.start * self.outputs..],
                ..self
            });
        }
    }
}

impl VectorTask for DotProducts<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let whole = self.inner / LANES * LANES;
        let rest = self.inner - whole;
        for (r, c) in self
            .c
            .chunks_exact_mut(self.outputs)
            .take(self.rows)
            .enumerate()
        {
            for (j, c) in c.iter_mut().enumerate() {
                // SAFETY: `compute` checked the sizes.
                unsafe {
                    let x = self.x.as_ptr().add(r * self.stride);
                    let w = self.w.as_ptr().add(j * self.inner);
                    let mut sums = [V::splat(0.0); 2];
                    let mut i = 0;
                    while i < whole {
                        let s = i / LANES % 2;
                        sums[s] = V::load(x.add(i)).multiply_add(V::load(w.add(i)), sums[s]);
                        i += LANES;
                    }
                    if rest > 0 {
                        let x = V::load_first(x.add(whole), rest);
                        sums[0] = x.multiply_add(V::load_first(w.add(whole), rest), sums[0]);
                    }
                    *c = self.bias.get(j).copied().unwrap_or(0.0) + sums[0].add(sums[1]).sum();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: usize) -> Vec<f32> {
        let value = |i: usize| ((i * 37 + seed * 11) % 23) as f32 / 8.0 - 1.25;
        (0..count).map(value).collect()
    }

    #[test]
    fn products_of_all_sizes_are_those_of_a_plain_loop() {
        for (rows, inner, columns) in [
            (1, 1, 1),
            (3, 5, 17),
            (64, 20, 64),
            (13, 64, 20),
            (7, 9, 48),
            (64, 64, 1),
            (31, 3, 79),
        ] {
            // Sums of small multiples of 1/64 are exact in any order.
            let (a, b) = (values(rows * inner, 1), values(inner * columns, 2));
            let bias = values(columns, 3);
            let before = values(rows * columns, 4);
            for (start, relu) in [
                (Start::Zero, false),
                (Start::Result, false),
                (Start::Bias(&bias), true),
            ] {
                let mut c = before.clone();
                let product = |a: Left<'_>, c: &mut [f32]| {
                    TrainingProduct {
                        rows,
                        inner,
                        columns,
                        a: Left { ..a },
                        b: Right {
                            data: &b,
                            row: columns,
                        },
                        start,
                        relu,
                        c,
                    }
                    .compute(&Pace::endless());
                };
                let left = Left {
                    data: &a,
                    row: inner,
                    step: 1,
                };
                product(left, &mut c);
                for r in 0..rows {
                    for j in 0..columns {
                        let mut sum = match start {
                            Start::Zero => 0.0,
                            Start::Result => before[r * columns + j],
                            Start::Bias(bias) => bias[j],
                        };
                        for i in 0..inner {
                            sum += a[r * inner + i] * b[i * columns + j];
                        }
                        let sum = if relu { sum.max(0.0) } else { sum };
                        assert_eq!(c[r * columns + j], sum, "{rows} {inner} {columns}");
                    }
                }
                // The left factor read by columns.
                let mut turned = vec![0.0; a.len()];
                for r in 0..rows {
                    for i in 0..inner {
                        turned[i * rows + r] = a[r * inner + i];
                    }
                }
                let mut again = before.clone();
                let left = Left {
                    data: &turned,
                    row: 1,
                    step: rows,
                };
                product(left, &mut again);
                assert_eq!(again, c);
            }
        }
    }

    #[test]
    fn dot_products_are_those_of_a_plain_loop() {
        for (rows, inner, outputs) in [(5, 64, 1), (3, 20, 2), (1, 7, 4), (9, 33, 3)] {
            let stride = inner + 3;
            let (x, w) = (values(rows * stride, 1), values(outputs * inner, 2));
            let bias = values(outputs, 3);
            let mut c = vec![0.0; rows * outputs];
            DotProducts {
                rows,
                inner,
                outputs,
                x: &x,
                stride,
                w: &w,
                bias: &bias,
                c: &mut c,
            }
            .compute(&Pace::endless());
            for r in 0..rows {
                for j in 0..outputs {
                    let products = (0..inner).map(|i| x[r * stride + i] * w[j * inner + i]);
                    assert_eq!(c[r * outputs + j], bias[j] + products.sum::<f32>());
                }
            }
        }
    }
}

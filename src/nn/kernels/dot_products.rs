//! Products with few columns, a dot product for each element.

use super::processor::Processor;
use super::vector::{LANES, Vector, VectorTask};
use crate::nn::base::stop::Pace;

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
    pub fn compute(self, processor: Processor, pace: &Pace<'_>) {
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
            processor.run_vectors(DotProducts {
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

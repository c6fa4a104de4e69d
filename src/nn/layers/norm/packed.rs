//! Norms ready to predict: each row by itself.

use std::fmt::Debug;

use crate::nn::kernels::packed_memory::Values;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::layer::packed::{Packed, PackedPass};

/// What a norm does to a row, by the values it was packed in.
pub(super) trait NormRow: Debug + Send + Sync {
    /// Values of a row.
    fn size(&self) -> usize;

    /// Normalises `x`, of whose steps so many are there. Must be `#[inline(always)]`.
    fn row(&self, values: &[f32], x: &[f32], there: impl Fn() -> usize, y: &mut [f32]);
}

/// A norm and the values it needs.
#[derive(Debug)]
pub(super) struct PackedNorm<N> {
    pub norm: N,
    pub values: Values,
}

impl<N: NormRow> Packed for PackedNorm<N> {
    fn size_bytes(&self) -> usize {
        self.values.own_bytes()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        Processor::detect().run(Rows { layer: self, pass });
    }
}

struct Rows<'a, 'p, N> {
    layer: &'a PackedNorm<N>,
    pass: PackedPass<'p>,
}

impl<N: NormRow> Task for Rows<'_, '_, N> {
    #[inline(always)]
    fn run(self) {
        let (PackedNorm { norm, values }, pass) = (self.layer, self.pass);
        let (input, values) = (pass.inputs.view(0), &**values);
        for row in 0..pass.rows {
            let y = &mut pass.output[row * pass.stride..][..norm.size()];
            norm.row(values, input.row(row), || pass.inputs.steps(0, row), y);
        }
    }
}

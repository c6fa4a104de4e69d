//! The gradient with respect to the bias.

use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::vector::{LANES, Vector, VectorTask};

/// Adds to the gradient with respect to the bias what each filter's gradient, `positions` long, sums
/// up to.
pub fn bias_gradient(processor: Processor, gradient: &[f32], positions: usize, bias: &mut [f32]) {
    processor.run_vectors(BiasGradient {
        gradient,
        positions,
        bias,
    });
}

struct BiasGradient<'a> {
    gradient: &'a [f32],
    positions: usize,
    bias: &'a mut [f32],
}

impl VectorTask for BiasGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let filters = self.gradient.chunks_exact(self.positions);
        for (bias, filter) in self.bias.iter_mut().zip(filters) {
            let (blocks, rest) = filter.as_chunks::<LANES>();
            // SAFETY: the blocks and the rest are as long as they say.
            unsafe {
                let mut sum = V::load_first(rest.as_ptr(), rest.len());
                for block in blocks {
                    sum = sum.add(V::load(block.as_ptr()));
                }
                *bias += sum.sum();
            }
        }
    }
}

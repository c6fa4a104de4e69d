//! Sums of many numbers each with its own.

use super::processor::{Processor, Task};

/// Adds to each value the one at its place.
pub(in crate::nn) fn add(sums: &mut [f32], more: &[f32]) {
    Processor::detect().run(Add { sums, more });
}

struct Add<'a> {
    sums: &'a mut [f32],
    more: &'a [f32],
}

impl Task for Add<'_> {
    #[inline(always)]
    fn run(self) {
        let pairs = self.sums.iter_mut().zip(self.more);
        pairs.for_each(|(sum, more)| *sum += more);
    }
}

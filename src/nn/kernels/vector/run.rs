//! The choice of the vectors of a processor.

use std::marker::PhantomData;

#[cfg(target_arch = "aarch64")]
use super::arm::Neon;
use super::baseline::Baseline;
use super::lanes::Vector;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::nn::kernels::processor::{Instructions, Processor, Task};

/// What runs with the vectors of a [`Processor`].
pub(in crate::nn) trait VectorTask {
    /// Does the work. Must be `#[inline(always)]`, as all that it calls in its inner loops.
    ///
    /// # Safety
    /// Only within a [`Processor`] that has V's instructions.
    unsafe fn run<V: Vector>(self);
}

struct On<T, V>(T, PhantomData<V>);

impl<T: VectorTask, V: Vector> Task for On<T, V> {
    #[inline(always)]
    fn run(self) {
        // SAFETY: made by `run_vectors` alone, which pairs V with its processor.
        unsafe { self.0.run::<V>() }
    }
}

impl Processor {
    /// Runs the task with this processor's vectors.
    #[inline]
    pub(in crate::nn) fn run_vectors<T: VectorTask>(self, task: T) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni | Instructions::Avx512 => {
                self.run(On::<T, Avx512>(task, PhantomData));
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::AvxVnni | Instructions::Avx2 => {
                self.run(On::<T, Avx2>(task, PhantomData));
            }
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => self.run(On::<T, Neon>(task, PhantomData)),
            Instructions::Baseline => self.run(On::<T, Baseline>(task, PhantomData)),
        }
    }
}

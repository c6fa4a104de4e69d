//! The choice of the integers of a processor.

use std::marker::PhantomData;

use super::lanes::{IntegerTask, Integers};
use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512Vnni, AvxVnni};
use crate::nn::kernels::processor::{Instructions, Processor, Task};

struct On<T, I>(T, PhantomData<I>);

impl<T: IntegerTask, I: Integers> Task for On<T, I> {
    #[inline(always)]
    fn run(self) {
        // SAFETY: made by `run_integers` alone, which pairs I with its processor.
        unsafe { self.0.run::<I>() }
    }
}

impl Processor {
    /// Runs the task with this processor's integers.
    #[inline]
    pub(super) fn run_integers<T: IntegerTask>(self, task: T) {
        match self.0 {
            // SAFETY: a `Processor` of this kind exists only where detection found it.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => unsafe {
                run_avx512_vnni(On::<T, Avx512Vnni>(task, PhantomData));
            },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Instructions::AvxVnni => unsafe {
                run_avx_vnni(On::<T, AvxVnni>(task, PhantomData));
            },
            // Where AVX-512 is, AVX2 is.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 | Instructions::Avx2 => {
                Processor(Instructions::Avx2).run(On::<T, Avx2>(task, PhantomData));
            }
            _ => self.run(On::<T, Portable>(task, PhantomData)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
fn run_avx512_vnni<T: Task>(task: T) {
    task.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avxvnni,avx2,fma")]
fn run_avx_vnni<T: Task>(task: T) {
    task.run();
}

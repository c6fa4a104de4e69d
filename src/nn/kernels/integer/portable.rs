//! Integers of any processor.

use super::lanes::{BYTES, Integers};
use crate::nn::kernels::packing::Line;
use crate::nn::kernels::vector::{LANES, Portable as Floats, Vector};

/// For any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable([i32; LANES]);

// SAFETY (throughout): the pointers are good for the values read, by the trait's terms.
impl Integers for Portable {
    type Floats = Floats;
    type Bytes = [u8; BYTES];
    type Weights = [[i8; BYTES]; LANES];

    const SUMS: usize = 4;
    const PANELS: usize = 1;

    #[inline(always)]
    unsafe fn load(from: *const Line) -> Self {
        // SAFETY: as above; a line is as large.
        Self(unsafe { from.cast::<[i32; LANES]>().read() })
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Bytes {
        // SAFETY: as above.
        unsafe { from.cast::<[u8; BYTES]>().read() }
    }
    #[inline(always)]
    unsafe fn weights(from: *const Line) -> Self::Weights {
        // SAFETY: as above; a line is as large.
        unsafe { from.cast::<[[i8; BYTES]; LANES]>().read() }
    }
    #[inline(always)]
    unsafe fn dot(mut self, bytes: Self::Bytes, weights: Self::Weights) -> Self {
        for (sum, weights) in self.0.iter_mut().zip(weights) {
            let mut dot = 0;
            for (byte, weight) in bytes.into_iter().zip(weights) {
                dot += i32::from(byte) * i32::from(weight);
            }
            *sum = sum.wrapping_add(dot);
        }
        self
    }
    #[inline(always)]
    unsafe fn floats(self) -> Floats {
        let floats = self.0.map(|sum| sum as f32);
        // SAFETY: sixteen values.
        unsafe { Floats::load(floats.as_ptr()) }
    }
}

//! The vectors of any processor.

use super::lanes::{LANES, Vector};

/// For any processor.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Baseline([f32; LANES]);

impl Baseline {
    #[inline(always)]
    fn map(mut self, f: impl Fn(usize, f32) -> f32) -> Self {
        for (i, value) in self.0.iter_mut().enumerate() {
            *value = f(i, *value);
        }
        self
    }
}

// SAFETY (throughout): the pointers are good for the values read or written, by the trait's terms.
impl Vector for Baseline {
    const SUMS: usize = 6;
    const PANELS: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { from.cast::<[f32; LANES]>().read() })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; LANES];
        for (i, lane) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: as above.
            *lane = unsafe { *from.add(i) };
        }
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; LANES]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (i, &lane) in self.0.iter().enumerate().take(count) {
            // SAFETY: as above.
            unsafe { *to.add(i) = lane };
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        self.map(|i, v| v.mul_add(factor.0[i], sum.0[i]))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.map(|i, v| v + other.0[i])
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        self.map(|_, v| if v < 0.0 { 0.0 } else { v })
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut lanes = self.0;
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0]
    }
}

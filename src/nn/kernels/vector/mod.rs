//! Sixteen `f32` lanes on each set of vector instructions, for the kernels.

use std::marker::PhantomData;
use std::ops::Range;

use super::processor::{Instructions, Processor, Task};

/// Lanes of a [`Vector`], whatever the processor's registers hold.
pub(in crate::nn) const LANES: usize = 16;

/// Sixteen lanes. Every operation gives the same bits in each implementation.
///
/// # Safety
/// All methods need the instructions of the implementing type, and must be inlined into a function
/// that is compiled with them. Pointers must be good for as many values as are named.
pub(in crate::nn) trait Vector: Copy {
    /// Sums that fit the registers beside the factors.
    const SUMS: usize;
    /// Most panels of sixteen columns of a tile.
    const PANELS: usize;

    /// Sixteen times the same value.
    unsafe fn splat(value: f32) -> Self;
    /// Sixteen values.
    unsafe fn load(from: *const f32) -> Self;
    /// `count` values and zeros after them.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// Sixteen values.
    unsafe fn store(self, to: *mut f32);
    /// The first `count` values.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// `self * factor + sum`, rounded once.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// Zero where negative; NaN stays.
    unsafe fn relu(self) -> Self;
    /// The sum of the lanes: the upper half onto the lower one, four times.
    unsafe fn sum(self) -> f32;
}

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
            Instructions::Avx512 => self.run(On::<T, Avx512>(task, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => self.run(On::<T, Avx2>(task, PhantomData)),
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => self.run(On::<T, Neon>(task, PhantomData)),
            Instructions::Baseline => self.run(On::<T, Baseline>(task, PhantomData)),
        }
    }
}

/// Sixteen values, or `count` of them and zeros.
///
/// # Safety
/// As [`Vector::load`] or [`Vector::load_first`].
#[inline(always)]
pub(in crate::nn) unsafe fn load<V: Vector>(from: *const f32, count: usize) -> V {
    // SAFETY: the caller's.
    unsafe {
        if count >= LANES {
            V::load(from)
        } else {
            V::load_first(from, count)
        }
    }
}

/// Sixteen values, or the first `count` of them.
///
/// # Safety
/// As [`Vector::store`] or [`Vector::store_first`].
#[inline(always)]
pub(in crate::nn) unsafe fn store<V: Vector>(value: V, to: *mut f32, count: usize) {
    // SAFETY: the caller's.
    unsafe {
        if count >= LANES {
            value.store(to)
        } else {
            value.store_first(to, count)
        }
    }
}

/// Most rows of a tile of so many panels.
pub(in crate::nn) const fn tile_rows<V: Vector>(panels: usize) -> usize {
    let rows = V::SUMS / panels;
    if rows > 8 { 8 } else { rows }
}

/// Cuts `0..count` into parts of even size, none above `most`: a last tile of a single row would be
/// slow.
#[inline(always)]
pub(in crate::nn) fn even(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = count.div_ceil(most);
    let mut end = 0;
    (0..parts).map(move |part| {
        let start = end;
        end += count / parts + usize::from(part < count % parts);
        start..end
    })
}

/// Repeats the body for each value of a constant range of up to eight. A loop would be unrolled too
/// late for the compiler to keep an array of accumulators in registers.
macro_rules! unrolled {
    ($i:ident in 0..$end:expr => $body:block) => {
        unrolled!(@ $i, $end, $body, 0, 1, 2, 3, 4, 5, 6, 7)
    };
    (@ $i:ident, $end:expr, $body:block, $($value:literal),*) => {
        $(if $value < $end {
            #[allow(non_upper_case_globals)]
            const $i: usize = $value;
            $body
        })*
    };
}
pub(in crate::nn) use unrolled;

/// Calls something generic over a number, from one to a constant of up to eight, with a number that
/// is known at run time. Nothing is compiled for the numbers beyond.
///
/// Panics for other numbers.
macro_rules! with_constant {
    ($value:expr, $n:ident in 1..=$most:expr => $call:expr) => {
        with_constant!(@ $value, $n, $most, $call, 1, 2, 3, 4, 5, 6, 7, 8)
    };
    (@ $value:expr, $n:ident, $most:expr, $call:expr, $($number:literal),*) => {
        match $value {
            $($number => if const { $number <= $most } {
                const $n: usize = $number;
                $call
            } else {
                unreachable!()
            },)*
            _ => unreachable!(),
        }
    };
}
pub(in crate::nn) use with_constant;

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

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(in crate::nn) use arm::Neon;
#[cfg(target_arch = "x86_64")]
pub(in crate::nn) use x86::{Avx2, Avx512};

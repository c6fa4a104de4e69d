//! Sixteen `f32` lanes on each set of vector instructions, for the kernels.

use std::marker::PhantomData;

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

#[cfg(target_arch = "x86_64")]
pub(in crate::nn) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Vector};

    /// The lower four lanes' sum, halves onto halves.
    #[inline(always)]
    unsafe fn sum_of_eight(v: __m256) -> f32 {
        // SAFETY: only called where AVX is there.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    /// AVX-512: one register.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    // SAFETY (throughout): AVX-512F is there and the pointers are good, by the trait's terms.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Vector for Avx512 {
        // Of 32 registers; a row's value takes one, and each panel's weights. Seven rows of four
        // panels are one register too many, which costs a tenth of the speed.
        const SUMS: usize = 24;
        const PANELS: usize = 4;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            Self(unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, self.0) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, sum.0) })
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The second operand is the result where one is NaN or both are zeros.
            Self(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            unsafe {
                // In whole registers: half of one can only be had of the lower sixteen, to which the
                // compiler would then confine every accumulator.
                let v = self.0;
                let v = _mm512_add_ps(v, _mm512_shuffle_f32x4::<0b01_00_11_10>(v, v));
                let v = _mm512_add_ps(v, _mm512_shuffle_f32x4::<0b10_11_00_01>(v, v));
                let v = _mm512_add_ps(v, _mm512_permute_ps::<0b01_00_11_10>(v));
                let v = _mm512_add_ps(v, _mm512_permute_ps::<0b10_11_00_01>(v));
                _mm512_cvtss_f32(v)
            }
        }
    }

    /// Masks of the first `count` of sixteen lanes.
    #[inline(always)]
    unsafe fn first(count: usize) -> (__m256i, __m256i) {
        // SAFETY: only called where AVX2 is there.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let count = _mm256_set1_epi32(count as i32);
            let beyond = _mm256_sub_epi32(count, _mm256_set1_epi32(LANES as i32 / 2));
            (
                _mm256_cmpgt_epi32(count, lanes),
                _mm256_cmpgt_epi32(beyond, lanes),
            )
        }
    }

    /// AVX2 with FMA: two registers.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    // SAFETY (throughout): AVX2 and FMA are there and the pointers are good, by the trait's terms.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Vector for Avx2 {
        // In twelve of sixteen registers; the weights take two and a row's value one.
        const SUMS: usize = 6;
        const PANELS: usize = 1;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES / 2))) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            unsafe {
                let (lower, upper) = first(count);
                // The upper half may lie beyond the values; then nothing of it is read.
                let from_upper = from.wrapping_add(LANES / 2);
                Self(
                    _mm256_maskload_ps(from, lower),
                    _mm256_maskload_ps(from_upper, upper),
                )
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(LANES / 2), self.1);
            }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe {
                let (lower, upper) = first(count);
                _mm256_maskstore_ps(to, lower, self.0);
                _mm256_maskstore_ps(to.wrapping_add(LANES / 2), upper, self.1);
            }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            unsafe {
                Self(
                    _mm256_fmadd_ps(self.0, factor.0, sum.0),
                    _mm256_fmadd_ps(self.1, factor.1, sum.1),
                )
            }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe {
                Self(
                    _mm256_add_ps(self.0, other.0),
                    _mm256_add_ps(self.1, other.1),
                )
            }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            unsafe {
                let zero = _mm256_setzero_ps();
                Self(_mm256_max_ps(zero, self.0), _mm256_max_ps(zero, self.1))
            }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            unsafe { sum_of_eight(_mm256_add_ps(self.0, self.1)) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(in crate::nn) use arm::Neon;

/// Written for aarch64 and compiled there, but never run on such a processor, only emulated.
#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{LANES, Vector};

    /// NEON: four registers.
    #[derive(Clone, Copy)]
    pub struct Neon([float32x4_t; 4]);

    impl Neon {
        #[inline(always)]
        fn zip(self, other: Self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
            let ([a, b, c, d], [e, g, h, i]) = (self.0, other.0);
            Self([f(a, e), f(b, g), f(c, h), f(d, i)])
        }
    }

    // SAFETY (throughout): every aarch64 processor has NEON, and the pointers are good, by the
    // trait's terms.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Vector for Neon {
        // In 24 of 32 registers; the weights take four and a row's value one.
        const SUMS: usize = 6;
        const PANELS: usize = 1;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(unsafe { [vdupq_n_f32(value); 4] })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe {
                [
                    vld1q_f32(from),
                    vld1q_f32(from.add(4)),
                    vld1q_f32(from.add(8)),
                    vld1q_f32(from.add(12)),
                ]
            })
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            let mut lanes = [0.0; LANES];
            unsafe {
                from.copy_to_nonoverlapping(lanes.as_mut_ptr(), count);
                Self::load(lanes.as_ptr())
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                vst1q_f32(to, self.0[0]);
                vst1q_f32(to.add(4), self.0[1]);
                vst1q_f32(to.add(8), self.0[2]);
                vst1q_f32(to.add(12), self.0[3]);
            }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            let mut lanes = [0.0; LANES];
            unsafe {
                self.store(lanes.as_mut_ptr());
                to.copy_from_nonoverlapping(lanes.as_ptr(), count);
            }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, factor.0, sum.0);
            Self(unsafe {
                [
                    vfmaq_f32(i, a, e),
                    vfmaq_f32(j, b, f),
                    vfmaq_f32(k, c, g),
                    vfmaq_f32(l, d, h),
                ]
            })
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            self.zip(other, |a, b| unsafe { vaddq_f32(a, b) })
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // Not the instruction for the larger of two: that makes zero of minus zero.
            Self(self.0.map(|v| unsafe {
                let negative = vcltzq_f32(v);
                vbslq_f32(negative, vdupq_n_f32(0.0), v)
            }))
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            let [a, b, c, d] = self.0;
            unsafe {
                let four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
                let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
                vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
            }
        }
    }
}

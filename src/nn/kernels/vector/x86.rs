//! The vectors of x86-64 processors.

use std::arch::x86_64::*;

use super::lanes::{LANES, Vector};

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

impl Avx512 {
    /// These lanes.
    #[inline(always)]
    pub(in crate::nn) fn new(lanes: __m512) -> Self {
        Self(lanes)
    }
}

// SAFETY (throughout): AVX-512F is there and the pointers are good, by the trait's terms.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
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

impl Avx2 {
    /// The lower lanes and the upper ones.
    #[inline(always)]
    pub(in crate::nn) fn new(lower: __m256, upper: __m256) -> Self {
        Self(lower, upper)
    }
}

// SAFETY (throughout): AVX2 and FMA are there and the pointers are good, by the trait's terms.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
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

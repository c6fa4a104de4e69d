//! Integers of x86-64 processors.

use std::arch::x86_64::*;

use super::lanes::Integers;
use crate::nn::kernels::packing::Line;
use crate::nn::kernels::vector::x86::{Avx2 as Eights, Avx512 as Sixteens};

/// AVX-512 with VNNI: one register.
#[derive(Clone, Copy)]
pub(super) struct Avx512Vnni(__m512i);

// SAFETY (throughout): the instructions are there and the pointers are good, by the trait's terms.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Integers for Avx512Vnni {
    type Floats = Sixteens;
    type Bytes = __m512i;
    type Weights = __m512i;

    const SUMS: usize = 24;
    const PANELS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const Line) -> Self {
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Bytes {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const Line) -> Self::Weights {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn dot(self, bytes: Self::Bytes, weights: Self::Weights) -> Self {
        Self(unsafe { _mm512_dpbusd_epi32(self.0, bytes, weights) })
    }
    #[inline(always)]
    unsafe fn floats(self) -> Sixteens {
        unsafe { Sixteens::new(_mm512_cvtepi32_ps(self.0)) }
    }
}

/// AVX2 with VNNI: two registers.
#[derive(Clone, Copy)]
pub(super) struct AvxVnni(__m256i, __m256i);

/// The halves of a line.
#[inline(always)]
unsafe fn halves(from: *const Line) -> (__m256i, __m256i) {
    // SAFETY: only called where AVX2 is there, with a line.
    unsafe {
        let from = from.cast::<__m256i>();
        (_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1)))
    }
}

// SAFETY (throughout): the instructions are there and the pointers are good, by the trait's terms.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Integers for AvxVnni {
    type Floats = Eights;
    type Bytes = __m256i;
    type Weights = (__m256i, __m256i);

    const SUMS: usize = 6;
    const PANELS: usize = 1;

    #[inline(always)]
    unsafe fn load(from: *const Line) -> Self {
        let (lower, upper) = unsafe { halves(from) };
        Self(lower, upper)
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Bytes {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const Line) -> Self::Weights {
        unsafe { halves(from) }
    }
    #[inline(always)]
    unsafe fn dot(self, bytes: Self::Bytes, (lower, upper): Self::Weights) -> Self {
        unsafe {
            Self(
                _mm256_dpbusd_avx_epi32(self.0, bytes, lower),
                _mm256_dpbusd_avx_epi32(self.1, bytes, upper),
            )
        }
    }
    #[inline(always)]
    unsafe fn floats(self) -> Eights {
        unsafe { Eights::new(_mm256_cvtepi32_ps(self.0), _mm256_cvtepi32_ps(self.1)) }
    }
}

/// AVX2: two registers.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256i, __m256i);

/// Of four bytes in each lane, the first and third as signed 16 bits.
#[inline(always)]
unsafe fn even(weights: __m256i) -> __m256i {
    // SAFETY: only called where AVX2 is there.
    unsafe { _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weights)) }
}

/// Of four bytes in each lane, the second and fourth as signed 16 bits.
#[inline(always)]
unsafe fn odd(weights: __m256i) -> __m256i {
    // SAFETY: only called where AVX2 is there.
    unsafe { _mm256_srai_epi16::<8>(weights) }
}

// SAFETY (throughout): the instructions are there and the pointers are good, by the trait's terms.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Integers for Avx2 {
    type Floats = Eights;
    /// The first and third byte, the second and fourth, as 16 bits.
    type Bytes = (__m256i, __m256i);
    /// The same of the weights, of each half.
    type Weights = [(__m256i, __m256i); 2];

    // In eight of sixteen registers; the weights take four and a row's bytes two.
    const SUMS: usize = 4;
    const PANELS: usize = 1;

    #[inline(always)]
    unsafe fn load(from: *const Line) -> Self {
        let (lower, upper) = unsafe { halves(from) };
        Self(lower, upper)
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Bytes {
        unsafe {
            let bytes = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            let lower = _mm256_set1_epi16(0xff);
            (
                _mm256_and_si256(bytes, lower),
                _mm256_srli_epi16::<8>(bytes),
            )
        }
    }
    #[inline(always)]
    unsafe fn weights(from: *const Line) -> Self::Weights {
        unsafe {
            let (lower, upper) = halves(from);
            [(even(lower), odd(lower)), (even(upper), odd(upper))]
        }
    }
    #[inline(always)]
    unsafe fn dot(self, (first, second): Self::Bytes, weights: Self::Weights) -> Self {
        unsafe {
            let [lower, upper] = weights.map(|(even, odd)| {
                _mm256_add_epi32(
                    _mm256_madd_epi16(first, even),
                    _mm256_madd_epi16(second, odd),
                )
            });
            Self(
                _mm256_add_epi32(self.0, lower),
                _mm256_add_epi32(self.1, upper),
            )
        }
    }
    #[inline(always)]
    unsafe fn floats(self) -> Eights {
        unsafe { Eights::new(_mm256_cvtepi32_ps(self.0), _mm256_cvtepi32_ps(self.1)) }
    }
}

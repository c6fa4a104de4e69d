//! What sixteen lanes can do on any processor, and loops over tiles of them.

use std::ops::Range;

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

//! What sixteen lanes of integers can do on any processor.

use crate::nn::kernels::packing::Line;
use crate::nn::kernels::vector::Vector;

/// Bytes whose products are added up in one lane at a time.
pub(super) const BYTES: usize = 4;

/// Sixteen sums of 32 bits, of which each takes four products at a time.
///
/// # Safety
/// As of [`Vector`].
pub(super) trait Integers: Copy {
    /// What the sums become.
    type Floats: Vector;
    /// Four bytes of a row, for every lane.
    type Bytes: Copy;
    /// Four weights for each of sixteen outputs.
    type Weights: Copy;
    /// Sums that fit the registers beside the factors.
    const SUMS: usize;
    /// Most panels of a tile of several rows.
    const PANELS: usize;

    /// Sixteen integers.
    unsafe fn load(from: *const Line) -> Self;
    /// Four bytes.
    unsafe fn bytes(from: *const u8) -> Self::Bytes;
    /// A line of weights.
    unsafe fn weights(from: *const Line) -> Self::Weights;
    /// Adds the four products of each lane. Sums wrap around on the way, but do not in the end.
    unsafe fn dot(self, bytes: Self::Bytes, weights: Self::Weights) -> Self;
    /// The nearest floats, of two the even one.
    unsafe fn floats(self) -> Self::Floats;
}

/// What runs with the integers of a processor.
pub(super) trait IntegerTask {
    /// Does the work. Must be `#[inline(always)]`, as all that it calls in its inner loops.
    ///
    /// # Safety
    /// Only within a processor that has I's instructions.
    unsafe fn run<I: Integers>(self);
}

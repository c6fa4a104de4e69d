//! Rows of values as bytes.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::lanes::BYTES;
use crate::nn::kernels::processor::Task;

/// Adding it rounds a number from 0 to 255 to a whole one, which then stands in the lowest bits.
const MAGIC: f32 = 12_582_912.0;
/// Smallest and largest scales: their products with those of weights neither vanish nor overflow.
const LIMITS: RangeInclusive<f32> = 1e-18..=1e18;
/// What zero is where each row has its own scale.
const MIDDLE: u8 = 128;
/// A row's largest value is as far from it.
const FARTHEST: f32 = 127.0;
/// The bits of an infinity; more are those of a NaN.
const INFINITE: u32 = 0x7f80_0000;

/// What a byte that stands for a value is worth: `(byte − zero point) · scale`. Values beyond what
/// bytes can say become the nearest that they can.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum InputScale {
    /// The same for all rows.
    Static {
        /// From a byte to the next.
        scale: f32,
        /// The byte of zero.
        zero_point: u8,
    },
    /// A scale for each row, by its largest value.
    Dynamic,
}

impl InputScale {
    /// The scale that reaches from `low`, not above zero, to `high`, not below. Zero is exact.
    /// None for what no numbers' products could be had of.
    pub fn over(low: f64, high: f64) -> Option<InputScale> {
        let scale = match (high - low) / 255.0 {
            0.0 => 1.0,
            scale => (scale as f32).max(*LIMITS.start()),
        };
        let zero_point = (-low / f64::from(scale))
            .round_ties_even()
            .clamp(0.0, 255.0) as u8;
        let made = InputScale::Static { scale, zero_point };
        made.is_valid().then_some(made)
    }

    /// Whether products with it are numbers.
    pub fn is_valid(self) -> bool {
        match self {
            InputScale::Static { scale, .. } => LIMITS.contains(&scale),
            InputScale::Dynamic => true,
        }
    }

    /// The byte of zero.
    pub(super) fn zero_point(self) -> u8 {
        match self {
            InputScale::Static { zero_point, .. } => zero_point,
            InputScale::Dynamic => MIDDLE,
        }
    }
}

/// Bytes of a row of so many values, filled up.
pub(super) fn row_bytes(values: usize) -> usize {
    values.next_multiple_of(BYTES)
}

/// Turns rows into bytes: row r reads `x[r * stride..][..width]`. The bytes behind a row are zeros.
pub(super) struct ToBytes<'a> {
    pub input: InputScale,
    pub x: &'a [f32],
    pub stride: usize,
    pub width: usize,
    /// As many for each row as `length`.
    pub bytes: &'a mut [u8],
    pub length: usize,
    /// For each row what its bytes are to be multiplied with: NaN where a value is NaN, and for a
    /// dynamic scale where one is infinite.
    pub scales: &'a mut [f32],
}

impl Task for ToBytes<'_> {
    #[inline(always)]
    fn run(self) {
        let rows = self.bytes.chunks_exact_mut(self.length).zip(self.scales);
        for (r, (bytes, row_scale)) in rows.enumerate() {
            let x = &self.x[r * self.stride..][..self.width];
            let (bytes, rest) = bytes.split_at_mut(self.width);
            rest.fill(0);
            // Of the values' sizes the largest: their bits are in the same order.
            let largest = x
                .iter()
                .fold(0, |most, x| most.max(x.to_bits() & 0x7fff_ffff));
            let (scale, factor) = match self.input {
                InputScale::Static { scale, .. } => (scale, 1.0 / scale),
                InputScale::Dynamic => {
                    let largest = f32::from_bits(largest);
                    match largest < *LIMITS.start() {
                        true => (0.0, 0.0),
                        false => (largest / FARTHEST, FARTHEST / largest),
                    }
                }
            };
            let is_lost = match self.input {
                InputScale::Static { .. } => largest > INFINITE,
                InputScale::Dynamic => largest >= INFINITE,
            };
            *row_scale = if is_lost { f32::NAN } else { scale };
            let zero = f32::from(self.input.zero_point());
            for (byte, x) in bytes.iter_mut().zip(x) {
                let value = x * factor + zero;
                let value = if value > 0.0 { value } else { 0.0 };
                let value = if value < 255.0 { value } else { 255.0 };
                *byte = (value + MAGIC).to_bits() as u8;
            }
        }
    }
}

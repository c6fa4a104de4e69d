//! A window that slides along one axis of an image.

use std::ops::Range;

use crate::nn::base::lengths::Window;

/// Where windows of `kernel` taps, `dilation` apart, stand along an axis: `stride` apart, the first
/// one `before` places before the first value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Values along the axis.
    pub input: usize,
    /// Taps of a window.
    pub kernel: usize,
    /// Distance from a window to the next.
    pub stride: usize,
    /// Distance from a tap to the next.
    pub dilation: usize,
    /// Padding before the first value.
    pub before: usize,
    /// Number of windows.
    pub output: usize,
}

impl Axis {
    /// The window along an axis of `input` values.
    pub fn new(window: Window, input: usize) -> Self {
        Axis {
            input,
            kernel: window.size,
            stride: window.stride,
            dilation: window.dilation,
            before: window.before(input),
            output: window.outputs(input),
        }
    }

    /// The windows whose tap number `tap` is a value, and the value of the first of them.
    pub fn inside(&self, tap: usize) -> (Range<usize>, usize) {
        let at = tap * self.dilation;
        let first = self.before.saturating_sub(at).div_ceil(self.stride);
        // The places left of the end of the values, counted from the first window's tap.
        let room = (self.input + self.before).saturating_sub(at);
        let end = room.div_ceil(self.stride).min(self.output);
        if first >= end {
            return (0..0, 0);
        }
        (first..end, first * self.stride + at - self.before)
    }
}

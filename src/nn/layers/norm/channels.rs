//! Statistics of each channel over the rows of a batch.

use crate::nn::kernels::reduction::{sum, sum_of_pairs};
use crate::nn::layer::{Inputs, View};

/// Channels whose sums are taken at the same time where they lie side by side.
const LANES: usize = 16;

/// How the values of a row belong to channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    pub count: usize,
    /// Values of a channel that lie side by side; then comes the next channel. With 1 the channels
    /// come again and again, step after step.
    pub plane: usize,
}

/// The rows of a batch, without steps that are not there.
pub(super) trait Rows {
    /// A row by its place.
    fn row(&self, row: usize) -> &[f32];
    /// Number of rows.
    fn count(&self) -> usize;
}

/// The rows of an input, each as far as it is there.
pub(super) struct InputRows<'a> {
    view: View<'a>,
    inputs: Inputs<'a>,
    rows: usize,
    channels: Channels,
    varying: bool,
}

impl<'a> InputRows<'a> {
    /// The first input's rows.
    pub fn new(inputs: Inputs<'a>, rows: usize, channels: Channels) -> Self {
        InputRows {
            view: inputs.view(0),
            inputs,
            rows,
            channels,
            varying: inputs.varying(0),
        }
    }

    /// Values of a row that are there.
    fn length(&self, row: usize) -> usize {
        if self.varying {
            self.inputs.steps(0, row) * self.channels.count
        } else {
            self.view.width
        }
    }
}

impl Rows for InputRows<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        &self.view.row(row)[..self.length(row)]
    }

    fn count(&self) -> usize {
        self.rows
    }
}

/// The gradients of the rows of an input, each as far as the row is there.
pub(super) struct GradientRows<'a> {
    pub gradient: &'a [f32],
    pub input: &'a InputRows<'a>,
}

impl Rows for GradientRows<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        &self.gradient[row * self.input.view.width..][..self.input.length(row)]
    }

    fn count(&self) -> usize {
        self.input.rows
    }
}

impl Channels {
    /// Values of each channel in all the rows.
    pub fn values(self, rows: &impl Rows) -> usize {
        let length: usize = (0..rows.count()).map(|row| rows.row(row).len()).sum();
        length / self.count
    }

    /// For each channel the sum, divided by `count`, of `f(channel, value)`. To be inlined into a
    /// task.
    #[inline(always)]
    pub fn mean(
        self,
        rows: &impl Rows,
        count: usize,
        means: &mut [f32],
        f: impl Fn(usize, f32) -> f32,
    ) {
        let scale = 1.0 / count.max(1) as f64;
        if self.plane > 1 {
            for (channel, mean) in means.iter_mut().enumerate() {
                let at = channel * self.plane;
                let mut total = 0.0;
                for row in 0..rows.count() {
                    total += sum(&rows.row(row)[at..at + self.plane], |x| f(channel, x));
                }
                *mean = (total * scale) as f32;
            }
            return;
        }
        for (block, means) in means.chunks_mut(LANES).enumerate() {
            let first = block * LANES;
            let mut totals = [0.0; LANES];
            for row in 0..rows.count() {
                for step in rows.row(row).chunks_exact(self.count) {
                    let x = &step[first..first + means.len()];
                    each_lane(
                        &mut totals,
                        |lane| f64::from(f(first + lane, x[lane])),
                        x.len(),
                    );
                }
            }
            for (mean, total) in means.iter_mut().zip(totals) {
                *mean = (total * scale) as f32;
            }
        }
    }

    /// For each channel the sums of `g` and of `g · f(channel, x)`, where `g` are the values of
    /// `gradients` at the same places. To be inlined into a task.
    #[inline(always)]
    pub fn sums(
        self,
        rows: &impl Rows,
        gradients: &impl Rows,
        f: impl Fn(usize, f32) -> f32,
        mut put: impl FnMut(usize, f64, f64),
    ) {
        if self.plane > 1 {
            for channel in 0..self.count {
                let at = channel * self.plane;
                let (mut plain, mut along) = (0.0, 0.0);
                for row in 0..rows.count() {
                    let x = &rows.row(row)[at..at + self.plane];
                    let g = &gradients.row(row)[at..at + self.plane];
                    plain += sum(g, |g| g);
                    along += sum_of_pairs(g, x, |g, x| g * f(channel, x));
                }
                put(channel, plain, along);
            }
            return;
        }
        for first in (0..self.count).step_by(LANES) {
            let width = LANES.min(self.count - first);
            let (mut plain, mut along) = ([0.0; LANES], [0.0; LANES]);
            for row in 0..rows.count() {
                let steps = rows.row(row).chunks_exact(self.count);
                let steps = steps.zip(gradients.row(row).chunks_exact(self.count));
                for (x, g) in steps {
                    let (x, g) = (&x[first..first + width], &g[first..first + width]);
                    each_lane(&mut plain, |lane| f64::from(g[lane]), width);
                    let product = |lane: usize| f64::from(g[lane] * f(first + lane, x[lane]));
                    each_lane(&mut along, product, width);
                }
            }
            for lane in 0..width {
                put(first + lane, plain[lane], along[lane]);
            }
        }
    }

    /// Replaces each value of `y`, a row, by `f(channel, place, its value)`. To be inlined into a
    /// task.
    #[inline(always)]
    pub fn map(self, y: &mut [f32], f: impl Fn(usize, usize, f32) -> f32) {
        for (i, y) in y.chunks_exact_mut(self.count * self.plane).enumerate() {
            let start = i * self.count * self.plane;
            if self.plane == 1 {
                for (channel, y) in y.iter_mut().enumerate() {
                    *y = f(channel, start + channel, *y);
                }
            } else {
                for (channel, y) in y.chunks_exact_mut(self.plane).enumerate() {
                    for (place, y) in y.iter_mut().enumerate() {
                        *y = f(channel, start + channel * self.plane + place, *y);
                    }
                }
            }
        }
    }
}

/// Adds a number to each of the first `width` lanes.
#[inline(always)]
fn each_lane(totals: &mut [f64; LANES], value: impl Fn(usize) -> f64, width: usize) {
    if width == LANES {
        for (lane, total) in totals.iter_mut().enumerate() {
            *total += value(lane);
        }
    } else {
        for (lane, total) in totals.iter_mut().take(width).enumerate() {
            *total += value(lane);
        }
    }
}

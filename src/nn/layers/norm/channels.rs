//! Statistics of each channel over the rows of a batch.

use crate::nn::kernels::reduction::{wide_sum, wide_sums};
use crate::nn::layer::{Inputs, View};

/// Channels whose sums are taken at the same time where they lie side by side.
const LANES: usize = 16;
/// Values whose sum is taken in single precision.
const BLOCK: usize = 4096;

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
    fn values(self, rows: &impl Rows) -> usize {
        let length: usize = (0..rows.count()).map(|row| rows.row(row).len()).sum();
        length / self.count
    }

    /// Writes each channel's mean and the sum of its squares about that, and returns the number of a
    /// channel's values. To be inlined into a task.
    ///
    /// Squares are taken about the mean in single precision; what it is off by is taken off the sum.
    #[inline(always)]
    pub fn moments(self, rows: &impl Rows, means: &mut [f64], squares: &mut [f64]) -> usize {
        let values = self.values(rows);
        means.fill(0.0);
        squares.fill(0.0);
        if values == 0 {
            return 0;
        }
        if self.plane == 1 {
            self.moments_of_steps(rows, values, means, squares);
            return values;
        }
        // A plane at a time, while the processor holds it, joined to those of the rows before.
        let size = self.plane as f64;
        for row in 0..rows.count() {
            let (part, before) = (1.0 / (row + 1) as f64, row as f64 * size);
            let planes = rows.row(row).chunks_exact(self.plane);
            for ((x, mean), square) in planes.zip(&mut *means).zip(&mut *squares) {
                let own = mean_of(x, |x| x);
                let near = own as f32;
                let off = own - f64::from(near);
                let about = mean_of(x, |x| (x - near) * (x - near)) - off * off;
                let distance = own - *mean;
                *mean += distance * part;
                *square += about * size + distance * distance * before * part;
            }
        }
        values
    }

    #[inline(always)]
    fn moments_of_steps(
        self,
        rows: &impl Rows,
        values: usize,
        means: &mut [f64],
        squares: &mut [f64],
    ) {
        let count = values as f64;
        for first in (0..self.count).step_by(LANES) {
            let width = LANES.min(self.count - first);
            let mut totals = [0.0; LANES];
            self.each_step(rows, first, width, |x| {
                each_lane(&mut totals, |lane| f64::from(x[lane]), width);
            });
            let near = totals.map(|total| (total / count) as f32);
            let mut about = [0.0; LANES];
            self.each_step(rows, first, width, |x| {
                let square = |lane: usize| {
                    let distance = x[lane] - near[lane];
                    f64::from(distance * distance)
                };
                each_lane(&mut about, square, width);
            });
            for lane in 0..width {
                let mean = totals[lane] / count;
                let off = mean - f64::from(near[lane]);
                means[first + lane] = mean;
                squares[first + lane] = about[lane] - count * off * off;
            }
        }
    }

    /// Shows each step's values of some channels from `first` on.
    #[inline(always)]
    fn each_step(self, rows: &impl Rows, first: usize, width: usize, mut each: impl FnMut(&[f32])) {
        for row in 0..rows.count() {
            for step in rows.row(row).chunks_exact(self.count) {
                each(&step[first..first + width]);
            }
        }
    }

    /// For each channel the sums of `g` and of `g · (x - mean(channel))`, where `g` are the values of
    /// `gradients` at the same places. To be inlined into a task.
    #[inline(always)]
    pub fn sums(
        self,
        rows: &impl Rows,
        gradients: &impl Rows,
        mean: impl Fn(usize) -> f32,
        plain: &mut [f64],
        along: &mut [f64],
    ) {
        plain.fill(0.0);
        along.fill(0.0);
        if self.plane > 1 {
            for row in 0..rows.count() {
                let (x, g) = (rows.row(row), gradients.row(row));
                for channel in 0..self.count {
                    let plane = channel * self.plane..(channel + 1) * self.plane;
                    let (x, g, mean) = (&x[plane.clone()], &g[plane], mean(channel));
                    for (x, g) in x.chunks(BLOCK).zip(g.chunks(BLOCK)) {
                        let (of_block, along_block) = wide_sums(g, x, |g, x| g * (x - mean));
                        plain[channel] += of_block;
                        along[channel] += along_block;
                    }
                }
            }
            return;
        }
        for first in (0..self.count).step_by(LANES) {
            let width = LANES.min(self.count - first);
            let mut near = [0.0; LANES];
            for (lane, near) in near.iter_mut().take(width).enumerate() {
                *near = mean(first + lane);
            }
            let (mut of_block, mut along_block) = ([0.0; LANES], [0.0; LANES]);
            for row in 0..rows.count() {
                let steps = rows.row(row).chunks_exact(self.count);
                let steps = steps.zip(gradients.row(row).chunks_exact(self.count));
                for (x, g) in steps {
                    let (x, g) = (&x[first..first + width], &g[first..first + width]);
                    each_lane(&mut of_block, |lane| f64::from(g[lane]), width);
                    let product = |lane: usize| f64::from(g[lane] * (x[lane] - near[lane]));
                    each_lane(&mut along_block, product, width);
                }
            }
            plain[first..first + width].copy_from_slice(&of_block[..width]);
            along[first..first + width].copy_from_slice(&along_block[..width]);
        }
    }

    /// Replaces each value of `y`, the first of a row, by `f` of itself, of the two values at its place
    /// and of its channel's four factors. To be inlined into a task.
    #[inline(always)]
    pub fn combine(
        self,
        y: &mut [f32],
        [a, b]: [&[f32]; 2],
        factors: [&[f32]; 4],
        f: impl Fn(f32, [f32; 2], [f32; 4]) -> f32,
    ) {
        let size = self.count * self.plane;
        let (a, b) = (a.chunks_exact(size), b.chunks_exact(size));
        for ((y, a), b) in y.chunks_exact_mut(size).zip(a).zip(b) {
            let [p, q, r, s] = factors.map(|factor| &factor[..self.count]);
            if self.plane == 1 {
                let (a, b) = (&a[..self.count], &b[..self.count]);
                for (i, y) in y.iter_mut().enumerate().take(self.count) {
                    *y = f(*y, [a[i], b[i]], [p[i], q[i], r[i], s[i]]);
                }
                continue;
            }
            let planes = y.chunks_exact_mut(self.plane).enumerate();
            let sources = a.chunks_exact(self.plane).zip(b.chunks_exact(self.plane));
            for ((channel, y), (a, b)) in planes.zip(sources) {
                let factors = [p[channel], q[channel], r[channel], s[channel]];
                for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                    *y = f(*y, [*a, *b], factors);
                }
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

/// The mean of `f` of each value.
#[inline(always)]
fn mean_of(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let blocks = x.chunks(BLOCK).map(|block| wide_sum(block, &f));
    blocks.sum::<f64>() / x.len() as f64
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

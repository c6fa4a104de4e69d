//! The largest or the mean value of each window over a plane of values.
//!
//! A channel of an image is such a plane; a sequence is one of steps × features, whose windows are
//! one feature wide. What does not lie on the plane is no candidate for the largest value. Ties go
//! to the window's first value, in rows then columns, as in PyTorch; NaN is larger than any number.

use crate::nn::kernels::convolution::Axis;
use crate::nn::kernels::processor::{Processor, Task};

/// What is taken of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// The largest value.
    Largest,
    /// The mean of the values on the plane.
    Mean,
    /// The sum of the values on the plane by the window's size, as if padding were zeros.
    PaddedMean,
}

/// Windows over a plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    pub rows: Axis,
    pub columns: Axis,
    pub take: Take,
}

impl Plane {
    /// Values of a plane.
    pub fn inputs(&self) -> usize {
        self.rows.input * self.columns.input
    }

    /// Windows of a plane.
    pub fn outputs(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// The windows' values, for several planes one after another.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        Processor::detect().run(ForwardPlanes { plane: self, x, y });
    }

    /// Adds to `dx` the gradient that `dy` gives, for several planes; or, without `add`, replaces
    /// it. `x` and `y` are as in the forward pass, `remaining` has room for a line of the output.
    pub fn backward(
        &self,
        (x, y): (&[f32], &[f32]),
        dy: &[f32],
        dx: &mut [f32],
        add: bool,
        remaining: &mut [f32],
    ) {
        Processor::detect().run(BackwardPlanes {
            plane: self,
            x,
            y,
            dy,
            dx,
            add,
            remaining,
        });
    }

    /// Whether the plane is cut into squares of 2 × 2: by far the commonest pooling.
    fn is_halving(&self) -> bool {
        let halves = |axis: &Axis| axis.kernel == 2 && axis.stride == 2 && axis.before == 0;
        let inside = |axis: &Axis| axis.output * 2 <= axis.input;
        [self.rows, self.columns]
            .iter()
            .all(|axis| halves(axis) && inside(axis))
    }

    /// Calls `each` for every tap that a line of windows has on the plane: with the plane's line,
    /// the windows whose tap lies on it, and the column of the first.
    #[inline(always)]
    fn taps(&self, line: usize, mut each: impl FnMut(usize, std::ops::Range<usize>, usize)) {
        let Axis {
            input,
            kernel,
            stride,
            dilation,
            before,
            ..
        } = self.rows;
        for tap in 0..kernel {
            let at = line * stride + tap * dilation;
            if let Some(row) = at.checked_sub(before).filter(|row| *row < input) {
                for column in 0..self.columns.kernel {
                    let (windows, first) = self.columns.inside(column);
                    each(row, windows, first);
                }
            }
        }
    }

    /// Divides a line of sums by what their windows count.
    #[inline(always)]
    fn divide(&self, line: usize, sums: &mut [f32]) {
        match self.take {
            Take::Largest => {}
            Take::PaddedMean => {
                let count = (self.rows.kernel * self.columns.kernel) as f32;
                sums.iter_mut().for_each(|sum| *sum /= count);
            }
            Take::Mean => {
                let lines = taps_inside(self.rows, line);
                for (window, sum) in sums.iter_mut().enumerate() {
                    *sum /= (lines * taps_inside(self.columns, window)).max(1) as f32;
                }
            }
        }
    }
}

/// How many of a window's taps are values.
#[inline(always)]
fn taps_inside(axis: Axis, window: usize) -> usize {
    let at = window * axis.stride;
    let first = axis.before.saturating_sub(at).div_ceil(axis.dilation);
    let room = (axis.input + axis.before).saturating_sub(at);
    let end = room.div_ceil(axis.dilation).min(axis.kernel);
    end.saturating_sub(first)
}

#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// Combines each value with every `stride`th one of `x`.
#[inline(always)]
fn combine(y: &mut [f32], x: &[f32], stride: usize, with: impl Fn(f32, f32) -> f32) {
    if stride == 1 {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = with(*y, *x));
    } else {
        let x = x.iter().step_by(stride);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = with(*y, *x));
    }
}

struct ForwardPlanes<'a> {
    plane: &'a Plane,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for ForwardPlanes<'_> {
    #[inline(always)]
    fn run(self) {
        let plane = self.plane;
        let (width, columns) = (plane.columns.input, plane.columns);
        let planes = self
            .x
            .chunks_exact(plane.inputs().max(1))
            .zip(self.y.chunks_exact_mut(plane.outputs().max(1)));
        for (x, y) in planes {
            for (line, y) in y.chunks_exact_mut(columns.output).enumerate() {
                match plane.take {
                    Take::Largest if plane.is_halving() => {
                        let (upper, lower) = x[2 * line * width..][..2 * width].split_at(width);
                        let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
                        for ((y, [a, b]), [c, d]) in y.iter_mut().zip(upper).zip(lower) {
                            *y = larger(larger(larger(*a, *b), *c), *d);
                        }
                    }
                    Take::Largest => {
                        y.fill(f32::NEG_INFINITY);
                        plane.taps(line, |row, windows, first| {
                            let x = &x[row * width + first..];
                            combine(&mut y[windows], x, columns.stride, larger);
                        });
                    }
                    Take::Mean | Take::PaddedMean => {
                        y.fill(0.0);
                        plane.taps(line, |row, windows, first| {
                            let x = &x[row * width + first..];
                            combine(&mut y[windows], x, columns.stride, |y, x| y + x);
                        });
                        plane.divide(line, y);
                    }
                }
            }
        }
    }
}

struct BackwardPlanes<'a> {
    plane: &'a Plane,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    add: bool,
    remaining: &'a mut [f32],
}

impl Task for BackwardPlanes<'_> {
    #[inline(always)]
    fn run(self) {
        let plane = self.plane;
        let columns = plane.columns;
        let (inputs, outputs) = (plane.inputs().max(1), plane.outputs().max(1));
        let halving = plane.take == Take::Largest && plane.is_halving();
        let covered = halving
            && plane.rows.output * 2 == plane.rows.input
            && columns.output * 2 == columns.input;
        if !self.add && !covered {
            self.dx.fill(0.0);
        }
        let remaining = &mut self.remaining[..columns.output];
        for (i, dx) in self.dx.chunks_exact_mut(inputs).enumerate() {
            let x = &self.x[i * inputs..][..inputs];
            let y = &self.y[i * outputs..][..outputs];
            let dy = &self.dy[i * outputs..][..outputs];
            let lines = y
                .chunks_exact(columns.output)
                .zip(dy.chunks_exact(columns.output));
            for (line, (y, dy)) in lines.enumerate() {
                if halving {
                    let size = columns.input;
                    let (upper, lower) = dx[2 * line * size..][..2 * size].split_at_mut(size);
                    let (x_upper, x_lower) = x[2 * line * size..][..2 * size].split_at(size);
                    let add = self.add || !covered;
                    halve(x_upper, x_lower, y, dy, upper, lower, add);
                    continue;
                }
                remaining.copy_from_slice(dy);
                plane.divide(line, remaining);
                plane.taps(line, |row, windows, first| {
                    let places = row * columns.input + first;
                    let dx = dx[places..].iter_mut().step_by(columns.stride);
                    let left = remaining[windows.clone()].iter_mut();
                    if plane.take == Take::Largest {
                        let x = x[places..].iter().step_by(columns.stride);
                        for (((dx, x), y), left) in dx.zip(x).zip(&y[windows]).zip(left) {
                            let taken = if x == y { *left } else { 0.0 };
                            *dx += taken;
                            *left -= taken;
                        }
                    } else {
                        dx.zip(left).for_each(|(dx, left)| *dx += *left);
                    }
                });
            }
        }
    }
}

/// A line of squares' gradients: each goes to the square's first largest value.
#[inline(always)]
fn halve(
    x_upper: &[f32],
    x_lower: &[f32],
    y: &[f32],
    dy: &[f32],
    dx_upper: &mut [f32],
    dx_lower: &mut [f32],
    add: bool,
) {
    let x = x_upper
        .as_chunks::<2>()
        .0
        .iter()
        .zip(x_lower.as_chunks::<2>().0);
    let dx = dx_upper
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(dx_lower.as_chunks_mut::<2>().0);
    let squares = x.zip(dx).zip(y.iter().zip(dy));
    let shares = |upper: &[f32; 2], lower: &[f32; 2], y: f32, dy: f32| {
        let share = |x: f32, left: f32| if x == y { left } else { 0.0 };
        let a = share(upper[0], dy);
        let left = if upper[0] == y { 0.0 } else { dy };
        let b = share(upper[1], left);
        let left = if upper[1] == y { 0.0 } else { left };
        let c = share(lower[0], left);
        let left = if lower[0] == y { 0.0 } else { left };
        let d = share(lower[1], left);
        [a, b, c, d]
    };
    if add {
        for (((x_upper, x_lower), (upper, lower)), (y, dy)) in squares {
            let [a, b, c, d] = shares(x_upper, x_lower, *y, *dy);
            *upper = [upper[0] + a, upper[1] + b];
            *lower = [lower[0] + c, lower[1] + d];
        }
    } else {
        for (((x_upper, x_lower), (upper, lower)), (y, dy)) in squares {
            let [a, b, c, d] = shares(x_upper, x_lower, *y, *dy);
            *upper = [a, b];
            *lower = [c, d];
        }
    }
}

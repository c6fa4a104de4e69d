//! Statistics of a column in one pass, with memory that does not grow with the rows.
//!
//! Everything depends on the values and their order only, never on how the rows were cut into
//! blocks, so that a training from memory and one from a file fit the same numbers.

use crate::features::hash::mix;
use crate::nn::processor::{Processor, Task};

/// Values gathered before they enter the running sums.
const CHUNK: usize = 256;

/// Lanes of the sums within a chunk: value i goes to lane i mod 8, and the lanes are halved.
const LANES: usize = 8;

/// Combines the lanes, the upper half with the lower one, until one value is left.
#[inline(always)]
fn halved(mut lanes: [f64; LANES], combine: impl Fn(f64, f64) -> f64) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// The extremes of values, infinite ones included, and how many are none.
#[derive(Clone, Copy, Debug)]
pub(in crate::features) struct Range {
    pub low: f64,
    pub high: f64,
    /// NaN values, which are in neither.
    pub missing: u64,
}

impl Range {
    pub fn of(values: &[f64]) -> Range {
        let mut range = Range {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            missing: 0,
        };
        Processor::detect().run(FindRange {
            values,
            range: &mut range,
        });
        range
    }

    /// Whether all of them are finite.
    pub fn is_finite(&self) -> bool {
        self.missing == 0 && self.low > f64::NEG_INFINITY && self.high < f64::INFINITY
    }
}

struct FindRange<'a> {
    values: &'a [f64],
    range: &'a mut Range,
}

impl Task for FindRange<'_> {
    #[inline(always)]
    fn run(self) {
        let (mut lows, mut highs) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        let mut missing = [0_u64; LANES];
        let (blocks, rest) = self.values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lows[i] = smaller(lows[i], block[i]);
                highs[i] = larger(highs[i], block[i]);
                missing[i] += u64::from(block[i].is_nan());
            }
        }
        for (i, &value) in rest.iter().enumerate() {
            lows[i] = smaller(lows[i], value);
            highs[i] = larger(highs[i], value);
            missing[i] += u64::from(value.is_nan());
        }
        *self.range = Range {
            low: halved(lows, smaller),
            high: halved(highs, larger),
            missing: missing.iter().sum(),
        };
    }
}

/// The moments of a chunk of finite values, at least one.
#[derive(Clone, Copy, Debug, Default)]
struct ChunkMoments {
    count: f64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    low: f64,
    high: f64,
}

impl ChunkMoments {
    fn of(chunk: &[f64]) -> ChunkMoments {
        let mut moments = ChunkMoments::default();
        Processor::detect().run(FindMoments {
            chunk,
            moments: &mut moments,
        });
        moments
    }
}

struct FindMoments<'a> {
    chunk: &'a [f64],
    moments: &'a mut ChunkMoments,
}

impl Task for FindMoments<'_> {
    #[inline(always)]
    fn run(self) {
        let (blocks, rest) = self.chunk.as_chunks::<LANES>();
        let n = self.chunk.len() as f64;
        let share = 1.0 / n;
        // Relative to the first value, so that large numbers close together keep their digits.
        let shift = self.chunk[0];
        let (mut lows, mut highs) = ([shift; LANES], [shift; LANES]);
        let mut sums = [0.0; LANES];
        for block in blocks {
            for i in 0..LANES {
                sums[i] += (block[i] - shift) * share;
                lows[i] = smaller(lows[i], block[i]);
                highs[i] = larger(highs[i], block[i]);
            }
        }
        for (i, &x) in rest.iter().enumerate() {
            sums[i] += (x - shift) * share;
            lows[i] = smaller(lows[i], x);
            highs[i] = larger(highs[i], x);
        }
        let mean = shift + halved(sums, |a, b| a + b);
        let mut squares = [0.0; LANES];
        for block in blocks {
            for i in 0..LANES {
                squares[i] += (block[i] - mean) * (block[i] - mean);
            }
        }
        for (i, &x) in rest.iter().enumerate() {
            squares[i] += (x - mean) * (x - mean);
        }
        *self.moments = ChunkMoments {
            count: n,
            mean,
            squares: halved(squares, |a, b| a + b),
            low: halved(lows, smaller),
            high: halved(highs, larger),
        };
    }
}

/// Count, mean, variance, minimum and maximum.
///
/// Mean and squared deviations are taken within chunks of 256 values and joined by the formula of
/// Chan, Golub and LeVeque (1979), which neither overflows nor cancels.
#[derive(Clone, Debug)]
pub(in crate::features) struct Moments {
    chunk: Vec<f64>,
    count: f64,
    mean: f64,
    squares: f64,
    pub low: f64,
    pub high: f64,
    /// NaN values.
    pub missing: u64,
    /// Values of plus or minus infinity, which enter nothing else.
    pub infinite: u64,
}

impl Moments {
    pub fn new() -> Moments {
        Moments {
            chunk: Vec::with_capacity(CHUNK),
            count: 0.0,
            mean: 0.0,
            squares: 0.0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            missing: 0,
            infinite: 0,
        }
    }

    /// Takes in one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            if value.is_nan() {
                self.missing += 1;
            } else {
                self.infinite += 1;
            }
            return;
        }
        self.chunk.push(value);
        if self.chunk.len() == CHUNK {
            self.join_own();
        }
    }

    /// Takes in values one after the other.
    pub fn add_all(&mut self, mut values: &[f64]) {
        if !Range::of(values).is_finite() {
            values.iter().for_each(|&value| self.add(value));
            return;
        }
        while !values.is_empty() {
            if self.chunk.is_empty() && values.len() >= CHUNK {
                let (chunk, rest) = values.split_at(CHUNK);
                self.join(ChunkMoments::of(chunk));
                values = rest;
            } else {
                let (some, rest) = values.split_at(values.len().min(CHUNK - self.chunk.len()));
                self.chunk.extend_from_slice(some);
                values = rest;
                if self.chunk.len() == CHUNK {
                    self.join_own();
                }
            }
        }
    }

    fn join_own(&mut self) {
        if !self.chunk.is_empty() {
            self.join(ChunkMoments::of(&self.chunk));
            self.chunk.clear();
        }
    }

    fn join(&mut self, chunk: ChunkMoments) {
        let n = chunk.count;
        let total = self.count + n;
        let delta = chunk.mean - self.mean;
        self.mean += delta * (n / total);
        self.squares += chunk.squares + delta * delta * (self.count / total * n);
        self.count = total;
        self.low = self.low.min(chunk.low);
        self.high = self.high.max(chunk.high);
    }

    /// Ends the sums and extremes. Call it once, after the last value.
    pub fn finish(&mut self) {
        self.join_own();
    }

    /// Finite values seen.
    pub fn count(&self) -> u64 {
        self.count as u64
    }

    /// The mean; 0 without values.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation of the values as a whole population, as scikit-learn takes it.
    pub fn deviation(&self) -> f64 {
        if self.count > 0.0 {
            (self.squares / self.count).sqrt()
        } else {
            0.0
        }
    }
}

/// Which of `total` training rows are sampled: all, or one from each of `size` equal stretches,
/// at a place that a hash chooses so that no period in the data is hit.
#[derive(Clone, Debug)]
pub(in crate::features) struct Sample {
    total: u64,
    size: u64,
    cell: u64,
    next: u64,
}

impl Sample {
    pub fn new(total: usize, size: usize) -> Sample {
        let mut sample = Sample {
            total: total as u64,
            size: size.min(total) as u64,
            cell: 0,
            next: 0,
        };
        sample.next = sample.place(0);
        sample
    }

    fn place(&self, cell: u64) -> u64 {
        if cell >= self.size {
            return u64::MAX;
        }
        let bound =
            |cell: u64| (u128::from(cell) * u128::from(self.total) / u128::from(self.size)) as u64;
        let (start, end) = (bound(cell), bound(cell + 1));
        start + mix(cell + 1) % (end - start).max(1)
    }

    /// Whether the training row of this ordinal is in. Ordinals must be asked in order.
    #[inline]
    pub fn takes(&mut self, ordinal: u64) -> bool {
        self.next_before(ordinal + 1).is_some()
    }

    /// The next training row that is in, if it comes before this ordinal.
    #[inline]
    pub fn next_before(&mut self, end: u64) -> Option<u64> {
        let next = self.next;
        if next >= end {
            return None;
        }
        self.cell += 1;
        self.next = self.place(self.cell);
        Some(next)
    }
}

/// The quantile of sorted values, interpolated linearly as numpy and scikit-learn do;
/// `None` without values.
pub(in crate::features) fn quantile<T: Copy + Into<f64>>(sorted: &[T], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let fraction = place - below as f64;
    let (a, b) = (sorted[below].into(), sorted[above].into());
    // The difference of two huge values of opposite sign overflows, their weighted sum does not.
    let value = if (b - a).is_finite() {
        a + (b - a) * fraction
    } else {
        a * (1.0 - fraction) + b * fraction
    };
    Some(value)
}

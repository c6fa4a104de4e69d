//! Statistics of a column in one pass, with memory that does not grow with the rows.
//!
//! Everything depends on the values and their order only, never on how the rows were cut into
//! blocks, so that a training from memory and one from a file fit the same numbers.

use super::hash::mix;

/// Values gathered before they enter the running sums.
const CHUNK: usize = 256;

/// Count, mean, variance, minimum and maximum.
///
/// Mean and squared deviations are taken within chunks of 256 values and joined by the formula of
/// Chan, Golub and LeVeque (1979), which neither overflows nor cancels.
#[derive(Clone, Debug)]
pub(super) struct Moments {
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
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        self.chunk.push(value);
        if self.chunk.len() == CHUNK {
            self.join();
        }
    }

    fn join(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let n = self.chunk.len() as f64;
        // Relative to the first value, so that large numbers close together keep their digits.
        let shift = self.chunk[0];
        let mean = shift + self.chunk.iter().map(|x| (x - shift) / n).sum::<f64>();
        let squares: f64 = self.chunk.iter().map(|x| (x - mean) * (x - mean)).sum();
        self.chunk.clear();
        let total = self.count + n;
        let delta = mean - self.mean;
        self.mean += delta * (n / total);
        self.squares += squares + delta * delta * (self.count / total * n);
        self.count = total;
    }

    /// Ends the sums. Call it once, after the last value.
    pub fn finish(&mut self) {
        self.join();
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
pub(super) struct Sample {
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
        if ordinal != self.next {
            return false;
        }
        self.cell += 1;
        self.next = self.place(self.cell);
        true
    }
}

/// The quantile of sorted values, interpolated linearly as numpy and scikit-learn do;
/// `None` without values.
pub(super) fn quantile<T: Copy + Into<f64>>(sorted: &[T], q: f64) -> Option<f64> {
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

//! Log-loss and Brier score: how good probabilities are as probabilities.

use super::{Accumulator, Error, Sum, Words};

fn probability(metric: &'static str, score: f64) -> Result<f64, Error> {
    // NaN passes and makes the metric NaN, as in the ranking metrics.
    if !score.is_nan() && !(0.0..=1.0).contains(&score) {
        return Err(Error::NotAProbability { metric, score });
    }
    Ok(score)
}

/// Mean of `-ln p`, `p` being the probability given to what came true.
///
/// `p` is clipped to `ε … 1 - ε` with `ε` = 2⁻⁵², scikit-learn's rule for f64, so that one certain
/// and wrong row costs 36 and not infinity.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LogLoss {
    rows: u64,
    sum: Sum,
}

impl LogLoss {
    /// Takes in a row by the probability that was given to its actual class.
    pub fn push_probability(&mut self, p: f64) -> Result<(), Error> {
        let p = probability(Self::NAME, p)?;
        self.sum
            .add(-p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln());
        self.rows += 1;
        Ok(())
    }
}

impl Accumulator for LogLoss {
    type Actual = bool;
    const NAME: &'static str = "log_loss";

    fn push(&mut self, predicted: f64, actual: bool) -> Result<(), Error> {
        let p = probability(Self::NAME, predicted)?;
        self.push_probability(if actual { p } else { 1.0 - p })
    }

    fn merge(&mut self, other: &LogLoss) {
        self.rows += other.rows;
        self.sum.merge(&other.sum);
    }

    fn value(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.sum.value() / self.rows as f64)
    }

    fn to_words(&self) -> Words {
        let [high, low] = self.sum.to_words();
        [self.rows, high, low, 0, 0, 0, 0, 0, 0]
    }

    fn from_words(words: &Words) -> LogLoss {
        LogLoss {
            rows: words[0],
            sum: Sum::from_words(words[1], words[2]),
        }
    }
}

/// Mean squared distance between the probability and what came true (0 or 1).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Brier {
    rows: u64,
    sum: Sum,
}

impl Accumulator for Brier {
    type Actual = bool;
    const NAME: &'static str = "brier";

    fn push(&mut self, predicted: f64, actual: bool) -> Result<(), Error> {
        let distance = probability(Self::NAME, predicted)? - f64::from(u8::from(actual));
        self.sum.add_product(distance, distance);
        self.rows += 1;
        Ok(())
    }

    fn merge(&mut self, other: &Brier) {
        self.rows += other.rows;
        self.sum.merge(&other.sum);
    }

    fn value(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.sum.value() / self.rows as f64)
    }

    fn to_words(&self) -> Words {
        let [high, low] = self.sum.to_words();
        [self.rows, high, low, 0, 0, 0, 0, 0, 0]
    }

    fn from_words(words: &Words) -> Brier {
        Brier {
            rows: words[0],
            sum: Sum::from_words(words[1], words[2]),
        }
    }
}

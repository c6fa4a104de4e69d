//! Log-loss and Brier score: how good probabilities are as probabilities.

use super::mean::Mean;
use super::{Accumulator, Error, Words};

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
pub struct LogLoss(Mean);

impl LogLoss {
    /// Takes in a row by the probability that was given to its actual class.
    pub fn push_probability(&mut self, p: f64) -> Result<(), Error> {
        let p = probability(Self::NAME, p)?;
        self.0.add(-p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln());
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
        self.0.merge(&other.0);
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }

    fn to_words(&self) -> Words {
        self.0.to_words()
    }

    fn from_words(words: &Words) -> LogLoss {
        LogLoss(Mean::from_words(words))
    }
}

/// Mean squared distance between the probability and what came true (0 or 1).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Brier(Mean);

impl Accumulator for Brier {
    type Actual = bool;
    const NAME: &'static str = "brier";

    fn push(&mut self, predicted: f64, actual: bool) -> Result<(), Error> {
        let distance = probability(Self::NAME, predicted)? - f64::from(u8::from(actual));
        self.0.add_square(distance);
        Ok(())
    }

    fn merge(&mut self, other: &Brier) {
        self.0.merge(&other.0);
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }

    fn to_words(&self) -> Words {
        self.0.to_words()
    }

    fn from_words(words: &Words) -> Brier {
        Brier(Mean::from_words(words))
    }
}

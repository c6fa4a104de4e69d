//! Log-loss and Brier score: how good probabilities are as probabilities.

use super::mean::Mean;
use super::{Accumulator, Error, Words};

fn probability(score: f64) -> Result<f64, Error> {
    // NaN passes and makes the metric NaN, as in the ranking metrics.
    if !score.is_nan() && !(0.0..=1.0).contains(&score) {
        return Err(Error::NotAProbability { score });
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
        let p = probability(p)?;
        self.0.add(-p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln());
        Ok(())
    }

    /// Takes in a row by the probability of true, and what came true.
    pub fn push(&mut self, predicted: f64, actual: bool) -> Result<(), Error> {
        let p = probability(predicted)?;
        self.push_probability(if actual { p } else { 1.0 - p })
    }

    /// Takes in a row by the probability of true, and the share of true.
    ///
    /// # Errors
    /// [`Error::NotAProbability`], and [`Error::NotAShare`] of the share.
    pub fn push_share(&mut self, predicted: f64, share: f64) -> Result<(), Error> {
        let p = probability(predicted)?.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        let share = probability(share).map_err(|_| Error::NotAShare { actual: share })?;
        self.0.add(-(share * p.ln() + (1.0 - share) * (-p).ln_1p()));
        Ok(())
    }

    /// Takes in all rows of another.
    pub fn merge(&mut self, other: &LogLoss) {
        self.0.merge(&other.0);
    }

    /// The mean; `None` of no rows.
    pub fn value(&self) -> Option<f64> {
        self.0.value()
    }
}

/// How far probabilities are from what came true, for log_loss and brier.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Probabilities {
    log_loss: LogLoss,
    squared: Mean,
}

impl Probabilities {
    /// Mean negative log-likelihood; see [`LogLoss`].
    pub fn log_loss(&self) -> Option<f64> {
        self.log_loss.value()
    }

    /// Mean squared distance between the probability and what came true (0 or 1).
    pub fn brier(&self) -> Option<f64> {
        self.squared.value()
    }
}

impl Accumulator for Probabilities {
    type Actual = bool;

    fn push(&mut self, predicted: f64, actual: bool) -> Result<(), Error> {
        self.log_loss.push(predicted, actual)?;
        self.squared
            .add_square(predicted - f64::from(u8::from(actual)));
        Ok(())
    }

    fn merge(&mut self, other: &Probabilities) {
        self.log_loss.merge(&other.log_loss);
        self.squared.merge(&other.squared);
    }

    fn to_words(&self) -> Words {
        let mut words = Words::default();
        words[..3].copy_from_slice(&self.log_loss.0.to_words());
        words[3..6].copy_from_slice(&self.squared.to_words());
        words
    }

    fn from_words(words: &Words) -> Probabilities {
        Probabilities {
            log_loss: LogLoss(Mean::from_words(&[words[0], words[1], words[2]])),
            squared: Mean::from_words(&[words[3], words[4], words[5]]),
        }
    }
}

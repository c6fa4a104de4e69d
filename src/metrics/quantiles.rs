//! How good quantiles are.

use std::borrow::Cow;

use super::mean::Mean;

/// The pinball loss and the coverage of the quantiles of a number, in one pass and constant memory.
#[derive(Debug, Clone)]
pub struct Quantiles {
    quantiles: Vec<f64>,
    /// Of each quantile its loss.
    pinball: Vec<Mean>,
    /// Of each quantile how many actual values are not above it.
    covered: Vec<u64>,
    rows: u64,
}

impl Quantiles {
    /// No rows yet, of predictions of these quantiles.
    pub fn new(quantiles: &[f64]) -> Quantiles {
        Quantiles {
            quantiles: quantiles.to_vec(),
            pinball: vec![Mean::default(); quantiles.len()],
            covered: vec![0; quantiles.len()],
            rows: 0,
        }
    }

    /// Takes one row in: a prediction for each quantile, and the actual value.
    pub fn push(&mut self, predicted: impl Iterator<Item = f64>, actual: f64) {
        let each = self.quantiles.iter().zip(&mut self.pinball);
        for (((quantile, pinball), covered), predicted) in
            each.zip(&mut self.covered).zip(predicted)
        {
            let above = actual - predicted;
            pinball.add((quantile * above).max((quantile - 1.0) * above));
            *covered += u64::from(actual <= predicted);
        }
        self.rows += 1;
    }

    /// Takes in all rows of another of the same quantiles.
    pub fn merge(&mut self, other: &Quantiles) {
        let losses = self.pinball.iter_mut().zip(&other.pinball);
        losses.for_each(|(own, more)| own.merge(more));
        let counts = self.covered.iter_mut().zip(&other.covered);
        counts.for_each(|(own, more)| *own += more);
        self.rows += other.rows;
    }

    /// pinball (the mean of the quantiles' losses, each max(q (y − p), (q − 1) (y − p)) on average,
    /// scikit-learn's `mean_pinball_loss`), and for each quantile q coverage_q: the share of the
    /// rows whose actual value is not above it, which is q where the quantile is right.
    pub fn finish(&self) -> Vec<(Cow<'static, str>, Option<f64>)> {
        let losses: Option<Vec<f64>> = self.pinball.iter().map(Mean::value).collect();
        let pinball = losses
            .filter(|losses| !losses.is_empty())
            .map(|losses| losses.iter().fold(0.0, |sum, loss| sum + loss) / losses.len() as f64);
        let rows = self.rows as f64;
        let coverages = self.quantiles.iter().zip(&self.covered);
        let coverages = coverages.map(|(quantile, covered)| {
            let share = (self.rows > 0).then(|| *covered as f64 / rows);
            (format!("coverage_{quantile}").into(), share)
        });
        std::iter::once(("pinball".into(), pinball))
            .chain(coverages)
            .collect()
    }
}

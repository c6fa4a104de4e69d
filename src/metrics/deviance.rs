//! How far means are from numbers whose variance grows with their mean, and from shares.

use super::probability::LogLoss;
use super::{Error, Regression, Sum};

/// The mean deviance, and the share of it that the predictions explain, of Tweedie's distributions
/// whose variance is as the mean to a power from 1 (Poisson's) to 2 (the gamma distribution).
/// scikit-learn's `mean_tweedie_deviance` and `d2_tweedie_score`, with a weight for each row.
#[derive(Debug, Clone, Copy)]
pub struct Deviance {
    power: f64,
    rows: u64,
    weights: Sum,
    /// The weighted numbers, and what of their deviance does not depend on the mean.
    weighted: Sum,
    own: Sum,
    deviance: Sum,
    smallest: f64,
    largest: f64,
}

impl Deviance {
    /// No rows yet.
    pub fn new(power: f64) -> Deviance {
        Deviance {
            power,
            rows: 0,
            weights: Sum::default(),
            weighted: Sum::default(),
            own: Sum::default(),
            deviance: Sum::default(),
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
        }
    }

    /// Takes one row in: the predicted mean, which is above 0, the number, and what the row weighs.
    ///
    /// # Errors
    /// A number that has no deviance: below 0, infinite, or 0 where the power is 2.
    pub fn push(&mut self, predicted: f64, actual: f64, weight: f64) -> Result<(), Error> {
        if actual < 0.0 || actual == f64::INFINITY || (actual == 0.0 && self.power >= 2.0) {
            return Err(Error::NoDeviance { actual });
        }
        let own = self.own_part(actual);
        self.rows += 1;
        self.weights.add(weight);
        self.weighted.add(weight * actual);
        self.own.add(weight * own);
        self.deviance
            .add(weight * 2.0 * (own + self.mean_part(predicted, actual)));
        self.smallest = self.smallest.min(actual);
        self.largest = self.largest.max(actual);
        Ok(())
    }

    /// What of half a number's deviance depends on the number alone.
    fn own_part(&self, actual: f64) -> f64 {
        match self.power {
            1.0 if actual == 0.0 => 0.0,
            1.0 => actual * actual.ln() - actual,
            2.0 => -actual.ln() - 1.0,
            p => actual.powf(2.0 - p) / ((1.0 - p) * (2.0 - p)),
        }
    }

    /// What depends on the mean: linear in the number.
    fn mean_part(&self, mean: f64, actual: f64) -> f64 {
        match self.power {
            1.0 if actual == 0.0 => mean,
            1.0 => mean - actual * mean.ln(),
            2.0 => actual / mean + mean.ln(),
            p => mean.powf(2.0 - p) / (2.0 - p) - actual * mean.powf(1.0 - p) / (1.0 - p),
        }
    }

    /// Takes in all rows of another of the same power.
    pub fn merge(&mut self, other: &Deviance) {
        self.rows += other.rows;
        self.weights.merge(&other.weights);
        self.weighted.merge(&other.weighted);
        self.own.merge(&other.own);
        self.deviance.merge(&other.deviance);
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
    }

    /// The mean; `None` of no rows.
    pub fn mean(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.deviance.value() / self.weights.value())
    }

    /// One minus the deviance's share of that from the best constant mean. Where the numbers do not
    /// vary it is 1 for perfect predictions and else 0; of fewer than two rows it is `None`.
    pub fn d2(&self) -> Option<f64> {
        if self.rows < 2 {
            return None;
        }
        let deviance = self.deviance.value();
        if self.smallest == self.largest {
            return Some(if deviance == 0.0 { 1.0 } else { 0.0 });
        }
        let (weights, weighted) = (self.weights.value(), self.weighted.value());
        let mean = weighted / weights;
        // The part that depends on the mean is linear in the number, so that of a constant mean it is
        // that of the mean number, for each row alike.
        let constant = 2.0 * (self.own.value() + weights * self.mean_part(mean, mean));
        Some(1.0 - deviance / constant)
    }

    /// The name of the mean.
    pub fn name(&self) -> &'static str {
        match self.power {
            1.0 => "poisson_deviance",
            2.0 => "gamma_deviance",
            _ => "tweedie_deviance",
        }
    }
}

/// All metrics of means learnt through their logarithm.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    regression: Regression,
    deviance: Deviance,
}

impl Means {
    /// No rows yet; see [`Deviance`] about the power.
    pub fn new(power: f64) -> Means {
        Means {
            regression: Regression::default(),
            deviance: Deviance::new(power),
        }
    }

    /// Takes one row in: the predicted mean for 1 of the exposure, the number, over how much it is, and
    /// what a rate over so much weighs.
    ///
    /// # Errors
    /// As for [`Deviance::push`].
    pub fn push(
        &mut self,
        predicted: f64,
        actual: f64,
        exposure: f64,
        weight: f64,
    ) -> Result<(), Error> {
        self.deviance.push(predicted, actual / exposure, weight)?;
        self.regression.push(predicted * exposure, actual);
        Ok(())
    }

    /// Takes in all rows of another of the same power.
    pub fn merge(&mut self, other: &Means) {
        self.regression.merge(&other.regression);
        self.deviance.merge(&other.deviance);
    }

    /// Those of a regression, the mean deviance and d2, in this order.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        let mut all = self.regression.finish();
        all.push((self.deviance.name(), self.deviance.mean()));
        all.push(("d2", self.deviance.d2()));
        all
    }
}

/// All metrics of predicted shares.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shares {
    regression: Regression,
    log_loss: LogLoss,
}

impl Shares {
    /// Takes one row in.
    ///
    /// # Errors
    /// A prediction or a number that is not from 0 to 1.
    pub fn push(&mut self, predicted: f64, actual: f64) -> Result<(), Error> {
        self.log_loss.push_share(predicted, actual)?;
        self.regression.push(predicted, actual);
        Ok(())
    }

    /// Takes in all rows of another.
    pub fn merge(&mut self, other: &Shares) {
        self.regression.merge(&other.regression);
        self.log_loss.merge(&other.log_loss);
    }

    /// Those of a regression, and log_loss.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        let mut all = self.regression.finish();
        all.push(("log_loss", self.log_loss.value()));
        all
    }
}

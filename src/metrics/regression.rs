//! How far predicted numbers are from the actual ones.

use super::mean::Mean;
use super::{Accumulator, Error, Sum, Words};

/// Squared errors; as an [`Accumulator`] its value is their mean's root.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SquaredError(Mean);

impl SquaredError {
    /// The mean squared error.
    pub fn mean(&self) -> Option<f64> {
        self.0.value()
    }
}

impl Accumulator for SquaredError {
    type Actual = f64;
    const NAME: &'static str = "rmse";

    fn push(&mut self, predicted: f64, actual: f64) -> Result<(), Error> {
        self.0.add_square(predicted - actual);
        Ok(())
    }

    fn merge(&mut self, other: &SquaredError) {
        self.0.merge(&other.0);
    }

    fn value(&self) -> Option<f64> {
        self.mean().map(f64::sqrt)
    }

    fn to_words(&self) -> Words {
        self.0.to_words()
    }

    fn from_words(words: &Words) -> SquaredError {
        SquaredError(Mean::from_words(words))
    }
}

/// Mean absolute error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AbsoluteError(Mean);

impl Accumulator for AbsoluteError {
    type Actual = f64;
    const NAME: &'static str = "mae";

    fn push(&mut self, predicted: f64, actual: f64) -> Result<(), Error> {
        self.0.add((predicted - actual).abs());
        Ok(())
    }

    fn merge(&mut self, other: &AbsoluteError) {
        self.0.merge(&other.0);
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }

    fn to_words(&self) -> Words {
        self.0.to_words()
    }

    fn from_words(words: &Words) -> AbsoluteError {
        AbsoluteError(Mean::from_words(words))
    }
}

/// Coefficient of determination: one minus the squared errors' share of the actual values' variation.
///
/// Where the actual values do not vary it is 1 for perfect predictions and else 0, as in
/// scikit-learn; of fewer than two rows it is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct R2 {
    rows: u64,
    errors: Sum,
    sum: Sum,
    squares: Sum,
    smallest: f64,
    largest: f64,
}

impl Default for R2 {
    fn default() -> R2 {
        R2 {
            rows: 0,
            errors: Sum::default(),
            sum: Sum::default(),
            squares: Sum::default(),
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
        }
    }
}

impl Accumulator for R2 {
    type Actual = f64;
    const NAME: &'static str = "r2";

    fn push(&mut self, predicted: f64, actual: f64) -> Result<(), Error> {
        let error = predicted - actual;
        self.errors.add_product(error, error);
        self.sum.add(actual);
        self.squares.add_product(actual, actual);
        self.smallest = self.smallest.min(actual);
        self.largest = self.largest.max(actual);
        self.rows += 1;
        Ok(())
    }

    fn merge(&mut self, other: &R2) {
        self.rows += other.rows;
        self.errors.merge(&other.errors);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
    }

    fn value(&self) -> Option<f64> {
        if self.rows < 2 {
            return None;
        }
        let errors = self.errors.value();
        let sum = self.sum.value();
        if errors.is_finite() && sum.is_finite() && self.smallest == self.largest {
            return Some(if errors == 0.0 { 1.0 } else { 0.0 });
        }
        // The difference of two near sums: their 106 bits leave enough where f64 would not.
        let count = self.rows as f64;
        let variation = self
            .squares
            .minus(self.sum.squared().divided_by(count))
            .value();
        Some(1.0 - errors / variation)
    }

    fn to_words(&self) -> Words {
        let [e1, e2] = self.errors.to_words();
        let [s1, s2] = self.sum.to_words();
        let [q1, q2] = self.squares.to_words();
        [
            self.rows,
            e1,
            e2,
            s1,
            s2,
            q1,
            q2,
            self.smallest.to_bits(),
            self.largest.to_bits(),
        ]
    }

    fn from_words(words: &Words) -> R2 {
        R2 {
            rows: words[0],
            errors: Sum::from_words(words[1], words[2]),
            sum: Sum::from_words(words[3], words[4]),
            squares: Sum::from_words(words[5], words[6]),
            smallest: f64::from_bits(words[7]),
            largest: f64::from_bits(words[8]),
        }
    }
}

/// All metrics of a regression in one pass and constant memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Regression {
    squared: SquaredError,
    absolute: AbsoluteError,
    r2: R2,
    relative: Sum,
}

impl Regression {
    /// Takes one row in.
    pub fn push(&mut self, predicted: f64, actual: f64) {
        // None of the three can refuse a number.
        let _ = self.squared.push(predicted, actual);
        let _ = self.absolute.push(predicted, actual);
        let _ = self.r2.push(predicted, actual);
        // scikit-learn's floor, which keeps an actual value of 0 from giving infinity.
        self.relative
            .add((predicted - actual).abs() / actual.abs().max(f64::EPSILON));
    }

    /// Takes in all rows of another.
    pub fn merge(&mut self, other: &Regression) {
        self.squared.merge(&other.squared);
        self.absolute.merge(&other.absolute);
        self.r2.merge(&other.r2);
        self.relative.merge(&other.relative);
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.squared.0.rows()
    }

    /// mse, rmse, mae, r2 and mape (a fraction, not per cent), in this order.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        let rows = self.rows();
        vec![
            ("mse", self.squared.mean()),
            ("rmse", self.squared.value()),
            ("mae", self.absolute.value()),
            ("r2", self.r2.value()),
            (
                "mape",
                (rows > 0).then(|| self.relative.value() / rows as f64),
            ),
        ]
    }
}

//! How far predicted numbers are from the actual ones.

use super::{Accumulator, Error, Sum, Words};

/// Errors of predicted numbers, for rmse, mae and r2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    rows: u64,
    squared: Sum,
    absolute: Sum,
    /// Of the actual values: their sum, that of their squares, and their bounds.
    sum: Sum,
    squares: Sum,
    smallest: f64,
    largest: f64,
}

impl Default for Errors {
    fn default() -> Errors {
        Errors {
            rows: 0,
            squared: Sum::default(),
            absolute: Sum::default(),
            sum: Sum::default(),
            squares: Sum::default(),
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
        }
    }
}

impl Errors {
    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn mean(&self, sum: &Sum) -> Option<f64> {
        (self.rows > 0).then(|| sum.value() / self.rows as f64)
    }

    /// The mean squared error; `None` of no rows.
    pub fn mse(&self) -> Option<f64> {
        self.mean(&self.squared)
    }

    /// The mean squared error's root, in the unit of the target.
    pub fn rmse(&self) -> Option<f64> {
        self.mse().map(f64::sqrt)
    }

    /// The mean absolute error, in the unit of the target.
    pub fn mae(&self) -> Option<f64> {
        self.mean(&self.absolute)
    }

    /// Coefficient of determination: one minus the squared errors' share of the actual values'
    /// variation.
    ///
    /// Where the actual values do not vary it is 1 for perfect predictions and else 0, as in
    /// scikit-learn; of fewer than two rows it is `None`.
    pub fn r2(&self) -> Option<f64> {
        if self.rows < 2 {
            return None;
        }
        let errors = self.squared.value();
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
}

impl Accumulator for Errors {
    type Actual = f64;

    fn push(&mut self, predicted: f64, actual: f64) -> Result<(), Error> {
        let error = predicted - actual;
        self.squared.add_product(error, error);
        self.absolute.add(error.abs());
        self.sum.add(actual);
        self.squares.add_product(actual, actual);
        self.smallest = self.smallest.min(actual);
        self.largest = self.largest.max(actual);
        self.rows += 1;
        Ok(())
    }

    fn merge(&mut self, other: &Errors) {
        self.rows += other.rows;
        self.squared.merge(&other.squared);
        self.absolute.merge(&other.absolute);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
    }

    fn to_words(&self) -> Words {
        let mut words = Words::default();
        words[0] = self.rows;
        let sums = [self.squared, self.absolute, self.sum, self.squares];
        for (pair, sum) in words[1..9].as_chunks_mut().0.iter_mut().zip(sums) {
            *pair = sum.to_words();
        }
        words[9] = self.smallest.to_bits();
        words[10] = self.largest.to_bits();
        words
    }

    fn from_words(words: &Words) -> Errors {
        let sum = |at| Sum::from_words(words[at], words[at + 1]);
        Errors {
            rows: words[0],
            squared: sum(1),
            absolute: sum(3),
            sum: sum(5),
            squares: sum(7),
            smallest: f64::from_bits(words[9]),
            largest: f64::from_bits(words[10]),
        }
    }
}

/// All metrics of a regression in one pass and constant memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Regression {
    errors: Errors,
    relative: Sum,
}

impl Regression {
    /// Takes one row in.
    pub fn push(&mut self, predicted: f64, actual: f64) {
        // No number is refused.
        let _ = self.errors.push(predicted, actual);
        // scikit-learn's floor, which keeps an actual value of 0 from giving infinity.
        self.relative
            .add((predicted - actual).abs() / actual.abs().max(f64::EPSILON));
    }

    /// Takes in all rows of another.
    pub fn merge(&mut self, other: &Regression) {
        self.errors.merge(&other.errors);
        self.relative.merge(&other.relative);
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.errors.rows()
    }

    /// mse, rmse, mae, r2 and mape (a fraction, not per cent), in this order.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        vec![
            ("mse", self.errors.mse()),
            ("rmse", self.errors.rmse()),
            ("mae", self.errors.mae()),
            ("r2", self.errors.r2()),
            ("mape", self.errors.mean(&self.relative)),
        ]
    }
}

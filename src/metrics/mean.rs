//! A mean over rows.

use super::Sum;

/// A sum over rows and their number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Mean {
    rows: u64,
    sum: Sum,
}

impl Mean {
    /// Takes in a row's value.
    pub fn add(&mut self, value: f64) {
        self.sum.add(value);
        self.rows += 1;
    }

    /// Takes in the square of a row's value.
    pub fn add_square(&mut self, value: f64) {
        self.sum.add_product(value, value);
        self.rows += 1;
    }

    pub fn merge(&mut self, other: &Mean) {
        self.rows += other.rows;
        self.sum.merge(&other.sum);
    }

    /// The mean; `None` of no rows.
    pub fn value(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.sum.value() / self.rows as f64)
    }

    pub fn to_words(self) -> [u64; 3] {
        let [high, low] = self.sum.to_words();
        [self.rows, high, low]
    }

    pub fn from_words(words: &[u64; 3]) -> Mean {
        Mean {
            rows: words[0],
            sum: Sum::from_words(words[1], words[2]),
        }
    }
}

//! Sums in twice the precision of f64, after Dekker (1971) and Knuth's two-sum.

/// A running sum held as an unevaluated pair of f64, good to about 106 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    high: f64,
    low: f64,
}

/// The rounded sum and what rounding lost.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// The rounded product and what rounding lost.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

impl Sum {
    /// A sum that has one summand.
    pub fn of(value: f64) -> Sum {
        Sum {
            high: value,
            low: 0.0,
        }
    }

    fn renormalised(high: f64, low: f64) -> Sum {
        // Infinity and NaN stand for themselves: their error term would turn all into NaN.
        let sum = high + low;
        if !sum.is_finite() {
            return Sum::of(sum);
        }
        Sum {
            high: sum,
            low: low - (sum - high),
        }
    }

    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        let (sum, error) = two_sum(self.high, value);
        *self = if sum.is_finite() {
            Sum::renormalised(sum, self.low + error)
        } else {
            Sum::of(sum)
        };
    }

    /// Adds `a · b` without rounding the product first.
    pub fn add_product(&mut self, a: f64, b: f64) {
        let (product, error) = two_product(a, b);
        self.add(product);
        if product.is_finite() {
            self.add(error);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Sum) {
        self.add(other.high);
        self.add(other.low);
    }

    /// The square.
    pub fn squared(self) -> Sum {
        let (product, error) = two_product(self.high, self.high);
        if !product.is_finite() {
            return Sum::of(product);
        }
        Sum::renormalised(product, error + 2.0 * self.high * self.low)
    }

    /// The quotient by a count.
    pub fn divided_by(self, count: f64) -> Sum {
        let first = self.high / count;
        if !first.is_finite() {
            return Sum::of(first);
        }
        // One step of long division: what the first quotient leaves is divided again.
        let (product, error) = two_product(first, count);
        let rest = (self.high - product) - error + self.low;
        Sum::renormalised(first, rest / count)
    }

    /// The difference.
    pub fn minus(mut self, other: Sum) -> Sum {
        self.merge(&Sum {
            high: -other.high,
            low: -other.low,
        });
        self
    }

    /// The sum rounded to f64.
    pub fn value(&self) -> f64 {
        self.high
    }

    /// The two halves' bits.
    pub fn to_words(&self) -> [u64; 2] {
        [self.high.to_bits(), self.low.to_bits()]
    }

    /// The sum from [`Sum::to_words`].
    pub fn from_words(high: u64, low: u64) -> Sum {
        Sum {
            high: f64::from_bits(high),
            low: f64::from_bits(low),
        }
    }
}

//! The ranges of the numbers that steer a training.

/// A range of finite numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From 0.
    NotNegative,
    /// Above 0.
    Positive,
    /// From 0 to below 1.
    BelowOne,
    /// From 0 to 1.
    Share,
    /// Above 0, up to 1.
    Factor,
}

impl Range {
    /// Whether a number is in it.
    pub fn contains(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Range::NotNegative => number >= 0.0,
                Range::Positive => number > 0.0,
                Range::BelowOne => (0.0..1.0).contains(&number),
                Range::Share => (0.0..=1.0).contains(&number),
                Range::Factor => number > 0.0 && number <= 1.0,
            }
    }

    /// What a number must be to be in it.
    pub fn words(self) -> &'static str {
        match self {
            Range::NotNegative => "a number of at least 0",
            Range::Positive => "a number greater than 0",
            Range::BelowOne => "a number of at least 0 and less than 1",
            Range::Share => "between 0 and 1",
            Range::Factor => "a number greater than 0 and at most 1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn the_ends_belong_to_a_range_as_its_words_say() {
        for (range, zero, one, two) in [
            (Range::NotNegative, true, true, true),
            (Range::Positive, false, true, true),
            (Range::BelowOne, true, false, false),
            (Range::Share, true, true, false),
            (Range::Factor, false, true, false),
        ] {
            let inside = [0.0, 1.0, 2.0].map(|number| range.contains(number));
            assert_eq!(inside, [zero, one, two], "{range:?}");
            assert!(range.contains(0.5));
            for wrong in [-0.5, f64::NAN, f64::INFINITY] {
                assert!(!range.contains(wrong), "{range:?} {wrong}");
            }
        }
    }
}

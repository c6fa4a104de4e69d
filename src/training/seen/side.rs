//! On which side of a split a row was, and what is known of it.

/// On which side a row was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// All networks were trained on it.
    Trained,
    /// No network was trained on it.
    HeldOut,
    /// The member of this number was not trained on it, and all others were.
    Fold(u8),
}

impl Side {
    /// The byte that stands for it.
    pub(super) fn code(self) -> u8 {
        match self {
            Side::Trained => u8::MAX,
            Side::HeldOut => u8::MAX - 1,
            Side::Fold(fold) => fold.min(u8::MAX - 2),
        }
    }

    /// The side that a byte stands for.
    pub(super) fn of(code: u8) -> Side {
        match code {
            u8::MAX => Side::Trained,
            254 => Side::HeldOut,
            fold => Side::Fold(fold),
        }
    }

    /// The side of two rows that are alike, or of a row in two trainings.
    #[must_use]
    pub fn and(self, other: Side) -> Side {
        match (self, other) {
            (one, another) if one == another => one,
            // Whoever held it out in one has learnt it by the other.
            _ => Side::Trained,
        }
    }
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was there.
    Seen(Side),
    /// It was not.
    New,
    /// Nothing: it is beyond the sample, or not all earlier rows are known.
    Unknown,
}

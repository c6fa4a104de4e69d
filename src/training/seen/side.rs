//! On which side of a split a row was, and what is known of it.

/// On which side a row was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// All networks were trained on it.
    Trained,
    /// No network was trained on it.
    HeldOut,
    /// No network was trained on it, since it is within the sample; they were on rows like it that
    /// are beyond, of which it was not known that they had been held out before.
    HeldOutAlone,
    /// The member of this number was not trained on it, and all others were.
    Fold(u8),
}

impl Side {
    /// The byte that stands for it.
    pub(super) fn code(self) -> u8 {
        match self {
            Side::Trained => u8::MAX,
            Side::HeldOut => u8::MAX - 1,
            Side::HeldOutAlone => u8::MAX - 2,
            Side::Fold(fold) => fold.min(u8::MAX - 3),
        }
    }

    /// The side that a byte stands for.
    pub(super) fn of(code: u8) -> Side {
        match code {
            u8::MAX => Side::Trained,
            254 => Side::HeldOut,
            253 => Side::HeldOutAlone,
            fold => Side::Fold(fold),
        }
    }

    /// The side of two rows that are alike, or of a row in two trainings.
    #[must_use]
    pub fn and(self, other: Side) -> Side {
        match (self, other) {
            (one, another) if one == another => one,
            (Side::HeldOut, Side::HeldOutAlone) | (Side::HeldOutAlone, Side::HeldOut) => {
                Side::HeldOutAlone
            }
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
    /// Nothing: it is beyond the sample.
    Beyond,
    /// Nothing: it is not in the sample, and not all earlier rows are known.
    Unknown,
}

impl Known {
    /// Whether networks are known to have been trained on it.
    #[must_use]
    pub fn is_learnt(self) -> bool {
        matches!(self, Known::Seen(Side::Trained | Side::Fold(_)))
    }
}

//! How a column of a query is read.

use super::{ArrayReader, Elements, Reader};
use crate::features::{ArrayShape, Dictionary, Intake, Kind};

/// Which column of the query is read, and how.
pub struct ColumnPlan {
    /// Its place in the query's result.
    pub place: usize,
    /// How a datum is read; `None`: not at all, each value is missing.
    pub reader: Option<Reader>,
    /// How a target's array is read.
    pub elements: Option<Elements>,
    /// As what it is kept.
    pub kind: Kind,
    /// Whether a text is kept as the number that tells it from others, for columns that only
    /// group rows.
    pub hashed: bool,
    /// The dictionary that a category begins with.
    pub dictionary: Option<Dictionary>,
    /// Of arrays, how they are read and what takes them in.
    pub array: Option<(ArrayReader, Intake)>,
}

impl ColumnPlan {
    /// The shape that the arrays read so far have.
    pub fn shape(&self) -> Option<ArrayShape> {
        self.array.as_ref().and_then(|(_, intake)| intake.shape())
    }
}

//! Columns that a training was given and that are no features of its model.

use serde::{Deserialize, Serialize};

/// A column that is no feature, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The column's name.
    pub column: String,
    /// Why, to follow "it is left out:".
    pub reason: String,
}

impl LeftOut {
    /// A column left out for this reason.
    pub fn new(column: impl Into<String>, reason: impl Into<String>) -> LeftOut {
        LeftOut {
            column: column.into(),
            reason: reason.into(),
        }
    }
}

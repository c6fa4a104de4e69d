//! What a target is found out from, and what neither it nor what is asked of it can be.

use super::stored::TargetRequest;
use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::block::{Block, RawRows, pass};
use crate::features::rows::dictionary::Dictionary;
use crate::features::scales::rule::Scale;

/// What is asked of a target, and the rows that have it.
pub(super) struct Given<'a> {
    pub request: &'a TargetRequest,
    pub column: &'a Column,
    /// The column's place in the rows' blocks.
    pub position: usize,
    /// Of a column of texts.
    pub dictionary: Option<&'a Dictionary>,
    pub rows: &'a mut dyn RawRows,
    pub interrupted: &'a mut dyn FnMut() -> bool,
}

impl<'a> Given<'a> {
    /// Looks at the rows block by block.
    ///
    /// # Errors
    /// Those of reading and of looking, or an interruption.
    pub fn each(&mut self, mut look: impl FnMut(&Block) -> Result<(), Error>) -> Result<(), Error> {
        pass(self.rows, self.interrupted, |_, block| look(block))
    }

    /// The dictionary, which a column of texts must have.
    ///
    /// # Errors
    /// There is none.
    pub fn dictionary(&self) -> Result<&'a Dictionary, Error> {
        let name = &self.column.name;
        self.dictionary
            .ok_or_else(|| Error::invalid(format!("there is no dictionary for \"{name}\"")))
    }
}

/// The error of a target that is not a number in some row.
pub(super) fn not_a_number(column: &Column, value: f64) -> Error {
    let what = if value.is_nan() {
        "missing"
    } else {
        "infinite"
    };
    Error::invalid(format!("the target \"{}\" is {what} in a row", column.name))
        .with_hint("Leave such rows out with a WHERE clause in the query.")
}

pub(super) fn refuse_positive_class(request: &TargetRequest) -> Result<(), Error> {
    match request.positive_class {
        None => Ok(()),
        Some(_) => Err(Error::invalid("positive_class is set for a regression")
            .with_hint("Leave it out, or set task to 'classification'.")),
    }
}

/// # Errors
/// A threshold, which a regression has no use for.
pub fn refuse_threshold(threshold: Option<f64>) -> Result<(), Error> {
    match threshold {
        None => Ok(()),
        Some(_) => Err(Error::invalid("threshold is set for a regression")
            .with_hint("Leave it out, or set task to 'classification'.")),
    }
}

pub(super) fn refuse_scale(request: &TargetRequest) -> Result<(), Error> {
    match request.scale {
        None | Some(Scale::None) => Ok(()),
        Some(_) => Err(Error::invalid("target_scale is set for a classification")
            .with_hint("Leave it out, or set task to 'regression'.")),
    }
}

pub(super) fn threshold(request: &TargetRequest) -> Result<f64, Error> {
    let threshold = request.threshold.unwrap_or(0.5);
    if (0.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(Error::invalid(format!("threshold is {threshold}"))
        .with_hint("It is a probability, from 0 to 1."))
}

//! What a target is found out from, and what neither it nor what is asked of it can be.

use super::stored::{Target, TargetRequest};
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

fn refuse_positive_class(request: &TargetRequest) -> Result<(), Error> {
    match request.positive_class {
        None => Ok(()),
        Some(_) => Err(Error::invalid("positive_class is set for a regression")
            .with_hint("Leave it out, or set task to 'classification'.")),
    }
}

fn refuse_threshold(request: &TargetRequest) -> Result<(), Error> {
    match request.threshold {
        None => Ok(()),
        Some(_) => Err(Error::invalid("threshold is set for a regression")
            .with_hint("Leave it out, or set task to 'classification'.")),
    }
}

fn refuse_scale(request: &TargetRequest) -> Result<(), Error> {
    match request.scale {
        None | Some(Scale::None) => Ok(()),
        Some(_) => Err(Error::invalid("target_scale is set for a classification")
            .with_hint("Leave it out, or set task to 'regression'.")),
    }
}

/// Refuses what is asked of a target that it has no use for: a positive class and a threshold are
/// those of two classes, labels have a threshold, and only numbers have a scale.
///
/// # Errors
/// What is asked, with the kind of target that it is for.
pub fn check_request(request: &TargetRequest, target: &Target) -> Result<(), Error> {
    match target {
        Target::Regression { .. } => {
            refuse_positive_class(request)?;
            refuse_threshold(request)
        }
        Target::Classes {
            column, classes, ..
        } => {
            refuse_scale(request)?;
            if classes.len() == 2 {
                return Ok(());
            }
            for (option, given, use_of) in [
                (
                    "positive_class",
                    request.positive_class.is_some(),
                    "Only a target of two classes has a positive one.",
                ),
                (
                    "threshold",
                    request.threshold.is_some(),
                    "A threshold decides between two classes, or whether a label applies: of more \
                     classes the likeliest is said. Leave it out.",
                ),
            ] {
                if given {
                    return Err(Error::invalid(format!(
                        "{option} is set, but the target \"{column}\" has {} classes",
                        classes.len()
                    ))
                    .with_hint(use_of));
                }
            }
            Ok(())
        }
        Target::Labels { column, .. } => {
            refuse_scale(request)?;
            match request.positive_class {
                None => Ok(()),
                Some(_) => Err(Error::invalid(format!(
                    "positive_class is set, but the target \"{column}\" has several labels"
                ))
                .with_hint("Leave it out: of each label its presence is the positive case.")),
            }
        }
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

//! Judging a model of sequences on the rows of a long table.

use pgrx::pg_sys;

use super::judging::Actual;
use crate::pg::error::Result;
use crate::pg::rows::{Grouping, Query, Reader, Row};
use crate::pg::scoring::RowScorer;

/// How the target is read.
pub(super) struct ActualReader {
    pub(super) reader: Reader,
    /// Whether it is a number rather than a class.
    pub(super) numeric: bool,
    pub(super) place: usize,
    /// What messages call it.
    pub(super) what: String,
}

/// The target of a sequence.
#[derive(PartialEq)]
enum Truth {
    Number(f64),
    Class(String),
}

impl ActualReader {
    /// # Safety
    /// The datum is of the target's type, and not NULL.
    unsafe fn read(&self, datum: pg_sys::Datum, buffer: &mut String) -> Truth {
        // SAFETY: as the caller says.
        unsafe {
            if self.numeric {
                Truth::Number(self.reader.number(datum))
            } else {
                Truth::Class(self.reader.text(datum, buffer).to_owned())
            }
        }
    }
}

impl Truth {
    fn is(&self, other: &Truth) -> bool {
        match (self, other) {
            (Truth::Number(a), Truth::Number(b)) if a.is_nan() => b.is_nan(),
            _ => self == other,
        }
    }

    fn shown(&self) -> String {
        match self {
            Truth::Number(number) => number.to_string(),
            Truth::Class(class) => format!("\"{class}\""),
        }
    }
}

/// Calls `each` with the outputs and the truth of every sequence whose target is not NULL or NaN.
/// The query's rows are sorted as `grouping` needs them.
pub(super) fn for_each_sequence(
    query: &mut Query,
    grouping: &mut Grouping,
    target: &ActualReader,
    mut scorer: RowScorer<'_>,
    mut each: impl FnMut(&[f32], Actual<'_>) -> Result<()>,
) -> Result<()> {
    let mut truth: Option<Truth> = None;
    let mut buffer = String::new();
    let mut judge = |scorer: &mut RowScorer<'_>, truth: Option<Truth>| match truth {
        Some(Truth::Number(number)) if number.is_nan() => {
            scorer.sequence_outputs();
            Ok(())
        }
        Some(Truth::Number(number)) => each(scorer.sequence_outputs(), Actual::Number(number)),
        Some(Truth::Class(class)) => each(scorer.sequence_outputs(), Actual::Class(&class)),
        None => Ok(()),
    };
    query.for_each(|values, nulls| {
        // SAFETY: the datums are of the query's column types; a target is there for a step.
        unsafe {
            let row = grouping.next(values, nulls)?;
            if !matches!(row, Row::First | Row::Next) {
                return Ok(());
            }
            let actual = target.read(values[target.place], &mut buffer);
            match (&truth, row) {
                (Some(first), Row::Next) if !first.is(&actual) => {
                    let (first, other) = (first.shown(), actual.shown());
                    return Err(grouping.differs(&target.what, &first, &other));
                }
                (Some(_), Row::Next) => {}
                _ => {
                    let ended = truth.replace(actual);
                    judge(&mut scorer, ended)?;
                }
            }
            scorer.step(values, nulls);
        }
        Ok(())
    })?;
    judge(&mut scorer, truth)
}

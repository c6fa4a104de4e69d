//! Judging a model of sequences on the rows of a long table.

use super::judged_target::{Actual, TargetReader};
use crate::pg::error::Result;
use crate::pg::rows::{Grouping, Query, Row};
use crate::pg::scoring::RowScorer;

/// The target of a sequence.
#[derive(PartialEq)]
enum Truth {
    /// It does not count.
    Missing,
    Number(f64),
    Numbers(Vec<f64>),
    Class(usize),
}

impl Truth {
    fn of(actual: Option<Actual<'_>>) -> Truth {
        match actual {
            None => Truth::Missing,
            Some(Actual::Number(number)) => Truth::Number(number),
            Some(Actual::Numbers(numbers)) => Truth::Numbers(numbers.to_vec()),
            Some(Actual::Class(class)) => Truth::Class(class),
        }
    }

    fn actual(&self) -> Option<Actual<'_>> {
        match self {
            Truth::Missing => None,
            Truth::Number(number) => Some(Actual::Number(*number)),
            Truth::Numbers(numbers) => Some(Actual::Numbers(numbers)),
            Truth::Class(class) => Some(Actual::Class(*class)),
        }
    }

    fn shown(&self, classes: &[String]) -> String {
        match self {
            Truth::Missing => f64::NAN.to_string(),
            Truth::Number(number) => number.to_string(),
            Truth::Numbers(numbers) => format!("{numbers:?}"),
            Truth::Class(class) => {
                format!("\"{}\"", classes.get(*class).map_or("", String::as_str))
            }
        }
    }
}

/// Calls `each` with the scorer and the truth of every sequence whose target, in column `place`,
/// counts, and gives how many rows are of sequences whose target does not. The query's rows are sorted
/// as `grouping` needs them.
pub(super) fn for_each_sequence(
    query: &mut Query,
    grouping: &mut Grouping,
    target: &mut TargetReader<'_>,
    place: usize,
    mut scorer: RowScorer<'_>,
    mut each: impl FnMut(&RowScorer<'_>, Actual<'_>) -> Result<()>,
) -> Result<u64> {
    let what = format!("the target \"{}\"", target.name());
    let classes = target.known_classes();
    let mut truth: Option<Truth> = None;
    let mut left_out = 0;
    let mut judge = |scorer: &mut RowScorer<'_>, truth: Option<Truth>| {
        let Some(truth) = truth else {
            return Ok(());
        };
        scorer.sequence_outputs();
        truth.actual().map_or(Ok(()), |actual| each(scorer, actual))
    };
    query.for_each(|values, nulls| {
        // SAFETY: the datums are of the query's column types; a target is there for a step.
        unsafe {
            let row = grouping.next(values, nulls)?;
            if !matches!(row, Row::First | Row::Next) {
                left_out += u64::from(row == Row::NoTarget);
                return Ok(());
            }
            let actual = Truth::of(target.read(values[place])?);
            left_out += u64::from(actual == Truth::Missing);
            match (&truth, row) {
                (Some(first), Row::Next) if *first != actual => {
                    return Err(grouping.differs(
                        &what,
                        &first.shown(classes),
                        &actual.shown(classes),
                    ));
                }
                (Some(_), Row::Next) => {}
                _ => {
                    let ended = truth.replace(actual);
                    judge(&mut scorer, ended)?;
                }
            }
            scorer.step(values, nulls)?;
        }
        Ok(())
    })?;
    judge(&mut scorer, truth)?;
    Ok(left_out)
}

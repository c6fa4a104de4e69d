//! Judging a model of sequences on the rows of a long table.

use super::judged_rows::Judging;
use super::judged_target::TargetReader;
use crate::pg::error::Result;
use crate::pg::rows::{Grouping, Query, Row};
use crate::training::Truth;

/// The target of a sequence.
#[derive(PartialEq)]
enum Target {
    /// It does not count.
    Missing,
    Number(f64),
    /// A number, and over how much it is.
    Over(f64, f64),
    Numbers(Vec<f64>),
    Class(u32),
}

impl Target {
    fn of(truth: Option<Truth<'_>>) -> Target {
        match truth {
            None => Target::Missing,
            Some(Truth::Number(number)) => Target::Number(number),
            Some(Truth::Over { number, exposure }) => Target::Over(number, exposure),
            Some(Truth::Numbers(numbers)) => Target::Numbers(numbers.to_vec()),
            Some(Truth::Class(class)) => Target::Class(class),
        }
    }

    fn truth(&self) -> Option<Truth<'_>> {
        match self {
            Target::Missing => None,
            Target::Number(number) => Some(Truth::Number(*number)),
            Target::Over(number, exposure) => Some(Truth::Over {
                number: *number,
                exposure: *exposure,
            }),
            Target::Numbers(numbers) => Some(Truth::Numbers(numbers)),
            Target::Class(class) => Some(Truth::Class(*class)),
        }
    }

    fn shown(&self, classes: &[String]) -> String {
        match self {
            Target::Missing => f64::NAN.to_string(),
            Target::Number(number) => number.to_string(),
            Target::Over(number, exposure) => format!("{number} over {exposure}"),
            Target::Numbers(numbers) => format!("{numbers:?}"),
            Target::Class(class) => {
                let class = classes.get(*class as usize);
                format!("\"{}\"", class.map_or("", String::as_str))
            }
        }
    }
}

/// Judges every sequence whose target counts, and gives how many rows are of
/// sequences whose target does not. The query's rows are sorted as `grouping` needs them.
pub(super) fn judge_sequences(
    query: &mut Query,
    grouping: &mut Grouping,
    reader: &mut TargetReader<'_>,
    judging: &mut Judging<'_>,
) -> Result<u64> {
    let what = format!("the target \"{}\"", reader.name());
    let classes = reader.known_classes();
    let mut target: Option<Target> = None;
    let mut left_out = 0;
    query.for_each(|values, nulls| {
        // SAFETY: the datums are of the query's column types; a target is there for a step.
        unsafe {
            let row = grouping.next(values, nulls)?;
            if !matches!(row, Row::First | Row::Next) {
                left_out += u64::from(row == Row::NoTarget);
                return Ok(());
            }
            let found = Target::of(reader.truth(values, nulls)?);
            left_out += u64::from(found == Target::Missing);
            match (&target, row) {
                (Some(first), Row::Next) if *first != found => {
                    return Err(grouping.differs(
                        &what,
                        &first.shown(classes),
                        &found.shown(classes),
                    ));
                }
                (Some(_), Row::Next) => {}
                _ => {
                    if let Some(ended) = target.replace(found) {
                        judging.sequence(ended.truth())?;
                    }
                }
            }
            judging.step(values, nulls)?;
        }
        Ok(())
    })?;
    if let Some(ended) = target {
        judging.sequence(ended.truth())?;
    }
    Ok(left_out)
}

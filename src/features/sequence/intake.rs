//! Taking sequences in.

use crate::features::column::ArrayShape;
use crate::features::error::Error;
use crate::features::rows::arrays::{Arrays, Real};
use crate::features::treatment::{TakesIn, check_finite, no_value};

/// Takes in sequences: their last steps, all of as many features.
#[derive(Clone, Debug)]
pub(in crate::features) struct SequenceIntake {
    /// Those of the first row.
    pub features: Option<usize>,
    /// Most steps.
    pub keep: usize,
}

impl TakesIn for SequenceIntake {
    fn shape(&self) -> Option<ArrayShape> {
        self.features
            .map(|features| ArrayShape::Sequence { features })
    }

    fn array<T: Real>(
        &mut self,
        column: &str,
        dims: &[usize],
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        let start = into.start();
        let numbers = into.open().get(start..).unwrap_or_default();
        check_finite(column, "a sequence", numbers)?;
        let count = numbers.len();
        let given = match dims {
            [_] => 1,
            [_, features] => *features,
            _ => {
                return Err(Error::invalid(format!(
                    "a sequence in column \"{column}\" is an array of {} dimensions",
                    dims.len()
                ))
                .with_hint("A sequence is an array of steps, or of steps × features."));
            }
        };
        let expected = *self.features.get_or_insert(given);
        if given != expected {
            return Err(Error::invalid(format!(
                "a sequence in column \"{column}\" has {given} numbers a step, but the column's \
                 sequences have {expected}"
            ))
            .with_hint("Every step of every row has the same features."));
        }
        let surplus = count.saturating_sub(self.keep.saturating_mul(expected));
        into.open().drain(start..start + surplus);
        into.close();
        Ok(())
    }

    fn empty<T: Real>(&mut self, column: &str, _into: &mut Arrays<T>) -> Result<(), Error> {
        Err(no_value(column, "a sequence", "has no steps"))
    }

    fn missing<T: Real>(&mut self, column: &str, _into: &mut Arrays<T>) -> Result<(), Error> {
        Err(no_value(column, "a sequence", "is NULL"))
    }
}

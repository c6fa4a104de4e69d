//! The rows that a model is judged on: scored together, looked at one after the other.

use pgrx::pg_sys;

use super::met::Met;
use crate::features::Arrays;
use crate::pg::cache::DecodedModel;
use crate::pg::error::Result;
use crate::pg::scoring::{RowScorer, Scored};
use crate::training::Truth;

/// What is done with a row that was scored, and what is true of it.
pub(super) type Each<'a> = dyn FnMut(&Scored<'_>, Truth<'_>) -> Result<()> + 'a;

/// Rows that are scored together and then looked at one after the other.
pub(super) struct Judging<'a> {
    decoded: &'a DecodedModel,
    scorer: RowScorer<'a>,
    /// What is true of those that wait: arrays where the model's target is one.
    truths: Vec<Truth<'static>>,
    arrays: Arrays<f64>,
    met: Option<&'a mut Met>,
    each: &'a mut Each<'a>,
}

impl<'a> Judging<'a> {
    /// No rows yet.
    pub(super) fn new(
        decoded: &'a DecodedModel,
        scorer: RowScorer<'a>,
        met: Option<&'a mut Met>,
        each: &'a mut Each<'a>,
    ) -> Judging<'a> {
        Judging {
            decoded,
            scorer,
            truths: Vec::new(),
            arrays: Arrays::new(),
            met,
            each,
        }
    }

    /// Takes a row of the result with what is true of it.
    ///
    /// # Safety
    /// As for [`RowScorer::row`].
    pub(super) unsafe fn row(
        &mut self,
        values: &[pg_sys::Datum],
        nulls: &[bool],
        truth: Truth<'_>,
    ) -> Result<()> {
        // SAFETY: as the caller says.
        unsafe { self.scorer.row(values, nulls)? };
        self.took(truth)
    }

    /// Takes a row of the result as the next step of a sequence.
    ///
    /// # Safety
    /// As for [`RowScorer::step`].
    pub(super) unsafe fn step(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<()> {
        // SAFETY: as the caller says.
        unsafe { self.scorer.step(values, nulls) }
    }

    /// Takes the steps so far as a sequence with what is true of it; without, they do not count.
    pub(super) fn sequence(&mut self, truth: Option<Truth<'_>>) -> Result<()> {
        let Some(truth) = truth else {
            self.scorer.forget_steps();
            return Ok(());
        };
        self.scorer.sequence();
        self.took(truth)
    }

    fn took(&mut self, truth: Truth<'_>) -> Result<()> {
        match truth {
            Truth::Class(class) => self.truths.push(Truth::Class(class)),
            Truth::Number(number) => self.truths.push(Truth::Number(number)),
            Truth::Over { number, exposure } => {
                self.truths.push(Truth::Over { number, exposure });
            }
            Truth::Numbers(numbers) => self.arrays.push(numbers),
        }
        match self.scorer.is_full() {
            true => self.judge(),
            false => Ok(()),
        }
    }

    /// Scores the rows that wait, and looks at each.
    pub(super) fn judge(&mut self) -> Result<()> {
        for (place, row) in self.scorer.score().enumerate() {
            let truth = match self.arrays.get(place) {
                Some(numbers) => Truth::Numbers(numbers),
                None => self.truths[place],
            };
            if let Some(met) = &mut self.met {
                met.look(row.told_by, truth, self.decoded);
            }
            (self.each)(&row, truth)?;
        }
        self.truths.clear();
        self.arrays.clear();
        Ok(())
    }
}

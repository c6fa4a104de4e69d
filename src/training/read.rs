//! The first stage: the examples that are learnt from, and what of them is learnt.

use super::choose_family::shape;
use super::choose_target::{keep_positive, kept_target, same_form, target_request};
use super::error::Error;
use super::job::Job;
use crate::features::{Labels, RawRows, SequenceRows, Target};
use crate::memory;

/// What preparing takes for a row, at most, in each thread.
const FITTED_BYTES: usize = 24;

/// What is learnt from: the raw rows, and one row for each example, which are the same unless
/// examples are sequences.
pub(super) struct Examples<'a> {
    pub(super) rows: &'a mut dyn RawRows,
    sequences: Option<SequenceRows>,
}

impl<'a> Examples<'a> {
    fn new(
        job: &Job<'_>,
        rows: &'a mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Examples<'a>, Error> {
        let (features, plan) = (job.plan.features.len(), job.plan.sequence.as_ref());
        if plan.is_some() != job.sequences.is_some() {
            return Err(Error::option(
                "sequence_by",
                "makes sequences of rows that were not gathered",
            ));
        }
        let newest = plan.and_then(|plan| plan.newest);
        let sequences = job
            .sequences
            .map(|sequences| SequenceRows::gather(sequences, features, newest, rows, stop))
            .transpose()?;
        Ok(Examples { rows, sequences })
    }

    /// One row for each example, of which only the columns behind the features may be looked at.
    pub(super) fn each(&mut self) -> &mut dyn RawRows {
        match &mut self.sequences {
            Some(sequences) => sequences,
            None => self.rows,
        }
    }

    /// The bytes of memory they take beside the raw rows.
    fn memory(&self) -> usize {
        self.sequences.as_ref().map_or(0, SequenceRows::memory)
    }
}

/// What is learnt from, and what is learnt.
pub(super) struct ReadStage<'a> {
    pub(super) examples: Examples<'a>,
    /// What is learnt, not yet fitted to any rows.
    pub(super) target: Target,
    pub(super) labels: Labels,
    /// Bytes that may be used beside the rows and what makes examples of them.
    pub(super) limit: usize,
}

impl<'a> ReadStage<'a> {
    /// Looks at the rows, whose columns are as the plan says.
    ///
    /// # Errors
    /// When there are none, or their target cannot be learnt.
    pub(super) fn read(
        job: &Job<'_>,
        rows: &'a mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<ReadStage<'a>, Error> {
        if rows.rows() == 0 {
            return Err(Error::NoRows("there are no rows to train on".into()));
        }
        let mut examples = Examples::new(job, rows, stop)?;
        // The split, and the values of a column by which it is fitted, one a thread.
        let columns = FITTED_BYTES.saturating_mul(1 + job.crew.threads);
        memory::ask_for_many(examples.each().rows().saturating_mul(columns))?;
        let words = job.target_words();
        let mut target = match job.previous.filter(|_| job.warm_start()) {
            Some(previous) => kept_target(job, previous, words, examples.each(), stop)?,
            None => {
                let mut found = Target::find(
                    &target_request(job),
                    &job.plan.target,
                    job.plan.at.target,
                    words,
                    examples.each(),
                    stop,
                )?;
                shape(job, &mut found)?;
                found
            }
        };
        let at = &job.plan.at;
        target.check_family(at.target, at.exposure, examples.each(), stop)?;
        if let Some(previous) = job.previous {
            same_form(previous, &target)?;
            keep_positive(previous, &mut target)?;
        }
        Ok(ReadStage {
            labels: target.labels(words)?,
            limit: job.memory.saturating_sub(examples.memory()),
            examples,
            target,
        })
    }
}

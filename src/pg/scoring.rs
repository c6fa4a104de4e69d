//! Scoring the rows of a query that this extension runs itself.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::nn::Scratch;
use crate::pg::cache::DecodedModel;
use crate::pg::call::Convert;
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;
use crate::pg::reader::Resolved;
use crate::pg::rows::ResultColumn;

/// Scores one row of a query's result after the other.
pub(crate) struct RowScorer<'a> {
    model: &'a DecodedModel,
    /// Of each feature that can be read its number, its place in the result, and how.
    columns: Vec<(usize, usize, Convert)>,
    /// Of a sequence the newest steps, in a ring.
    steps: Vec<f32>,
    /// How many steps the sequence has had.
    seen: usize,
    /// The first of them.
    first: Vec<f32>,
    row: Vec<f32>,
    out: Vec<f32>,
    scratch: Scratch,
}

impl<'a> RowScorer<'a> {
    /// A scorer for a result with these columns, in which the features are found by name.
    pub(crate) fn new(
        columns: &[ResultColumn],
        model: &'a DecodedModel,
        resolved: &Resolved,
    ) -> Result<RowScorer<'a>> {
        let missing = |feature: &str| {
            Report::new(
                Code::ERRCODE_UNDEFINED_COLUMN,
                format!(
                    "column \"{feature}\", a feature of model \"{}\", is missing from the query's \
                     result",
                    resolved.label()
                ),
            )
            .hint("Give a query that returns every feature of the model by name.")
        };
        let places = find_features(columns, model, resolved, missing)?;
        Ok(RowScorer {
            model,
            columns: places,
            steps: match model.features.steps {
                Some(_) => vec![0.0; model.features.width() - 1],
                None => Vec::new(),
            },
            seen: 0,
            first: Vec::new(),
            row: vec![0.0; model.features.width()],
            out: vec![0.0; model.outputs()],
            scratch: model.predictor.scratch_within(usize::MAX)?,
        })
    }

    /// The network's outputs for a row of the result.
    ///
    /// # Errors
    /// An array that its feature cannot take.
    ///
    /// # Safety
    /// `values` are of the types of the columns the scorer was made for.
    pub(crate) unsafe fn outputs(
        &mut self,
        values: &[pg_sys::Datum],
        nulls: &[bool],
    ) -> Result<&[f32]> {
        // SAFETY: as the caller says.
        unsafe { encode(&mut self.columns, values, nulls, self.model, &mut self.row)? };
        Ok(self.forward())
    }

    /// Takes a row of the result as the next step of a sequence, for a model of sequences.
    ///
    /// # Errors
    /// An array that its feature cannot take.
    ///
    /// # Safety
    /// As for [`outputs`](RowScorer::outputs).
    pub(crate) unsafe fn step(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<()> {
        let width = self.model.features.step_width();
        let length = self.steps.len() / width;
        let start = self.seen % length * width;
        let step = &mut self.steps[start..start + width];
        // SAFETY: as the caller says.
        unsafe { encode(&mut self.columns, values, nulls, self.model, step)? };
        if self.seen == 0 {
            self.first.clear();
            self.first.extend_from_slice(step);
        }
        self.seen += 1;
        Ok(())
    }

    /// The network's outputs for the steps taken so far, which are forgotten.
    pub(crate) fn sequence_outputs(&mut self) -> &[f32] {
        let width = self.model.features.step_width();
        let length = self.steps.len() / width;
        let count = self.seen.min(length);
        let (first, places) = self.row.split_at_mut(1);
        first[0] = count as f32;
        places[count * width..].fill(0.0);
        let newest = self.seen - count..self.seen;
        for (step, place) in newest.zip(places.chunks_exact_mut(width)) {
            let start = step % length * width;
            place.copy_from_slice(&self.steps[start..start + width]);
        }
        self.seen = 0;
        self.forward()
    }

    /// What the row scored last is told by: its encoded features, of a sequence those of its first
    /// step.
    pub(crate) fn told_by(&self) -> &[f32] {
        match self.model.features.steps {
            Some(_) => &self.first,
            None => &self.row,
        }
    }

    /// The outputs for the row scored last.
    pub(crate) fn last(&self) -> &[f32] {
        &self.out
    }

    fn forward(&mut self) -> &[f32] {
        let predictor = &self.model.predictor;
        let (row, scratch) = (&self.row, &mut self.scratch);
        predictor.forward_until(&interrupt::Checks, row, 1, &mut self.out, scratch);
        &self.out
    }
}

/// Where among these columns each feature is that the network sees, found by name: its number, its
/// place, and how it is read. A feature that the network does not see may be missing.
///
/// # Errors
/// What `missing` makes of a feature's name; 42804 for a column of a type that its feature cannot
/// be.
pub(crate) fn find_features(
    columns: &[ResultColumn],
    model: &DecodedModel,
    resolved: &Resolved,
    missing: impl Fn(&str) -> Report,
) -> Result<Vec<(usize, usize, Convert)>> {
    let mut places = Vec::with_capacity(model.features.features.len());
    for (i, feature) in model.features.features.iter().enumerate() {
        match columns
            .iter()
            .position(|column| column.name == feature.name)
        {
            Some(place) => {
                let convert = Convert::new(feature, columns[place].type_oid, resolved)?;
                places.push((i, place, convert));
            }
            None if !feature.is_used() => {}
            None => return Err(missing(&feature.name)),
        }
    }
    Ok(places)
}

/// Writes the features of a row of the result, found at these places.
///
/// # Errors
/// An array that its feature cannot take.
///
/// # Safety
/// As for [`RowScorer::outputs`].
unsafe fn encode(
    columns: &mut [(usize, usize, Convert)],
    values: &[pg_sys::Datum],
    nulls: &[bool],
    model: &DecodedModel,
    row: &mut [f32],
) -> Result<()> {
    for (i, place, convert) in columns {
        // SAFETY: as the caller says.
        unsafe { convert.encode(*i, values[*place], nulls[*place], &model.encoder, row)? };
    }
    Ok(())
}

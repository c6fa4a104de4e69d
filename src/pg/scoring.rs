//! Scoring the rows of a query that this extension runs itself.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::nn::Scratch;
use crate::pg::cache::DecodedModel;
use crate::pg::call::Convert;
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;
use crate::pg::reader::Resolved;
use crate::pg::rows::ResultColumn;

/// Values that rows which are scored together have at most, their outputs counted: 1 MB.
const VALUES: usize = 1 << 18;

/// Scores the rows of a query's result, as many together as the network takes at a time.
pub(crate) struct RowScorer<'a> {
    model: &'a DecodedModel,
    /// Of each feature that can be read its number, its place in the result, and how.
    columns: Vec<(usize, usize, Convert)>,
    steps: Steps,
    /// Rows that wait to be scored, and how many they may be.
    waiting: usize,
    at_once: usize,
    rows: Vec<f32>,
    /// Where rows are sequences, the first step of each.
    firsts: Vec<f32>,
    out: Vec<f32>,
    scratch: Scratch,
}

/// The steps of a sequence that is being read.
struct Steps {
    /// The newest, in a ring.
    newest: Vec<f32>,
    /// How many there were.
    seen: usize,
    first: Vec<f32>,
}

/// A row that was scored.
pub(crate) struct Scored<'a> {
    /// What it is told by: its encoded features, of a sequence those of its first step.
    pub(crate) told_by: &'a [f32],
    /// It, as the network reads it.
    pub(crate) encoded: &'a [f32],
    /// The network's outputs.
    pub(crate) outputs: &'a [f32],
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
        let (width, outputs) = (model.features.width(), model.outputs());
        let most = VALUES / (width + outputs).max(1);
        let at_once = model.predictor.tile().min(most).max(1);
        Ok(RowScorer {
            model,
            columns: places,
            steps: Steps {
                newest: match model.features.steps {
                    Some(_) => vec![0.0; width - 1],
                    None => Vec::new(),
                },
                seen: 0,
                first: Vec::new(),
            },
            waiting: 0,
            at_once,
            rows: vec![0.0; at_once * width],
            firsts: Vec::new(),
            out: vec![0.0; at_once * outputs],
            scratch: model.predictor.scratch_within(usize::MAX)?,
        })
    }

    /// Takes a row of the result, for which there must be room.
    ///
    /// # Errors
    /// An array that its feature cannot take.
    ///
    /// # Safety
    /// `values` are of the types of the columns the scorer was made for.
    pub(crate) unsafe fn row(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<()> {
        let width = self.model.features.width();
        let row = &mut self.rows[self.waiting * width..][..width];
        // SAFETY: as the caller says.
        unsafe { encode(&mut self.columns, values, nulls, self.model, row)? };
        self.waiting += 1;
        Ok(())
    }

    /// Takes a row of the result as the next step of a sequence, for a model of sequences.
    ///
    /// # Errors
    /// An array that its feature cannot take.
    ///
    /// # Safety
    /// As for [`row`](RowScorer::row).
    pub(crate) unsafe fn step(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<()> {
        let width = self.model.features.step_width();
        let Steps {
            newest,
            seen,
            first,
        } = &mut self.steps;
        let start = *seen % (newest.len() / width) * width;
        let step = &mut newest[start..start + width];
        // SAFETY: as the caller says.
        unsafe { encode(&mut self.columns, values, nulls, self.model, step)? };
        if *seen == 0 {
            first.clear();
            first.extend_from_slice(step);
        }
        *seen += 1;
        Ok(())
    }

    /// Takes the steps so far as a sequence, for which there must be room.
    pub(crate) fn sequence(&mut self) {
        let width = self.model.features.step_width();
        let whole = self.model.features.width();
        let row = &mut self.rows[self.waiting * whole..][..whole];
        let Steps {
            newest,
            seen,
            first,
        } = &mut self.steps;
        let length = newest.len() / width;
        let count = (*seen).min(length);
        let (number, places) = row.split_at_mut(1);
        number[0] = count as f32;
        places[count * width..].fill(0.0);
        for (step, place) in (*seen - count..*seen).zip(places.chunks_exact_mut(width)) {
            let start = step % length * width;
            place.copy_from_slice(&newest[start..start + width]);
        }
        *seen = 0;
        if self.waiting == 0 {
            self.firsts.clear();
        }
        self.firsts.extend_from_slice(first);
        self.waiting += 1;
    }

    /// Forgets the steps so far.
    pub(crate) fn forget_steps(&mut self) {
        self.steps.seen = 0;
    }

    /// Whether there is no more room.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting == self.at_once
    }

    /// Scores the rows that were taken, in their order, and makes room for others.
    pub(crate) fn score(&mut self) -> impl Iterator<Item = Scored<'_>> {
        let count = std::mem::take(&mut self.waiting);
        let predictor = &self.model.predictor;
        predictor.forward_until(
            &interrupt::Checks,
            &self.rows,
            count,
            &mut self.out,
            &mut self.scratch,
        );
        let features = &self.model.features;
        let (told_by, width) = match features.steps {
            Some(_) => (&self.firsts, features.step_width()),
            None => (&self.rows, features.width()),
        };
        let outputs = self.out.chunks_exact(self.model.outputs());
        let encoded = self.rows.chunks_exact(features.width());
        let rows = told_by.chunks_exact(width).zip(encoded.zip(outputs));
        rows.take(count)
            .map(|(told_by, (encoded, outputs))| Scored {
                told_by,
                encoded,
                outputs,
            })
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
/// As for [`RowScorer::row`].
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

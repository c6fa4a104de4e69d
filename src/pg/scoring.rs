//! Scoring the rows of a query that this extension runs itself.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::nn::Scratch;
use crate::pg::cache::DecodedModel;
use crate::pg::call::Convert;
use crate::pg::error::{Report, Result};
use crate::pg::reader::Resolved;
use crate::pg::rows::ResultColumn;

/// Scores one row of a query's result after the other.
pub(crate) struct RowScorer<'a> {
    model: &'a DecodedModel,
    /// Of each feature that can be read its number, its place in the result, and how.
    columns: Vec<(usize, usize, Convert)>,
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
                None => {
                    return Err(Report::new(
                        Code::ERRCODE_UNDEFINED_COLUMN,
                        format!(
                            "column \"{}\", a feature of model \"{}\", is missing from the query's \
                             result",
                            feature.name,
                            resolved.label()
                        ),
                    )
                    .hint("Give a query that returns every feature of the model by name."));
                }
            }
        }
        Ok(RowScorer {
            model,
            columns: places,
            row: vec![0.0; model.features.width()],
            out: vec![0.0; model.outputs()],
            scratch: model.predictor.scratch(),
        })
    }

    /// The network's outputs for a row of the result.
    ///
    /// # Safety
    /// `values` are of the types of the columns the scorer was made for.
    pub(crate) unsafe fn outputs(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> &[f32] {
        for (i, place, convert) in &mut self.columns {
            // SAFETY: as the caller says.
            unsafe {
                convert.encode(
                    *i,
                    values[*place],
                    nulls[*place],
                    &self.model.encoder,
                    &mut self.row,
                );
            }
        }
        self.model
            .predictor
            .forward(&self.row, 1, &mut self.out, &mut self.scratch);
        &self.out
    }
}

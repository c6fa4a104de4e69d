//! The rows that a model is quantised by, kept as the network reads them.

use std::borrow::Cow;

use pgrx::PgSqlErrorCode as Code;

use crate::features::Arrays;
use crate::memory;
use crate::nn::Predictor;
use crate::pg::cache::DecodedModel;
use crate::pg::error::{Report, Result};
use crate::pg::{interrupt, settings};
use crate::training::{Judge, Truth};

/// Rows with what is true of them.
pub(super) struct CalibrationRows<'a> {
    decoded: &'a DecodedModel,
    /// Judges the outputs of the version as it is.
    before: Judge<'a>,
    rows: Vec<f32>,
    truths: Vec<Truth<'static>>,
    /// Where the target is an array.
    arrays: Arrays<f64>,
    count: usize,
    row_bytes: usize,
}

impl<'a> CalibrationRows<'a> {
    /// None yet.
    pub(super) fn new(decoded: &'a DecodedModel) -> CalibrationRows<'a> {
        let before = Judge::new(&decoded.target);
        // The row, and what both judges and this keep of what is true of it.
        let encoded = decoded.predictor.input_width() * size_of::<f32>();
        CalibrationRows {
            row_bytes: encoded + 3 * before.row_bytes(),
            before,
            decoded,
            rows: Vec::new(),
            truths: Vec::new(),
            arrays: Arrays::new(),
            count: 0,
        }
    }

    /// Takes a row, its outputs before, and what is true of it.
    ///
    /// # Errors
    /// They are more than memory is allowed for.
    pub(super) fn push(&mut self, row: &[f32], outputs: &[f32], truth: Truth<'_>) -> Result<()> {
        let limit = settings::max_memory() / self.row_bytes.max(1);
        self.count += 1;
        if self.count > limit {
            return Err(Report::new(
                Code::ERRCODE_OUT_OF_MEMORY,
                format!(
                    "calibrating on more than {limit} rows would pass the limit of {} kB",
                    settings::max_memory() / 1024
                ),
            )
            .hint("Quantize on a sample of the rows, or raise neural.max_memory."));
        }
        if self.count.is_power_of_two() {
            // Lists double their room, the old beside the new.
            memory::ask_for_many(self.count.saturating_mul(4 * self.row_bytes))?;
        }
        self.before.push(outputs, truth)?;
        self.rows.extend_from_slice(row);
        match truth {
            Truth::Class(class) => self.truths.push(Truth::Class(class)),
            Truth::Number(number) => self.truths.push(Truth::Number(number)),
            Truth::Over { number, exposure } => {
                self.truths.push(Truth::Over { number, exposure });
            }
            Truth::Numbers(numbers) => self.arrays.push(numbers),
        }
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The rows, one behind the other.
    pub(super) fn encoded(&self) -> &[f32] {
        &self.rows
    }

    /// The metrics before, and those of another network on the same rows.
    ///
    /// # Errors
    /// There is no memory to predict in.
    #[expect(clippy::type_complexity, reason = "twice what a judge gives")]
    pub(super) fn judge(
        mut self,
        predictor: &Predictor,
    ) -> Result<(
        Vec<(Cow<'static, str>, Option<f64>)>,
        Vec<(Cow<'static, str>, Option<f64>)>,
    )> {
        let mut after = Judge::new(&self.decoded.target);
        let mut scratch = predictor.scratch_within(settings::max_memory())?;
        let (width, units) = (predictor.input_width(), predictor.output_units());
        let tile = predictor.tile();
        let mut out = vec![0.0; tile * units];
        for (part, rows) in self.rows.chunks(tile * width).enumerate() {
            let count = rows.len() / width;
            predictor.forward_until(&interrupt::Checks, rows, count, &mut out, &mut scratch);
            interrupt::check();
            for (r, outputs) in out.chunks(units).take(count).enumerate() {
                let place = part * tile + r;
                let truth = match self.arrays.get(place) {
                    Some(numbers) => Truth::Numbers(numbers),
                    None => self.truths[place],
                };
                after.push(outputs, truth)?;
            }
        }
        Ok((
            self.before.finish(interrupt::check),
            after.finish(interrupt::check),
        ))
    }
}

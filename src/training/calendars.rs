//! Whether dates and timestamps are read with what comes round again, where nobody says.
//!
//! A network that is told the day of the week and the month finds what a trend cannot say; on rows held
//! out at random it looks good by learning single days by heart. So both are trained on the earlier
//! rows, and judged on the latest.

use serde_json::json;

use super::defaults;
use super::error::Error;
use super::fitting::Fitting;
use super::job::{Job, Observer};
use super::sides::Sides;
use super::split::SplitStage;
use super::trial::{Trial, Tried, holds_out_as_told};
use crate::features::{self, BitMask, RawRows};
use crate::memory;

/// Training rows from which on those held out can tell.
const ROWS: usize = 500;
/// By how much the calendar must be better, as more inputs are so by chance at times.
const MARGIN: f64 = 0.02;

impl SplitStage<'_> {
    /// Trains the default network for a while with and without what comes round again of dates and
    /// timestamps, where it is not said which, and judges both on the latest rows by the first of these
    /// columns, or on those that are held out as told.
    ///
    /// # Errors
    /// Those of a training.
    pub(super) fn try_calendars(
        &mut self,
        job: &Job<'_>,
        fitting: &Fitting,
        observer: &mut dyn Observer,
    ) -> Result<Option<Tried>, Error> {
        let is_open = job.architecture.is_none() && !job.warm_start() && job.sequences.is_none();
        if !is_open || self.sides.rows_trained() < ROWS || self.sides.rows_validated() == 0 {
            return Ok(None);
        }
        let without = &fitting.features.set;
        let Some(with) = without.with_calendars(&job.plan.requests) else {
            return Ok(None);
        };
        let names: Vec<&str> = with.calendars().map(|(_, name)| name).collect();
        let Some((first, _)) = with.calendars().next() else {
            return Ok(None);
        };
        let rows = &mut *self.read.examples.rows;
        let trained = match holds_out_as_told(job) {
            true => self.sides.trained.clone(),
            false => earlier(first, rows, &mut || observer.interrupted())?,
        };
        let sides = Sides::shared(trained);
        if sides.rows_trained() < ROWS / 2 || sides.rows_validated() == 0 {
            return Ok(None);
        }
        let trial = Trial {
            job,
            architecture: &fitting.architecture,
            sides,
            limit: self.read.limit,
        };
        let told = trial.run(&with, &fitting.target, rows, observer)?;
        let untold = trial.run(without, &fitting.target, rows, observer)?;
        let is_better = told.loss < untold.loss * (1.0 - MARGIN);
        let (how, better, other, worse) = match is_better {
            true => ("with its calendar", &told, "without", &untold),
            false => ("without its calendar", &untold, "with", &told),
        };
        let columns = match names.as_slice() {
            [name] => format!("\"{name}\""),
            [name, rest @ ..] => format!("\"{name}\" and {} more", rest.len()),
            [] => String::new(),
        };
        Ok(Some(Tried {
            chosen: is_better,
            notice: format!(
                "{columns} {how}: held-out {} {:.4} in a short trial, {other} {:.4}",
                better.metric, better.loss, worse.loss
            ),
            trials: json!({
                "calendar": is_better,
                "calendar_metric": better.metric,
                "held_out_with_calendar": told.loss,
                "held_out_without_calendar": untold.loss,
            }),
        }))
    }
}

/// The rows that are not among the latest by a column.
fn earlier(
    at: usize,
    rows: &mut dyn RawRows,
    stop: &mut dyn FnMut() -> bool,
) -> Result<BitMask, Error> {
    memory::ask_for_many(rows.rows().saturating_mul(2 * size_of::<f64>()))?;
    let mut moments: Vec<f64> = Vec::with_capacity(rows.rows());
    features::pass(rows, stop, |_, block| {
        let column = block.columns.get(at);
        let moment = |row| column.and_then(|values| values.number(row));
        moments.extend((0..block.rows).map(|row| moment(row).unwrap_or(f64::NAN)));
        Ok(())
    })?;
    // What is missing or infinite has no calendar that could be judged.
    let mut known: Vec<f64> = moments
        .iter()
        .copied()
        .filter(|at| at.is_finite())
        .collect();
    let from = (known.len() as f64 * (1.0 - defaults::VALIDATION)) as usize;
    let from = match known.len() {
        0 => f64::INFINITY,
        _ => *known.select_nth_unstable_by(from, f64::total_cmp).1,
    };
    let mut earlier = BitMask::new(moments.len(), true);
    for (row, moment) in moments.into_iter().enumerate() {
        earlier.set(row, !moment.is_finite() || moment < from);
    }
    Ok(earlier)
}

//! The second stage: which examples are trained on and which are held out, by how many networks.

use super::choose_architecture::{members_of, wished_architecture};
use super::defaults;
use super::error::Error;
use super::identity::Identity;
use super::job::Job;
use super::options::Options;
use super::read::ReadStage;
use super::sides::Sides;
use crate::features::{self, BitMask, RawRows};
use crate::nn::Architecture;

/// Who learns from which examples.
pub(super) struct SplitStage<'a> {
    pub(super) read: ReadStage<'a>,
    pub(super) sides: Sides,
    /// The architecture as it is asked for.
    pub(super) wished: Architecture,
    /// How many networks are trained side by side.
    pub(super) members: usize,
    /// The share of the examples to hold out.
    pub(super) fraction: f64,
    /// Of a warm start, how many examples the versions before are known to have met.
    pub(super) known_again: Option<usize>,
    /// What the user must know of the sides, a line each.
    pub(super) warnings: Vec<String>,
}

impl<'a> ReadStage<'a> {
    /// Draws the sides of the examples, or holds out what a warm start has not learnt.
    ///
    /// # Errors
    /// What the options ask of the sides and cannot have, and examples without a weight.
    pub(super) fn split(
        mut self,
        job: &Job<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<SplitStage<'a>, Error> {
        let fraction = defaults::validation_fraction(job.arguments, job.options)?;
        let wished = wished_architecture(job)?;
        let examples = self.examples.each();
        let members = members_of(job, wished.members, examples.rows())?;
        let mut sides = Sides::draw(job, members, fraction, examples, &self.labels, stop)?;
        let (mut warnings, mut known_again) = (Vec::new(), None);
        if job.warm_start() && sides.rows_validated() > 0 {
            (warnings, known_again) = keep_sides(job, &mut self, &mut sides, stop)?;
        }
        if let Some(weight) = job.plan.at.weight {
            let examples = self.examples.each();
            check_weights(weight, job.options, examples, &sides.trained, stop)?;
        }
        Ok(SplitStage {
            read: self,
            sides,
            wished,
            members,
            fraction,
            known_again,
            warnings,
        })
    }
}

/// Holds out again what the version that a warm start goes on from has not learnt; gives what the
/// user must know of it, and how many of the examples that version is known to have met.
fn keep_sides(
    job: &Job<'_>,
    read: &mut ReadStage<'_>,
    sides: &mut Sides,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(Vec<String>, Option<usize>), Error> {
    let Some(previous) = job.previous else {
        return Ok((Vec::new(), None));
    };
    let mut known_again = None;
    let vouched_for = |told: &str| {
        job.plan.at.flag.is_some().then(|| {
            format!(
                "the version that is gone on from does not tell {told} it was trained on: the \
                 validation figures hold only if none of the rows held out is among them"
            )
        })
    };
    match job.seen {
        Some(seen) => {
            let encoder = previous.features.used().block_encoder(job.dictionaries);
            let identity = Identity::new(job, &read.target, &read.labels, &encoder, Some(seen));
            let kept = sides.keep(job, seen, &identity, read.examples.rows, stop)?;
            known_again = Some(kept.again);
            if sides.rows_validated() > 0 {
                let mut warnings = kept.warnings;
                if !seen.complete {
                    warnings.extend(vouched_for("all rows"));
                }
                return Ok((warnings, known_again));
            }
        }
        None => {
            if let Some(warning) = vouched_for("which rows") {
                return Ok((vec![warning], None));
            }
        }
    }
    sides.train_on_all();
    if let Some(option) = job.options.needs_validation() {
        return Err(Error::Value {
            name: format!("option \"{option}\""),
            problem: "needs rows that the version that is gone on from was not trained on, and \
                      none is known"
                .into(),
            hint: Some(
                "Add new rows, flag them by a column that validation_split names, or leave the \
                 option out."
                    .into(),
            ),
        });
    }
    let why = match job.seen {
        Some(_) => "was trained on every row, or may have been",
        None => "does not tell which rows it was trained on",
    };
    let warning = format!(
        "the version that is gone on from {why}: nothing is held out, there are no validation \
         figures, and the metrics are those of training rows"
    );
    Ok((vec![warning], known_again))
}

/// Checks that every row has a weight.
///
/// # Errors
/// When one is NULL, negative or infinite, or none of those trained on is above 0.
fn check_weights(
    position: usize,
    options: &Options,
    rows: &mut dyn RawRows,
    is_training: &BitMask,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let (mut bad, mut some) = (false, false);
    features::pass(rows, stop, |start, block| {
        let weights = block.columns.get(position);
        bad |= weights.is_none_or(|values| {
            !values.all_numbers(|weight| weight >= 0.0 && weight <= f64::from(f32::MAX))
        });
        let counts = |row: usize| {
            let weight = weights.and_then(|weights| weights.number(row));
            is_training.get(start + row) && weight.is_some_and(|weight| weight > 0.0)
        };
        some = some || (0..block.rows).any(counts);
        Ok(())
    })?;
    if bad {
        let column = options.sample_weight.as_deref().unwrap_or_default();
        return Err(Error::Value {
            name: "option \"sample_weight\"".into(),
            problem: format!(
                "names column \"{column}\", which is NULL, negative or infinite in a row"
            ),
            hint: Some("Give every row a weight of at least 0.".into()),
        });
    }
    if !some {
        let column = options.sample_weight.as_deref().unwrap_or_default();
        return Err(Error::Value {
            name: "option \"sample_weight\"".into(),
            problem: format!("names column \"{column}\", which is 0 in every training row"),
            hint: Some("Give the rows that are to be learnt from a weight above 0.".into()),
        });
    }
    Ok(())
}

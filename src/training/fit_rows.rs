//! What is taken from the rows ahead of the loop: the side of the split each is on, that its weight
//! is one, and how the features are treated.

use super::error::Error;
use super::job::Job;
use super::options::{Options, ValidationSplit};
use crate::features::{self, BitMask, FeatureSet, RawRows, Split};
use crate::nn::Architecture;

/// How rows are held out.
pub(super) fn split_of(job: &Job<'_>) -> Split {
    if let Some(position) = job.plan.flag {
        return Split::Flag { position };
    }
    if let Some(position) = job.plan.group {
        return Split::Group { position };
    }
    match job.options.validation_split {
        Some(ValidationSplit::Random) => Split::Random,
        Some(ValidationSplit::Last) => Split::Last,
        _ => Split::Stratified,
    }
}

/// Checks that every row has a weight.
///
/// # Errors
/// When one is NULL, negative or infinite.
pub(super) fn check_weights(
    position: usize,
    options: &Options,
    rows: &mut dyn RawRows,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let mut bad = false;
    features::pass(rows, stop, |_, block| {
        bad |= block.columns.get(position).is_none_or(|values| {
            !values.all_numbers(|weight| weight >= 0.0 && weight <= f64::from(f32::MAX))
        });
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
    Ok(())
}

/// The features with their treatments, fitted to the training rows or kept by a warm start, and the
/// reasons for what is left out.
pub(super) fn fit_features(
    job: &Job<'_>,
    architecture: &Architecture,
    rows: &mut dyn RawRows,
    mask: &BitMask,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(FeatureSet, Vec<String>), Error> {
    if let (Some(previous), true) = (job.previous, job.warm_start()) {
        let kept = &previous.features;
        let set = features::refresh_profiles(kept, job.dictionaries, rows, mask, stop)?;
        return Ok((set, Vec::new()));
    }
    let embedded = architecture.embedded_features();
    Ok(features::fit(
        &job.plan.requests,
        &job.plan.features,
        job.dictionaries,
        rows,
        mask,
        &embedded,
        stop,
    )?)
}

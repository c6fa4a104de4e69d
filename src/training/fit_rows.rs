//! How the features are treated, by the rows that are trained on.

use super::error::Error;
use super::job::Job;
use crate::features::{
    self, BitMask, DEFAULT_STEPS, Fit, FitRows, Ignored, LeftOut, Profile, RawRows, Steps,
};
use crate::nn::{Architecture, InputForm};

/// The features with their treatments, fitted to the training rows or kept by a warm start. `mask`
/// has the examples that are trained on.
pub(super) fn fit_features(
    job: &Job<'_>,
    architecture: &Architecture,
    rows: &mut dyn RawRows,
    mask: &BitMask,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Fit, Error> {
    let steps = steps_of(job, mask)?;
    let mask_of_steps = match (job.sequences, &steps) {
        (Some(sequences), Some(steps)) => Some(sequences.mask_of_rows(mask, steps.length)),
        _ => None,
    };
    let mask = mask_of_steps.as_ref().unwrap_or(mask);
    let mut fit = match job.previous.filter(|_| job.warm_start()) {
        Some(previous) => {
            let kept = previous.features.used();
            let (set, warnings) =
                features::refresh_profiles(&kept, &mut fit_rows(job, rows, mask, stop))?;
            let kept = Fit {
                set,
                left_out: Vec::new(),
                warnings,
            };
            match &job.options.add_features {
                None => kept,
                Some(_) => add_features(job, kept, rows, mask, stop)?,
            }
        }
        None => features::fit(
            &job.plan.requests,
            &job.plan.features,
            &embedded(job, architecture),
            &mut fit_rows(job, rows, mask, stop),
        )?,
    };
    match steps {
        Some(steps) => fit.set = fit.set.with_steps(steps)?,
        None if !job.warm_start() => leave_out_unread(architecture, &mut fit),
        None => {}
    }
    Ok(fit)
}

/// The kept features, and behind them the added ones, fitted.
fn add_features(
    job: &Job<'_>,
    kept: Fit,
    rows: &mut dyn RawRows,
    mask: &BitMask,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Fit, Error> {
    // The plan asks nothing of the kept ones, so that only the added ones are fitted.
    let plan = job.plan;
    let fitted = features::fit(
        &plan.requests,
        &plan.features,
        &[],
        &mut fit_rows(job, rows, mask, stop),
    )?;
    let Fit {
        mut set,
        mut warnings,
        ..
    } = kept;
    let known = set.features.len();
    for feature in fitted.set.features.into_iter().skip(known) {
        let problem = match (feature.reason(), feature.form()) {
            (Some(reason), _) => format!("names column \"{}\", but {reason}", feature.name),
            (None, InputForm::Numbers(_)) => {
                set.features.push(feature);
                continue;
            }
            _ => format!(
                "names column \"{}\", whose treatment needs a layer of its own",
                feature.name
            ),
        };
        return Err(Error::Value {
            name: "option \"add_features\"".into(),
            problem,
            hint: Some(
                "Add columns that are treated as numbers, vectors or one-hot categories; name them \
                 in features to keep one that would be left out."
                    .into(),
            ),
        });
    }
    set.validate()?;
    Ok(Fit {
        set,
        left_out: Vec::new(),
        warnings: {
            warnings.extend(fitted.warnings);
            warnings
        },
    })
}

/// Leaves out the features that no layer reads.
fn leave_out_unread(architecture: &Architecture, fit: &mut Fit) {
    for feature in &mut fit.set.features {
        if feature.is_used() && !architecture.reads(&feature.name) {
            let reason = "no layer of the architecture reads it".to_owned();
            fit.left_out.push(LeftOut::new(&feature.name, &reason));
            feature.treatment = Ignored::because(reason).into();
            feature.profile = Profile::None;
        }
    }
}

/// The rows that the features are fitted on.
fn fit_rows<'a>(
    job: &'a Job<'_>,
    rows: &'a mut dyn RawRows,
    is_training: &'a BitMask,
    interrupted: &'a mut dyn FnMut() -> bool,
) -> FitRows<'a> {
    FitRows {
        rows,
        is_training,
        dictionaries: job.dictionaries,
        crew: Some(job.crew),
        interrupted,
    }
}

/// The features that embeddings read.
fn embedded(job: &Job<'_>, architecture: &Architecture) -> Vec<String> {
    let columns = &job.plan.features;
    let names = columns.iter().map(|column| &column.name);
    let only = columns.len() == 1;
    names
        .filter(|name| architecture.embedding_of(name, only).is_some())
        .cloned()
        .collect()
}

/// What sequences have beside their features. Their length is as asked for, else that of the
/// longest one trained on, and kept by a warm start.
fn steps_of(job: &Job<'_>, mask: &BitMask) -> Result<Option<Steps>, Error> {
    let Some(sequences) = job.sequences else {
        return Ok(None);
    };
    let kept = job.previous.filter(|_| job.warm_start());
    let kept = kept.and_then(|previous| previous.features.steps.as_ref());
    let length = match (kept, job.options.sequence_length) {
        (Some(kept), Some(length)) if length != kept.length => {
            return Err(Error::option(
                "sequence_length",
                &format!(
                    "must be {} with warm_start, as in the deployed version",
                    kept.length
                ),
            ));
        }
        (Some(kept), _) => kept.length,
        (None, Some(length)) => length,
        (None, None) => sequences.longest(mask).min(DEFAULT_STEPS),
    };
    Ok(Some(Steps {
        length,
        by: job.options.sequence_by.clone().unwrap_or_default(),
        order: job.options.order_by.clone().unwrap_or_default(),
    }))
}

//! `neural.set_threshold`: a version that differs from another in its threshold alone.

use pgrx::prelude::*;
use serde_json::Value;

use super::{given, given_text};
use crate::artifact::Model;
use crate::features::Target;
use crate::pg::access::Right;
use crate::pg::catalog::{self, Description, NewVersion};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::{interrupt, reader};

/// The metrics that follow from the threshold: those of the old one do not hold for the new version.
const BY_THRESHOLD: [&str; 4] = ["accuracy", "precision", "recall", "f1"];

/// Stores and deploys the next version of a model, the same but for the threshold; its number.
#[pg_extern(sql = false)]
fn set_threshold(model: Option<&[u8]>, threshold: Option<f64>) -> i32 {
    let model = given_text(model, "model").or_raise();
    set(model, given(threshold, "threshold").or_raise()).or_raise()
}

fn set(reference: &str, wanted: f64) -> Result<i32> {
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.set_threshold()".as_ptr()) };
    if !(0.0..=1.0).contains(&wanted) {
        return Err(Report::invalid(format!("threshold is {wanted}"))
            .hint("Give a probability from 0 to 1."));
    }
    let version = reader::resolve(reference)?;
    version.right.require(Right::Manage, &version.model)?;
    let mut model = Model::from_bytes(&reader::load(&version)?)
        .map_err(|error| Report::stored(&version.model, error))?;
    match &mut model.target {
        Target::Classes {
            classes, threshold, ..
        } if classes.len() == 2 => *threshold = wanted,
        Target::Labels { threshold, .. } => *threshold = wanted,
        _ => {
            return Err(
                Report::invalid(format!("model \"{}\" has no threshold", version.model))
                    .hint("A threshold decides between two classes, or whether a label applies."),
            );
        }
    }
    let mut training = catalog::recorded(&version)?;
    if let Some(metrics) = &mut training.metrics {
        forget(metrics);
    }
    if let Some(metrics) = model.training.get_mut("metrics") {
        forget(metrics);
    }
    let recorded = [training.options.as_mut(), model.training.get_mut("options")];
    for options in recorded.into_iter().flatten() {
        if let Value::Object(options) = options {
            options.insert("threshold".into(), wanted.into());
        }
    }
    interrupt::check();
    let description = Description::of(&model)?;
    let stored = model.in_pieces(|artifact| {
        catalog::store_version(&NewVersion {
            model: &version.model,
            artifact,
            description,
            training,
            history: &[],
            adds_features: false,
            deploy: true,
        })
    })??;
    catalog::copy_history(version.version_id, stored.version_id)?;
    Ok(stored.number)
}

fn forget(metrics: &mut Value) {
    if let Value::Object(metrics) = metrics {
        metrics.retain(|name, _| !BY_THRESHOLD.contains(&name.as_str()));
    }
}

//! The error of a call that gives too few or too many values.

use pgrx::PgSqlErrorCode as Code;

use crate::features::Feature;
use crate::pg::error::Report;
use crate::pg::reader::Resolved;

/// That the model has these features and the call gives another number of them.
pub(super) fn wrong_count(features: &[Feature], given: usize, resolved: &Resolved) -> Report {
    let names: Vec<&str> = features
        .iter()
        .map(|feature| feature.name.as_str())
        .collect();
    Report::new(
        Code::ERRCODE_INVALID_PARAMETER_VALUE,
        format!(
            "model \"{}\" has {} feature{}, but the call gives {given}",
            resolved.label(),
            names.len(),
            if names.len() == 1 { "" } else { "s" },
        ),
    )
    .hint(format!(
        "The features are, in this order: {}.",
        names.join(", ")
    ))
}

//! What the user is told before the loop begins.

use super::job::Job;
use super::options::ValidationSplit;
use crate::features::{self, BitMask, FeatureSet, Target};
use crate::nn::OutputRange;

/// What the validation rows are.
#[derive(Clone, Copy)]
pub(super) enum HeldOut {
    Nothing,
    /// A share of the rows.
    Share(f64),
    /// All rows, each for one of so many members.
    Folds(usize),
}

/// What is known when the loop begins.
pub(super) struct Learnt<'a> {
    pub(super) target: &'a Target,
    pub(super) features: &'a FeatureSet,
    /// Why columns were left out.
    pub(super) left_out: &'a [String],
    /// The examples that are trained on.
    pub(super) trained: &'a BitMask,
    pub(super) rows_trained: usize,
    pub(super) rows_validated: usize,
    pub(super) held_out: HeldOut,
    /// Of a target of classes, the validation rows of each.
    pub(super) validated_counts: Option<Vec<u64>>,
    /// What the outputs are kept within, where the target's scale was chosen by it.
    pub(super) chosen_within: Option<OutputRange>,
}

/// The notices before the loop: task, features, what is left out, the split.
pub(super) fn announcement(job: &Job<'_>, learnt: &Learnt<'_>) -> Vec<String> {
    let Learnt {
        target,
        features: feature_set,
        rows_trained,
        rows_validated,
        ..
    } = learnt;
    let task = match (target.positive_class(), target.classes().len()) {
        _ if target.is_array() => {
            let (what, each) = match target.classes().len() {
                0 => ("regression", "output"),
                _ => ("classification", "label"),
            };
            let units = target.head().units();
            format!(
                "{what} of \"{}\", {units} {each}{} a row",
                target.column(),
                if units == 1 { "" } else { "s" }
            )
        }
        (Some(positive), _) => format!(
            "classification of \"{}\", positive class \"{positive}\" (the other: \"{}\")",
            target.column(),
            target
                .classes()
                .iter()
                .find(|class| *class != positive)
                .map_or("", |c| c.as_str()),
        ),
        (None, 0) => format!("regression of \"{}\"", target.column()),
        (None, classes) => format!(
            "classification of \"{}\" in {classes} classes",
            target.column()
        ),
    };
    let described: Vec<String> = feature_set
        .features
        .iter()
        .filter(|feature| feature.is_used())
        .map(features::Feature::describe)
        .collect();
    let split = if job.plan.flag.is_some() {
        "by the column named".to_string()
    } else {
        let how = match (&job.options.validation_split, job.plan.group.is_some()) {
            (_, true) => "by group",
            (Some(ValidationSplit::Random), _) => "random",
            (Some(ValidationSplit::Last), _) if job.sequences.is_some() => "the newest",
            (Some(ValidationSplit::Last), _) => "the last rows",
            _ if target.classes().is_empty() || target.is_array() => "random",
            _ => "stratified",
        };
        match learnt.held_out {
            HeldOut::Nothing => "none held out".to_string(),
            HeldOut::Share(share) => format!("{how}, {}%", (share * 1000.0).round() / 10.0),
            HeldOut::Folds(members) => {
                let share = (1000.0 / members as f64).round() / 10.0;
                format!("{members} members, each holding out its own {share}%")
            }
        }
    };
    let examples = match (&feature_set.steps, job.sequences) {
        (Some(steps), Some(sequences)) => {
            let rows = sequences.mask_of_rows(learnt.trained, steps.length).count();
            format!(
                "{rows_trained} sequences of at most {} steps ({rows} rows) to train on",
                steps.length
            )
        }
        _ => format!("{rows_trained} rows to train on"),
    };
    let mut text = format!(
        "{task}; {} feature{}: {}; {examples}, {rows_validated} to validate ({split}); seed {}",
        described.len(),
        if described.len() == 1 { "" } else { "s" },
        described.join(", "),
        // As it was given: SQL's integers have a sign.
        job.arguments.seed as i64,
    );
    for column in &job.plan.ignored {
        text.push_str(&format!("; column \"{column}\" is ignored as asked"));
    }
    for reason in learnt.left_out {
        text.push_str("; ");
        text.push_str(reason);
    }
    vec![text]
}

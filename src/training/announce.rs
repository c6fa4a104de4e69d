//! What the user is told before the loop begins.

use serde_json::json;

use super::job::Job;
use super::option_values::ValidationSplit;
use crate::features::{self, BitMask, FeatureSet, LeftOut, Target};
use crate::nn::OutputRange;

/// Columns that a line names; neural.models and neural.model_versions show all.
const SHOWN: usize = 12;

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
    /// The examples that are trained on.
    pub(super) trained: &'a BitMask,
    pub(super) rows_trained: usize,
    pub(super) rows_validated: usize,
    pub(super) held_out: HeldOut,
    /// Of a target of classes, the validation rows of each.
    pub(super) validated_counts: Option<&'a [u64]>,
    /// What the outputs are kept within, where the target's scale was chosen by it.
    pub(super) chosen_within: Option<&'a OutputRange>,
    /// Of a warm start, how many examples the versions before are known to have met.
    pub(super) known_again: Option<usize>,
}

/// The notices before the loop, a line each: task, features, the split, what is ignored.
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
        (None, 0) => format!("regression of \"{}\"{}", target.column(), family_of(target)),
        (None, classes) => format!(
            "classification of \"{}\" in {classes} classes{}",
            target.column(),
            order_of(target)
        ),
    };
    let described: Vec<String> = feature_set
        .features
        .iter()
        .filter(|feature| feature.is_used())
        .map(features::Feature::describe)
        .collect();
    let split = if job.plan.at.flag.is_some() {
        "by the column named".to_string()
    } else {
        let how = match (&job.options.validation_split, job.plan.at.group.is_some()) {
            (_, true) => "by group",
            (Some(ValidationSplit::Random), _) => "random",
            (Some(ValidationSplit::Last), _) if job.sequences.is_some() => "the newest",
            (Some(ValidationSplit::Last), _) => "the last rows",
            _ if target.classes().is_empty() || target.is_array() => "random",
            _ => "stratified",
        };
        match learnt.held_out {
            HeldOut::Nothing => "none held out".to_string(),
            HeldOut::Share(share) => {
                let share = (share * 1000.0).round() / 10.0;
                match job.warm_start() {
                    true => format!(
                        "those held out before, and of new rows {how}, {share}%{}",
                        learnt.known_again.map_or(String::new(), |again| format!(
                            "; {again} of {} are known from the versions before",
                            learnt.trained.len()
                        ))
                    ),
                    false => format!("{how}, {share}%"),
                }
            }
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
    let mut notices = vec![
        task,
        features_line(&described),
        format!(
            "{examples}, {rows_validated} to validate ({split}); seed {}",
            // As it was given: SQL's integers have a sign.
            job.arguments.seed as i64,
        ),
    ];
    if !job.plan.passed_over.is_empty() {
        let columns = &job.plan.passed_over;
        notices.push(format!(
            "left out as in the model's earlier versions: {}; options => '{}' makes features of them",
            names(columns),
            json!({ "add_features": columns }).to_string().replace('\'', "''"),
        ));
    }
    if !job.plan.ignored.is_empty() {
        notices.push(format!("ignored as asked: {}", names(&job.plan.ignored)));
    }
    notices
}

/// What is learnt of numbers whose mean is learnt through a link.
fn family_of(target: &Target) -> String {
    let Some(family) = target.family() else {
        return String::new();
    };
    let over = match family.exposure() {
        Some(column) => format!(", for 1 of \"{column}\""),
        None => String::new(),
    };
    format!(" by {}{over}", family.loss())
}

/// Which order classes have.
fn order_of(target: &Target) -> String {
    match target {
        Target::Classes {
            ordered: true,
            classes,
            ..
        } => match classes.as_slice() {
            [first, .., last] => format!(" in order, from \"{first}\" to \"{last}\""),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// The features with their treatments, the first ones where there are many.
fn features_line(described: &[String]) -> String {
    let shown: Vec<&str> = described.iter().take(SHOWN).map(String::as_str).collect();
    let more = match described.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more, which neural.models shows"),
    };
    format!(
        "{} feature{}: {}{more}",
        described.len(),
        if described.len() == 1 { "" } else { "s" },
        shown.join(", "),
    )
}

/// Columns as a line names them, the first ones where there are many.
fn names<T: AsRef<str>>(columns: &[T]) -> String {
    let shown: Vec<String> = columns
        .iter()
        .take(SHOWN)
        .map(|column| format!("\"{}\"", column.as_ref()))
        .collect();
    match columns.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The warnings of columns that were left out without having been asked to, a line each.
pub(super) fn left_out_warnings(left_out: &[LeftOut]) -> Vec<String> {
    let (told, rest) = left_out.split_at(left_out.len().min(SHOWN));
    let mut lines: Vec<String> = told
        .iter()
        .map(|LeftOut { column, reason }| format!("column \"{column}\" is left out: {reason}"))
        .collect();
    if !rest.is_empty() {
        let more = rest.len();
        lines.push(format!(
            "{more} more columns are left out; left_out in neural.model_versions has the reasons"
        ));
    }
    lines
}

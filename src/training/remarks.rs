//! What the user is told in lines of their own before the loop begins, as it may make the model
//! another one than is wanted.

use super::announce::{HeldOut, Learnt};
use super::job::Job;
use crate::features::{Origin, Target, numbers_as_classes, positive_by_name};

/// With fewer training rows there is little to learn from.
const FEW_ROWS: usize = 30;
/// Classes that a line names.
const NAMED: usize = 10;

/// A line of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// What was chosen, as is usual.
    Notice(String),
    /// What is told whatever the user silences.
    Warning(String),
}

/// The lines about the target and the split.
pub(super) fn remarks(job: &Job<'_>, learnt: &Learnt<'_>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    remarks.extend(positive_class(job, learnt.target));
    if let Some(range) = learnt.chosen_within {
        remarks.push(Remark::Notice(format!(
            "the target \"{}\" is learnt without its mean being subtracted, because the last \
             layer's activation {} cannot give every number",
            learnt.target.column(),
            range.activation
        )));
    }
    remarks.extend(numbers(job, learnt.target).map(Remark::Warning));
    remarks.extend(absent(learnt.target).map(Remark::Warning));
    remarks.extend(one_sided(learnt).map(Remark::Warning));
    if learnt.rows_trained < FEW_ROWS {
        let (rows, s) = (
            learnt.rows_trained,
            if learnt.rows_trained == 1 { "" } else { "s" },
        );
        let what = if job.sequences.is_some() {
            "sequence"
        } else {
            "row"
        };
        remarks.push(Remark::Warning(format!(
            "there {} only {rows} {what}{s} to train on: what is learnt from so few is mostly chance",
            if rows == 1 { "is" } else { "are" },
        )));
    }
    remarks
}

/// Which of two classes is the positive one, where neither an option nor an earlier version says so.
fn positive_class(job: &Job<'_>, target: &Target) -> Option<Remark> {
    let positive = target.positive_class()?;
    if job.previous.is_some() || job.options.positive_class.is_some() {
        return None;
    }
    if positive_by_name(target.classes()).is_some() {
        return Some(Remark::Notice(format!(
            "the positive class is \"{positive}\", by its name: neural.predict gives its probability"
        )));
    }
    let Target::Classes {
        classes, counts, ..
    } = target
    else {
        return None;
    };
    let other = classes.iter().find(|class| *class != positive)?;
    let tie = counts.iter().all(|count| counts.first() == Some(count));
    let why = match tie {
        true => "the last in order, since both have as many rows",
        false => "the rarer",
    };
    Some(Remark::Warning(format!(
        "of \"{positive}\" and \"{other}\" the positive class is \"{positive}\", {why}: neural.predict \
         gives its probability; say which is meant by option \"positive_class\""
    )))
}

/// A target whose numbers come as texts, and are learnt as classes without having been asked for.
fn numbers(job: &Job<'_>, target: &Target) -> Option<String> {
    let Target::Classes {
        classes, counts, ..
    } = target
    else {
        return None;
    };
    let is_text = job.plan.target.origin == Origin::Text;
    if !is_text || job.task.is_some() || job.previous.is_some() {
        return None;
    }
    let hint = numbers_as_classes(target.column(), classes, counts)?;
    Some(format!(
        "the target \"{}\" is text whose values look like numbers: it is learnt as {} classes, of \
         which none is more or less than another; {hint}, or say task => 'classification'",
        target.column(),
        classes.len()
    ))
}

/// Classes or labels that no training row has.
fn absent(target: &Target) -> Option<String> {
    let (counts, what) = match target {
        Target::Classes { counts, .. } => (counts, "class"),
        Target::Labels { counts, .. } => (counts, "label"),
        Target::Regression { .. } => return None,
    };
    let absent: Vec<String> = target
        .classes()
        .iter()
        .zip(counts)
        .filter(|(_, count)| **count == 0)
        .map(|(class, _)| format!("\"{class}\""))
        .collect();
    let more = match absent.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = absent.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let (plural, them) = match (absent.len(), what) {
        (0, _) => return None,
        (1, _) => (what.to_owned(), "it"),
        (_, "class") => ("classes".to_owned(), "them"),
        _ => ("labels".to_owned(), "them"),
    };
    Some(format!(
        "no training row has the {plural} {}{more}: the model cannot learn {them}; split the rows \
         otherwise, or leave {them} out",
        named.join(", ")
    ))
}

/// Held-out rows of one class, by which no ranking can be judged.
fn one_sided(learnt: &Learnt<'_>) -> Option<String> {
    let counts = learnt.validated_counts?;
    if !matches!(learnt.held_out, HeldOut::Share(_)) || learnt.rows_validated == 0 {
        return None;
    }
    let mut present = counts
        .iter()
        .zip(learnt.target.classes())
        .filter(|(count, _)| **count > 0)
        .map(|(_, class)| class);
    let (Some(only), None) = (present.next(), present.next()) else {
        return None;
    };
    let (rows, s) = match learnt.rows_validated {
        1 => (1, ""),
        rows => (rows, "s"),
    };
    Some(match learnt.target.positive_class() {
        Some(positive) if positive != only => format!(
            "none of the {rows} validation row{s} is of the positive class \"{positive}\": they tell \
             little of how good the model is"
        ),
        _ => format!(
            "all of the {rows} validation row{s} are of the class \"{only}\": they tell little of how \
             good the model is"
        ),
    })
}

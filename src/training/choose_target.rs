//! What is learnt: the target as the rows and the options have it, or as the model's earlier
//! versions do.

use super::choose_family::keep;
use super::error::Error;
use super::job::Job;
use super::options::Options;
use crate::artifact::Model;
use crate::features::{
    self, Column, Dictionary, Family, RawRows, Reaching, Target, TargetRequest, Task, Values,
    check_request, is_plain_number,
};
use crate::nn::{DenseSpec, LayerSpec, LossSpec, Network, Parameter};

/// The mean of shares, or what is left of 1, that learning starts from at least.
const LEAST_SHARE: f64 = 1e-4;

/// What the arguments and options say of the target.
pub(super) fn target_request(job: &Job<'_>) -> TargetRequest {
    TargetRequest {
        task: job.task,
        positive_class: job.options.positive_class.clone(),
        scale: job.options.target_scale,
        threshold: job.options.threshold,
    }
}

/// How a regression's scale is found where the network cannot say every number.
pub(super) fn reaching(job: &Job<'_>) -> Reaching {
    if job.previous.is_some() && job.warm_start() {
        return Reaching::Kept;
    }
    match job.options.target_scale {
        None => Reaching::Chosen,
        Some(scale) => Reaching::Asked(scale),
    }
}

/// The target of the version that a warm start goes on from, once every row is known to fit it.
pub(super) fn kept_target(
    job: &Job<'_>,
    previous: &Model,
    words: Option<&Dictionary>,
    rows: &mut dyn RawRows,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Target, Error> {
    let mut target = previous.target.clone();
    adopt_column(&mut target, &job.plan.target);
    let (column, at) = (&job.plan.target, job.plan.at.target);
    if target.is_array() != column.kind.is_array() {
        return Err(other_form(previous));
    }
    check_request(&target_request(job), &target)?;
    keep(job, previous, &mut target)?;
    let outputs = match &target {
        Target::Regression {
            outputs,
            array: false,
            ..
        } => outputs.len(),
        _ => 1,
    };
    if target.task() == Task::Regression && words.is_some() {
        return Err(Error::Features(features::Error::Type {
            message: format!(
                "the target \"{}\" of type {} is not a number",
                column.name, column.sql_type
            ),
            hint: Some("Convert it to a number in the query.".into()),
        }));
    }
    if outputs != job.options.quantiles.as_ref().map_or(1, Vec::len) {
        return Err(Error::option(
            "quantiles",
            &format!("must name as many as the version that warm_start goes on from: {outputs}"),
        ));
    }
    if let (Target::Classes { threshold, .. } | Target::Labels { threshold, .. }, Some(given)) =
        (&mut target, job.options.threshold)
    {
        *threshold = given;
    }
    let labels = target.labels(words)?;
    let mut learnt = Vec::with_capacity(labels.targets());
    features::pass(rows, stop, |_, block| {
        let wrong = (0..block.rows).find_map(|row| {
            learnt.clear();
            let error = labels.write(block, at, row, &mut learnt).err()?;
            Some((row, error))
        });
        let Some((row, error)) = wrong else {
            return Ok(());
        };
        if target.is_array() {
            return Err(error);
        }
        let value = match (words, block.columns.get(at)) {
            (Some(words), Some(Values::Category(codes))) => codes
                .get(row)
                .and_then(|&code| words.text(code))
                .unwrap_or_default()
                .to_string(),
            (_, Some(Values::Integer(values))) => values.get(row).copied().unwrap_or(0).to_string(),
            (_, Some(values)) => values.number(row).unwrap_or(f64::NAN).to_string(),
            (_, None) => String::new(),
        };
        Err(features::Error::Invalid {
            message: format!(
                "the target \"{}\" is \"{value}\" in a row, which the version that warm_start \
                 goes on from does not know",
                column.name
            ),
            hint: Some("Leave such rows out, or train without warm_start.".into()),
        })
    })?;
    Ok(target)
}

/// Gives the target of imported weights, which know of no column, the one that is trained on.
fn adopt_column(target: &mut Target, trained: &Column) {
    let (Target::Regression {
        column, sql_type, ..
    }
    | Target::Classes {
        column, sql_type, ..
    }
    | Target::Labels {
        column, sql_type, ..
    }) = target;
    if !column.is_empty() {
        return;
    }
    column.clone_from(&trained.name);
    sql_type.clone_from(&trained.sql_type);
    if let Target::Classes { origin, .. } | Target::Regression { origin, .. } = target {
        *origin = trained.origin;
    }
}

/// Later versions keep the task, and what a row's target is: one value or an array, and of what.
pub(super) fn same_form(previous: &Model, target: &Target) -> Result<(), Error> {
    same_task(previous, target.task())?;
    let by_place = |target: &Target| match target {
        Target::Labels { origin, .. } => origin.is_number(),
        _ => true,
    };
    let same = previous.target.is_array() == target.is_array()
        && by_place(&previous.target) == by_place(target);
    if !same {
        return Err(other_form(previous));
    }
    if !target.is_array() || !by_place(target) {
        return Ok(());
    }
    let (known, found) = (previous.head().units(), target.head().units());
    if known == found {
        return Ok(());
    }
    Err(Error::Signature(format!(
        "the model's earlier versions have {known} outputs, but the rows have {found}"
    )))
}

fn other_form(previous: &Model) -> Error {
    let known = match &previous.target {
        Target::Labels { origin, .. } if !origin.is_number() => "an array of labels",
        Target::Labels { .. } => "an array of truth values",
        Target::Regression { array: true, .. } => "an array of numbers",
        _ => "one value a row",
    };
    Error::Signature(format!(
        "the target of the model's earlier versions is {known}"
    ))
}

/// Later versions keep the task.
pub(super) fn same_task(previous: &Model, task: Task) -> Result<(), Error> {
    if previous.target.task() == task {
        return Ok(());
    }
    Err(Error::Signature(format!(
        "the model's earlier versions are for {}, not for {}",
        previous.target.task().name(),
        task.name()
    )))
}

/// Later versions keep the positive class, however many rows it has now.
pub(super) fn keep_positive(previous: &Model, target: &mut Target) -> Result<(), Error> {
    let Target::Classes {
        classes,
        positive,
        origin,
        ..
    } = target
    else {
        return Ok(());
    };
    // A number keeps its spelling: 1 and 1.0 are one class. So are true and 1 where a truth value is
    // learnt, if all classes are so: 1 and 2 are none.
    let index = previous.target.class_index();
    let are_numbers = is_plain_number(*origin);
    let known: Vec<Option<&String>> = classes
        .iter()
        .map(|class| index.find(class, are_numbers))
        .map(|at| previous.target.classes().get(at?))
        .collect();
    let all = known.iter().all(Option::is_some);
    let is_truth = |class: &str| class == "true" || class == "false";
    for (place, known) in known.into_iter().enumerate() {
        if let Some(known) = known
            && !classes.contains(known)
            && let Some(class) = classes.get_mut(place)
            && (all || !(is_truth(class) || is_truth(known)))
        {
            class.clone_from(known);
        }
    }
    let Some(wanted) = previous.target.positive_class() else {
        if classes.len() > 2 {
            return Ok(());
        }
        return Err(Error::Signature(format!(
            "the model's earlier versions have {} classes, but the rows have only two",
            previous.target.classes().len()
        )));
    };
    if positive.is_some() && classes.len() == 2 {
        return Ok(());
    }
    *positive = classes.iter().position(|class| class == wanted);
    if positive.is_some() && classes.len() == 2 {
        return Ok(());
    }
    let shown: Vec<&str> = classes.iter().take(5).map(String::as_str).collect();
    Err(Error::Signature(format!(
        "the model's earlier versions have two classes, \"{wanted}\" the positive one, but the \
         rows have {}: {}{}",
        classes.len(),
        shown.join(", "),
        if classes.len() > shown.len() {
            ", …"
        } else {
            ""
        },
    )))
}

/// One output for each quantile, all on the target's scale.
///
/// # Errors
/// Quantiles of a target that is an array.
pub(super) fn set_quantile_outputs(target: &mut Target, options: &Options) -> Result<(), Error> {
    let Target::Regression {
        outputs,
        array,
        quantiles: kept,
        ..
    } = target
    else {
        return Ok(());
    };
    let median = [0.5];
    let is_quantile = |loss: &LossSpec| matches!(loss, LossSpec::Quantile { .. });
    let quantiles = match &options.quantiles {
        Some(quantiles) => quantiles.as_slice(),
        None if options.loss.as_ref().is_some_and(is_quantile) && !*array => &median,
        None => return Ok(()),
    };
    if *array {
        return Err(Error::Value {
            name: "option \"quantiles\"".into(),
            problem: "goes with a target that is one number".into(),
            hint: Some("Train a model for each element of the array, or leave it out.".into()),
        });
    }
    if let Some(&scale) = outputs.first() {
        *outputs = vec![scale; quantiles.len()];
    }
    *kept = quantiles.to_vec();
    Ok(())
}

/// Sets the output layer's bias so that an untrained network gives each class or label its share of
/// the training rows: the first epochs need not learn that. A layer whose `bias_initializer` is
/// given keeps what that says.
pub(super) fn start_at_the_prior(network: &Network, target: &Target, parameters: &mut [f32]) {
    let last = network.architecture().layers.last();
    if let Some(output) = last.and_then(LayerSpec::get::<DenseSpec>)
        && output.bias_initializer.is_some()
    {
        return;
    }
    if let Target::Classes {
        counts,
        ordered: true,
        ..
    } = target
    {
        return start_in_order(network, counts, parameters);
    }
    let (counts, rows, positive) = match target {
        Target::Classes {
            counts, positive, ..
        } => (counts, counts.iter().sum::<u64>(), *positive),
        Target::Labels { counts, rows, .. } => (counts, *rows, None),
        Target::Regression { family, .. } => {
            // A mean that is learnt through its logarithm is what outputs are told in: it is 1.
            let start = match family {
                None => return,
                Some(Family::Tweedie { .. }) => 0.0,
                Some(Family::Share { mean }) => {
                    let mean = mean.clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
                    (mean / (1.0 - mean)).ln() as f32
                }
            };
            for member in network.member_parameters() {
                if let Some(bias) = last_of(member, ".bias", parameters) {
                    bias.fill(start);
                }
            }
            return;
        }
    };
    let share = |class: usize| {
        // Half a row more keeps a class without rows from infinity.
        (counts.get(class).copied().unwrap_or(0) as f64 + 0.5) / (rows as f64 + 1.0)
    };
    let logit = |class: usize| (share(class) / (1.0 - share(class))).ln() as f32;
    for member in network.member_parameters() {
        let Some(bias) = last_of(member, ".bias", parameters) else {
            return;
        };
        match (positive, bias) {
            (Some(positive), [bias]) => *bias = logit(positive),
            (Some(positive), [negative_bias, positive_bias]) => {
                *negative_bias = share(1 - positive).ln() as f32;
                *positive_bias = share(positive).ln() as f32;
            }
            (None, biases) if biases.len() == counts.len() => {
                for (class, bias) in biases.iter_mut().enumerate() {
                    *bias = match target {
                        Target::Labels { .. } => logit(class),
                        _ => share(class).ln() as f32,
                    };
                }
            }
            _ => {}
        }
    }
}

/// The last parameter of a member, if its name ends so.
fn last_of<'p>(
    member: &[Parameter],
    ending: &str,
    parameters: &'p mut [f32],
) -> Option<&'p mut [f32]> {
    let last = member.last()?;
    let is_named = last.name.ends_with(ending);
    parameters.get_mut(last.range.clone()).filter(|_| is_named)
}

/// Sets the thresholds between classes in order where the training rows have them.
fn start_in_order(network: &Network, counts: &[u64], parameters: &mut [f32]) {
    // Half a row more keeps classes without rows apart.
    let rows: f64 = counts.iter().map(|&count| count as f64 + 0.5).sum();
    let mut below = 0.0;
    let logits = counts.iter().map(|&count| {
        below += count as f64 + 0.5;
        (below / (rows - below)).ln()
    });
    let logits: Vec<f64> = logits.take(counts.len().saturating_sub(1)).collect();
    for member in network.member_parameters() {
        let Some(thresholds) = last_of(member, ".thresholds", parameters) else {
            return;
        };
        let mut before = None;
        for (threshold, &logit) in thresholds.iter_mut().zip(&logits) {
            *threshold = match before.replace(logit) {
                None => logit as f32,
                Some(before) => (logit - before).ln() as f32,
            };
        }
    }
}

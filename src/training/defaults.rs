//! What is done where the user says nothing, and how what he says becomes the trainer's options.

use super::error::Error;
use super::option_values::{ClassWeights, ValidationSplit};
use super::options::Options;
use crate::features::{Family, Target};
use crate::nn::{Head, LossSpec, OptimizerSpec, ScheduleSpec, TrainOptions};

/// The arguments of `neural.train` that steer the loop; `None`: the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arguments {
    /// Passes over the training rows.
    pub epochs: Option<i64>,
    /// Rows a step.
    pub batch_size: Option<i64>,
    /// The (largest) learning rate.
    pub learning_rate: Option<f64>,
    /// The optimizer's name.
    pub optimizer: Option<String>,
    /// The share of the rows held out.
    pub validation: Option<f64>,
    /// What all chance is drawn from.
    pub seed: u64,
}

/// Rows, of all, that are held out unless told otherwise.
pub const VALIDATION: f64 = 0.15;

/// Networks that are trained side by side on a table of so many rows unless told otherwise: several
/// where that takes a little while only, and fewer where more rows make one network good by itself.
/// Of the smallest tables a fold would be too few rows.
pub(super) fn members(rows: usize) -> Option<usize> {
    match rows {
        64..=10_000 => Some(8),
        10_001..=100_000 => Some(4),
        _ => None,
    }
}

/// The inputs that such a table may have, so that all members fit in little memory.
pub const MEMBERS_INPUTS: usize = 500;

/// The decay where rows say that little is needed.
const LIGHT_DECAY: f64 = 0.05;

/// Rows a step: small tables need the steps, large ones the speed. About 2·√rows, as a power of
/// two from 32 to 4096.
fn batch_size(rows: usize) -> usize {
    let exponent = (2.0 * (rows.max(1) as f64).sqrt()).log2().round();
    (2_f64.powf(exponent) as usize).clamp(32, 4096)
}

/// Passes over the rows: 100·√(5000 / rows), from 8 to 100, so that a large table takes more steps
/// than a small one, but not in proportion.
pub(super) fn epochs(rows: usize) -> usize {
    ((100.0 * (5000.0 / rows.max(1) as f64).sqrt()).round() as usize).clamp(8, 100)
}

/// An argument that must be a whole number of at least one.
fn positive(name: &str, value: Option<i64>) -> Result<Option<usize>, Error> {
    match value {
        None => Ok(None),
        Some(number) if number >= 1 && number <= i64::from(i32::MAX) => Ok(Some(number as usize)),
        Some(_) => Err(Error::argument(name, "must be at least 1")),
    }
}

/// The share of the rows that is held out.
pub fn validation_fraction(arguments: &Arguments, options: &Options) -> Result<f64, Error> {
    match arguments.validation {
        None => Ok(VALIDATION),
        Some(_) if matches!(options.validation_split, Some(ValidationSplit::Column(_))) => {
            Err(Error::argument(
                "validation",
                "must be NULL when option \"validation_split\" names a column",
            ))
        }
        Some(fraction) if (0.0..1.0).contains(&fraction) => Ok(fraction),
        Some(_) => Err(Error::argument(
            "validation",
            "must be at least 0 and less than 1",
        )),
    }
}

/// The learning rate that suits an optimizer, as its authors or PyTorch have it; for the default
/// one what did best over many small and middling tables.
fn learning_rate(optimizer: &OptimizerSpec) -> f64 {
    match optimizer {
        OptimizerSpec::AdamW { .. } => 3e-3,
        OptimizerSpec::Adam { .. } => 1e-3,
        OptimizerSpec::Sgd { .. }
        | OptimizerSpec::RmsProp { .. }
        | OptimizerSpec::Adagrad { .. } => 1e-2,
    }
}

/// Decoupled decay: strong for the default optimizer, where it is what keeps networks on small
/// tables from learning the noise; none where the user chose another one.
fn weight_decay(optimizer: &OptimizerSpec) -> f64 {
    match optimizer {
        OptimizerSpec::AdamW { .. } => 0.3,
        _ => 0.0,
    }
}

/// Whether nothing was said of what keeps a network from learning noise.
pub(super) fn may_lighten(arguments: &Arguments, options: &Options) -> bool {
    let optimizer = arguments.optimizer.as_deref().unwrap_or("adamw");
    let is_default = optimizer.eq_ignore_ascii_case("adamw");
    is_default && options.dropout.is_none() && options.weight_decay.is_none()
}

/// Turns the usual options into those of a network that learns nearly all that it is shown: less
/// decay and, unless their number was given, more epochs.
pub(super) fn lighten(light: &mut TrainOptions, arguments: &Arguments, options: &Options) {
    light.weight_decay = LIGHT_DECAY;
    if arguments.epochs.is_none() {
        light.epochs *= 2;
        if options.early_stopping.is_none() {
            light.early_stopping *= 2;
        }
    }
}

/// The loss, with what belongs to it.
pub fn loss(options: &Options, target: &Target) -> Result<LossSpec, Error> {
    let head = target.head();
    let is_number = matches!(head, Head::Regression { .. } | Head::Mean(_));
    let mut loss = match (&options.loss, &options.quantiles) {
        (Some(asked), _) => asked.clone(),
        (None, Some(quantiles)) if is_number => LossSpec::Quantile {
            quantiles: quantiles.iter().map(|&quantile| quantile as f32).collect(),
        },
        // That of the version which a warm start goes on from, where none is given.
        _ => target
            .family()
            .and_then(|family| LossSpec::parse(family.loss()))
            .unwrap_or_else(|| LossSpec::default_for(head)),
    };
    if !loss.fits(head) {
        let what = match head {
            Head::Regression { .. } | Head::Mean(_) => "Numbers",
            Head::MultiLabel { .. } => "Labels",
            Head::Binary | Head::Multiclass { .. } | Head::Ordinal { .. } => "Classes",
        };
        return Err(Error::Value {
            name: "option \"loss\"".into(),
            problem: format!("cannot be \"{}\" for this target", loss.name()),
            hint: Some(format!("{what} take {}.", LossSpec::names_for(head))),
        });
    }
    match (&mut loss, options.delta) {
        (LossSpec::Huber { delta }, Some(given)) => *delta = given as f32,
        (loss, Some(_)) => return Err(of_loss("delta", loss, "huber")),
        _ => {}
    }
    match (&mut loss, &options.quantiles) {
        (LossSpec::Quantile { quantiles }, Some(given)) => {
            *quantiles = given.iter().map(|&quantile| quantile as f32).collect();
        }
        (loss, Some(_)) => return Err(of_loss("quantiles", loss, "quantile")),
        _ => {}
    }
    match (&mut loss, target.family()) {
        (LossSpec::Tweedie { power }, Some(Family::Tweedie { power: kept, .. })) => {
            *power = *kept as f32;
        }
        (loss, _) if options.tweedie_variance_power.is_some() => {
            return Err(of_loss("tweedie_variance_power", loss, "tweedie"));
        }
        _ => {}
    }
    if options.label_smoothing.is_some_and(|share| share > 0.0) && is_number {
        return Err(of_classes("label_smoothing"));
    }
    Ok(loss)
}

/// The error of a loss's setting with another loss.
fn of_loss(option: &str, loss: &LossSpec, with: &str) -> Error {
    Error::idle(
        option,
        &format!("does nothing with the loss {}", loss.name()),
        &format!("It goes with the loss {with}, for a target that is a number."),
    )
}

/// The error of an option for classes where a number is learnt.
fn of_classes(option: &str) -> Error {
    Error::idle(
        option,
        "goes with classes only, and a number is learnt",
        "Leave it out, or set task to 'classification'.",
    )
}

/// The optimizer with its settings, and the settings that are not its own refused.
fn optimizer(arguments: &Arguments, options: &Options) -> Result<OptimizerSpec, Error> {
    let name = arguments.optimizer.as_deref().unwrap_or("adamw");
    let Some(mut optimizer) = OptimizerSpec::parse(name) else {
        let known = OptimizerSpec::ALL.map(|optimizer| optimizer.name());
        return Err(Error::unknown("optimizer", &name.to_lowercase(), &known));
    };
    let optimizer_name = optimizer.name();
    let only = |option: &str, with: &[&str]| {
        let s = if with.len() == 1 { "" } else { "s" };
        let with = with.join(", ");
        Err(Error::idle(
            option,
            &format!("does nothing with the optimizer {optimizer_name}"),
            &format!("It goes with the optimizer{s} {with}: set optimizer, or leave it out."),
        ))
    };
    for (option, given) in [
        ("momentum", options.momentum),
        ("rho", options.rho),
        ("beta1", options.beta1),
        ("beta2", options.beta2),
        ("epsilon", options.epsilon),
    ] {
        let Some(given) = given else {
            continue;
        };
        match number_of(&mut optimizer, option) {
            Some(value) => *value = given,
            None => {
                let mut all = OptimizerSpec::ALL;
                let takers = all.iter_mut().filter_map(|one| {
                    let name = one.name();
                    number_of(one, option).map(|_| name)
                });
                return only(option, &takers.collect::<Vec<_>>());
            }
        }
    }
    match (&mut optimizer, options.nesterov) {
        (OptimizerSpec::Sgd { momentum, nesterov }, Some(given)) => {
            if given && *momentum == 0.0 {
                return Err(Error::option("nesterov", "needs a momentum above 0"));
            }
            *nesterov = given;
        }
        (_, Some(_)) => return only("nesterov", &["sgd"]),
        _ => {}
    }
    Ok(optimizer)
}

/// The number of this name among an optimizer's settings.
fn number_of<'a>(optimizer: &'a mut OptimizerSpec, name: &str) -> Option<&'a mut f64> {
    let mut numbers = optimizer.numbers().into_iter();
    numbers.find_map(|(own, _, value)| (own == name).then_some(value))
}

/// The schedule with its settings.
fn schedule(options: &Options) -> ScheduleSpec {
    let mut schedule = options.schedule.unwrap_or(ScheduleSpec::Cosine);
    let (factor, epochs) = schedule.settings();
    if let (Some(factor), Some(given)) = (factor, options.gamma) {
        *factor = given;
    }
    if let (Some(epochs), Some(given)) = (epochs, options.step_size) {
        *epochs = given;
    }
    schedule
}

/// The weight of each class in the order of the network's labels: of two, negative and positive.
/// Of several labels, the weight of each one's presence.
fn class_weights(options: &Options, target: &Target) -> Result<Option<Vec<f32>>, Error> {
    let Some(wanted) = &options.class_weights else {
        return Ok(None);
    };
    let classes = target.classes();
    let (balanced, positive): (Vec<f32>, _) = match target {
        Target::Classes {
            counts, positive, ..
        } => {
            let rows: u64 = counts.iter().sum();
            // A class or label without a training row has nothing to be weighed up.
            let weight = |count: &u64| match count {
                0 => 1.0,
                count => rows as f64 / (classes.len() as u64 * count) as f64,
            };
            let weights = counts.iter().map(|count| weight(count) as f32);
            (weights.collect(), *positive)
        }
        Target::Labels { counts, rows, .. } => {
            // The rows without the label weigh as much as those with it.
            let weight = |count: &u64| match count {
                0 => 1.0,
                count => (rows - count).max(1) as f64 / *count as f64,
            };
            let weights = counts.iter().map(|count| weight(count) as f32);
            (weights.collect(), None)
        }
        Target::Regression { .. } => {
            return Err(of_classes("class_weights"));
        }
    };
    let mut weights: Vec<f32> = match wanted {
        ClassWeights::Balanced => balanced,
        ClassWeights::Named(named) => {
            let index = target.class_index();
            let mut weights = vec![None; classes.len()];
            for (class, weight) in named {
                match index.find(class, false).and_then(|at| weights.get_mut(at)) {
                    Some(Some(_)) => {
                        let twice = format!("names the class \"{class}\" twice");
                        return Err(Error::option("class_weights", &twice));
                    }
                    Some(own) => *own = Some(*weight as f32),
                    None => {
                        let known: Vec<&str> = classes.iter().map(String::as_str).collect();
                        return Err(Error::unknown("class", class, &known));
                    }
                }
            }
            weights
                .into_iter()
                .map(|weight| weight.unwrap_or(1.0))
                .collect()
        }
    };
    let (Target::Classes { counts, .. } | Target::Labels { counts, .. }) = target else {
        return Ok(Some(weights));
    };
    let weighed = counts
        .iter()
        .zip(&weights)
        .any(|(rows, weight)| *rows > 0 && *weight > 0.0);
    if !weighed {
        return Err(Error::Value {
            name: "option \"class_weights\"".into(),
            problem: "is 0 for every class of the training rows".into(),
            hint: Some("Give a class that is to be learnt a weight above 0.".into()),
        });
    }
    if positive == Some(0) {
        weights.reverse();
    }
    Ok(Some(weights))
}

/// Checks what can be judged before any row is read.
///
/// # Errors
/// An argument or option out of its range, or a name that is not known.
pub fn check(arguments: &Arguments, options: &Options) -> Result<(), Error> {
    positive("epochs", arguments.epochs)?;
    positive("batch_size", arguments.batch_size)?;
    check_learning_rate(arguments)?;
    validation_fraction(arguments, options)?;
    optimizer(arguments, options)?;
    Ok(())
}

fn check_learning_rate(arguments: &Arguments) -> Result<(), Error> {
    match arguments.learning_rate {
        Some(rate) if !TrainOptions::LEARNING_RATE.contains(rate) => {
            Err(Error::argument("learning_rate", "must be greater than 0"))
        }
        _ => Ok(()),
    }
}

/// All of the trainer's options.
pub fn train_options(
    arguments: &Arguments,
    options: &Options,
    target: &Target,
    rows: usize,
    rows_validated: usize,
) -> Result<TrainOptions, Error> {
    let given_epochs = positive("epochs", arguments.epochs)?;
    let epochs = given_epochs.unwrap_or_else(|| epochs(rows));
    check_learning_rate(arguments)?;
    let held_out = rows_validated > 0;
    if let (false, Some(option)) = (held_out, options.needs_validation()) {
        return Err(Error::Value {
            name: format!("option \"{option}\""),
            problem: "needs validation rows".into(),
            hint: Some("Hold some rows out with validation => 0.2.".into()),
        });
    }
    let early_stopping = match (options.early_stopping, given_epochs) {
        (Some(patience), _) => patience,
        (None, Some(_)) => 0,
        (None, None) if held_out => (epochs / 5).max(5),
        (None, None) => 0,
    };
    let optimizer = optimizer(arguments, options)?;
    Ok(TrainOptions {
        epochs,
        batch_size: positive("batch_size", arguments.batch_size)?
            .unwrap_or_else(|| batch_size(rows)),
        learning_rate: arguments
            .learning_rate
            .unwrap_or_else(|| learning_rate(&optimizer)),
        optimizer,
        loss: loss(options, target)?,
        schedule: schedule(options),
        warmup: options.warmup.unwrap_or(0.0),
        gradient_clip: options.gradient_clip,
        l1: options.l1.unwrap_or(0.0),
        l2: options.l2.unwrap_or(0.0),
        weight_decay: options
            .weight_decay
            .unwrap_or_else(|| weight_decay(&optimizer)),
        early_stopping,
        restore_best: options.restore_best.unwrap_or(held_out),
        shuffle: options.shuffle.unwrap_or(true),
        label_smoothing: options.label_smoothing.unwrap_or(0.0) as f32,
        class_weights: class_weights(options, target)?,
        seed: arguments.seed,
        keep_optimizer_state: options.keep_optimizer.unwrap_or(false),
        ..TrainOptions::default()
    })
}

//! From raw rows to a model: split, fit, build, train, judge.

use std::cell::RefCell;
use std::time::Instant;

use serde_json::{Value, json};

use super::defaults::{self, Arguments};
use super::error::Error;
use super::judge::{Judge, Truth, metrics_json};
use super::options::{Options, ValidationSplit};
use super::plan::Plan;
use super::source::{Encoding, MemorySource, ReadingSource, SharedRows};
use crate::artifact::Model;
use crate::features::{
    self, BitMask, Block, Dictionary, FeatureSet, Profile, RawRows, Scale, Split, Target,
    TargetRequest, Task, Values,
};
use crate::models;
use crate::nn::{self, Architecture, EpochReport, Head, Network, Predictor, RowSource, Watcher};

/// The architecture of a training that names none.
pub const DEFAULT_ARCHITECTURE: &str = "tabular";
/// Rows that are scored at once when a trained model is judged, at most.
const JUDGE_ROWS: usize = 1024;
/// Products of these rows and the parameters, at most: what takes some ten milliseconds, so that an
/// interruption is seen in time with a large network, too.
const JUDGE_PRODUCTS: usize = 1 << 26;
/// Scores from which a version's deciles are taken, at most.
const SCORE_SAMPLE: usize = 65_536;

/// What is to be trained.
pub struct Job<'a> {
    /// The task, if the user or the model's earlier versions fix it.
    pub task: Option<Task>,
    /// The name of a shipped architecture, or JSON.
    pub architecture: Option<&'a str>,
    /// The arguments that steer the loop.
    pub arguments: &'a Arguments,
    /// The options.
    pub options: &'a Options,
    /// The parts of the columns.
    pub plan: &'a Plan,
    /// The deployed version of the model, if there is one: its signature is kept.
    pub previous: Option<&'a Model>,
    /// The dictionary of each column that is read.
    pub dictionaries: &'a [Option<Dictionary>],
    /// Bytes that may be used beside the raw rows themselves.
    pub memory: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Where they live.
    pub pool: &'a rayon::ThreadPool,
}

/// Whoever watches a training: told of its progress, asked whether to go on.
pub trait Observer {
    /// Whether the training shall end at once. Asked often.
    fn interrupted(&mut self) -> bool;
    /// Something the user should know before the loop begins.
    fn notice(&mut self, text: &str);
    /// An epoch has ended, of so many.
    fn epoch(&mut self, report: &EpochReport, epochs: usize);
}

/// A trained model and how it went.
pub struct Outcome {
    /// The model.
    pub model: Model,
    /// Its epochs.
    pub history: Vec<EpochReport>,
    /// The loss on the training rows in the epoch that was kept.
    pub train_loss: f64,
    /// The loss on the validation rows in that epoch.
    pub validation_loss: Option<f64>,
    /// The metrics on the validation rows, or on the training rows where there are none.
    pub metrics: Value,
    /// Rows trained on.
    pub rows_trained: usize,
    /// Rows held out.
    pub rows_validated: usize,
    /// Seconds it took, reading the query not counted.
    pub seconds: f64,
}

/// Trains a model on the rows, whose columns are as the plan says.
///
/// # Errors
/// See [`Error`]; an interruption comes as the interruption of the part it fell in.
pub fn run(
    job: &Job<'_>,
    rows: &mut dyn RawRows,
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let total = rows.rows();
    if total == 0 {
        return Err(Error::NoRows("there are no rows to train on".into()));
    }
    let target_at = job.plan.target_at();
    let target_words = job.dictionaries.get(target_at).and_then(Option::as_ref);
    let mut stop = || observer.interrupted();

    // What is learnt, and from which rows.
    let mut target = match job.previous.filter(|_| warm(job.options)) {
        Some(previous) => kept_target(job, previous, target_words, rows, &mut stop)?,
        None => Target::find(
            &target_request(job)?,
            &job.plan.target,
            target_at,
            target_words,
            rows,
            &mut stop,
        )?,
    };
    if let Some(previous) = job.previous {
        same_task(previous, target.task())?;
        keep_positive(previous, &mut target)?;
    }
    let fraction = defaults::validation_fraction(job.arguments, job.options)?;
    let labels = target.labels(target_words)?;
    let wished = wished_architecture(job)?;
    let members = members_of(job, wished.members, total)?;
    let seed = job.arguments.seed;
    let folds = if members > 1 && total > 1 && splits_nothing(job) {
        // Each member is trained on all rows but its own fold, and validated on that.
        let labels = (&labels, target_at);
        Some(features::folds(members, seed, rows, labels, &mut stop)?)
    } else {
        None
    };
    let mask = match &folds {
        Some(_) => BitMask::new(total, true),
        None => features::split(
            split_of(job),
            fraction,
            seed,
            rows,
            Some((&labels, target_at)),
            &mut stop,
        )?,
    };
    let rows_trained = mask.count();
    let rows_validated = match &folds {
        Some(_) => total,
        None => total - rows_trained,
    };
    if rows_trained == 0 {
        return Err(Error::NoRows("all rows are held out for validation".into()));
    }
    if let Some(weight) = job.plan.weight {
        check_weights(weight, job.options, rows, &mut stop)?;
    }
    // A warm start keeps the scale; how many rows a class has is counted anew.
    if !warm(job.options) || target.task() == Task::Classification {
        target.fit(target_at, target_words, rows, &mask, &mut stop)?;
    }
    set_quantile_outputs(&mut target, job.options);
    let head = target.head();

    // The features, and the network over them.
    let architecture = architecture_of(job, wished, members, head)?;
    let (feature_set, left_out) = fit_features(job, &architecture, rows, &mask, &mut stop)?;
    let architecture = match (job.previous, warm(job.options)) {
        (Some(_), true) => architecture,
        _ => architecture.with_embeddings(&feature_set.embeddings())?,
    };
    let network = Network::build(&architecture, &feature_set.inputs(), head, Some(job.memory))?;
    let mut train_options = defaults::train_options(
        job.arguments,
        job.options,
        &target,
        head,
        rows_trained,
        rows_validated,
    )?;
    train_options.threads = job.threads;
    let parameters = match job.previous.filter(|_| warm(job.options)) {
        Some(previous) => {
            train_options.optimizer_state = previous
                .optimizer_state
                .clone()
                .filter(|state| state.fits(&train_options.optimizer, network.parameter_count()));
            previous.parameters.clone()
        }
        None => {
            let mut parameters =
                network.initialise(job.arguments.seed, defaults::initializer(job.options)?);
            start_at_the_prior(&network, &target, &mut parameters);
            parameters
        }
    };
    let held_out = match &folds {
        Some(_) => HeldOut::Folds(members),
        None if rows_validated == 0 => HeldOut::Nothing,
        None => HeldOut::Share(fraction),
    };
    for text in announcement(
        job,
        &target,
        &feature_set,
        &left_out,
        rows_trained,
        rows_validated,
        held_out,
    ) {
        observer.notice(&text);
    }

    // The loop, over rows encoded once where they fit, else each time they are needed.
    let encoder = feature_set.block_encoder(job.dictionaries);
    let labels = target.labels(target_words)?;
    let write_target = |block: &Block, y: &mut Vec<f32>| {
        for row in 0..block.rows {
            y.push(labels.label(block, target_at, row)?);
        }
        Ok(())
    };
    let encoding = Encoding {
        features: &encoder,
        target: &write_target,
        // One number or class: all quantiles learn from the same number.
        targets: 1,
        weight: job.plan.weight,
    };
    let fixed = nn::training_bytes(&network, &train_options);
    let fixed = fixed.saturating_add(folds.as_ref().map_or(0, Vec::len));
    let left = job.memory.saturating_sub(fixed);
    let least = train_options.batch_size * encoding.row_bytes();
    if left < least {
        return Err(Error::Memory {
            needed: (fixed + least) / 1024,
            limit: job.memory / 1024,
        });
    }
    let shared: SharedRows<'_> = RefCell::new(rows);
    let in_memory = total.saturating_mul(encoding.row_bytes()) <= left;
    let mut sides: Vec<Box<dyn RowSource + '_>> = Vec::new();
    for value in [true, false] {
        // With folds, all rows are on one side.
        let parts = if folds.is_some() { 2 } else { 4 };
        let folds = folds.as_deref().filter(|_| value);
        sides.push(if in_memory {
            let mut stop = || observer.interrupted();
            Box::new(MemorySource::encode(
                &shared,
                (&mask, value),
                folds,
                &encoding,
                &mut stop,
            )?)
        } else {
            // Half for each side, and as much again for the order and the block being read.
            let capacity = left / parts / encoding.row_bytes();
            Box::new(ReadingSource::new(
                &shared,
                (&mask, value),
                folds,
                &encoding,
                capacity,
            ))
        });
    }
    let [train_side, validation_side] = sides.as_mut_slice() else {
        return Err(Error::argument("the rows", "have more than two sides"));
    };
    let epochs = train_options.epochs;
    let trained = nn::train(
        &network,
        parameters,
        train_side.as_mut(),
        (rows_validated > 0 && folds.is_none())
            .then_some(validation_side.as_mut() as &mut dyn RowSource),
        &train_options,
        job.pool,
        &mut Watch { observer, epochs },
    )?;
    drop(sides);

    // The judgement, by the kernel that will serve the model.
    let predictor = Predictor::new(&network, &trained.parameters)?;
    let judged_side = rows_validated == 0 || folds.is_some();
    let judged = judge_rows(
        &JudgeInput {
            predictor: &predictor,
            target: &target,
            labels: &labels,
            target_at,
            encoder: &encoder,
            outputs: network.output_units(),
            parameters: network.parameter_count(),
            folds: folds.as_deref(),
        },
        &shared,
        &mask,
        judged_side,
        observer,
    )?;
    let kept = trained.history.get(trained.best_epoch.saturating_sub(1));
    let (train_loss, validation_loss) = kept.map_or((f64::NAN, None), |epoch| {
        (epoch.train_loss, epoch.validation_loss)
    });
    let training = json!({
        "seed": job.arguments.seed,
        "rows_trained": rows_trained,
        "rows_validated": rows_validated,
        "epochs": trained.history.len(),
        "train_loss": train_loss,
        "validation_loss": validation_loss,
        "metrics": judged.metrics,
        "extension_version": env!("CARGO_PKG_VERSION"),
    });
    Ok(Outcome {
        model: Model {
            architecture: network.architecture().clone(),
            features: feature_set,
            target,
            parameters: trained.parameters,
            training,
            scores: judged.scores,
            optimizer_state: trained.optimizer_state,
        },
        history: trained.history,
        train_loss,
        validation_loss,
        metrics: judged.metrics,
        rows_trained,
        rows_validated,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Sets the output layer's bias so that an untrained network gives each class its share of the
/// training rows: the first epochs need not learn that.
fn start_at_the_prior(network: &Network, target: &Target, parameters: &mut [f32]) {
    let Target::Classes {
        counts, positive, ..
    } = target
    else {
        return;
    };
    let share = |class: usize| {
        let rows: u64 = counts.iter().sum();
        // Half a row more keeps a class without rows from infinity.
        (counts.get(class).copied().unwrap_or(0) as f64 + 0.5) / (rows as f64 + 1.0)
    };
    for member in network.member_parameters() {
        let Some(bias) = member
            .last()
            .filter(|parameter| parameter.name.ends_with(".bias"))
            .and_then(|bias| parameters.get_mut(bias.range.clone()))
        else {
            return;
        };
        match (positive, bias) {
            (Some(positive), [bias]) => {
                let p = share(*positive);
                *bias = (p / (1.0 - p)).ln() as f32;
            }
            (Some(positive), [negative_bias, positive_bias]) => {
                *negative_bias = share(1 - *positive).ln() as f32;
                *positive_bias = share(*positive).ln() as f32;
            }
            (None, biases) if biases.len() == counts.len() => {
                for (class, bias) in biases.iter_mut().enumerate() {
                    *bias = share(class).ln() as f32;
                }
            }
            _ => {}
        }
    }
}

fn warm(options: &Options) -> bool {
    options.warm_start == Some(true)
}

fn target_request(job: &Job<'_>) -> Result<TargetRequest, Error> {
    Ok(TargetRequest {
        task: job.task,
        positive_class: job.options.positive_class.clone(),
        scale: job
            .options
            .target_scale
            .as_deref()
            .map(Scale::parse)
            .transpose()?,
        threshold: job.options.threshold,
    })
}

/// The target of the version that a warm start goes on from, once every row is known to fit it.
fn kept_target(
    job: &Job<'_>,
    previous: &Model,
    words: Option<&Dictionary>,
    rows: &mut dyn RawRows,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Target, Error> {
    let mut target = previous.target.clone();
    let (column, at) = (&job.plan.target, job.plan.target_at());
    let outputs = match &target {
        Target::Regression { outputs, .. } => outputs.len(),
        Target::Classes { .. } => 1,
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
    if let (Target::Classes { threshold, .. }, Some(given)) = (&mut target, job.options.threshold) {
        *threshold = given;
    }
    let labels = target.labels(words)?;
    features::pass(rows, stop, |_, block| {
        let wrong = (0..block.rows).find(|&row| labels.label(block, at, row).is_err());
        let Some(row) = wrong else {
            return Ok(());
        };
        let value = match (words, block.columns.get(at)) {
            (Some(words), Some(Values::Category(codes))) => codes
                .get(row)
                .and_then(|&code| words.text(code))
                .unwrap_or_default()
                .to_string(),
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

fn split_of(job: &Job<'_>) -> Split {
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

/// One output for each quantile, all on the target's scale.
fn set_quantile_outputs(target: &mut Target, options: &Options) {
    if let (Target::Regression { outputs, .. }, Some(quantiles)) = (target, &options.quantiles)
        && let Some(&scale) = outputs.first()
    {
        *outputs = vec![scale; quantiles.len()];
    }
}

/// The architecture asked for: JSON, a shipped one's name, the default or, for a warm start, that
/// of the deployed version.
fn wished_architecture(job: &Job<'_>) -> Result<Architecture, Error> {
    if let (Some(previous), true) = (job.previous, warm(job.options)) {
        if job.architecture.is_some() {
            return Err(Error::option(
                "warm_start",
                "goes on with the deployed version's architecture; leave architecture NULL",
            ));
        }
        if job.options.dropout.is_some() {
            return Err(Error::option(
                "dropout",
                "belongs to the architecture, which warm_start keeps",
            ));
        }
        return Ok(previous.architecture.clone());
    }
    read_architecture(job.architecture)
}

/// How many networks are to be trained side by side: as the options say, else as the architecture
/// does, else several for a small table about which nothing was said.
fn members_of(job: &Job<'_>, wished: usize, rows: usize) -> Result<usize, Error> {
    let given = job.options.members;
    if warm(job.options) && job.previous.is_some() {
        return match given {
            Some(members) if members != wished => Err(Error::option(
                "members",
                &format!("must be {wished} with warm_start, as in the deployed version"),
            )),
            _ => Ok(wished),
        };
    }
    let small = job.architecture.is_none()
        && splits_nothing(job)
        && defaults::MEMBERS_ROWS.contains(&rows)
        && most_inputs(job) <= defaults::MEMBERS_INPUTS;
    Ok(given.unwrap_or(if small { defaults::MEMBERS } else { wished }))
}

/// How many inputs the features make at most, with the usual number of levels.
fn most_inputs(job: &Job<'_>) -> usize {
    let of_feature = |at: usize| match job.dictionaries.get(at) {
        Some(Some(levels)) => levels.len().min(100) + 2,
        _ => 2,
    };
    (0..job.plan.features.len()).map(of_feature).sum()
}

/// Whether nothing was said about the rows to hold out, so that members may hold out a fold each.
fn splits_nothing(job: &Job<'_>) -> bool {
    let options = job.options;
    job.arguments.validation.is_none()
        && options.validation_split.is_none()
        && options.validation_group.is_none()
        && !warm(options)
}

/// The architecture with nothing left open but the embeddings.
fn architecture_of(
    job: &Job<'_>,
    wished: Architecture,
    members: usize,
    head: Head,
) -> Result<Architecture, Error> {
    if job.previous.is_some() && warm(job.options) {
        return Ok(wished);
    }
    let mut architecture = wished.resolve(head)?;
    architecture.members = members;
    Ok(match job.options.dropout {
        Some(rate) => architecture.with_dropout(rate as f32)?,
        None => architecture,
    })
}

/// The architecture that a training names or writes, not yet resolved for a task.
fn read_architecture(given: Option<&str>) -> Result<Architecture, Error> {
    let text = given.unwrap_or(DEFAULT_ARCHITECTURE).trim();
    if text.starts_with(['{', '[']) {
        return Ok(Architecture::parse(text)?);
    }
    let shipped = models::find(text).ok_or_else(|| Error::NoArchitecture {
        name: text.to_string(),
    })?;
    Ok(Architecture::from_json(&shipped.architecture())?)
}

/// Checks what can be judged before any row is read: the arguments, the options, the architecture
/// by itself, and that task and positive class are those of the model's earlier versions.
///
/// # Errors
/// The first thing at fault.
pub fn check(
    arguments: &Arguments,
    options: &Options,
    architecture: Option<&str>,
    task: Option<Task>,
    previous: Option<&Model>,
) -> Result<(), Error> {
    defaults::check(arguments, options)?;
    read_architecture(architecture)?;
    let Some(previous) = previous else {
        return Ok(());
    };
    if let Some(task) = task {
        same_task(previous, task)?;
    }
    match (
        previous.target.positive_class(),
        options.positive_class.as_deref(),
    ) {
        (Some(kept), Some(asked)) if kept != asked => Err(Error::Signature(format!(
            "the positive class of the model's earlier versions is \"{kept}\", not \"{asked}\""
        ))),
        _ => Ok(()),
    }
}

/// Later versions keep the positive class, however many rows it has now.
fn keep_positive(previous: &Model, target: &mut Target) -> Result<(), Error> {
    let Target::Classes {
        classes, positive, ..
    } = target
    else {
        return Ok(());
    };
    // A number keeps its spelling: 1 and 1.0 are one class.
    for place in 0..classes.len() {
        let known = classes.get(place).and_then(|c| previous.target.class(c));
        if let Some(known) = known.and_then(|at| previous.target.classes().get(at))
            && !classes.contains(known)
            && let Some(class) = classes.get_mut(place)
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

fn same_task(previous: &Model, task: Task) -> Result<(), Error> {
    if previous.target.task() == task {
        return Ok(());
    }
    Err(Error::Signature(format!(
        "the model's earlier versions are for {}, not for {}",
        previous.target.task().name(),
        task.name()
    )))
}

fn fit_features(
    job: &Job<'_>,
    architecture: &Architecture,
    rows: &mut dyn RawRows,
    mask: &BitMask,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(FeatureSet, Vec<String>), Error> {
    if let (Some(previous), true) = (job.previous, warm(job.options)) {
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

fn check_weights(
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

/// The notices before the loop: task, features, what is left out, the split.
fn announcement(
    job: &Job<'_>,
    target: &Target,
    feature_set: &FeatureSet,
    left_out: &[String],
    rows_trained: usize,
    rows_validated: usize,
    held_out: HeldOut,
) -> Vec<String> {
    let task = match (target.positive_class(), target.classes().len()) {
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
            (Some(ValidationSplit::Last), _) => "the last rows",
            _ if target.classes().is_empty() => "random",
            _ => "stratified",
        };
        match held_out {
            HeldOut::Nothing => "none held out".to_string(),
            HeldOut::Share(share) => format!("{how}, {}%", (share * 1000.0).round() / 10.0),
            HeldOut::Folds(members) => {
                let share = (1000.0 / members as f64).round() / 10.0;
                format!("{members} members, each holding out its own {share}%")
            }
        }
    };
    let mut text = format!(
        "{task}; {} feature{}: {}; {rows_trained} rows to train on, {rows_validated} to validate \
         ({split}); seed {}",
        described.len(),
        if described.len() == 1 { "" } else { "s" },
        described.join(", "),
        // As it was given: SQL's integers have a sign.
        job.arguments.seed as i64,
    );
    for column in &job.plan.ignored {
        text.push_str(&format!("; column \"{column}\" is ignored as asked"));
    }
    for reason in left_out {
        text.push_str("; ");
        text.push_str(reason);
    }
    vec![text]
}

/// Passes the trainer's questions on.
struct Watch<'a> {
    observer: &'a mut dyn Observer,
    epochs: usize,
}

impl Watcher for Watch<'_> {
    fn interrupted(&mut self) -> bool {
        self.observer.interrupted()
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), nn::Error> {
        self.observer.epoch(report, self.epochs);
        Ok(())
    }
}

/// What the validation rows are.
#[derive(Clone, Copy)]
enum HeldOut {
    Nothing,
    /// A share of the rows.
    Share(f64),
    /// All rows, each for one of so many members.
    Folds(usize),
}

struct JudgeInput<'a> {
    predictor: &'a Predictor,
    target: &'a Target,
    labels: &'a features::Labels,
    target_at: usize,
    encoder: &'a features::BlockEncoder,
    outputs: usize,
    parameters: usize,
    /// The member that judges each row, rather than all of them.
    folds: Option<&'a [u8]>,
}

struct Judged {
    metrics: Value,
    scores: Profile,
}

/// Scores one side of the split and gives its metrics and the deciles of its scores.
fn judge_rows(
    input: &JudgeInput<'_>,
    rows: &SharedRows<'_>,
    mask: &BitMask,
    value: bool,
    observer: &mut dyn Observer,
) -> Result<Judged, Error> {
    let mut rows = rows.borrow_mut();
    let total = rows.rows();
    let mut block = Block::default();
    let mut scratch = input.predictor.scratch();
    let step = (JUDGE_PRODUCTS / input.parameters.max(1)).clamp(1, JUDGE_ROWS);
    let mut x = vec![0.0; step * input.encoder.width()];
    let mut out = vec![0.0; step * input.outputs];
    let mut judge = Judge::new(input.target);
    let mut scores = Vec::new();
    let every = total.div_ceil(SCORE_SAMPLE).max(1);
    for start in (0..total).step_by(step) {
        if observer.interrupted() {
            return Err(Error::Features(features::Error::Interrupted));
        }
        let count = step.min(total - start);
        rows.read(start, count, &mut block)?;
        let x = &mut x[..count * input.encoder.width()];
        input.encoder.encode(&block, x)?;
        let out = &mut out[..count * input.outputs];
        match input
            .folds
            .and_then(|folds| folds.get(start..start + count))
        {
            Some(folds) => input
                .predictor
                .forward_held_out(x, folds, out, &mut scratch),
            None => input.predictor.forward(x, count, out, &mut scratch),
        }
        for (row, outputs) in out.chunks_exact(input.outputs).enumerate() {
            if mask.get(start + row) != value {
                continue;
            }
            let truth = match input.labels.class(&block, input.target_at, row) {
                Some(class) => Truth::Class(class),
                None => Truth::Number(
                    block
                        .columns
                        .get(input.target_at)
                        .and_then(|values| values.number(row))
                        .unwrap_or(f64::NAN),
                ),
            };
            judge.push(outputs, truth)?;
            if (start + row) % every == 0 {
                scores.push(score(input.target, outputs));
            }
        }
    }
    scores.sort_unstable_by(f64::total_cmp);
    let judged_rows = if value {
        mask.count()
    } else {
        mask.len() - mask.count()
    };
    let last = scores.len().saturating_sub(1) as f64;
    let deciles = (0..=10)
        .filter_map(|tenth| {
            scores
                .get((last * f64::from(tenth) / 10.0).round() as usize)
                .copied()
        })
        .collect();
    Ok(Judged {
        metrics: metrics_json(&judge.finish(|| ())),
        scores: Profile::Deciles {
            deciles,
            missing: 0,
            rows: judged_rows as u64,
        },
    })
}

/// The one number that stands for a row's prediction in the drift profile.
fn score(target: &Target, outputs: &[f32]) -> f64 {
    match target {
        Target::Regression { .. } => target.decode(0, outputs.first().copied().unwrap_or(f32::NAN)),
        Target::Classes { classes, .. } if classes.len() == 2 => {
            super::judge::positive_probability(outputs)
        }
        Target::Classes { .. } => outputs
            .iter()
            .copied()
            .map(f64::from)
            .fold(f64::NEG_INFINITY, f64::max),
    }
}

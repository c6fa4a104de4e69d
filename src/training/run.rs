//! From raw rows to a model: split, fit, build, train, judge.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Instant;

use serde_json::json;

use super::announce::{HeldOut, Learnt, announcement, left_out_warnings, twins_warning};
use super::choose_architecture::{architecture_of, members_of, wished_architecture};
use super::choose_target::{
    keep_positive, kept_target, reaching, same_form, set_quantile_outputs, start_at_the_prior,
    target_request,
};
use super::defaults;
use super::error::Error;
use super::fit_rows::{check_weights, fit_features};
use super::job::{Job, Observer, Outcome, Watch};
use super::judge_rows::{JudgeInput, judge_rows};
use super::memory_source::MemorySource;
use super::remarks::{Remark, remarks};
use super::seen::SeenRows;
use super::sides::{Identity, Sides, Twins};
use super::source::{Encoding, ReadingSource, SharedRows};
use crate::artifact::{Model, in_order_of_classes};
use crate::features::{
    Block, BlockEncoder, Fit, Labels, LeftOut, RawRows, SequenceRows, Target, Task,
};
use crate::memory;
use crate::nn::{self, Architecture, Head, Network, Predictor, RowSource, parallel};

/// What preparing takes for a row, at most, in each thread.
const FITTED_BYTES: usize = 24;
/// What judging takes for a row beside its outputs.
const JUDGED_BYTES: usize = 16;

/// What is learnt from: the raw rows, and one row for each example, which are the same unless
/// examples are sequences.
struct Examples<'a> {
    rows: &'a mut dyn RawRows,
    sequences: Option<SequenceRows>,
}

impl<'a> Examples<'a> {
    fn new(
        job: &Job<'_>,
        rows: &'a mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Examples<'a>, Error> {
        let (features, plan) = (job.plan.features.len(), job.plan.sequence.as_ref());
        if plan.is_some() != job.sequences.is_some() {
            return Err(Error::option(
                "sequence_by",
                "makes sequences of rows that were not gathered",
            ));
        }
        let newest = plan.and_then(|plan| plan.newest);
        let sequences = job
            .sequences
            .map(|sequences| SequenceRows::gather(sequences, features, newest, rows, stop))
            .transpose()?;
        Ok(Examples { rows, sequences })
    }

    /// One row for each example, of which only the columns behind the features may be looked at.
    fn each(&mut self) -> &mut dyn RawRows {
        match &mut self.sequences {
            Some(sequences) => sequences,
            None => self.rows,
        }
    }

    /// The bytes of memory they take beside the raw rows.
    fn memory(&self) -> usize {
        self.sequences.as_ref().map_or(0, SequenceRows::memory)
    }
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
    if rows.rows() == 0 {
        return Err(Error::NoRows("there are no rows to train on".into()));
    }
    let target_at = job.plan.at.target;
    let target_words = job.dictionaries.get(target_at).and_then(Option::as_ref);
    let mut stop = || observer.interrupted();
    let mut examples = Examples::new(job, rows, &mut stop)?;
    let total = examples.each().rows();
    let limit = job.memory.saturating_sub(examples.memory());
    // The split, and the values of a column by which it is fitted, one a thread.
    let columns = FITTED_BYTES.saturating_mul(1 + job.crew.threads);
    memory::ask_for_many(total.saturating_mul(columns))?;

    // What is learnt, and from which rows.
    let mut target = match job.previous.filter(|_| job.warm_start()) {
        Some(previous) => kept_target(job, previous, target_words, examples.each(), &mut stop)?,
        None => Target::find(
            &target_request(job),
            &job.plan.target,
            target_at,
            target_words,
            examples.each(),
            &mut stop,
        )?,
    };
    if let Some(previous) = job.previous {
        same_form(previous, &target)?;
        keep_positive(previous, &mut target)?;
    }
    let fraction = defaults::validation_fraction(job.arguments, job.options)?;
    let labels = target.labels(target_words)?;
    let wished = wished_architecture(job)?;
    let members = members_of(job, wished.members, total)?;
    let mut sides = Sides::draw(job, members, fraction, examples.each(), &labels, &mut stop)?;
    let mut warnings = Vec::new();
    let mut known_again = None;
    if job.warm_start() && sides.rows_validated() > 0 {
        let (warning, again) =
            keep_sides(job, &target, &labels, &mut sides, &mut examples, &mut stop)?;
        warnings.extend(warning);
        known_again = again;
    }
    if let Some(weight) = job.plan.at.weight {
        check_weights(
            weight,
            job.options,
            examples.each(),
            &sides.trained,
            &mut stop,
        )?;
    }

    // The target and the features by the rows that are trained on, and the network over them.
    let reaching = reaching(job);
    let unfitted = target.clone();
    let mut refit = false;
    let (target, head, architecture, chosen_within, fit, twins) = loop {
        if sides.rows_trained() == 0 {
            return Err(Error::NoRows("all rows are held out for validation".into()));
        }
        let mask = &sides.trained;
        let mut target = unfitted.clone();
        // A warm start keeps the scale; how many rows a class has is counted anew.
        if !job.warm_start() || target.task() == Task::Classification {
            target.fit(target_at, target_words, examples.each(), mask, &mut stop)?;
        }
        set_quantile_outputs(&mut target, job.options)?;
        let head = target.head();
        let architecture = architecture_of(job, wished.clone(), members, head)?;
        let range = match target.task() {
            Task::Regression => architecture.output_range(),
            Task::Classification => None,
        };
        let chosen_within = match range {
            Some(range) => {
                let rows = examples.each();
                target
                    .fit_within(&range, reaching, target_at, rows, mask, &mut stop)?
                    .then_some(range)
            }
            None => None,
        };
        let fit = fit_features(job, &architecture, examples.rows, mask, &mut stop)?;
        if refit || job.warm_start() {
            break (
                target,
                head,
                architecture,
                chosen_within,
                fit,
                Twins::default(),
            );
        }
        // Which rows are alike is known once it is known which columns matter.
        let encoder = fit.set.block_encoder(job.dictionaries);
        let identity = identity_of(job, &target, &labels, &encoder, None);
        let rows = &mut *examples.rows;
        let twins = sides.join_twins(job, &identity, rows, &mut stop)?;
        if twins.moved == 0 {
            break (target, head, architecture, chosen_within, fit, twins);
        }
        refit = true;
    };
    let Fit {
        set: feature_set,
        left_out,
        warnings: of_features,
    } = fit;
    warnings.extend(left_out_warnings(&left_out));
    warnings.extend(of_features);
    if job.architecture.is_some() && !job.warm_start() {
        warnings.extend(appended_warning(&wished, head)?);
    }
    if twins.met > 0 {
        warnings.push(twins_warning(twins.met, sides.rows_validated()));
    }
    let rows_trained = sides.rows_trained();
    let rows_validated = sides.rows_validated();
    let encoder = feature_set.block_encoder(job.dictionaries);
    let seen = {
        let known = job.seen.filter(|_| job.warm_start());
        let identity = identity_of(job, &target, &labels, &encoder, known);
        sides.record(job, known, &identity, examples.rows, &mut stop)?
    };
    let Sides {
        trained: mask,
        folds,
    } = &sides;
    let validated_counts = match folds {
        None if rows_validated > 0 && target.task() == Task::Classification => {
            let labels = target.labels(target_words)?;
            target.class_counts(
                &labels,
                target_at,
                examples.each(),
                (mask, false),
                &mut stop,
            )?
        }
        _ => None,
    };
    let architecture = match (job.previous, job.warm_start()) {
        (Some(_), true) => architecture,
        _ => architecture.with_embeddings(&feature_set.embeddings())?,
    };
    let network = Network::build(&architecture, &feature_set.inputs(), head, Some(limit))?;
    if !network
        .parameters()
        .iter()
        .any(|parameter| parameter.trainable)
    {
        return Err(Error::Value {
            name: "the architecture".into(),
            problem: "has no layer that learns: \"trainable\" is false in all that could".into(),
            hint: Some("Leave \"trainable\" out of the last layer at least.".into()),
        });
    }
    let mut train_options = defaults::train_options(
        job.arguments,
        job.options,
        &target,
        head,
        rows_trained,
        rows_validated,
    )?;
    train_options.threads = job.crew.threads;
    train_options.augment = feature_set.augmentations();
    let fixed = nn::training_bytes(&network, &train_options);
    memory::ask_for_many(fixed)?;
    let mut interrupted = || observer.interrupted();
    let stop = parallel::Asking::new(&mut interrupted);
    let start = || {
        let initializer = job.options.initializer.unwrap_or_default();
        Ok::<_, Error>(network.initialise_until(job.arguments.seed, initializer, &stop)?)
    };
    let parameters = match job.previous.filter(|_| job.warm_start()) {
        Some(previous) if job.options.add_features.is_some() => {
            widened(previous, &network, start()?)?
        }
        Some(previous) => {
            train_options.optimizer_state = previous
                .optimizer_state
                .clone()
                .filter(|state| state.fits(&train_options.optimizer, network.parameter_count()));
            previous.parameters.clone()
        }
        None => {
            let mut parameters = start()?;
            start_at_the_prior(&network, &target, &mut parameters);
            parameters
        }
    };
    let held_out = match folds {
        Some(_) => HeldOut::Folds(members),
        None if rows_validated == 0 => HeldOut::Nothing,
        None => HeldOut::Share(fraction),
    };
    let learnt = Learnt {
        target: &target,
        features: &feature_set,
        trained: mask,
        rows_trained,
        rows_validated,
        held_out,
        validated_counts,
        chosen_within,
        known_again,
    };
    for text in announcement(job, &learnt) {
        observer.notice(&text);
    }
    for text in &warnings {
        observer.warning(text);
    }
    for remark in remarks(job, &learnt) {
        match remark {
            Remark::Notice(text) => observer.notice(&text),
            Remark::Warning(text) => observer.warning(&text),
        }
    }

    // The loop, over examples encoded once where they fit, else each time they are needed.
    let labels = target.labels(target_words)?;
    let write_target = |block: &Block, rows: Range<usize>, y: &mut Vec<f32>| {
        for row in rows {
            labels.write(block, target_at, row, y)?;
        }
        Ok(())
    };
    let encoding = Encoding {
        features: &encoder,
        sequences: job
            .sequences
            .zip(feature_set.steps.as_ref().map(|steps| steps.length)),
        target: &write_target,
        targets: labels.targets(),
        weight: job.plan.at.weight,
    };
    let fixed = fixed.saturating_add(folds.as_ref().map_or(0, Vec::len));
    let left = limit.saturating_sub(fixed);
    let in_memory = total.saturating_mul(encoding.row_bytes()) <= left;
    // Where not all examples fit, a side has half, and as much again for the order and the block
    // being read. With folds, all are on one side.
    let parts = if folds.is_some() { 2 } else { 4 };
    let batch = train_options.batch_size.min(rows_trained);
    let at_once = match rows_validated {
        0 => batch,
        _ => batch.max(nn::VALIDATION_ROWS),
    };
    let least = at_once.saturating_mul(parts * encoding.row_bytes());
    if !in_memory && left < least {
        return Err(Error::Memory {
            needed: fixed.saturating_add(least) / 1024,
            limit: limit / 1024,
        });
    }
    // What reads rows anew fills what it may.
    let encoded = match in_memory {
        true => total.saturating_mul(encoding.row_bytes()),
        false => left,
    };
    memory::ask_for_many(fixed.saturating_add(encoded))?;
    let shared: SharedRows<'_> = RefCell::new(examples.rows);
    let mut sources: Vec<Box<dyn RowSource + '_>> = Vec::new();
    for value in [true, false] {
        let folds = folds.as_deref().filter(|_| value);
        sources.push(if in_memory {
            let mut stop = || observer.interrupted();
            Box::new(MemorySource::encode(
                &shared,
                (mask, value),
                folds,
                &encoding,
                job.crew,
                &mut stop,
            )?)
        } else {
            let capacity = left / parts / encoding.row_bytes();
            Box::new(ReadingSource::new(
                &shared,
                (mask, value),
                folds,
                &encoding,
                capacity,
            ))
        });
    }
    let [train_side, validation_side] = sources.as_mut_slice() else {
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
        job.crew,
        &mut Watch { observer, epochs },
    )?;
    drop(sources);

    // The judgement, by the kernel that will serve the model.
    let packed = size_of_val(trained.parameters.as_slice()).saturating_mul(2);
    let judged = total.saturating_mul(JUDGED_BYTES + 16 * network.output_units());
    memory::ask_for_many(packed.saturating_add(judged))?;
    let predictor = {
        let mut interrupted = || observer.interrupted();
        let stop = parallel::Asking::new(&mut interrupted);
        Predictor::new_until(&network, &trained.parameters, &stop)?
    };
    let judged_rows = sides.judged();
    let judged = judge_rows(
        &JudgeInput {
            predictor: &predictor,
            target: &target,
            labels: &labels,
            target_at,
            encoding: &encoding,
            outputs: network.output_units(),
            products: network.products(),
            folds: folds.as_deref(),
        },
        &shared,
        &judged_rows,
        true,
        job.crew,
        observer,
    )?;
    let mut metrics = judged.metrics;
    if job.warm_start() && rows_validated == 0 && fraction > 0.0 {
        metrics["judged_on"] = "training rows".into();
    }
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
        "metrics": metrics,
        "extension_version": env!("CARGO_PKG_VERSION"),
    });
    let earlier = job.previous.map(|previous| &previous.features);
    let mut features = feature_set.in_call_order(earlier);
    let as_asked = |column: &String| LeftOut::new(column, "it is ignored as asked");
    let passed_over = |column: &String| LeftOut::new(column, "the version before left it out");
    let mut all_left_out = left_out;
    all_left_out.extend(job.plan.ignored.iter().map(as_asked));
    all_left_out.extend(job.plan.passed_over.iter().map(passed_over));
    features.leave_out(all_left_out, earlier);
    Ok(Outcome {
        model: Model {
            architecture: network.architecture().clone(),
            features,
            target: in_order_of_classes(target, &network),
            parameters: trained.parameters,
            training,
            scores: judged.scores,
            optimizer_state: trained.optimizer_state,
        },
        history: trained.history,
        train_loss,
        validation_loss,
        metrics,
        rows_trained,
        rows_validated,
        seen: seen.to_bytes(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// What to say of an output layer that is appended behind what looks like one.
fn appended_warning(wished: &Architecture, head: Head) -> Result<Option<String>, Error> {
    let behind = wished.appended_behind(head)?;
    Ok(behind.map(|(layer, activation)| {
        format!(
            "the output layer is appended behind {layer} with its {activation}, and reads numbers \
             from 0 to 1 only: if that was meant for the output, give it as many units as the task \
             needs ({}), or leave the activation out",
            head.units()
        )
    }))
}

/// What examples are told by: the inputs that the earlier versions knew them by, where there are
/// some, else all.
fn identity_of<'a>(
    job: &Job<'a>,
    target: &'a Target,
    labels: &'a Labels,
    encoder: &'a BlockEncoder,
    seen: Option<&SeenRows>,
) -> Identity<'a> {
    Identity {
        encoder,
        width: seen.map_or(encoder.width(), |seen| seen.rows.width()),
        target,
        labels,
        target_at: job.plan.at.target,
        group: job.plan.at.group,
        sequences: job.sequences,
    }
}

/// Holds out again what the version that a warm start goes on from has not learnt; gives what the
/// user must know of it, and how many of the examples that version is known to have met.
fn keep_sides(
    job: &Job<'_>,
    target: &Target,
    labels: &Labels,
    sides: &mut Sides,
    examples: &mut Examples<'_>,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(Option<String>, Option<usize>), Error> {
    let Some(previous) = job.previous else {
        return Ok((None, None));
    };
    let mut known_again = None;
    let vouched_for = |told: &str| {
        job.plan.at.flag.is_some().then(|| {
            format!(
                "the version that is gone on from does not tell {told} it was trained on: the \
                 validation figures hold only if none of the rows held out is among them"
            )
        })
    };
    match job.seen {
        Some(seen) => {
            let encoder = previous.features.used().block_encoder(job.dictionaries);
            let identity = identity_of(job, target, labels, &encoder, Some(seen));
            let again = sides.keep(job, seen, &identity, examples.rows, stop)?;
            known_again = Some(again);
            if sides.rows_validated() > 0 {
                let warning = match seen.complete {
                    true => None,
                    false => vouched_for("all rows"),
                };
                return Ok((warning, known_again));
            }
        }
        None => {
            if let Some(warning) = vouched_for("which rows") {
                return Ok((Some(warning), None));
            }
        }
    }
    sides.train_on_all();
    let options = job.options;
    for (asked, option) in [
        (
            options.early_stopping.is_some_and(|epochs| epochs > 0),
            "early_stopping",
        ),
        (options.restore_best == Some(true), "restore_best"),
    ] {
        if asked {
            return Err(Error::Value {
                name: format!("option \"{option}\""),
                problem: "needs rows that the version that is gone on from was not trained on, and \
                          none is known"
                    .into(),
                hint: Some(
                    "Add new rows, flag them by a column that validation_split names, or leave the \
                     option out."
                        .into(),
                ),
            });
        }
    }
    let why = match job.seen {
        Some(_) => "was trained on every row, or may have been",
        None => "does not tell which rows it was trained on",
    };
    let warning = format!(
        "the version that is gone on from {why}: nothing is held out, there are no validation \
         figures, and the metrics are those of training rows"
    );
    Ok((Some(warning), known_again))
}

/// The previous version's parameters in a network that reads more features.
///
/// # Errors
/// A network that would compute something else, as one does that brings all columns to a common
/// mean.
fn widened(previous: &Model, wide: &Network, mut parameters: Vec<f32>) -> Result<Vec<f32>, Error> {
    let narrow = previous.network()?;
    nn::widen((&narrow, &previous.parameters), (wide, &mut parameters))?;
    let (old, new) = (
        Predictor::new(&narrow, &previous.parameters)?,
        Predictor::new(wide, &parameters)?,
    );
    let outputs = |predictor: &Predictor, x: &[f32]| {
        let mut out = vec![0.0; narrow.output_units()];
        predictor.forward(x, 1, &mut out, &mut predictor.scratch());
        out
    };
    // A row of sequences says first how many steps there are.
    let is_table = previous.features.steps.is_none();
    let row = |width: usize, sign: f32| -> Vec<f32> {
        (0..width)
            .map(|i| sign * ((i % 7) as f32 - 3.0) / 3.0)
            .collect()
    };
    for sign in [1.0, -0.5] {
        let (x, wide_x) = (
            row(narrow.input_width(), sign),
            row(wide.input_width(), sign),
        );
        let pairs = outputs(&old, &x).into_iter().zip(outputs(&new, &wide_x));
        let same = pairs
            .into_iter()
            .all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + a.abs()));
        if is_table && !same {
            return Err(Error::Value {
                name: "option \"add_features\"".into(),
                problem: "goes with networks whose layers read each column by itself; in this one \
                          more columns would change what it predicts"
                    .into(),
                hint: Some("Train under another name with all columns.".into()),
            });
        }
    }
    Ok(parameters)
}

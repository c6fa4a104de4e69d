//! From raw rows to a model: split, fit, build, train, judge.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Instant;

use serde_json::json;

use super::announce::{HeldOut, Learnt, announcement};
use super::choose_architecture::{
    architecture_of, members_of, splits_nothing, wished_architecture,
};
use super::choose_target::{
    keep_positive, kept_target, reaching, same_form, set_quantile_outputs, start_at_the_prior,
    target_request,
};
use super::defaults;
use super::error::Error;
use super::fit_rows::{check_weights, fit_features, split_of};
use super::job::{Job, Observer, Outcome, Watch};
use super::judge_rows::{JudgeInput, judge_rows};
use super::memory_source::MemorySource;
use super::remarks::{Remark, remarks};
use super::source::{Encoding, ReadingSource, SharedRows};
use crate::artifact::{Model, in_order_of_classes};
use crate::features::{self, BitMask, Block, RawRows, SequenceRows, Target, Task};
use crate::nn::{self, Network, Predictor, RowSource};

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
    let target_at = job.plan.target_at();
    let target_words = job.dictionaries.get(target_at).and_then(Option::as_ref);
    let mut stop = || observer.interrupted();
    let mut examples = Examples::new(job, rows, &mut stop)?;
    let total = examples.each().rows();
    let memory = job.memory.saturating_sub(examples.memory());

    // What is learnt, and from which rows.
    let mut target = match job.previous.filter(|_| job.warm_start()) {
        Some(previous) => kept_target(job, previous, target_words, examples.each(), &mut stop)?,
        None => Target::find(
            &target_request(job)?,
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
    let seed = job.arguments.seed;
    let folds = if members > 1 && total > 1 && splits_nothing(job) {
        // Each member is trained on all rows but its own fold, and validated on that.
        let labels = (&labels, target_at);
        let examples = examples.each();
        Some(features::folds(members, seed, examples, labels, &mut stop)?)
    } else {
        None
    };
    let mask = match &folds {
        Some(_) => BitMask::new(total, true),
        None => features::split(
            split_of(job),
            fraction,
            seed,
            examples.each(),
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
        check_weights(weight, job.options, examples.each(), &mask, &mut stop)?;
    }
    // A warm start keeps the scale; how many rows a class has is counted anew.
    if !job.warm_start() || target.task() == Task::Classification {
        target.fit(target_at, target_words, examples.each(), &mask, &mut stop)?;
    }
    set_quantile_outputs(&mut target, job.options)?;
    let head = target.head();

    // The features, and the network over them.
    let architecture = architecture_of(job, wished, members, head)?;
    let range = match target.task() {
        Task::Regression => architecture.output_range(),
        Task::Classification => None,
    };
    let reaching = reaching(job)?;
    let chosen_within = match range {
        Some(range) => target
            .fit_within(
                &range,
                reaching,
                target_at,
                examples.each(),
                &mask,
                &mut stop,
            )?
            .then_some(range),
        None => None,
    };
    let validated_counts = match &folds {
        None if rows_validated > 0 && target.task() == Task::Classification => {
            let held_out = (&mask, false);
            let labels = target.labels(target_words)?;
            target.class_counts(&labels, target_at, examples.each(), held_out, &mut stop)?
        }
        _ => None,
    };
    let (feature_set, left_out) =
        fit_features(job, &architecture, examples.rows, &mask, &mut stop)?;
    let architecture = match (job.previous, job.warm_start()) {
        (Some(_), true) => architecture,
        _ => architecture.with_embeddings(&feature_set.embeddings())?,
    };
    let network = Network::build(&architecture, &feature_set.inputs(), head, Some(memory))?;
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
    let parameters = match job.previous.filter(|_| job.warm_start()) {
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
    let learnt = Learnt {
        target: &target,
        features: &feature_set,
        left_out: &left_out,
        trained: &mask,
        rows_trained,
        rows_validated,
        held_out,
        validated_counts,
        chosen_within,
    };
    for text in announcement(job, &learnt) {
        observer.notice(&text);
    }
    for remark in remarks(job, &learnt) {
        match remark {
            Remark::Notice(text) => observer.notice(&text),
            Remark::Warning(text) => observer.warning(&text),
        }
    }

    // The loop, over examples encoded once where they fit, else each time they are needed.
    let encoder = feature_set.block_encoder(job.dictionaries);
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
        weight: job.plan.weight,
    };
    let fixed = nn::training_bytes(&network, &train_options);
    let fixed = fixed.saturating_add(folds.as_ref().map_or(0, Vec::len));
    let left = memory.saturating_sub(fixed);
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
            limit: memory / 1024,
        });
    }
    let shared: SharedRows<'_> = RefCell::new(examples.rows);
    let mut sides: Vec<Box<dyn RowSource + '_>> = Vec::new();
    for value in [true, false] {
        let folds = folds.as_deref().filter(|_| value);
        sides.push(if in_memory {
            let mut stop = || observer.interrupted();
            Box::new(MemorySource::encode(
                &shared,
                (&mask, value),
                folds,
                &encoding,
                job.crew,
                &mut stop,
            )?)
        } else {
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
        job.crew,
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
            encoding: &encoding,
            outputs: network.output_units(),
            products: network.products(),
            folds: folds.as_deref(),
        },
        &shared,
        &mask,
        judged_side,
        job.crew,
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
            target: in_order_of_classes(target, &network),
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

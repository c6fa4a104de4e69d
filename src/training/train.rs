//! The fifth stage: the loop, over examples encoded once where they fit, else each time they are
//! needed.

use std::cell::RefCell;

use serde_json::Value;

use super::build::BuildStage;
use super::builder::{Builder, Start};
use super::checkpoint::{self, Fingerprint};
use super::data_hash::data_hash;
use super::error::Error;
use super::fit::FitStage;
use super::job::{Job, Observer, Watch};
use super::memory_source::MemorySource;
use super::source::{Encoding, ReadingSource, SharedRows};
use super::student::{Lesson, Student};
use super::trials::{Sides, Trials};
use crate::features::{BitMask, Family, Labels};
use crate::memory;
use crate::nn::{self, Network, RowSource, TrainOptions, Trained};

/// A network that was trained.
pub(super) struct TrainStage<'a> {
    pub(super) fit: FitStage<'a>,
    pub(super) network: Network,
    pub(super) trained: Trained,
    /// What turns the raw target into what was learnt.
    pub(super) labels: Labels,
    /// The examples' [`data_hash`].
    pub(super) data_hash: [u8; 32],
    /// How the form of the default network was chosen.
    pub(super) trials: Option<Value>,
    /// What is stored in the place of members.
    pub(super) student: Option<Student>,
}

/// How the examples are there for the loop.
#[derive(Clone, Copy)]
enum Room {
    /// All of them encoded.
    All,
    /// So many of a side at once.
    Part(usize),
}

impl<'a> BuildStage<'a> {
    /// Trains the network.
    ///
    /// # Errors
    /// Too little memory for a step, rows that cannot be read, a loss that is not finite.
    pub(super) fn train(
        self,
        job: &Job<'_>,
        observer: &mut dyn Observer,
    ) -> Result<TrainStage<'a>, Error> {
        let BuildStage {
            fit,
            mut start,
            forms,
            mut options,
            bytes,
        } = self;
        let mut labels = fit.target.labels(job.target_words())?;
        if let (Some(at), Some(Family::Tweedie { power, .. })) =
            (job.plan.at.exposure, fit.target.family())
        {
            labels = labels.over(at, *power);
        }
        let encoding = Encoding::new(job, &fit.features, &fit.encoder, &labels);
        let room = room(&fit, &encoding, &options, bytes)?;
        let builder = Builder {
            features: &fit.features,
            target: &fit.target,
            limit: fit.split.read.limit,
        };
        let sides = &fit.split.sides;
        let (mask, folds) = (&sides.trained, sides.folds.as_deref());
        let shared: SharedRows<'_> = RefCell::new(&mut *fit.split.read.examples.rows);
        let mut train_side = source(job, &shared, &encoding, (mask, true), folds, room, observer)?;
        let mut validation_side =
            source(job, &shared, &encoding, (mask, false), None, room, observer)?;
        let data_hash = data_hash(
            mask,
            [train_side.as_mut(), validation_side.as_mut()],
            (encoding.width(), encoding.targets()),
            job.crew,
            &mut || observer.interrupted(),
        )?;
        let is_validated = sides.rows_validated() > 0 && folds.is_none();
        let mut trials = None;
        if let Some(forms) = forms {
            let validation = is_validated.then_some(validation_side.as_mut());
            let chosen = Trials {
                job,
                builder,
                sides: Sides {
                    train: train_side.as_mut(),
                    validation: validation.map(|side| side as &mut dyn RowSource),
                },
                observer: &mut *observer,
            }
            .choose(forms, &fit.architecture, &options)?;
            (start, options, trials) = (chosen.start, chosen.options, Some(chosen.trials));
        }
        let Start {
            network,
            mut parameters,
        } = start;
        let mut interrupted = || observer.interrupted();
        nn::fit_edges(
            &network,
            &mut parameters,
            train_side.as_mut(),
            &mut interrupted,
        )?;
        let epochs = options.epochs;
        let checkpoint = match job.options.checkpoint {
            None => None,
            Some(every) => {
                let validated = is_validated.then_some(validation_side.as_mut());
                let sides = [Some(train_side.as_mut()), validated];
                let width = network.input_width();
                let mut stop = || observer.interrupted();
                Some((
                    every,
                    Fingerprint::of(sides, width, &parameters, &mut stop)?,
                ))
            }
        };
        if let (Some(bytes), Some((_, fingerprint))) = (job.resume, checkpoint) {
            options.resume = Some(checkpoint::resume(bytes, fingerprint)?);
        }
        let trained = nn::train(
            &network,
            parameters,
            train_side.as_mut(),
            is_validated.then_some(validation_side.as_mut() as &mut dyn RowSource),
            &options,
            job.crew,
            &mut Watch {
                observer,
                epochs,
                checkpoint,
            },
        )?;
        let student = Lesson {
            job,
            builder,
            network: &network,
            parameters: &trained.parameters,
            options: &options,
        }
        .student(train_side.as_mut(), observer)?;
        drop((train_side, validation_side));
        Ok(TrainStage {
            fit,
            network,
            trained,
            labels,
            data_hash,
            trials,
            student,
        })
    }
}

/// Whether all examples can be encoded beside the `bytes` that the loop takes, else how many.
fn room(
    fit: &FitStage<'_>,
    encoding: &Encoding<'_>,
    options: &TrainOptions,
    bytes: usize,
) -> Result<Room, Error> {
    let (read, sides) = (&fit.split.read, &fit.split.sides);
    let fixed = bytes.saturating_add(sides.folds.as_ref().map_or(0, Vec::len));
    let left = read.limit.saturating_sub(fixed);
    let all = sides.trained.len().saturating_mul(encoding.row_bytes());
    let in_memory = all <= left;
    // Where not all examples fit, a side has half, and as much again for the order and the block
    // being read. With folds, all are on one side.
    let parts = if sides.folds.is_some() { 2 } else { 4 };
    let batch = options.batch_size.min(sides.rows_trained());
    let at_once = match sides.rows_validated() {
        0 => batch,
        _ => batch.max(nn::VALIDATION_ROWS),
    };
    let least = at_once.saturating_mul(parts * encoding.row_bytes());
    if !in_memory && left < least {
        return Err(Error::Memory {
            needed: fixed.saturating_add(least) / 1024,
            limit: read.limit / 1024,
        });
    }
    // What reads rows anew fills what it may.
    memory::ask_for_many(fixed.saturating_add(if in_memory { all } else { left }))?;
    Ok(match in_memory {
        true => Room::All,
        false => Room::Part(left / parts / encoding.row_bytes()),
    })
}

/// The examples of one side.
fn source<'s>(
    job: &Job<'_>,
    rows: &'s SharedRows<'s>,
    encoding: &'s Encoding<'s>,
    side: (&'s BitMask, bool),
    folds: Option<&'s [u8]>,
    room: Room,
    observer: &mut dyn Observer,
) -> Result<Box<dyn RowSource + 's>, Error> {
    Ok(match room {
        Room::All => {
            let mut stop = || observer.interrupted();
            Box::new(MemorySource::encode(
                rows, side, folds, encoding, job.crew, &mut stop,
            )?)
        }
        Room::Part(capacity) => Box::new(ReadingSource::new(rows, side, folds, encoding, capacity)),
    })
}

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
use super::forms::{Sides, Trials};
use super::job::{Job, Observer, Watch};
use super::room::{room, source};
use super::source::{Encoding, SharedRows};
use super::student::{Lesson, Student};
use crate::features::{Family, Labels};
use crate::nn::{self, Network, RowSource, Trained};

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
        let room = room(
            fit.split.read.limit,
            &fit.split.sides,
            &encoding,
            &options,
            bytes,
        )?;
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
                    Fingerprint::of(sides, width, (&parameters, &options), &mut stop)?,
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

//! The fourth stage: the network with its first parameters, and how it is trained.

use super::announce::{HeldOut, Learnt};
use super::builder::Start;
use super::defaults;
use super::error::Error;
use super::fit::FitStage;
use super::forms::Forms;
use super::idle;
use super::job::Job;
use crate::artifact::Model;
use crate::memory;
use crate::nn::{self, Network, Predictor, TrainOptions};

/// What is ready to be trained.
pub(super) struct BuildStage<'a> {
    pub(super) fit: FitStage<'a>,
    pub(super) start: Start,
    /// Of the default network, its other forms.
    pub(super) forms: Option<Forms>,
    pub(super) options: TrainOptions,
    /// Bytes that the loop takes beside the examples.
    pub(super) bytes: usize,
}

impl<'a> FitStage<'a> {
    /// Builds the network over the features.
    ///
    /// # Errors
    /// A network that cannot be built or learns nothing, and options that do not fit it.
    pub(super) fn build(
        self,
        job: &Job<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<BuildStage<'a>, Error> {
        let network = self.builder().network(job, self.architecture.clone())?;
        let mut parameters = network.parameters().iter();
        if !parameters.any(|parameter| parameter.trainable) {
            return Err(Error::Value {
                name: "the architecture".into(),
                problem: "has no layer that learns: \"trainable\" is false in all that could"
                    .into(),
                hint: Some("Leave \"trainable\" out of the last layer at least.".into()),
            });
        }
        idle::check_initializer(job.options, &network)?;
        let (target, sides) = (&self.target, &self.split.sides);
        let mut options = defaults::train_options(
            job.arguments,
            job.options,
            target,
            sides.rows_trained(),
            sides.rows_validated(),
        )?;
        options.threads = job.crew.threads;
        options.augment = self.features.augmentations();
        let own = nn::training_bytes(&network, &options);
        memory::ask_for_many(own)?;
        let forms = self.forms(job)?;
        let other = forms.as_ref().map_or(0, |forms| forms.bytes(&options));
        memory::ask_for_many(other)?;
        let bytes = own.max(other);
        let parameters = match job.previous.filter(|_| job.warm_start()) {
            Some(previous) if job.options.add_features.is_some() => widened(
                previous,
                &network,
                self.builder().initialised(job, &network, stop)?,
            )?,
            Some(previous) => {
                options.optimizer_state = previous
                    .optimizer_state
                    .clone()
                    .filter(|state| state.fits(&options.optimizer, network.parameter_count()));
                previous.parameters.clone()
            }
            None => self.builder().initialised(job, &network, stop)?,
        };
        Ok(BuildStage {
            fit: self,
            start: Start {
                network,
                parameters,
            },
            forms,
            options,
            bytes,
        })
    }
}

impl BuildStage<'_> {
    /// What is told of it before the loop begins.
    pub(super) fn learnt(&self) -> Learnt<'_> {
        let (fit, split) = (&self.fit, &self.fit.split);
        let rows_validated = split.sides.rows_validated();
        Learnt {
            target: &fit.target,
            features: &fit.features,
            trained: &split.sides.trained,
            rows_trained: split.sides.rows_trained(),
            rows_validated,
            held_out: match split.sides.folds {
                Some(_) => HeldOut::Folds(split.members),
                None if rows_validated == 0 => HeldOut::Nothing,
                None => HeldOut::Share(split.fraction),
            },
            validated_counts: fit.validated_counts.as_deref(),
            chosen_within: fit.chosen_within.as_ref(),
            known_again: split.known_again,
        }
    }
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

//! Whether the default network bends its numbers.
//!
//! A table whose outcome turns at some age or amount wants a function of each number that can turn
//! there; one whose outcome rises and falls with its numbers learns more noise by it. Which it is, the
//! rows say: each form of the network is trained on them for a while, and the one with the lower loss
//! on the rows held out is built.

use serde_json::{Value, json};

use super::builder::Start;
use super::choose_architecture::architecture_of;
use super::default_architecture::{bent, is_tabular};
use super::defaults;
use super::error::Error;
use super::fit::FitStage;
use super::job::{Aside, Job, Observer};
use crate::features::{Feature, Profile};
use crate::nn::{self, Architecture, InputForm, RowSource, TrainOptions};

/// Training rows from which on those held out can tell.
const ROWS: usize = 500;
/// Numbers that are bent, at most: of more the bends would be most of the network.
const NUMBERS: usize = 256;
/// Members of a trial where members hold out folds.
const MEMBERS: usize = 2;
/// A trial takes the epochs divided by this.
const SHORTER: usize = 3;

/// The rows of a training: those to learn from, and those held out unless each member has its own.
pub(super) struct Sides<'r> {
    pub(super) train: &'r mut dyn RowSource,
    pub(super) validation: Option<&'r mut dyn RowSource>,
}

/// The other form of the default network, of which none is chosen yet.
pub(super) struct Forms {
    bent: Start,
    /// Both for the trial, of fewer members.
    trials: [Start; 2],
    /// How many numbers are bent.
    numbers: usize,
}

/// The form that was chosen.
pub(super) struct Chosen {
    pub(super) start: Start,
    /// The losses of both, as a version keeps them.
    pub(super) trials: Value,
}

impl FitStage<'_> {
    /// The other form of the default network, where it is built and rows are held out that tell.
    ///
    /// # Errors
    /// A network that cannot be built.
    pub(super) fn forms(
        &self,
        job: &Job<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Forms>, Error> {
        let sides = &self.split.sides;
        let is_default = job.architecture.is_none() && !job.warm_start();
        if !is_default || sides.rows_validated() == 0 || sides.rows_trained() < ROWS {
            return Ok(None);
        }
        let features = self.features.features.iter();
        let numbers: Vec<&str> = features
            .filter(|feature| turns(feature))
            .map(|feature| feature.name.as_str())
            .collect();
        if !(1..=NUMBERS).contains(&numbers.len()) || !is_tabular(&self.split.wished)? {
            return Ok(None);
        }
        let members = self.split.members;
        let bent = architecture_of(job, bent(&numbers)?, members, self.target.head())?;
        let mut start = |architecture: &Architecture, members| {
            self.builder().start(job, architecture, members, stop)
        };
        let few = members.min(MEMBERS);
        Ok(Some(Forms {
            trials: [start(&self.architecture, few)?, start(&bent, few)?],
            bent: start(&bent, members)?,
            numbers: numbers.len(),
        }))
    }
}

/// Whether a feature is a number of more than two values, so that a function of it can turn.
fn turns(feature: &Feature) -> bool {
    let is_number = matches!(feature.form(), InputForm::Numbers(_)) && feature.shape().is_none();
    match &feature.profile {
        Profile::Deciles { deciles, .. } if is_number && feature.is_used() => {
            deciles.windows(2).filter(|two| two[0] < two[1]).count() > 1
        }
        _ => false,
    }
}

impl Forms {
    /// Bytes that training the other form takes.
    pub(super) fn bytes(&self, options: &TrainOptions) -> usize {
        nn::training_bytes(&self.bent.network, options)
    }

    /// Trains both forms for a while, and chooses.
    ///
    /// # Errors
    /// Those of a training.
    pub(super) fn choose(
        self,
        job: &Job<'_>,
        straight: Start,
        options: &TrainOptions,
        sides: &mut Sides<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Chosen, Error> {
        let [first, second] = self.trials;
        let start = [straight, self.bent];
        let straight = trial(job, first, options, sides, observer)?;
        let bent = trial(job, second, options, sides, observer)?;
        let bends = bent < straight;
        let what = match self.numbers {
            1 => "the number",
            _ => "the numbers",
        };
        let (told, other) = match bends {
            true => (format!("{what} bent ({})", self.numbers), "straight"),
            false => (format!("{what} straight"), "bent"),
        };
        let (better, worse) = (bent.min(straight), bent.max(straight));
        observer.notice(&format!(
            "the default network with {told}: held-out loss {better:.4} in a short trial, {other} \
             {worse:.4}"
        ));
        let [straight_start, bent_start] = start;
        Ok(Chosen {
            start: if bends { bent_start } else { straight_start },
            trials: json!({
                "numbers_bent": bends,
                "held_out_loss_bent": bent,
                "held_out_loss_straight": straight,
            }),
        })
    }
}

/// The lowest loss on the rows held out in a short training; infinite if it is no number.
fn trial(
    job: &Job<'_>,
    start: Start,
    options: &TrainOptions,
    sides: &mut Sides<'_>,
    observer: &mut dyn Observer,
) -> Result<f64, Error> {
    let Start {
        network,
        mut parameters,
    } = start;
    nn::fit_edges(&network, &mut parameters, sides.train, &mut || {
        observer.interrupted()
    })?;
    // However many epochs are asked for, a trial needs no more than are usual.
    let usual = defaults::epochs(sides.train.rows());
    let options = TrainOptions {
        epochs: options.epochs.min(usual).div_ceil(SHORTER),
        early_stopping: 0,
        restore_best: true,
        keep_optimizer_state: false,
        ..options.clone()
    };
    let validation = sides.validation.as_mut();
    let validation = validation.map(|validation| &mut **validation as &mut dyn RowSource);
    let trained = nn::train(
        &network,
        parameters,
        sides.train,
        validation,
        &options,
        job.crew,
        &mut Aside { observer },
    );
    match trained {
        Ok(trained) => {
            let losses = trained
                .history
                .iter()
                .filter_map(|epoch| epoch.validation_loss);
            Ok(losses.fold(f64::INFINITY, f64::min))
        }
        Err(nn::Error::NotFinite { .. }) => Ok(f64::INFINITY),
        Err(error) => Err(error.into()),
    }
}

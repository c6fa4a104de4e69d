//! Which form of the default network suits the rows.
//!
//! A table whose outcome turns at some age or amount wants a function of each number that can turn
//! there; one whose outcome rises and falls with its numbers learns more noise by it. And a number
//! that its features tell to the last digit is blurred by what keeps a network from learning noise,
//! dropout and a strong decay, where one that they only hint at needs both. Which it is, the rows say:
//! each form of the network is trained on them for a while, and the one with the lower loss on the rows
//! held out is built.

use serde_json::{Value, json};

use super::builder::{Builder, Start};
use super::choose_architecture::architecture_of;
use super::default_architecture::{bent, is_tabular};
use super::defaults;
use super::error::Error;
use super::fit::FitStage;
use super::job::{Aside, Job, Observer};
use crate::features::{Feature, Profile, Task};
use crate::nn::{self, Architecture, InputForm, Network, RowSource, TrainOptions};

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

/// The other forms of the default network, of which none is chosen yet.
pub(super) struct Forms {
    bent: Option<Bent>,
    /// Whether it is to be learnt without dropout and with little decay, too.
    light: bool,
    members: usize,
}

/// The form that bends its numbers.
struct Bent {
    architecture: Architecture,
    network: Network,
    /// How many numbers are bent.
    numbers: usize,
}

/// The form that was chosen.
pub(super) struct Chosen {
    pub(super) start: Start,
    /// How it is trained.
    pub(super) options: TrainOptions,
    /// The losses of all, as a version keeps them.
    pub(super) trials: Value,
}

impl FitStage<'_> {
    /// The other forms of the default network, where it is built and rows are held out that tell.
    ///
    /// # Errors
    /// A network that cannot be built.
    pub(super) fn forms(&self, job: &Job<'_>) -> Result<Option<Forms>, Error> {
        let sides = &self.split.sides;
        let is_default = job.architecture.is_none() && !job.warm_start();
        if !is_default
            || sides.rows_validated() == 0
            || sides.rows_trained() < ROWS
            || !is_tabular(&self.split.wished)?
        {
            return Ok(None);
        }
        let forms = Forms {
            bent: self.bent(job)?,
            light: self.target.task() == Task::Regression
                && defaults::may_lighten(job.arguments, job.options),
            members: self.split.members,
        };
        Ok((forms.bent.is_some() || forms.light).then_some(forms))
    }

    /// The form that bends the features that are numbers, if any are.
    fn bent(&self, job: &Job<'_>) -> Result<Option<Bent>, Error> {
        let features = self.features.features.iter();
        let numbers: Vec<&str> = features
            .filter(|feature| turns(feature))
            .map(|feature| feature.name.as_str())
            .collect();
        if !(1..=NUMBERS).contains(&numbers.len()) {
            return Ok(None);
        }
        let written = bent(&numbers, self.split.sides.rows_trained())?;
        let architecture = architecture_of(job, written, self.split.members, self.target.head())?;
        let network = self.builder().network(job, architecture.clone())?;
        Ok(Some(Bent {
            architecture,
            network,
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
    /// Bytes that training another form takes.
    pub(super) fn bytes(&self, options: &TrainOptions) -> usize {
        let bent = self.bent.as_ref();
        bent.map_or(0, |bent| nn::training_bytes(&bent.network, options))
    }
}

/// Where forms of the default network are tried.
pub(super) struct Trials<'a, 'r> {
    pub(super) job: &'a Job<'a>,
    pub(super) builder: Builder<'a>,
    pub(super) sides: Sides<'r>,
    pub(super) observer: &'r mut dyn Observer,
}

impl Trials<'_, '_> {
    /// Trains the forms for a while, and chooses.
    ///
    /// # Errors
    /// Those of a training.
    pub(super) fn choose(
        &mut self,
        forms: Forms,
        straight: &Architecture,
        options: &TrainOptions,
    ) -> Result<Chosen, Error> {
        let few = forms.members.min(MEMBERS);
        let mut architecture = straight.clone();
        let mut trials = json!({});
        let mut loss = self.trial(straight, few, options)?;
        if let Some(bent) = forms.bent {
            let bent_loss = self.trial(&bent.architecture, few, options)?;
            self.tell_bends(bent.numbers, bent_loss, loss);
            trials["held_out_loss_bent"] = bent_loss.into();
            trials["held_out_loss_straight"] = loss.into();
            trials["numbers_bent"] = (bent_loss < loss).into();
            if bent_loss < loss {
                (architecture, loss) = (bent.architecture, bent_loss);
            }
        }
        let mut options = options.clone();
        if forms.light {
            let light = architecture.clone().with_dropout(0.0)?;
            let mut lighter = options.clone();
            defaults::lighten(&mut lighter, self.job.arguments, self.job.options);
            let light_loss = self.trial(&light, few, &lighter)?;
            let is_light = light_loss < loss;
            self.tell_light(is_light, light_loss, loss);
            trials["held_out_loss_light"] = light_loss.into();
            trials["held_out_loss_regularized"] = loss.into();
            trials["light"] = is_light.into();
            if is_light {
                (architecture, options) = (light, lighter);
            }
        }
        let mut stop = || self.observer.interrupted();
        let start = self
            .builder
            .start(self.job, &architecture, forms.members, &mut stop)?;
        Ok(Chosen {
            start,
            options,
            trials,
        })
    }

    fn tell_bends(&mut self, numbers: usize, bent: f64, straight: f64) {
        let what = match numbers {
            1 => "the number",
            _ => "the numbers",
        };
        let (told, other) = match bent < straight {
            true => (format!("{what} bent ({numbers})"), "straight"),
            false => (format!("{what} straight"), "bent"),
        };
        let (better, worse) = (bent.min(straight), bent.max(straight));
        self.observer.notice(&format!(
            "the default network with {told}: held-out loss {better:.4} in a short trial, {other} \
             {worse:.4}"
        ));
    }

    fn tell_light(&mut self, is_light: bool, light: f64, usual: f64) {
        let (told, other) = match is_light {
            true => ("without dropout, decaying little", "regularized"),
            false => ("regularized", "without dropout, decaying little,"),
        };
        let (better, worse) = (light.min(usual), light.max(usual));
        self.observer.notice(&format!(
            "it is trained {told}: held-out loss {better:.4} in a short trial, {other} {worse:.4}"
        ));
    }

    /// The lowest loss on the rows held out in a short training; infinite if it is no number.
    fn trial(
        &mut self,
        architecture: &Architecture,
        members: usize,
        options: &TrainOptions,
    ) -> Result<f64, Error> {
        let (observer, train) = (&mut *self.observer, &mut *self.sides.train);
        let Start {
            network,
            mut parameters,
        } = {
            let mut stop = || observer.interrupted();
            self.builder
                .start(self.job, architecture, members, &mut stop)?
        };
        nn::fit_edges(&network, &mut parameters, train, &mut || {
            observer.interrupted()
        })?;
        // However many epochs are asked for, a trial needs no more than are usual.
        let usual = defaults::epochs(train.rows());
        let options = TrainOptions {
            epochs: options.epochs.min(usual).div_ceil(SHORTER),
            early_stopping: 0,
            restore_best: true,
            keep_optimizer_state: false,
            ..options.clone()
        };
        let validation = self.sides.validation.as_mut();
        let validation = validation.map(|validation| &mut **validation as &mut dyn RowSource);
        let trained = nn::train(
            &network,
            parameters,
            train,
            validation,
            &options,
            self.job.crew,
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
}

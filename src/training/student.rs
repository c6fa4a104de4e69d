//! One network in place of a small table's members.
//!
//! Members that each leave out a part of the rows predict better together than one network does, and
//! cost as much as they are many. A network of the same form that learns what they predict, rather
//! than what was true, comes close to them at the price of one (Hinton, Vinyals and Dean, "Distilling
//! the knowledge in a neural network", 2015). It is stored in their place where rows that it has not
//! met say that it is no worse than a member is.

use serde_json::{Value, json};

use super::builder::{Builder, Start};
use super::defaults;
use super::error::Error;
use super::job::{Aside, Job, Observer};
use super::mixed_rows::MixedRows;
use super::sides::NO_FOLD;
use crate::features::Target;
use crate::memory;
use crate::nn::{
    self, Head, Loaded, LossSpec, Network, Predictor, RowSource, Stop, TrainOptions, parallel,
};

/// The member that is learnt from alone for a trial, and the fold that it has left out, by which what
/// comes of it is judged. What all members say of those rows would be no trial: most have met them.
const JUDGED: u8 = 0;
/// How much larger than that member's its loss may be: less than the rows of a fold could tell apart.
/// A squared error's root is compared, so that a number is judged in its own unit.
const TOLERANCE: f64 = 0.01;
/// Training rows from which on a fold of them can tell.
const LEAST_ROWS: usize = 500;
/// Where a number is learnt, mixtures of each row that are learnt from beside it, and how many times as
/// often as in a training a row is shown, with all of them together. Of classes, whose members differ
/// most where no row is, mixtures were no gain.
const MIXTURES: usize = 3;
const SHOWN: usize = 3;
/// Rows that are mixed at once, or a batch of them.
const MIXED: usize = 1 << 14;
/// The least probability that counts as one.
const PROBABILITY: f64 = 1e-7;
/// Rows whose predictions are made at once.
const ROWS: usize = 1024;

/// The network that learnt from the members.
pub(super) struct Student {
    pub(super) network: Network,
    pub(super) parameters: Vec<f32>,
    /// What it was judged by, as a version keeps it.
    pub(super) judged: Value,
}

/// Members and those who may take their place.
pub(super) struct Lesson<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) builder: Builder<'a>,
    /// The members.
    pub(super) network: &'a Network,
    pub(super) parameters: &'a [f32],
    pub(super) options: &'a TrainOptions,
}

impl Lesson<'_> {
    /// Whether a network may take the members' place: nobody asked for them, and what they predict
    /// can be learnt as what was true can.
    fn is_due(&self) -> bool {
        let Lesson { job, options, .. } = self;
        let asked = job.architecture.is_some() || job.options.members.is_some();
        let learnt = match (self.builder.target.head(), &options.loss) {
            (Head::Regression { .. }, LossSpec::Mse | LossSpec::Mae | LossSpec::Huber { .. }) => {
                true
            }
            (Head::Binary, _) => self.network.output_units() == 1,
            (Head::Multiclass { .. } | Head::MultiLabel { .. }, _) => true,
            _ => false,
        };
        !asked && !job.warm_start() && !options.keep_optimizer_state && learnt
    }

    /// Whether numbers are learnt, and not classes or labels.
    fn is_number(&self) -> bool {
        matches!(self.builder.target, Target::Regression { .. })
    }

    /// Trains a network on what the members predict of the rows, which come with folds; nothing where
    /// the members are to stay.
    ///
    /// # Errors
    /// Those of a training.
    pub(super) fn student(
        &self,
        rows: &mut dyn RowSource,
        observer: &mut dyn Observer,
    ) -> Result<Option<Student>, Error> {
        if !self.is_due() || !rows.has_folds() || rows.rows() < LEAST_ROWS {
            return Ok(None);
        }
        let at_once = MIXED.max(self.options.batch_size);
        // What is told of the rows, twice, the members' packed weights, and rows that are mixed.
        let mixtures = if self.is_number() { MIXTURES } else { 0 };
        let told = rows.rows().saturating_mul(1 + mixtures);
        let told = told.saturating_mul(self.network.output_units() + 1);
        let mixed = at_once.min(told).saturating_mul(self.network.input_width());
        let values = told.saturating_add(self.parameters.len());
        let values = values.saturating_mul(2).saturating_add(mixed);
        memory::ask_for_many(values.saturating_mul(size_of::<f32>()))?;
        let inputs = self.builder.features.inputs();
        let seed = self.job.arguments.seed;
        let rows = &mut MixedRows::new(rows, &inputs, (mixtures, at_once), seed);
        // A trial may not have met the rows that it is judged by, not even in part.
        rows.spare(Some(JUDGED));
        let pupil = {
            let trial = Pupils::of(self, rows, observer, Some(JUDGED))?;
            self.learn(&trial, rows, observer)?
        };
        let Some(pupil) = pupil else {
            return Ok(None);
        };
        let network = &pupil.network;
        let own = {
            let network = (network, pupil.parameters.as_slice());
            self.held_out_loss(network, None, rows.plain(), observer)?
        };
        let members = (self.network, self.parameters);
        let member = self.held_out_loss(members, Some(JUDGED), rows.plain(), observer)?;
        // A fold whose rows weigh nothing tells nothing.
        let (Some(own), Some(member)) = (own, member) else {
            return Ok(None);
        };
        let tolerated = match self.is_number() {
            true => (1.0 + TOLERANCE).powi(2),
            false => 1.0 + TOLERANCE,
        };
        let keeps = own <= member * tolerated;
        rows.spare(None);
        let all = Pupils::of(self, rows, observer, None)?;
        let student = match keeps {
            true => self.learn(&all, rows, observer)?,
            false => None,
        };
        let members = self.network.members();
        observer.notice(&match student {
            Some(_) => format!(
                "one network that has learnt from the {members} members is stored; in a trial what \
                 learnt from one of them had a held-out loss of {own:.4}, and that member {member:.4}"
            ),
            None => format!(
                "all {members} members are stored: in a trial what learnt from one of them had a \
                 held-out loss of {own:.4}, and that member {member:.4}"
            ),
        });
        Ok(student.map(|start| Student {
            network: start.network,
            parameters: start.parameters,
            judged: json!({
                "members": members,
                "held_out_loss": own,
                "held_out_loss_of_a_member": member,
            }),
        }))
    }

    /// A network that has learnt what it was told; nothing if it came to no numbers.
    fn learn(
        &self,
        told: &Pupils,
        rows: &mut MixedRows<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Start>, Error> {
        let architecture = self.network.architecture().clone();
        // What a number is said to be has no noise that would have to be kept from being learnt.
        let architecture = match self.is_number() && architecture.has_dropout() {
            true => architecture.with_dropout(0.0)?,
            false => architecture,
        };
        let mut stop = || observer.interrupted();
        let mut start = self.builder.start(self.job, &architecture, 1, &mut stop)?;
        nn::fit_edges(
            &start.network,
            &mut start.parameters,
            rows.plain(),
            &mut stop,
        )?;
        let mut options = TrainOptions {
            // However many the members have had, no more than are usual.
            epochs: self
                .options
                .epochs
                .min(defaults::epochs(rows.plain().rows())),
            ..self.options.clone()
        };
        let is_number = self.is_number();
        if is_number {
            options.epochs = (options.epochs * SHOWN).div_ceil(1 + MIXTURES);
        }
        if is_number && defaults::may_lighten(self.job.arguments, self.job.options) {
            defaults::lighten(&mut options, self.job.arguments, self.job.options);
        }
        let options = TrainOptions {
            loss: match is_number {
                true => LossSpec::Mse,
                false => self.options.loss.clone(),
            },
            soft_targets: matches!(self.builder.target, Target::Classes { .. }),
            early_stopping: 0,
            restore_best: false,
            // They are in what the members predict.
            label_smoothing: 0.0,
            class_weights: None,
            optimizer_state: None,
            resume: None,
            ..options
        };
        let mut lessons = Lessons {
            rows,
            told,
            asked: Vec::new(),
            y: Vec::new(),
        };
        let parameters = std::mem::take(&mut start.parameters);
        let trained = nn::train(
            &start.network,
            parameters,
            &mut lessons,
            None,
            &options,
            self.job.crew,
            &mut Aside { observer },
        );
        match trained {
            Ok(trained) => {
                start.parameters = trained.parameters;
                Ok(Some(start))
            }
            Err(nn::Error::NotFinite { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The mean loss on the rows of the judged fold, of a network or of one of its members; nothing
    /// where these rows weigh nothing.
    fn held_out_loss(
        &self,
        network: (&Network, &[f32]),
        member: Option<u8>,
        rows: &mut dyn RowSource,
        observer: &mut dyn Observer,
    ) -> Result<Option<f64>, Error> {
        let (mut sum, mut weights) = (0.0, 0.0);
        let head = self.builder.target.head();
        let wanted = |fold| fold == JUDGED;
        predict(network, member, rows, wanted, observer, |row| {
            let weight = f64::from(row.weight);
            sum += weight * loss(head, row.outputs, row.y);
            weights += weight;
        })?;
        Ok((weights > 0.0).then(|| sum / weights))
    }
}

/// Rows, and what is told of them.
struct Pupils {
    /// Their numbers.
    rows: Vec<u32>,
    /// Of each what it is said to be, one after the other.
    told: Vec<f32>,
    /// Values of a row.
    targets: usize,
}

impl Pupils {
    /// What all members say of all rows, or one of those that it has not left out.
    fn of(
        lesson: &Lesson<'_>,
        rows: &mut dyn RowSource,
        observer: &mut dyn Observer,
        member: Option<u8>,
    ) -> Result<Pupils, Error> {
        let mut pupils = Pupils {
            rows: Vec::new(),
            told: Vec::new(),
            targets: lesson.network.output_units(),
        };
        let network = (lesson.network, lesson.parameters);
        let wanted = |fold| Some(fold) != member;
        predict(network, member, rows, wanted, observer, |row| {
            pupils.rows.push(row.number);
            pupils.told.extend_from_slice(row.outputs);
        })?;
        Ok(pupils)
    }
}

/// A row with what a network makes of it.
struct Predicted<'a> {
    number: u32,
    y: &'a [f32],
    outputs: &'a [f32],
    weight: f32,
}

/// Calls `each` with the rows whose fold is wanted, predicted by a network or one of its members.
fn predict(
    (network, parameters): (&Network, &[f32]),
    member: Option<u8>,
    rows: &mut dyn RowSource,
    wanted: impl Fn(u8) -> bool,
    observer: &mut dyn Observer,
    mut each: impl FnMut(Predicted<'_>),
) -> Result<(), Error> {
    let (width, units) = (network.input_width(), network.output_units());
    let mut interrupted = || observer.interrupted();
    let stop = parallel::Asking::new(&mut interrupted);
    let predictor = Predictor::new_until(network, parameters, &stop)?;
    let mut scratch = predictor.scratch();
    let (mut asked, mut x, mut out) = (Vec::new(), Vec::new(), Vec::new());
    let count = rows.rows();
    let at_once = ROWS.min(rows.capacity()).max(1);
    for first in (0..count).step_by(at_once) {
        asked.clear();
        asked.extend((first..count.min(first + at_once)).map(|row| row as u32));
        let loaded = rows.load(&asked)?;
        let held = loaded.x.len() / width.max(1);
        let targets = loaded.y.len() / held.max(1);
        let places = asked
            .iter()
            .zip(loaded.index)
            .map(|(row, at)| (*row, *at as usize));
        let fold = |at: usize| loaded.fold.map_or(NO_FOLD, |fold| fold[at]);
        let places: Vec<(u32, usize)> = places.filter(|(_, at)| wanted(fold(*at))).collect();
        x.clear();
        for (_, at) in &places {
            x.extend_from_slice(&loaded.x[at * width..][..width]);
        }
        out.clear();
        out.resize(places.len() * units, 0.0);
        match member {
            None => predictor.forward_until(&stop, &x, places.len(), &mut out, &mut scratch),
            Some(member) => {
                let folds = vec![member; places.len()];
                predictor.forward_held_out(&stop, &x, &folds, &mut out, &mut scratch);
            }
        }
        if stop.is_set() {
            return Err(nn::Error::Interrupted.into());
        }
        for ((number, at), outputs) in places.into_iter().zip(out.chunks_exact(units)) {
            each(Predicted {
                number,
                y: &loaded.y[at * targets..][..targets],
                outputs,
                weight: loaded.weight.map_or(1.0, |weight| weight[at]),
            });
        }
    }
    Ok(())
}

/// The loss of a row: the cross-entropy of classes and labels, else the mean of the squared errors.
fn loss(head: Head, outputs: &[f32], y: &[f32]) -> f64 {
    let surprise = |p: f64| -p.clamp(PROBABILITY, 1.0).ln();
    if let (Head::Multiclass { .. }, [class]) = (head, y) {
        return surprise(outputs.get(*class as usize).map_or(0.0, |p| f64::from(*p)));
    }
    let pairs = outputs.iter().zip(y);
    let each = pairs.map(|(&output, &y)| {
        let (output, y) = (f64::from(output), f64::from(y));
        match head {
            Head::Regression { .. } => (output - y).powi(2),
            _ => y * surprise(output) + (1.0 - y) * surprise(1.0 - output),
        }
    });
    each.sum::<f64>() / outputs.len().max(1) as f64
}

/// Rows with what is told of them in place of what was true.
struct Lessons<'r> {
    rows: &'r mut dyn RowSource,
    told: &'r Pupils,
    asked: Vec<u32>,
    y: Vec<f32>,
}

impl RowSource for Lessons<'_> {
    fn rows(&self) -> usize {
        self.told.rows.len()
    }

    fn capacity(&self) -> usize {
        self.rows.capacity()
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        let Pupils {
            rows: numbers,
            told,
            targets,
        } = self.told;
        self.asked.clear();
        self.asked
            .extend(rows.iter().map(|&row| numbers[row as usize]));
        let loaded = self.rows.load(&self.asked)?;
        let last = loaded
            .index
            .iter()
            .max()
            .map_or(0, |last| *last as usize + 1);
        self.y.clear();
        self.y
            .resize(last.max(loaded.fold.map_or(0, <[u8]>::len)) * targets, 0.0);
        for (&row, &at) in rows.iter().zip(loaded.index) {
            let told = &told[row as usize * targets..][..*targets];
            self.y[at as usize * targets..][..*targets].copy_from_slice(told);
        }
        Ok(Loaded {
            y: &self.y,
            fold: None,
            ..loaded
        })
    }
}

//! Training: epochs of mini-batches, computed by several threads with the result of one.
//!
//! The same rows in the same order, options and seed give the same bits, whatever the number of
//! threads and however few rows the source can hold at once.

use std::time::Instant;

use super::checkpoint::Checkpoint;
use super::epoch_order::EpochOrder;
use super::epoch_report::EpochReport;
use super::loss::Loss;
use super::optimizer::OptimizerState;
use super::options::TrainOptions;
use super::plan::{Plan, VALIDATION_ROWS};
use super::rows::{RowSource, Slice};
use super::schedule::Schedule;
use super::shared::{Shared, Stop};
use super::worker::Worker;
use crate::memory;
use crate::nn::base::error::Error;
use crate::nn::kernels::blas;
use crate::nn::network::Network;
use crate::nn::threads::course::StopFlag;
use crate::nn::threads::parallel::{self, Crew};

/// Rows that are asked for at once, at most, of a source that could hold more.
const SLICE_ROWS: usize = 1 << 18;

/// Who is told how training goes, on the thread that called [`train`].
pub trait Watcher {
    /// Whether to stop; asked while no worker computes, and may end otherwise than by returning.
    fn interrupted(&mut self) -> bool;

    /// Takes the report of an epoch; an error ends the training.
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error>;

    /// Whether it is to be kept how far the training is, after so many epochs.
    fn keeps(&mut self, _epochs: usize) -> bool {
        false
    }

    /// Keeps how far the training is; an error ends it.
    fn keep(&mut self, _reached: &Checkpoint<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A network's parameters after training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The parameters, of the last epoch or, if they were to be restored, the best.
    pub parameters: Vec<f32>,
    /// A report an epoch.
    pub history: Vec<EpochReport>,
    /// The epoch, from 1, with the lowest validation loss, or training loss without validation
    /// rows; the first of several.
    pub best_epoch: usize,
    /// What the optimizer remembered after the last epoch, if it was to be kept.
    pub optimizer_state: Option<OptimizerState>,
}

/// Bytes of memory that [`train`] takes for the network and its workers: not those of the rows.
pub fn training_bytes(network: &Network, options: &TrainOptions) -> usize {
    let plan = Plan::new(network, options, usize::MAX);
    let workers = options.threads.clamp(1, plan.shards);
    let parameters = network.parameter_count().saturating_mul(size_of::<f32>());
    // A copy a worker and a gradient a shard, what workers publish and own, what is returned.
    let buffers = options.optimizer.buffer_names().len();
    let resumed = options.resume.as_ref().map_or(0, |_| buffers + 2);
    let copies = workers + plan.shards + 2 + 2 * buffers + 3 + resumed;
    let (inputs, outputs) = (network.input_width(), network.output_units());
    // Varied images are a copy of their own.
    let copies_of_inputs = 1 + usize::from(!options.augment.is_empty());
    let gathered = (copies_of_inputs * inputs + 3 + outputs)
        .saturating_mul(plan.gathered_rows() * size_of::<f32>());
    // Where rows are coupled, the parts of all a worker's shards are held.
    let parts = plan.shards.div_ceil(workers).saturating_mul(plan.parts);
    let held = (inputs + 3).saturating_mul(parts * plan.tile_rows * size_of::<f32>());
    let workspace = network.workspace_bytes(parts.max(1), plan.tile_rows);
    // What parts tell of themselves, twice.
    let told =
        (plan.shards * plan.parts).saturating_mul(2 * network.most_sums() * size_of::<f64>());
    let each = workspace.saturating_add(gathered).saturating_add(held);
    let all = each.saturating_mul(workers).saturating_add(told);
    parameters.saturating_mul(copies).saturating_add(all)
}

/// Trains a network from the given parameters.
///
/// Without a source of validation rows, one of training rows with folds ([`RowSource::has_folds`])
/// gives the validation's loss, that of each row by the member that was not trained on it.
///
/// The calling thread loads rows and asks `watcher` when the crew's host wants it; the crew's
/// threads compute, up to `options.threads`, or one where OpenBLAS bears no more. Errors are those of the options, of the sources
/// and of the watcher, [`Error::Library`] where OpenBLAS is missing, [`Error::NotFinite`] when a
/// loss or a parameter is no number any more, [`Error::Refused`] where memory for the workers is
/// refused, and [`Error::Interrupted`].
pub fn train<'a>(
    network: &Network,
    parameters: Vec<f32>,
    train: &mut dyn RowSource,
    validation: Option<&mut dyn RowSource>,
    options: &TrainOptions,
    crew: impl Into<Crew<'a>>,
    watcher: &mut dyn Watcher,
) -> Result<Trained, Error> {
    let crew = crew.into();
    options.check(network)?;
    if parameters.len() != network.parameter_count() {
        return Err(Error::ParameterCount {
            expected: network.parameter_count(),
            given: parameters.len(),
        });
    }
    let rows = train.rows();
    if rows == 0 || rows >= u32::MAX as usize {
        return Err(Error::RowCount { rows });
    }
    let validation = validation.filter(|source| source.rows() > 0);
    let folds = train.has_folds();
    if folds && (network.members() < 2 || validation.is_some()) {
        let message = "folds need several members, and no validation rows beside them".into();
        return Err(Error::Misused { message });
    }
    if validation.is_none() && !folds && (options.early_stopping > 0 || options.restore_best) {
        let name = if options.restore_best {
            "restore_best"
        } else {
            "early_stopping"
        };
        return Err(Error::option(
            format!("{name} needs validation rows, and there are none"),
            "Hold out a share of the rows for validation, or leave the option out.",
        ));
    }
    let loss = Loss::from_spec(
        &options.loss,
        network,
        options.class_weights.as_deref(),
        options.label_smoothing,
    )?;
    let loss = match options.soft_targets {
        true => loss.of_shares()?,
        false => loss,
    };
    let plan = Plan::new(network, options, rows);
    let workers = options
        .threads
        .max(1)
        .min(plan.shards)
        .min(parallel::capacity(crew.pool))
        .min(blas::load()?.threads());
    if workers == 0 {
        return Err(Error::option(
            "training cannot run on the one thread that waits for it",
            "Start it from outside of the thread pool.",
        ));
    }
    blas::load()?.prepare(workers)?;
    // The order of the rows of an epoch and of the next slice; a block of validation.
    let order = rows.saturating_mul(2 * size_of::<u32>());
    memory::ask_for_many(training_bytes(network, options).saturating_add(order))?;
    let steps_per_epoch = rows.div_ceil(plan.batch_rows);
    let resume = options.resume.as_ref();
    let start = resume.map_or(parameters.as_slice(), |resume| &resume.parameters);
    let state = resume
        .map(|resume| &resume.optimizer_state)
        .or(options.optimizer_state.as_ref())
        .cloned()
        .unwrap_or_else(|| OptimizerState::new(options.optimizer, parameters.len()));
    let slice_rows = slice_rows(train.capacity(), plan.batch_rows, "a batch")?;
    let shared = Shared::new(network, options, &loss, plan, workers);
    let workers = (0..workers)
        .map(|number| {
            // Each takes a copy of the parameters, which may be large.
            if watcher.interrupted() {
                return Err(Error::Interrupted);
            }
            Ok(Worker::new(&shared, number, workers, start, &state))
        })
        .collect::<Result<_, _>>()?;
    let schedule = Schedule::new(
        options.schedule,
        options.learning_rate,
        options.warmup,
        options.epochs,
        steps_per_epoch,
    );
    let order = EpochOrder::new(rows, options.seed, options.shuffle);
    Training {
        shared,
        workers,
        schedule,
        order,
        crew,
        watcher,
        slice_rows,
        steps_per_epoch,
    }
    .run(train, validation, parameters, state)
}

/// How many rows to ask for at once: as many as `capacity` allows, in multiples of `unit`.
fn slice_rows(capacity: usize, unit: usize, what: &str) -> Result<usize, Error> {
    if capacity < unit {
        // The source knows rows, not bytes.
        return Err(Error::Misused {
            message: format!(
                "{what} has {unit} rows, and the memory allowed holds {capacity} of them"
            ),
        });
    }
    Ok(SLICE_ROWS.min(capacity).max(unit) / unit * unit)
}

/// Puts together what the workers' optimizers remember.
fn save(workers: &[Worker], options: &TrainOptions, state: &mut OptimizerState) {
    state.optimizer = options.optimizer;
    workers.iter().for_each(|worker| worker.save(state));
}

/// The epochs there were, and the best of them.
struct Course {
    history: Vec<EpochReport>,
    best_loss: f64,
    best_epoch: usize,
}

impl Default for Course {
    fn default() -> Course {
        Course {
            history: Vec::new(),
            best_loss: f64::INFINITY,
            best_epoch: 1,
        }
    }
}

impl Course {
    /// Takes the report of the next epoch: whether it is the best until now, and the loss that it is
    /// judged by.
    fn take(&mut self, report: EpochReport) -> (bool, f64) {
        let judged = report.validation_loss.unwrap_or(report.train_loss);
        let is_best = judged < self.best_loss;
        if is_best {
            self.best_loss = judged;
            self.best_epoch = report.epoch;
        }
        self.history.push(report);
        (is_best, judged)
    }

    /// Whether there were so many epochs without a better one.
    fn is_over(&self, patience: usize) -> bool {
        patience > 0 && self.history.len().saturating_sub(self.best_epoch) >= patience
    }
}

struct Training<'a> {
    shared: Shared<'a>,
    workers: Vec<Worker>,
    schedule: Schedule,
    order: EpochOrder,
    crew: Crew<'a>,
    watcher: &'a mut dyn Watcher,
    slice_rows: usize,
    steps_per_epoch: usize,
}

impl Training<'_> {
    fn run(
        mut self,
        train: &mut dyn RowSource,
        mut validation: Option<&mut dyn RowSource>,
        mut parameters: Vec<f32>,
        mut state: OptimizerState,
    ) -> Result<Trained, Error> {
        let options = self.shared.options;
        let mut course = Course::default();
        if let Some(resume) = &options.resume {
            for report in &resume.history {
                self.schedule.epoch_ended(course.take(report.clone()).1);
            }
            if let Some(best) = &resume.best {
                parameters.copy_from_slice(best);
            }
        }
        let (mut index, mut next) = (Vec::new(), Vec::new());
        let first = course.history.len() + 1;
        self.order.start(first);
        self.order.next(self.slice_rows, &mut next);
        for epoch in first..=options.epochs {
            if course.is_over(options.early_stopping) {
                break;
            }
            let began = Instant::now();
            let train_loss = self.epoch(epoch, train, &mut index, &mut next)?;
            let validation_loss = match &mut validation {
                Some(rows) => Some(self.validate(epoch, *rows)?),
                None if train.has_folds() => Some(self.validate(epoch, train)?),
                None => None,
            };
            let now = self.workers[0].parameters();
            let last_step = (epoch * self.steps_per_epoch - 1) as u64;
            let report = EpochReport {
                epoch,
                train_loss,
                validation_loss,
                learning_rate: self.schedule.rate(last_step),
                seconds: began.elapsed().as_secs_f64(),
            };
            let (is_best, judged) = course.take(report.clone());
            if !judged.is_finite() || !now.iter().all(|parameter| parameter.is_finite()) {
                return Err(Error::NotFinite { epoch });
            }
            self.schedule.epoch_ended(judged);
            if is_best && options.restore_best {
                parameters.copy_from_slice(now);
            }
            self.watcher.epoch(&report)?;
            if self.watcher.keeps(epoch) {
                save(&self.workers, options, &mut state);
                self.watcher.keep(&Checkpoint {
                    history: &course.history,
                    parameters: self.workers[0].parameters(),
                    best: options.restore_best.then_some(parameters.as_slice()),
                    optimizer_state: &state,
                })?;
            }
        }
        if !options.restore_best {
            parameters.copy_from_slice(self.workers[0].parameters());
        }
        let optimizer_state = options.keep_optimizer_state.then(|| {
            save(&self.workers, options, &mut state);
            state
        });
        Ok(Trained {
            parameters,
            history: course.history,
            best_epoch: course.best_epoch,
            optimizer_state,
        })
    }

    /// Trains for one epoch and returns its loss. `next` holds the order of the epoch's first
    /// slice and then, as the workers leave time for it, that of each following one.
    fn epoch(
        &mut self,
        epoch: usize,
        train: &mut dyn RowSource,
        index: &mut Vec<u32>,
        next: &mut Vec<u32>,
    ) -> Result<f64, Error> {
        for worker in &mut self.workers {
            worker.loss = 0.0;
            worker.weight = 0.0;
        }
        let mut step = (epoch - 1) * self.steps_per_epoch;
        let end = step + self.steps_per_epoch;
        while step < end {
            std::mem::swap(index, next);
            let loaded = train.load(index)?;
            let slice = Slice::new(loaded, index.len(), self.shared.row_widths())?;
            let (shared, schedule, first_step) = (&self.shared, &self.schedule, step as u64);
            step += index.len().div_ceil(shared.plan.batch_rows);
            let (order, slice_rows) = (&mut self.order, self.slice_rows);
            let prepare = || {
                if step == end {
                    order.start(epoch + 1);
                }
                order.next(slice_rows, next);
            };
            let work = |worker: &mut Worker, _: &StopFlag| {
                worker.train(shared, &slice, schedule, first_step)
            };
            let ran = parallel::run(
                self.crew,
                &shared.barrier,
                &mut self.workers,
                work,
                prepare,
                &mut || self.watcher.interrupted(),
            );
            match self.workers[0].stopped {
                Some(Stop::NotFinite) => return Err(Error::NotFinite { epoch }),
                _ => ran.map_err(|_| Error::Interrupted)?,
            }
        }
        let worker = &self.workers[0];
        // Rows without weight have no mean; nothing was learnt from them, and nothing lost.
        Ok(if worker.weight > 0.0 {
            worker.loss / worker.weight
        } else {
            0.0
        })
    }

    /// The mean loss of the validation rows. Losses of blocks of rows are added in order.
    fn validate(&mut self, epoch: usize, rows: &mut dyn RowSource) -> Result<f64, Error> {
        let most = slice_rows(rows.capacity(), VALIDATION_ROWS, "a block of validation")?;
        let count = u32::try_from(rows.rows()).unwrap_or(u32::MAX);
        let (mut loss, mut weight) = (0.0, 0.0);
        let mut index: Vec<u32> = Vec::new();
        let mut start = 0;
        while start < count {
            let end = start.saturating_add(most as u32).min(count);
            index.clear();
            index.extend(start..end);
            start = end;
            let loaded = rows.load(&index)?;
            let slice = Slice::new(loaded, index.len(), self.shared.row_widths())?;
            let shared = &self.shared;
            parallel::run(
                self.crew,
                &shared.barrier,
                &mut self.workers,
                |worker, _| worker.validate(shared, &slice),
                || {},
                &mut || self.watcher.interrupted(),
            )
            .map_err(|_| Error::Interrupted)?;
            for (more, weighing) in self.workers.iter().flat_map(|worker| &worker.validated) {
                loss += more;
                weight += weighing;
            }
        }
        match weight > 0.0 {
            true if f64::is_finite(loss) => Ok(loss / weight),
            true => Err(Error::NotFinite { epoch }),
            false => Ok(0.0),
        }
    }
}

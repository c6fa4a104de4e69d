//! A trained network judged on the rows of one side of the split.

use std::ops::Range;

use serde_json::Value;

use super::error::Error;
use super::job::Observer;
use super::judge::{Judge, Truth, metrics_json};
use super::memory_source::{ExampleBlocks, Picked};
use super::source::{Encoding, ExampleReader, SharedRows};
use crate::features::{self, Arrays, BitMask, Block, Profile, Target};
use crate::nn::{Crew, Predictor, Scratch, Stop, parallel};

/// Examples that are judged together, at most.
const JUDGE_ROWS: usize = 1024;

/// Multiplications of these examples together, at most: what takes some ten milliseconds, so that
/// an interruption is seen in time with a large network, too.
const JUDGE_PRODUCTS: usize = 1 << 26;

/// Values of these examples together, at most.
const JUDGE_VALUES: usize = 1 << 19;

/// Scores from which a version's deciles are taken, at most.
const SCORE_SAMPLE: usize = 65_536;

/// What judging takes beside the rows.
pub(super) struct JudgeInput<'a> {
    pub(super) predictor: &'a Predictor,
    pub(super) target: &'a Target,
    pub(super) encoding: &'a Encoding<'a>,
    pub(super) outputs: usize,
    /// Multiplications of an example.
    pub(super) products: usize,
    /// The member that judges each example, rather than all of them.
    pub(super) folds: Option<&'a [u8]>,
}

/// How a network did.
pub(super) struct Judged {
    pub(super) metrics: Value,
    pub(super) scores: Profile,
}

/// What came of some examples.
struct Unit<'a> {
    judge: Judge<'a>,
    scores: Vec<f64>,
}

/// What a thread needs to judge one unit after the other.
struct Worker {
    scratch: Scratch,
    picked: Picked,
    /// The numbers of the unit's examples.
    own: Vec<usize>,
    x: Vec<f32>,
    out: Vec<f32>,
    truths: Vec<Truth<'static>>,
    arrays: Arrays<f64>,
    actual: Vec<f64>,
    members: Vec<u8>,
}

impl Worker {
    fn new(predictor: &Predictor) -> Worker {
        Worker {
            scratch: predictor.scratch(),
            picked: Picked::default(),
            own: Vec::new(),
            x: Vec::new(),
            out: Vec::new(),
            truths: Vec::new(),
            arrays: Arrays::new(),
            actual: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Begins a unit with the examples of one side of the split.
    fn begin(&mut self, unit: Range<usize>, mask: &BitMask, value: bool) {
        self.own.clear();
        self.own
            .extend(unit.filter(|&example| mask.get(example) == value));
        self.x.clear();
        self.truths.clear();
        self.arrays.clear();
    }

    /// Scores what was encoded and holds it against what is true.
    fn judge<'a>(
        &mut self,
        input: &JudgeInput<'a>,
        every: usize,
        stop: &dyn Stop,
    ) -> Result<Unit<'a>, Error> {
        let count = self.own.len();
        self.out.clear();
        self.out.resize(count * input.outputs, 0.0);
        let (predictor, scratch) = (input.predictor, &mut self.scratch);
        match input.folds {
            Some(folds) => {
                let fold = |example: &usize| folds.get(*example).copied().unwrap_or(0);
                self.members.clear();
                self.members.extend(self.own.iter().map(fold));
                predictor.forward_held_out(stop, &self.x, &self.members, &mut self.out, scratch);
            }
            None => predictor.forward_until(stop, &self.x, count, &mut self.out, scratch),
        }
        let mut unit = Unit {
            judge: Judge::new(input.target),
            scores: Vec::new(),
        };
        let outputs = self.out.chunks_exact(input.outputs);
        for (place, (outputs, example)) in outputs.zip(&self.own).enumerate() {
            let truth = match self.arrays.get(place) {
                Some(actual) => Truth::Numbers(actual),
                None => self.truths[place],
            };
            unit.judge.push(outputs, truth)?;
            if example % every == 0 {
                unit.scores.push(score(input.target, outputs));
            }
        }
        Ok(unit)
    }
}

/// Notes what is true of some rows of a block.
fn note_truths(
    input: &JudgeInput<'_>,
    block: &Block,
    rows: Range<usize>,
    truths: &mut Vec<Truth<'static>>,
    arrays: &mut Arrays<f64>,
    actual: &mut Vec<f64>,
) {
    if input.target.is_array() {
        for row in rows {
            input
                .encoding
                .labels
                .actual(block, input.encoding.target_at, row, actual);
            arrays.push(actual);
        }
    } else {
        truths.extend(rows.map(|row| truth(input, block, row)));
    }
}

/// Scores one side of the split and gives its metrics and the deciles of its scores.
///
/// Metrics add up within units of examples and then from unit to unit, so that their bits depend
/// neither on the number of threads nor on where the rows are.
pub(super) fn judge_rows<'a>(
    input: &JudgeInput<'a>,
    rows: &SharedRows<'_>,
    mask: &BitMask,
    value: bool,
    crew: Crew<'_>,
    observer: &mut dyn Observer,
) -> Result<Judged, Error> {
    let at_once = (JUDGE_PRODUCTS / input.products.max(1))
        .min(JUDGE_VALUES / input.encoding.width().max(1))
        .clamp(1, JUDGE_ROWS);
    let every = mask.len().div_ceil(SCORE_SAMPLE).max(1);
    let units = (0..mask.len()).step_by(at_once);
    let units = units.map(|start| start..mask.len().min(start + at_once));
    let mut judge = Judge::new(input.target);
    let mut scores = Vec::new();
    let mut add = |unit: Unit<'_>| {
        judge.merge(&unit.judge);
        scores.extend(unit.scores);
    };
    let borrowed = rows.borrow();
    match ExampleBlocks::new(borrowed.blocks(), (mask, value), input.encoding) {
        Some(examples) => {
            let mut done: Vec<Option<Unit<'a>>> = Vec::new();
            done.resize_with(units.len(), || None);
            let work = |worker: &mut Worker,
                        (unit, done): (Range<usize>, &mut Option<Unit<'a>>),
                        stop: &dyn Stop| {
                worker.begin(unit.clone(), mask, value);
                let Worker {
                    picked,
                    x,
                    truths,
                    arrays,
                    actual,
                    ..
                } = worker;
                examples.for_each(unit, picked, |block, rows| {
                    let filled = x.len();
                    x.resize(filled + rows.len() * input.encoding.width(), 0.0);
                    let features = input.encoding.features;
                    features.encode_rows(block, rows.clone(), &mut x[filled..])?;
                    note_truths(input, block, rows, truths, arrays, actual);
                    Ok(())
                })?;
                *done = Some(worker.judge(input, every, stop)?);
                Ok::<(), Error>(())
            };
            let mut workers: Vec<Worker> = Vec::new();
            workers.resize_with(crew.threads.clamp(1, units.len().max(1)), || {
                Worker::new(input.predictor)
            });
            let tasks = units.zip(done.iter_mut());
            let mut stop = || observer.interrupted();
            parallel::for_each(crew, &mut workers, tasks, work, &mut stop)
                .map_err(|_| Error::Features(features::Error::Interrupted))??;
            done.into_iter().flatten().for_each(add);
        }
        None => {
            drop(borrowed);
            let mut reader = ExampleReader::new(rows, input.encoding);
            let mut worker = Worker::new(input.predictor);
            let mut stop = || observer.interrupted();
            let stop = parallel::Asking::new(&mut stop);
            for unit in units {
                if stop.is_set() {
                    return Err(Error::Features(features::Error::Interrupted));
                }
                worker.begin(unit, mask, value);
                let Worker {
                    own,
                    x,
                    truths,
                    arrays,
                    actual,
                    ..
                } = &mut worker;
                reader.read(own, x, |block| {
                    note_truths(input, block, 0..block.rows, truths, arrays, actual);
                    Ok(())
                })?;
                let judged = worker.judge(input, every, &stop);
                if stop.was_set() {
                    return Err(Error::Features(features::Error::Interrupted));
                }
                add(judged?);
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

/// What is true of a row.
fn truth(input: &JudgeInput<'_>, block: &Block, row: usize) -> Truth<'static> {
    match input
        .encoding
        .labels
        .class(block, input.encoding.target_at, row)
    {
        Some(class) => Truth::Class(class),
        None => {
            let number = |at: usize| {
                let values = block.columns.get(at);
                values
                    .and_then(|values| values.number(row))
                    .unwrap_or(f64::NAN)
            };
            let value = number(input.encoding.target_at);
            match input.encoding.exposure {
                Some(at) => Truth::Over {
                    number: value,
                    exposure: number(at),
                },
                None => Truth::Number(value),
            }
        }
    }
}

/// The one number that stands for a row's prediction in the drift profile.
fn score(target: &Target, outputs: &[f32]) -> f64 {
    match target {
        Target::Regression { array: true, .. } => {
            let decoded = outputs
                .iter()
                .enumerate()
                .map(|(i, &y)| target.decode(i, y));
            decoded.sum::<f64>() / outputs.len() as f64
        }
        Target::Classes { classes, .. } if classes.len() > 2 => likeliest(outputs),
        Target::Labels { .. } => likeliest(outputs),
        Target::Regression { .. } | Target::Classes { .. } => target.value(outputs),
    }
}

/// The largest probability of a row.
fn likeliest(outputs: &[f32]) -> f64 {
    let outputs = outputs.iter().copied().map(f64::from);
    outputs.fold(f64::NEG_INFINITY, f64::max)
}

//! A trained network judged on the rows of one side of the split.

use serde_json::Value;

use super::error::Error;
use super::job::Observer;
use super::judge::{Judge, Truth, metrics_json, positive_probability};
use super::source::{Encoding, ExampleReader, SharedRows};
use crate::features::{self, Arrays, BitMask, Block, Labels, Profile, Target};
use crate::nn::Predictor;

/// Rows that are scored at once when a trained model is judged, at most.
const JUDGE_ROWS: usize = 1024;

/// Multiplications of these rows together, at most: what takes some ten milliseconds, so that an
/// interruption is seen in time with a large network, too.
const JUDGE_PRODUCTS: usize = 1 << 26;

/// Scores from which a version's deciles are taken, at most.
const SCORE_SAMPLE: usize = 65_536;

/// What judging takes beside the rows.
pub(super) struct JudgeInput<'a> {
    pub(super) predictor: &'a Predictor,
    pub(super) target: &'a Target,
    pub(super) labels: &'a Labels,
    pub(super) target_at: usize,
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

/// Scores one side of the split and gives its metrics and the deciles of its scores.
pub(super) fn judge_rows(
    input: &JudgeInput<'_>,
    rows: &SharedRows<'_>,
    mask: &BitMask,
    value: bool,
    observer: &mut dyn Observer,
) -> Result<Judged, Error> {
    let mut reader = ExampleReader::new(rows, input.encoding);
    let mut scratch = input.predictor.scratch();
    let most = JUDGE_ROWS.min(input.encoding.examples_at_once(rows));
    let at_once = (JUDGE_PRODUCTS / input.products.max(1)).clamp(1, most);
    let mut x = Vec::with_capacity(at_once * input.encoding.width());
    let mut out = vec![0.0; at_once * input.outputs];
    let mut truths = Vec::with_capacity(at_once);
    let mut arrays = Arrays::new();
    let mut actual = Vec::new();
    let mut own = Vec::with_capacity(at_once);
    let mut members = Vec::new();
    let mut judge = Judge::new(input.target);
    let mut scores = Vec::new();
    let every = mask.len().div_ceil(SCORE_SAMPLE).max(1);
    for start in (0..mask.len()).step_by(at_once) {
        if observer.interrupted() {
            return Err(Error::Features(features::Error::Interrupted));
        }
        let here = start..mask.len().min(start + at_once);
        own.clear();
        own.extend(here.filter(|&example| mask.get(example) == value));
        if own.is_empty() {
            continue;
        }
        x.clear();
        truths.clear();
        arrays.clear();
        reader.read(&own, &mut x, |block| {
            if input.target.is_array() {
                for row in 0..block.rows {
                    input
                        .labels
                        .actual(block, input.target_at, row, &mut actual);
                    arrays.push(&actual);
                }
            } else {
                truths.extend((0..block.rows).map(|row| truth(input, block, row)));
            }
            Ok(())
        })?;
        let out = &mut out[..own.len() * input.outputs];
        match input.folds {
            Some(folds) => {
                members.clear();
                members.extend(
                    own.iter()
                        .map(|&example| folds.get(example).copied().unwrap_or(0)),
                );
                input
                    .predictor
                    .forward_held_out(&x, &members, out, &mut scratch);
            }
            None => input.predictor.forward(&x, own.len(), out, &mut scratch),
        }
        let outputs = out.chunks_exact(input.outputs);
        for (place, (outputs, example)) in outputs.zip(&own).enumerate() {
            let truth = match arrays.get(place) {
                Some(actual) => Truth::Numbers(actual),
                None => truths[place],
            };
            judge.push(outputs, truth)?;
            if example % every == 0 {
                scores.push(score(input.target, outputs));
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
    match input.labels.class(block, input.target_at, row) {
        Some(class) => Truth::Class(class),
        None => Truth::Number(
            block
                .columns
                .get(input.target_at)
                .and_then(|values| values.number(row))
                .unwrap_or(f64::NAN),
        ),
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
        Target::Regression { .. } => target.decode(0, outputs.first().copied().unwrap_or(f32::NAN)),
        Target::Classes { classes, .. } if classes.len() == 2 => positive_probability(outputs),
        Target::Classes { .. } | Target::Labels { .. } => outputs
            .iter()
            .copied()
            .map(f64::from)
            .fold(f64::NEG_INFINITY, f64::max),
    }
}

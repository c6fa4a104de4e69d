//! A trained network judged on the rows of one side of the split.

use serde_json::Value;

use super::error::Error;
use super::job::Observer;
use super::judge::{Judge, Truth, metrics_json, positive_probability};
use super::source::SharedRows;
use crate::features::{self, BitMask, Block, BlockEncoder, Labels, Profile, Target};
use crate::nn::Predictor;

/// Rows that are scored at once when a trained model is judged, at most.
const JUDGE_ROWS: usize = 1024;

/// Multiplications at once, at most: what takes some ten milliseconds, so that an interruption is
/// seen in time with a large network, too.
const JUDGE_PRODUCTS: usize = 1 << 26;

/// Scores from which a version's deciles are taken, at most.
const SCORE_SAMPLE: usize = 65_536;

/// What judging takes beside the rows.
pub(super) struct JudgeInput<'a> {
    pub(super) predictor: &'a Predictor,
    pub(super) target: &'a Target,
    pub(super) labels: &'a Labels,
    pub(super) target_at: usize,
    pub(super) encoder: &'a BlockEncoder,
    pub(super) outputs: usize,
    /// Multiplications that a row takes.
    pub(super) products: usize,
    /// The member that judges each row, rather than all of them.
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
    let mut rows = rows.borrow_mut();
    let total = rows.rows();
    let mut block = Block::default();
    let mut scratch = input.predictor.scratch();
    let step = (JUDGE_PRODUCTS / input.products.max(1)).clamp(1, JUDGE_ROWS);
    let mut x = vec![0.0; step * input.encoder.width()];
    let mut out = vec![0.0; step * input.outputs];
    let mut judge = Judge::new(input.target);
    let mut scores = Vec::new();
    let every = total.div_ceil(SCORE_SAMPLE).max(1);
    for start in (0..total).step_by(step) {
        if observer.interrupted() {
            return Err(Error::Features(features::Error::Interrupted));
        }
        let count = step.min(total - start);
        rows.read(start, count, &mut block)?;
        let x = &mut x[..count * input.encoder.width()];
        input.encoder.encode(&block, x)?;
        let out = &mut out[..count * input.outputs];
        match input
            .folds
            .and_then(|folds| folds.get(start..start + count))
        {
            Some(folds) => input
                .predictor
                .forward_held_out(x, folds, out, &mut scratch),
            None => input.predictor.forward(x, count, out, &mut scratch),
        }
        for (row, outputs) in out.chunks_exact(input.outputs).enumerate() {
            if mask.get(start + row) != value {
                continue;
            }
            let truth = match input.labels.class(&block, input.target_at, row) {
                Some(class) => Truth::Class(class),
                None => Truth::Number(
                    block
                        .columns
                        .get(input.target_at)
                        .and_then(|values| values.number(row))
                        .unwrap_or(f64::NAN),
                ),
            };
            judge.push(outputs, truth)?;
            if (start + row) % every == 0 {
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

/// The one number that stands for a row's prediction in the drift profile.
fn score(target: &Target, outputs: &[f32]) -> f64 {
    match target {
        Target::Regression { .. } => target.decode(0, outputs.first().copied().unwrap_or(f32::NAN)),
        Target::Classes { classes, .. } if classes.len() == 2 => positive_probability(outputs),
        Target::Classes { .. } => outputs
            .iter()
            .copied()
            .map(f64::from)
            .fold(f64::NEG_INFINITY, f64::max),
    }
}

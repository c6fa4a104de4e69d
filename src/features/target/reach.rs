//! A regression's scale where the network cannot say every number.

use super::stored::{OutputScale, Target};
use crate::features::error::Error;
use crate::features::rows::block::{RawRows, pass};
use crate::features::rows::mask::BitMask;
use crate::features::rows::statistics::Moments;
use crate::features::scales::rule::{Scale, usable};
use crate::nn::OutputRange;

/// How far beyond the range a scaled value may be for the sake of rounding.
const SLACK: f64 = 1e-6;
/// How far the outputs' sum may be from 1 on average where it always is.
const SUM_SLACK: f64 = 1e-3;

/// What is to be done about a target that is scaled out of a network's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaching {
    /// The scale follows from the range.
    Chosen,
    /// The scale was asked for, and stays.
    Asked(Scale),
    /// The scale is that of the weights that the training goes on from, and stays.
    Kept,
}

impl Target {
    /// Brings a regression's scale into the range of the network's outputs, once it is fitted.
    ///
    /// Where it is to be chosen, targets that are within the range are learnt as they come. A range
    /// that has only a lower end, at or below 0, is also reached by targets of at least 0 divided by
    /// their deviation. Gives whether the scale is another one than before.
    ///
    /// # Errors
    /// Training rows whose targets the network could not say.
    pub fn fit_within(
        &mut self,
        range: &OutputRange,
        reaching: Reaching,
        position: usize,
        rows: &mut dyn RawRows,
        is_training: &BitMask,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<bool, Error> {
        let Target::Regression {
            column,
            scale,
            outputs,
            array,
            ..
        } = self
        else {
            return Ok(false);
        };
        let number = if *array { outputs.len() } else { 1 };
        let mut moments: Vec<Moments> = (0..number).map(|_| Moments::new()).collect();
        pass(rows, interrupted, |start, block| {
            for row in (0..block.rows).filter(|row| is_training.get(start + row)) {
                match array {
                    false => moments[0].add(block.number(position, row)?),
                    true => {
                        let values = block.number_arrays(position)?.get(row).unwrap_or_default();
                        moments.iter_mut().zip(values).for_each(|(m, v)| m.add(*v));
                    }
                }
            }
            Ok(())
        })?;
        moments.iter_mut().for_each(Moments::finish);
        let chosen = reaching == Reaching::Chosen;
        let least = moments.iter().map(|m| m.low).fold(f64::INFINITY, f64::min);
        let from_zero = range.high.is_infinite() && range.low <= 0.0 && least >= 0.0;
        // Weights that are gone on from have been learnt with that scale, as well as they could.
        if range.is_soft && reaching == Reaching::Kept {
            return Ok(false);
        }
        if chosen {
            let scales = moments.iter().map(|moments| match from_zero {
                true => OutputScale {
                    center: 0.0,
                    divisor: usable(moments.deviation()),
                },
                false => OutputScale::NONE,
            });
            let scales: Vec<OutputScale> = scales.collect();
            *outputs = match (*array, scales.first()) {
                (false, Some(scale)) => vec![*scale; outputs.len()],
                _ => scales,
            };
            *scale = if from_zero {
                Scale::Standard
            } else {
                Scale::None
            };
        }
        let scaled = |value: f64, scale: &OutputScale| (value - scale.center) / scale.divisor;
        let mut sum = 0.0;
        for (moments, scale) in moments.iter().zip(outputs.iter()) {
            let (low, high) = (scaled(moments.low, scale), scaled(moments.high, scale));
            sum += scaled(moments.mean(), scale);
            if low < range.low - SLACK || high > range.high + SLACK {
                let shown = match chosen {
                    true => (moments.low, moments.high),
                    false => (low, high),
                };
                return Err(out_of_reach(column, reaching, shown, range));
            }
        }
        if range.sums_to_one && (sum - 1.0).abs() > SUM_SLACK {
            return Err(Error::invalid(format!(
                "the outputs of a softmax sum to 1, but the numbers of the target \"{column}\" to \
                 {sum:.3} on average"
            ))
            .with_hint(HINT));
        }
        Ok(chosen)
    }
}

const HINT: &str = "Leave the activation of the last layer out: a regression's output is then any \
                    number.";

fn out_of_reach(
    column: &str,
    reaching: Reaching,
    (low, high): (f64, f64),
    range: &OutputRange,
) -> Error {
    let (given, hint) = match reaching {
        Reaching::Chosen => (
            format!("the target \"{column}\" goes from {low:.6} to {high:.6}"),
            match range.sums_to_one {
                true => HINT.to_owned(),
                false => format!(
                    "{HINT} Or scale the target into the range in the query, or by target_scale \
                 \"minmax\"."
                ),
            },
        ),
        Reaching::Asked(scale) => (
            format!(
                "by target_scale \"{}\" the target \"{column}\" goes from {low:.6} to {high:.6}",
                scale.name()
            ),
            format!("Leave target_scale out. {HINT}"),
        ),
        Reaching::Kept => (
            format!(
                "as the version that warm_start goes on from scales it, the target \"{column}\" \
                 goes from {low:.6} to {high:.6}"
            ),
            "Train without warm_start.".to_owned(),
        ),
    };
    let end = |value: f64| match value.is_finite() {
        true => format!("{value}"),
        false => "any number".to_owned(),
    };
    let numbers = match (range.low.is_finite(), range.high.is_finite()) {
        _ if range.is_soft => "below 0 only for inputs that are far below it".to_owned(),
        (true, false) => format!("from {} up only", end(range.low)),
        (false, true) => format!("up to {} only", end(range.high)),
        _ => format!("from {} to {} only", end(range.low), end(range.high)),
    };
    Error::invalid(format!(
        "{given}, but the last layer's activation {} gives numbers {numbers}",
        range.activation
    ))
    .with_hint(hint)
}

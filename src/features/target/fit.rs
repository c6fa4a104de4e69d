//! Fitting a target to the training rows: its scale, class counts and positive class.

use super::labels::Labels;
use super::positive_class::{positive_by_name, rarer};
use super::stored::{OutputScale, Target};
use crate::features::error::Error;
use crate::features::rows::block::{RawRows, pass};
use crate::features::rows::dictionary::Dictionary;
use crate::features::rows::mask::BitMask;
use crate::features::rows::statistics::{Moments, Sample};
use crate::features::scales::rule::{Scale, Seen};

/// Training rows from which the quantiles of robust scaling are taken.
const SAMPLE: usize = 65_536;
/// Numbers that the samples of all outputs hold together, and rows that each has at least.
const SAMPLE_TOTAL: usize = 1 << 20;
const SAMPLE_LEAST: usize = 1024;

impl Target {
    /// Fits scale, class counts and the positive class on the training rows.
    ///
    /// Of two classes the positive one is what the request says, else the one whose name says so
    /// ([`positive_by_name`]), else the rarer one of the training rows, else the one that sorts last
    /// in C collation.
    ///
    /// # Errors
    /// No training row, or only one class among them.
    pub fn fit(
        &mut self,
        position: usize,
        dictionary: Option<&Dictionary>,
        rows: &mut dyn RawRows,
        is_training: &BitMask,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let training = is_training.count();
        if training == 0 {
            return Err(Error::NoRows);
        }
        let labels = self.labels(dictionary)?;
        match self {
            Target::Regression {
                scale,
                outputs,
                array,
                ..
            } => {
                let number = match array {
                    false => 1,
                    true => outputs.len(),
                };
                let quantiles = *scale == Scale::Robust;
                let size = SAMPLE.min((SAMPLE_TOTAL / number.max(1)).max(SAMPLE_LEAST));
                let mut sampled = Sample::new(training, size);
                let mut fits = vec![(Moments::new(), Vec::new()); number];
                let mut ordinal = 0;
                pass(rows, interrupted, |start, block| {
                    for row in (0..block.rows).filter(|row| is_training.get(start + row)) {
                        let plain;
                        let values = match array {
                            false => {
                                plain = block.number(position, row)?;
                                std::slice::from_ref(&plain)
                            }
                            true => block.number_arrays(position)?.get(row).unwrap_or_default(),
                        };
                        let keep = quantiles && sampled.takes(ordinal);
                        for ((moments, sample), &value) in fits.iter_mut().zip(values) {
                            moments.add(value);
                            if keep {
                                sample.push(value);
                            }
                        }
                        ordinal += 1;
                    }
                    Ok(())
                })?;
                *outputs = fits
                    .into_iter()
                    .map(|(mut moments, mut sample)| {
                        moments.finish();
                        sample.sort_unstable_by(f64::total_cmp);
                        output_scale(*scale, &moments, &sample)
                    })
                    .collect();
                Ok(())
            }
            Target::Labels {
                labels: names,
                counts,
                rows: counted,
                ..
            } => {
                *counts = vec![0; names.len()];
                *counted = training as u64;
                let mut applies = Vec::new();
                pass(rows, interrupted, |start, block| {
                    for row in (0..block.rows).filter(|row| is_training.get(start + row)) {
                        labels.actual(block, position, row, &mut applies);
                        for (count, applies) in counts.iter_mut().zip(&applies) {
                            *count += u64::from(*applies != 0.0);
                        }
                    }
                    Ok(())
                })
            }
            Target::Classes {
                column,
                classes,
                positive,
                counts,
                ..
            } => {
                *counts = vec![0; classes.len()];
                pass(rows, interrupted, |start, block| {
                    for row in 0..block.rows {
                        if is_training.get(start + row)
                            && let Some(class) = labels.class(block, position, row)
                        {
                            counts[class as usize] += 1;
                        }
                    }
                    Ok(())
                })?;
                let mut present = counts.iter().zip(classes.iter()).filter(|(n, _)| **n > 0);
                if let (Some((_, class)), None) = (present.next(), present.next()) {
                    return Err(Error::OneClass {
                        column: column.clone(),
                        class: class.clone(),
                    });
                }
                if classes.len() == 2 && positive.is_none() {
                    let by_name = positive_by_name(classes);
                    *positive = Some(by_name.unwrap_or_else(|| rarer(classes, counts)));
                }
                Ok(())
            }
        }
    }
}

impl Target {
    /// How many rows each class has on one side of a split; `None` for what has no classes, and for
    /// labels.
    ///
    /// # Errors
    /// Those of reading the rows.
    pub fn class_counts(
        &self,
        labels: &Labels,
        position: usize,
        rows: &mut dyn RawRows,
        (mask, side): (&BitMask, bool),
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<u64>>, Error> {
        let Target::Classes { classes, .. } = self else {
            return Ok(None);
        };
        let mut counts = vec![0; classes.len()];
        pass(rows, interrupted, |start, block| {
            for row in (0..block.rows).filter(|row| mask.get(start + row) == side) {
                if let Some(class) = labels.class(block, position, row) {
                    counts[class as usize] += 1;
                }
            }
            Ok(())
        })?;
        Ok(Some(counts))
    }
}

fn output_scale(scale: Scale, moments: &Moments, sorted: &[f64]) -> OutputScale {
    let (mean, deviation) = (moments.mean(), moments.deviation());
    let is_finite = mean.is_finite() && deviation.is_finite();
    let (center, divisor) = scale.fit(&Seen {
        low: moments.low,
        high: moments.high,
        moments: is_finite.then_some((mean, deviation)),
        middle: 0.5 * moments.high + 0.5 * moments.low,
        sorted,
    });
    OutputScale { center, divisor }
}

//! A regression whose mean is learnt through a link: its numbers checked, and its mean.

use super::family::{Family, exposure_weight, is_exposure};
use super::stored::{OutputScale, Target};
use crate::features::error::Error;
use crate::features::rows::block::{Block, RawRows, pass};
use crate::features::rows::mask::BitMask;
use crate::features::scales::rule::Scale;

impl Target {
    /// Of what family a regression is whose mean is learnt through a link.
    pub fn family(&self) -> Option<&Family> {
        match self {
            Target::Regression { family, .. } => family.as_ref(),
            Target::Classes { .. } | Target::Labels { .. } => None,
        }
    }

    /// Makes a regression one of this family.
    ///
    /// # Errors
    /// A target of several numbers a row.
    pub fn set_family(&mut self, wanted: Family) -> Result<(), Error> {
        let Target::Regression {
            column,
            array,
            family,
            scale,
            ..
        } = self
        else {
            return Ok(());
        };
        if *array {
            return Err(Error::invalid(format!(
                "the loss {} learns one number a row, and the target \"{column}\" is an array",
                wanted.loss()
            ))
            .with_hint("Train a model for each element of the array, or choose another loss."));
        }
        *scale = Scale::None;
        *family = Some(wanted);
        Ok(())
    }

    /// Checks that every row's number is one of the family's, and over an exposure above 0 where the
    /// blocks' column `exposure` has those.
    ///
    /// # Errors
    /// The first row of which one of the two is not so.
    pub fn check_family(
        &self,
        position: usize,
        exposure: Option<usize>,
        rows: &mut dyn RawRows,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let Some(family) = self.family() else {
            return Ok(());
        };
        pass(rows, interrupted, |_, block| {
            for row in 0..block.rows {
                let value = block.number(position, row)?;
                if !family.takes(value) {
                    return Err(self.not_of_family(family, value));
                }
                if let Some(at) = exposure
                    && !is_exposure(block.number(at, row)?)
                {
                    return Err(Error::invalid(format!(
                        "option \"exposure\" names column \"{}\", which is NULL, 0, negative or \
                         infinite in a row",
                        family.exposure().unwrap_or_default()
                    ))
                    .with_hint(
                        "Give every row an exposure above 0, or leave such rows out with a WHERE \
                         clause in the query.",
                    ));
                }
            }
            Ok(())
        })
    }

    /// The error of a number that is none of the family's.
    pub fn not_of_family(&self, family: &Family, value: f64) -> Error {
        Error::invalid(format!(
            "the target \"{}\" is {value} in a row, and the loss {} learns numbers {}",
            self.column(),
            family.loss(),
            family.numbers()
        ))
        .with_hint("Leave such rows out with a WHERE clause in the query, or choose another loss.")
    }

    /// Fits the family to the training rows: the mean that learning starts from. A mean above 0 is
    /// what outputs are told in, so that the linear output is 0 where nothing is known of a row.
    ///
    /// # Errors
    /// Numbers that are all 0, whose mean has no logarithm.
    pub fn fit_family(
        &mut self,
        position: usize,
        exposure: Option<usize>,
        rows: &mut dyn RawRows,
        is_training: &BitMask,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let Target::Regression {
            column,
            outputs,
            family: Some(family),
            ..
        } = self
        else {
            return Ok(());
        };
        let power = match family {
            Family::Tweedie { power, .. } => *power,
            Family::Share { .. } => 2.0,
        };
        let (mut sum, mut weights) = (0.0, 0.0);
        pass(rows, interrupted, |start, block| {
            for row in (0..block.rows).filter(|row| is_training.get(start + row)) {
                let (rate, weight) = rate(block, position, exposure.map(|at| (at, power)), row)?;
                sum += rate * weight;
                weights += weight;
            }
            Ok(())
        })?;
        let found: f64 = sum / weights;
        match family {
            Family::Share { mean } => {
                *mean = found.clamp(0.0, 1.0);
                *outputs = vec![OutputScale::NONE];
            }
            Family::Tweedie { .. } if found > 0.0 && found.is_finite() => {
                *outputs = vec![OutputScale {
                    center: 0.0,
                    divisor: found,
                }];
            }
            Family::Tweedie { .. } => {
                return Err(Error::invalid(format!(
                    "the mean of the target \"{column}\" over the training rows is {found}, which \
                     has no logarithm to be learnt"
                ))
                .with_hint(
                    "The loss needs some training rows with numbers above 0 that are no rounding \
                     errors: check the query, or choose another loss.",
                ));
            }
        }
        Ok(())
    }
}

/// A row's number, for 1 of its exposure where it has one, and what that weighs.
pub(super) fn rate(
    block: &Block,
    position: usize,
    exposure: Option<(usize, f64)>,
    row: usize,
) -> Result<(f64, f64), Error> {
    let value = block.number(position, row)?;
    let Some((at, power)) = exposure else {
        return Ok((value, 1.0));
    };
    let exposure = block.number(at, row)?;
    Ok((value / exposure, exposure_weight(exposure, power)))
}

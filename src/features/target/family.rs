//! Numbers whose mean is learnt through a link: counts, amounts and shares.

use serde::{Deserialize, Serialize};

/// Of what kind numbers are whose mean is learnt through a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Family {
    /// Numbers whose variance grows with their mean by a power, as it does in Tweedie's distributions.
    /// The logarithm of the mean is learnt.
    Tweedie {
        /// The power: 1 of Poisson's, 2 of the gamma distribution, between the two of sums of amounts
        /// that are often 0.
        power: f64,
        /// The column of what a row's number is over: what is learnt is the mean for 1 of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exposure: Option<String>,
    },
    /// Shares from 0 to 1. The logit of the mean is learnt.
    Share {
        /// The mean of the training rows.
        mean: f64,
    },
}

impl Family {
    /// The name of the loss that learns it.
    pub fn loss(&self) -> &'static str {
        match self {
            Family::Share { .. } => "binary_crossentropy",
            Family::Tweedie { power: 1.0, .. } => "poisson",
            Family::Tweedie { power: 2.0, .. } => "gamma",
            Family::Tweedie { .. } => "tweedie",
        }
    }

    /// The column of the exposures.
    pub fn exposure(&self) -> Option<&str> {
        match self {
            Family::Tweedie { exposure, .. } => exposure.as_deref(),
            Family::Share { .. } => None,
        }
    }

    /// Whether a row's number can be one of these.
    pub fn takes(&self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Family::Share { .. } => (0.0..=1.0).contains(&value),
                Family::Tweedie { power: 2.0, .. } => value > 0.0,
                Family::Tweedie { .. } => value >= 0.0,
            }
    }

    /// What its numbers are, as messages say it.
    pub fn numbers(&self) -> &'static str {
        match self {
            Family::Share { .. } => "from 0 to 1",
            Family::Tweedie { power: 2.0, .. } => "above 0",
            Family::Tweedie { .. } => "of at least 0",
        }
    }

    /// Checks a description from outside.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Family::Share { mean } => (0.0..=1.0).contains(mean),
            Family::Tweedie { power, .. } => (1.0..=2.0).contains(power),
        }
    }
}

/// What can be exposed: a row's number is over more than nothing.
pub fn is_exposure(exposure: f64) -> bool {
    exposure > 0.0 && exposure.is_finite()
}

/// How much a rate weighs that is of so much exposure, e^(2 - p). With it the deviance of a rate is that
/// of the number itself from the rate times the exposure, which is a model whose linear output the
/// exposure's logarithm is added to:
/// d(y, e m) = e^(2 - p) d(y / e, m).
pub fn exposure_weight(exposure: f64, power: f64) -> f64 {
    match power {
        1.0 => exposure,
        2.0 => 1.0,
        power => exposure.powf(2.0 - power),
    }
}

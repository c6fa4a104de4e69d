//! A feature: a column of the training query, how it is treated, and how it was distributed.

use serde::{Deserialize, Serialize};

use super::{ArrayShape, Fitted, Kind, Origin, Precision};
use crate::nn::InputForm;

/// One feature column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// The name of its SQL type.
    pub sql_type: String,
    /// The family of its SQL type.
    pub origin: Origin,
    /// What is done with its values.
    pub treatment: Fitted,
    /// How it was distributed.
    #[serde(default)]
    pub profile: Profile,
}

/// How a feature was distributed among the training rows, so that drift can be told later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing is known.
    #[default]
    None,
    /// Of a number; of many numbers a row of their mean.
    Deciles {
        /// Minimum, the nine deciles, maximum; empty when every value was missing.
        deciles: Vec<f64>,
        /// Training rows without a value.
        missing: u64,
        /// Training rows.
        rows: u64,
    },
    /// Of a category: training rows a level, then of other levels, then missing.
    Levels(Vec<u64>),
}

impl Feature {
    /// Inputs of the network it fills.
    pub fn width(&self) -> usize {
        self.treatment.width()
    }

    /// The shape of its arrays, if it is used and holds arrays.
    pub fn shape(&self) -> Option<ArrayShape> {
        self.treatment.shape()
    }

    /// As what the network reads it.
    pub(super) fn form(&self) -> InputForm {
        self.treatment.form()
    }

    /// How its raw values are stored: what [`Encoder`](super::Encoder) method takes them.
    pub fn kind(&self) -> Kind {
        match &self.treatment {
            Fitted::Numeric { .. } => Kind::Number,
            Fitted::OneHot { .. } | Fitted::Index { .. } => Kind::Category,
            Fitted::Vector {
                precision: Precision::Double,
                ..
            }
            | Fitted::Sequence {
                precision: Precision::Double,
                ..
            } => Kind::Numbers,
            Fitted::Vector { .. } | Fitted::Image { .. } | Fitted::Sequence { .. } => Kind::Array,
            Fitted::Ignored { .. } => self.origin.kind(),
        }
    }

    /// The levels of a category that is used.
    pub fn levels(&self) -> Option<&[String]> {
        self.treatment.levels()
    }

    /// Whether the feature may be one of the steps of sequences.
    pub(super) fn fits_a_step(&self) -> bool {
        self.treatment.fits_a_step()
    }

    /// Checks that it could have been fitted.
    ///
    /// # Errors
    /// What is wrong with it, by its name.
    pub(super) fn validate(&self) -> Result<(), String> {
        let fault = |what: &str| format!("feature {:?} {what}", self.name);
        self.treatment.check().map_err(fault)?;
        match (&self.profile, self.levels()) {
            (Profile::None, _) => Ok(()),
            (Profile::Deciles { deciles, .. }, None)
                if matches!(deciles.len(), 0 | 11) && deciles.iter().all(|d| d.is_finite()) =>
            {
                Ok(())
            }
            (Profile::Levels(counts), Some(levels)) if counts.len() == levels.len() + 2 => Ok(()),
            _ => Err(fault("has a profile that does not fit its treatment")),
        }
    }
}

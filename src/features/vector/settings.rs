//! What is asked of a vector, read from JSON and fitted.

use serde_json::{Map, Value};

use super::fitted::{MAX_VECTOR, TREATMENT, Vector};
use super::intake::VectorIntake;
use crate::features::arrays::{
    check_inputs, elements, lines, location, needed, own_settings, told_scale,
};
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::error::Error;
use crate::features::gather::part::wrong_kind;
use crate::features::scales::clip::default_clip;
use crate::features::scales::lanes::Precision;
use crate::features::scales::rule::{DEFAULT_SCALE, FAR, Scale};
use crate::features::settings::{clip_setting, known_settings, scale_setting, whole};
use crate::features::treatment::{Asked, Site, Told};

/// How a vector is treated: each of its numbers by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSettings {
    /// The scaling.
    pub scale: Scale,
    /// Where far values level off, in scaled units; `None`: they do not.
    pub clip: Option<f64>,
    /// How many numbers it has; `None`: as many as in the first row.
    pub length: Option<usize>,
}

impl Default for VectorSettings {
    fn default() -> Self {
        VectorSettings {
            scale: DEFAULT_SCALE,
            clip: default_clip(DEFAULT_SCALE),
            length: None,
        }
    }
}

impl Asked for VectorSettings {
    type Learnt = Vector;
    type Intake = VectorIntake;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
        known_settings(settings, column, &["type", "scale", "clip", "length"])?;
        let scale = scale_setting(settings, column)?.unwrap_or(DEFAULT_SCALE);
        Ok(VectorSettings {
            scale,
            clip: clip_setting(settings, column, scale)?,
            length: whole(settings, column, "length", 1..=MAX_VECTOR)?,
        })
    }

    /// Numbers are taken as they come unless `mean` or `std` say otherwise; there must be a `length`.
    fn told(told: &Told<'_>) -> Result<Vector, Error> {
        let column = told.column;
        let asked = VectorSettings::read(&own_settings(told, &TREATMENT, true)?, column)?;
        let length = needed(asked.length, "length", MAX_VECTOR, column)?;
        let (center, divisor) = lines(told.settings, length, column)?;
        let far = |sign: f64| -> Vec<f64> {
            let pairs = center.iter().zip(&divisor);
            pairs.map(|(c, d)| c + sign * FAR * d).collect()
        };
        Ok(Vector {
            scale: told_scale(told.settings),
            missing: center.clone(),
            low: far(-1.0),
            high: far(1.0),
            center,
            divisor,
            clip: None,
            precision: Precision::Double,
        })
    }

    fn fit(&self, site: &Site<'_>) -> Result<Vector, Error> {
        let Some((elements, ArrayShape::Vector { length })) = elements(site)? else {
            return Err(wrong_kind(site.column));
        };
        check_inputs(site.column, length, MAX_VECTOR)?;
        let mut fitted = Vector {
            scale: self.scale,
            center: Vec::new(),
            divisor: Vec::new(),
            missing: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            clip: self.clip,
            precision: Precision::Double,
        };
        for (place, sorted) in elements.places() {
            let (center, divisor) = location(self.scale, place, sorted);
            let seen = place.count() > 0;
            fitted.center.push(center);
            fitted.divisor.push(divisor);
            fitted.missing.push(match place.overflows() {
                true => center,
                false => place.mean(),
            });
            fitted.low.push(if seen { place.low } else { 0.0 });
            fitted.high.push(if seen { place.high } else { 0.0 });
        }
        Ok(fitted)
    }

    fn intake(&self, _memory: usize) -> VectorIntake {
        VectorIntake {
            length: self.length,
        }
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Array
    }

    fn is_scaled_array(&self) -> bool {
        true
    }
}

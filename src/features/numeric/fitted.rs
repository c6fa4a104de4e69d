//! What a version keeps of a number's treatment, and what is known of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encode::NumericEncoder;
use crate::features::column::{Column, Kind, Origin};
use crate::features::scales::clip;
use crate::features::scales::rule::Scale;
use crate::features::treatment::{Learnt, NoIntake, TreatmentType};

/// Numbers.
pub(in crate::features) const TREATMENT: TreatmentType = TreatmentType {
    name: "numeric",
    dimensions: Some(0),
    takes: Origin::is_number,
    suits: Origin::is_number,
    told_as: Some(("double precision", Origin::Float)),
};

/// A number: `(value − center) / divisor`, then clipped: one input, and a second one (0 or 1) that
/// tells a missing value when there is an indicator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numeric {
    /// How `center` and `divisor` were chosen.
    pub scale: Scale,
    /// What is subtracted.
    pub center: f64,
    /// What is divided by; above 0.
    pub divisor: f64,
    /// Stands in for a missing value, in the column's own unit.
    pub missing: f64,
    /// Stands in for minus infinity: the smallest training value.
    pub low: f64,
    /// Stands in for infinity: the largest training value.
    pub high: f64,
    /// Whether there is an indicator.
    pub indicator: bool,
    /// z becomes z / sqrt(1 + (z / clip)²).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

impl Learnt for Numeric {
    type Encoder = NumericEncoder;
    type Intake = NoIntake;

    fn encoder(&self, _column: &Column) -> NumericEncoder {
        let stand_ins = [self.missing, self.low, self.high];
        NumericEncoder::new(
            (self.center, self.divisor),
            self.clip,
            stand_ins,
            self.indicator,
        )
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        let values = [self.center, self.missing, self.low, self.high];
        if values.iter().any(|x| !x.is_finite()) {
            return Err("has a value that is not finite");
        }
        let divisor = self.divisor;
        if !(divisor.is_finite() && divisor > 0.0 && (1.0 / divisor).is_finite()) {
            return Err("has a divisor that is not a positive number");
        }
        clip::check(self.clip)
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Number
    }

    fn width(&self) -> usize {
        1 + usize::from(self.indicator)
    }

    fn step_fault(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    fn words(&self) -> String {
        let missing = if self.indicator {
            ", missing flagged"
        } else {
            ""
        };
        format!("numeric, {}{missing}", self.scale.words())
    }

    fn describe(&self) -> Value {
        json!({
            "scale": self.scale.name(), "center": self.center, "divisor": self.divisor,
            "clip": self.clip, "missing": self.missing, "indicator": self.indicator,
            "minimum": self.low, "maximum": self.high,
        })
    }
}

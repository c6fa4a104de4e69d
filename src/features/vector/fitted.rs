//! What a version keeps of a vector's treatment, and what is known of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::encode::VectorEncoder;
use super::intake::VectorIntake;
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::scales::clip;
use crate::features::scales::lanes::{Lanes, Precision};
use crate::features::scales::rule::Scale;
use crate::features::treatment::{Learnt, TreatmentType};

/// Longest vector of a column, each of whose numbers has a scale of its own.
pub const MAX_VECTOR: usize = 1 << 16;

/// Vectors.
pub(in crate::features) const TREATMENT: TreatmentType = TreatmentType {
    name: "vector",
    dimensions: Some(1),
    takes: Origin::is_numbers,
    suits: Origin::is_numbers,
    told_as: Some(("real[]", Origin::NumberArray)),
};

/// As many inputs as a row has numbers, each as a [`Numeric`](crate::features::Numeric) one without
/// an indicator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// How `center` and `divisor` were chosen.
    pub scale: Scale,
    /// What is subtracted, a number each.
    pub center: Vec<f64>,
    /// What is divided by; above 0.
    pub divisor: Vec<f64>,
    /// Stands in for a missing number, in its own unit.
    pub missing: Vec<f64>,
    /// The smallest training values, which stand in for minus infinity.
    pub low: Vec<f64>,
    /// The largest training values, which stand in for infinity.
    pub high: Vec<f64>,
    /// z becomes z / sqrt(1 + (z / clip)²).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// In which precision a number is scaled.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
}

impl Learnt for Vector {
    type Encoder = VectorEncoder;
    type Intake = VectorIntake;

    fn encoder(&self, column: &Column) -> VectorEncoder {
        let lanes = Lanes::new(&self.center, &self.divisor, self.precision);
        let stand_ins = [&self.missing[..], &self.low[..], &self.high[..]];
        VectorEncoder::new(column, lanes, self.clip, stand_ins)
    }

    fn intake(&self, _memory: usize) -> VectorIntake {
        VectorIntake {
            length: Some(self.center.len()),
        }
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        let length = self.center.len();
        let others = [&self.divisor, &self.missing, &self.low, &self.high];
        if !(1..=MAX_VECTOR).contains(&length) || others.iter().any(|v| v.len() != length) {
            return Err("has scales of different lengths");
        }
        let is_finite = |x: &f64| self.precision.is_finite(*x);
        let values = [&self.center, &self.missing, &self.low, &self.high];
        if !values.into_iter().flatten().all(is_finite) {
            return Err("has a value that is not finite");
        }
        let mut divisors = self.divisor.iter();
        if !divisors.all(|&divisor| self.precision.is_divisor(divisor)) {
            return Err("has a divisor that is not a positive number");
        }
        clip::check(self.clip)
    }

    fn kind(&self, _origin: Origin) -> Kind {
        match self.precision {
            Precision::Single => Kind::Array,
            Precision::Double => Kind::Numbers,
        }
    }

    fn width(&self) -> usize {
        self.center.len()
    }

    fn shape(&self) -> Option<ArrayShape> {
        Some(ArrayShape::Vector {
            length: self.center.len(),
        })
    }

    fn is_scaled_array(&self) -> bool {
        true
    }

    fn scales(&self) -> usize {
        self.center.len()
    }

    fn words(&self) -> String {
        format!("vector of {}, {}", self.center.len(), self.scale.words())
    }

    fn describe_shape(&self, map: &mut Map<String, Value>) {
        map.insert("length".to_owned(), json!(self.center.len()));
    }

    fn describe(&self) -> Value {
        json!({
            "scale": self.scale.name(), "center": self.center, "divisor": self.divisor,
            "clip": self.clip, "missing": self.missing, "minimum": self.low,
            "maximum": self.high,
        })
    }
}

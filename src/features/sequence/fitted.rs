//! What a version keeps of a sequence's treatment, and what is known of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::encode::{LEVELS, SequenceEncoder, Steps, Tokens};
use super::instance::Instance;
use super::intake::SequenceIntake;
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::scales::clip::{self, bend};
use crate::features::scales::lanes::{Lanes, Precision};
use crate::features::scales::rule::Scale;
use crate::features::treatment::{Learnt, MAX_INPUTS, TreatmentType};
use crate::nn::InputForm;

/// Most different tokens: those that an f32 tells apart.
pub const MAX_TOKENS: usize = 1 << 24;

/// Sequences.
pub(in crate::features) const TREATMENT: TreatmentType = TreatmentType {
    name: "sequence",
    dimensions: Some(2),
    takes: Origin::is_numbers,
    suits: |_| false,
    told_as: Some(("real[]", Origin::NumberArray)),
};

/// One input with the number of steps that are there, then the steps, each feature as a
/// [`Numeric`](crate::features::Numeric) one; zeros where there is no step. Where outputs are turned
/// back by the sequence, its mean and deviation stand behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// Most steps that are kept, the last ones.
    pub length: usize,
    /// Numbers a step.
    pub features: usize,
    /// How `center` and `divisor` were chosen.
    pub scale: Scale,
    /// What is subtracted, a number a feature.
    pub center: Vec<f64>,
    /// What is divided by; above 0.
    pub divisor: Vec<f64>,
    /// z becomes z / sqrt(1 + (z / clip)²).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// In which precision a number is scaled.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
    /// For an embedding: the steps are whole numbers from 0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Where each sequence is normalised by itself, once it is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

impl Sequence {
    /// Which of a step's numbers the outputs are turned back by.
    pub(in crate::features) fn turned_back(&self) -> Option<usize> {
        self.instance.and_then(|instance| instance.turned_back)
    }
}

impl Learnt for Sequence {
    type Encoder = SequenceEncoder;
    type Intake = SequenceIntake;

    fn encoder(&self, column: &Column) -> SequenceEncoder {
        let lanes = Lanes::new(&self.center, &self.divisor, self.precision);
        let bend = bend(self.clip);
        let steps = match (self.tokens, self.instance, lanes) {
            (Some(tokens), ..) => Steps::Tokens(tokens),
            (None, Some(instance), Lanes::Double(lanes)) => Steps::Instances {
                lanes,
                bend,
                turned_back: instance.turned_back,
            },
            (None, _, lanes) => Steps::Numbers { lanes, bend },
        };
        SequenceEncoder::new(column, steps)
    }

    fn intake(&self, _memory: usize) -> SequenceIntake {
        SequenceIntake {
            features: Some(self.features),
            keep: self.length,
        }
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        let size = self.length.saturating_mul(self.features);
        if !(1..=MAX_INPUTS).contains(&size) {
            return Err("has a length that no sequence has");
        }
        if self.center.len() != self.features || self.divisor.len() != self.features {
            return Err("has scales of different lengths");
        }
        let precision = self.precision;
        if !self.center.iter().all(|&x| precision.is_finite(x))
            || !self.divisor.iter().all(|&d| precision.is_divisor(d))
        {
            return Err("has a scale out of range");
        }
        clip::check(self.clip)?;
        if self.instance.is_some() && (self.tokens.is_some() || self.precision != Precision::Double)
            || self
                .turned_back()
                .is_some_and(|place| place >= self.features)
        {
            return Err("is normalised by itself in a way that there is not");
        }
        match self.tokens {
            Some(tokens)
                if self.features != 1 || !(1..=MAX_TOKENS).contains(&tokens.vocabulary()) =>
            {
                Err("has a vocabulary out of range")
            }
            _ => Ok(()),
        }
    }

    fn kind(&self, _origin: Origin) -> Kind {
        match self.precision {
            Precision::Single => Kind::Array,
            Precision::Double => Kind::Numbers,
        }
    }

    fn width(&self) -> usize {
        let levels = self.turned_back().map_or(0, |_| LEVELS);
        let steps = self.length.saturating_mul(self.features);
        steps.saturating_add(1 + levels)
    }

    fn form(&self) -> InputForm {
        if self.turned_back().is_some() {
            return InputForm::LeveledSequence {
                steps: self.length,
                features: self.features,
            };
        }
        InputForm::Sequence {
            steps: self.length,
            features: self.features,
            vocabulary: self.tokens.map(Tokens::vocabulary),
        }
    }

    fn shape(&self) -> Option<ArrayShape> {
        Some(ArrayShape::Sequence {
            features: self.features,
        })
    }

    fn is_scaled_array(&self) -> bool {
        true
    }

    fn words(&self) -> String {
        let length = self.length;
        let how = match self.instance {
            Some(_) => "each normalised by itself",
            None => self.scale.words(),
        };
        match (self.tokens, self.features) {
            (Some(tokens), _) => {
                format!("sequence of up to {length} tokens below {}", tokens.known)
            }
            (None, 1) => format!("sequence of up to {length} numbers, {how}"),
            (None, features) => format!("sequence of up to {length} × {features} numbers, {how}"),
        }
    }

    fn describe_shape(&self, map: &mut Map<String, Value>) {
        map.insert("length".to_owned(), json!(self.length));
        map.insert("features".to_owned(), json!(self.features));
    }

    fn describe(&self) -> Value {
        if let Some(tokens) = self.tokens {
            return json!({"vocabulary": tokens.known, "other": tokens.other});
        }
        let mut described = json!({
            "scale": self.scale.name(), "center": self.center, "divisor": self.divisor,
            "clip": self.clip,
        });
        if let Some(instance) = self.instance {
            described["normalize"] = "instance".into();
            described["denormalize"] = match instance.turned_back {
                Some(place) => json!(place + 1),
                None => false.into(),
            };
        }
        described
    }
}

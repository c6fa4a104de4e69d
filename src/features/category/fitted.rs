//! What a version keeps of a category's treatment, and what is known of it.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encode::CategoryEncoder;
use crate::features::column::{Column, Kind, Origin};
use crate::features::treatment::{Learnt, NoIntake, TreatmentType};
use crate::nn::InputForm;

/// Most levels a categorical column may have an own input for.
pub const MAX_LEVELS: usize = 10_000;

/// How wide an embedding can be that a treatment asks for.
pub(super) const UNITS: RangeInclusive<usize> = 1..=4096;

/// Categories.
pub(in crate::features) const TREATMENT: TreatmentType = TreatmentType {
    name: "categorical",
    dimensions: Some(0),
    takes: |origin| !origin.is_array(),
    suits: |origin| !origin.is_array() && !origin.is_number(),
    told_as: Some(("text", Origin::Text)),
};

/// One input a level, then one for every other level, then one for a missing value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneHot {
    /// The levels.
    pub levels: Vec<String>,
    /// Whether only levels have an input, so that all are 0 for another one or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// One input that holds the level's number, for an embedding: the levels, then the other ones, then
/// missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The levels.
    pub levels: Vec<String>,
    /// The width of the embedding that the treatment asked for; none when the architecture
    /// embeds the feature by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    /// Whether the embedding came from elsewhere with vectors for the levels alone. Its
    /// vectors for others and for none are zeros, and no part of a file as long as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// A category in either way.
pub(in crate::features) enum Category {
    OneHot(OneHot),
    Index(Index),
}

impl Learnt for OneHot {
    type Encoder = CategoryEncoder;
    type Intake = NoIntake;

    fn encoder(&self, column: &Column) -> CategoryEncoder {
        CategoryEncoder::new(&self.levels, column, true)
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        check_levels(&self.levels)
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Category
    }

    fn width(&self) -> usize {
        self.levels.len() + if self.exact { 0 } else { 2 }
    }

    fn levels(&self) -> Option<&[String]> {
        Some(&self.levels)
    }

    fn step_fault(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    fn words(&self) -> String {
        format!("one-hot, {}", count(&self.levels))
    }

    fn describe(&self) -> Value {
        json!({"encoding": "one_hot", "levels": self.levels, "other": !self.exact})
    }
}

impl Learnt for Index {
    type Encoder = CategoryEncoder;
    type Intake = NoIntake;

    fn encoder(&self, column: &Column) -> CategoryEncoder {
        CategoryEncoder::new(&self.levels, column, false)
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        check_levels(&self.levels)?;
        match self.units.is_none_or(|units| UNITS.contains(&units)) {
            true => Ok(()),
            false => Err("has an embedding width out of range"),
        }
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Category
    }

    fn width(&self) -> usize {
        1
    }

    fn form(&self) -> InputForm {
        InputForm::Level {
            vocabulary: self.levels.len() + 2,
        }
    }

    fn levels(&self) -> Option<&[String]> {
        Some(&self.levels)
    }

    fn embedding(&self) -> Option<usize> {
        self.units
    }

    fn step_fault(&self) -> Option<(&'static str, &'static str)> {
        Some((
            "an embedding",
            "Give it {\"type\": \"categorical\", \"encoding\": \"one_hot\"} in features.",
        ))
    }

    fn words(&self) -> String {
        format!("embedding, {}", count(&self.levels))
    }

    fn describe(&self) -> Value {
        json!({"encoding": "embedding", "levels": self.levels})
    }
}

fn check_levels(levels: &[String]) -> Result<(), &'static str> {
    if levels.len() > MAX_LEVELS {
        return Err("has too many levels");
    }
    let mut seen = std::collections::HashSet::new();
    match levels.iter().all(|level| seen.insert(level.as_str())) {
        true => Ok(()),
        false => Err("has the same level twice"),
    }
}

fn count(levels: &[String]) -> String {
    let count = levels.len();
    format!("{count} level{}", if count == 1 { "" } else { "s" })
}

//! Columns that are accepted in calls and left out of the network.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::column::{Column, Kind, Origin};
use super::error::Error;
use super::settings::known_settings;
use super::treatment::{Asked, Learnt, NoInputs, NoIntake, Site, Told, TreatmentType};

/// Columns that are left out.
pub(super) const TREATMENT: TreatmentType = TreatmentType {
    name: "ignore",
    dimensions: None,
    takes: |_| true,
    suits: |_| false,
    told_as: None,
};

/// A column that is left out as asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IgnoreSettings;

/// Accepted in calls and left out of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ignored {
    /// Why.
    pub reason: String,
}

impl Ignored {
    /// For this reason.
    pub fn because(reason: impl Into<String>) -> Ignored {
        Ignored {
            reason: reason.into(),
        }
    }
}

impl Asked for IgnoreSettings {
    type Learnt = Ignored;
    type Intake = NoIntake;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
        known_settings(settings, column, &["type"])?;
        Ok(IgnoreSettings)
    }

    fn told(_told: &Told<'_>) -> Result<Ignored, Error> {
        Ok(Ignored::because("ignored as asked"))
    }

    fn fit(&self, _site: &Site<'_>) -> Result<Ignored, Error> {
        Ok(Ignored::because("ignored as asked"))
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn kind(&self, origin: Origin) -> Kind {
        origin.kind()
    }
}

impl Learnt for Ignored {
    type Encoder = NoInputs;
    type Intake = NoIntake;

    fn encoder(&self, _column: &Column) -> NoInputs {
        NoInputs
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn kind(&self, origin: Origin) -> Kind {
        origin.kind()
    }

    fn width(&self) -> usize {
        0
    }

    fn reason(&self) -> Option<&str> {
        Some(&self.reason)
    }

    fn step_fault(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    fn words(&self) -> String {
        format!("left out, {}", self.reason)
    }

    fn describe(&self) -> Value {
        json!({"reason": self.reason})
    }
}

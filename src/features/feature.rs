//! A feature: a column of the training query, how it is treated, and how it was distributed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::column::{ArrayShape, Column, Kind, Origin};
use super::profile::Profile;
use super::rows::dictionary::Dictionary;
use super::rows::sequences::Steps;
use super::treatments::Fitted;
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

impl Feature {
    /// Inputs of the network it fills.
    pub fn width(&self) -> usize {
        self.treatment.learnt().width()
    }

    /// The shape of its arrays, if it is used and holds arrays.
    pub fn shape(&self) -> Option<ArrayShape> {
        self.treatment.learnt().shape()
    }

    /// As what the network reads it.
    pub fn form(&self) -> InputForm {
        self.treatment.learnt().form()
    }

    /// How its raw values are stored: what [`Encoder`](super::Encoder) method takes them.
    pub fn kind(&self) -> Kind {
        self.treatment.learnt().kind(self.origin)
    }

    /// Whether it has arrays whose numbers are scaled, each by itself.
    pub fn is_scaled_array(&self) -> bool {
        self.treatment.learnt().is_scaled_array()
    }

    /// The levels of a category that is used.
    pub fn levels(&self) -> Option<&[String]> {
        self.treatment.learnt().levels()
    }

    /// The dictionary to read its texts with: what must keep its code however many other texts come
    /// first is in it from the start.
    pub fn dictionary(&self) -> Dictionary {
        self.treatment.learnt().dictionary()
    }

    /// Why the network does not see it, if it does not.
    pub fn reason(&self) -> Option<&str> {
        self.treatment.learnt().reason()
    }

    /// Whether the network sees it.
    pub fn is_used(&self) -> bool {
        self.reason().is_none()
    }

    /// The name of its treatment, as the `features` argument takes it.
    pub fn treatment_name(&self) -> &'static str {
        self.treatment.learnt().treatment().name
    }

    /// Its column, with the shape of its arrays as the network sees them.
    pub(super) fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            sql_type: self.sql_type.clone(),
            kind: self.kind(),
            origin: self.origin,
            shape: self.shape(),
        }
    }

    /// Checks that it could have been fitted.
    ///
    /// # Errors
    /// What is wrong with it, by its name.
    pub(super) fn validate(&self) -> Result<(), String> {
        let fault = |what: &str| format!("feature {:?} {what}", self.name);
        let learnt = self.treatment.learnt();
        learnt.check().map_err(fault)?;
        match self.profile.fits(learnt.counts()) {
            true => Ok(()),
            false => Err(fault("has a profile that does not fit its treatment")),
        }
    }

    /// Its treatment in a few words, for a notice: `age: numeric, standard`.
    pub fn describe(&self) -> String {
        format!("{}: {}", self.name, self.treatment.learnt().words())
    }

    /// What whoever may call the model may see: name, type and treatment, of arrays the shape that
    /// a caller must give, of the features of `steps` what makes sequences of them; without
    /// anything else that was fitted.
    pub fn public(&self, steps: Option<&Steps>) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(self.name));
        map.insert("type".to_owned(), json!(self.sql_type));
        map.insert("treatment".to_owned(), json!(self.treatment_name()));
        if let Some(steps) = steps {
            map.insert("sequence".to_owned(), json!(steps));
        }
        self.treatment.learnt().describe_shape(&mut map);
        map
    }

    /// What the owner sees: [`public`](Feature::public) with scales, ranges, levels and the reason
    /// why it is left out.
    pub fn owned(&self, steps: Option<&Steps>) -> Map<String, Value> {
        let mut map = self.public(steps);
        if let Value::Object(more) = self.treatment.learnt().describe() {
            map.extend(more);
        }
        map
    }
}

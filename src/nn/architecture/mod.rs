//! A network as its user writes it: a list of layers, each reading earlier ones.

mod adapt;
pub(super) mod input;
pub(super) mod output_range;
pub(super) mod parse;
pub(super) mod resolve;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::nn::layer::spec::{Rank, Spec};
use crate::nn::layers;

/// Most networks side by side.
pub const MAX_MEMBERS: usize = 64;

/// A network's layers in the order they are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// The layers; each reads earlier ones only, so that there can be no cycles.
    pub layers: Vec<LayerSpec>,
    /// How many networks of these layers stand side by side, each with parameters of its own; the
    /// result is the mean of theirs. At least 1.
    pub members: usize,
}

impl Default for Architecture {
    fn default() -> Self {
        Architecture {
            layers: Vec::new(),
            members: 1,
        }
    }
}

/// One layer as it is written.
#[derive(Debug, Clone)]
pub struct LayerSpec {
    /// The layer's name; `None` is named after its type and its place among that type.
    pub name: Option<String>,
    /// Names of the layers it reads; empty: the layer before, and for the first one all columns.
    pub inputs: Vec<String>,
    /// Whether training changes its parameters.
    pub trainable: bool,
    /// What the layer does: its type with its settings.
    pub kind: Arc<dyn Spec>,
}

impl PartialEq for LayerSpec {
    fn eq(&self, other: &LayerSpec) -> bool {
        self.name == other.name
            && self.inputs == other.inputs
            && self.trainable == other.trainable
            && *self.kind == *other.kind
    }
}

impl LayerSpec {
    /// An unnamed, trainable layer that reads the one before it.
    pub fn new(kind: impl Spec) -> Self {
        LayerSpec {
            name: None,
            inputs: Vec::new(),
            trainable: true,
            kind: Arc::new(kind),
        }
    }

    /// The settings of that type, if the layer is of it.
    pub fn get<S: Spec>(&self) -> Option<&S> {
        self.kind.get()
    }

    /// Whether it is of that type.
    pub fn is<S: Spec>(&self) -> bool {
        self.get::<S>().is_some()
    }

    /// As what it wants to read a column that holds many numbers a row.
    fn rank(&self) -> Rank {
        layers::find(self.kind.type_name()).map_or(Rank::Any, |known| known.rank)
    }

    /// The layer with this name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The layer reading the layers of these names.
    pub fn reading<S: Into<String>>(mut self, inputs: impl IntoIterator<Item = S>) -> Self {
        self.inputs = inputs.into_iter().map(Into::into).collect();
        self
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("type".into(), self.kind.type_name().into());
        if let Some(name) = &self.name {
            map.insert("name".into(), name.as_str().into());
        }
        match self.inputs.as_slice() {
            [] => {}
            [one] => drop(map.insert("input".into(), one.as_str().into())),
            several => drop(map.insert("input".into(), json!(several))),
        }
        if !self.trainable {
            map.insert("trainable".into(), false.into());
        }
        self.kind.write(&mut map);
        Value::Object(map)
    }
}

impl Architecture {
    /// The JSON that [`Architecture::parse`] reads back to the same architecture.
    pub fn to_json(&self) -> Value {
        let layers: Vec<Value> = self.layers.iter().map(LayerSpec::to_json).collect();
        match self.members {
            1 => json!({ "layers": layers }),
            members => json!({ "members": members, "layers": layers }),
        }
    }
}

impl serde::Serialize for Architecture {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Architecture {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Architecture::from_json(&value).map_err(serde::de::Error::custom)
    }
}

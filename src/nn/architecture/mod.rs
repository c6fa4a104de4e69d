//! A network as its user writes it: a list of layers, each reading earlier ones.

mod adapt;
pub(super) mod input;
pub(super) mod layer_types;
pub(super) mod output_range;
pub(super) mod parse;
pub(super) mod resolve;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::nn::kernels::activation::Activation;
use crate::nn::layer::initializer::Initializer;
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Rank, Spec};

pub use self::parse::MAX_MEMBERS;

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
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// The layer's name; `None` is named after its type and its place among that type.
    pub name: Option<String>,
    /// Names of the layers it reads; empty: the layer before, and for the first one all columns.
    pub inputs: Vec<String>,
    /// Whether training changes its parameters.
    pub trainable: bool,
    /// What the layer does, with its settings.
    pub kind: LayerKind,
}

/// What a layer does.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerKind {
    /// Columns of the row; `None`: all that are not encoded as level indexes.
    Input {
        /// The features by name, in the order the network reads them.
        features: Option<Vec<String>>,
    },
    /// `activation(x · Wᵀ + b)`.
    Dense(DenseSpec),
    /// The dense layer that ends the network; units and activation follow from the task.
    Output(DenseSpec),
    /// A learnt vector for each level of one categorical feature.
    Embedding {
        /// Number of levels; `None`: as many as the feature has.
        vocabulary: Option<usize>,
        /// Length of the vector.
        units: usize,
    },
    /// In training, sets each value to zero with probability `rate` and scales the others up.
    Dropout {
        /// Probability of a zero, in [0, 1).
        rate: f32,
    },
    /// A learnt factor for each input: `x · (1 + factor · w)`.
    Scale {
        /// What the weight is multiplied by.
        factor: f32,
    },
    /// An activation by itself.
    Activation(Activation),
    /// The sum of several inputs of one shape.
    Add,
    /// The product, element by element, of several inputs of one shape.
    Multiply,
    /// Several inputs side by side: vectors, sequences step by step, images channel after channel.
    Concat,
    /// A type of layer with settings of its own; see `layer_types`.
    Typed(Arc<dyn Spec>),
}

impl PartialEq for dyn Spec {
    /// Two are equal when they are written the same.
    fn eq(&self, other: &dyn Spec) -> bool {
        let written = |spec: &dyn Spec| {
            let mut settings = Map::new();
            spec.write(&mut settings);
            settings
        };
        self.type_name() == other.type_name() && written(self) == written(other)
    }
}

/// Settings of a dense layer.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseSpec {
    /// Number of outputs; only an output layer may leave it to the task.
    pub units: Option<usize>,
    /// Activation; `None`: linear, or for an output layer what the task needs.
    pub activation: Option<Activation>,
    /// Whether a bias is added.
    pub use_bias: bool,
    /// How the weights start; `None`: the training's initializer.
    pub kernel_initializer: Option<Initializer>,
    /// How the biases start; `None`: as the training's initializer has it.
    pub bias_initializer: Option<Initializer>,
}

impl DenseSpec {
    /// A dense layer with a bias and the training's initializer.
    pub fn new(units: Option<usize>, activation: Option<Activation>) -> Self {
        DenseSpec {
            units,
            activation,
            use_bias: true,
            kernel_initializer: None,
            bias_initializer: None,
        }
    }
}

impl LayerSpec {
    /// An unnamed, trainable layer that reads the one before it.
    pub fn new(kind: LayerKind) -> Self {
        LayerSpec {
            name: None,
            inputs: Vec::new(),
            trainable: true,
            kind,
        }
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
        self.kind.settings(&mut map);
        Value::Object(map)
    }
}

impl LayerKind {
    /// The type's name in JSON.
    pub fn type_name(&self) -> &'static str {
        match self {
            LayerKind::Input { .. } => "input",
            LayerKind::Dense(_) => "dense",
            LayerKind::Output(_) => "output",
            LayerKind::Embedding { .. } => "embedding",
            LayerKind::Dropout { .. } => "dropout",
            LayerKind::Scale { .. } => "scale",
            LayerKind::Activation(_) => "activation",
            LayerKind::Add => "add",
            LayerKind::Multiply => "multiply",
            LayerKind::Concat => "concat",
            LayerKind::Typed(spec) => spec.type_name(),
        }
    }

    /// As what the layer wants to read a column that holds many numbers a row.
    pub(super) fn rank(&self) -> Rank {
        match self {
            // It is asked for such columns only: their numbers are levels, step by step.
            LayerKind::Embedding { .. } => Rank::Sequence,
            LayerKind::Typed(spec) => layer_types::rank(spec.type_name()),
            _ => Rank::Any,
        }
    }

    fn settings(&self, map: &mut Map<String, Value>) {
        match self {
            LayerKind::Input {
                features: Some(features),
            } => {
                map.insert("features".into(), json!(features));
            }
            LayerKind::Dense(dense) | LayerKind::Output(dense) => {
                if let Some(units) = dense.units {
                    map.insert("units".into(), units.into());
                }
                if let Some(activation) = dense.activation {
                    Settings::write_activation(activation, map);
                }
                if !dense.use_bias {
                    map.insert("use_bias".into(), false.into());
                }
                if let Some(initializer) = dense.kernel_initializer {
                    map.insert("kernel_initializer".into(), initializer.name().into());
                }
                if let Some(initializer) = dense.bias_initializer {
                    map.insert("bias_initializer".into(), initializer.name().into());
                }
            }
            LayerKind::Embedding { vocabulary, units } => {
                if let Some(vocabulary) = vocabulary {
                    map.insert("vocabulary".into(), (*vocabulary).into());
                }
                map.insert("units".into(), (*units).into());
            }
            LayerKind::Dropout { rate } => {
                map.insert("rate".into(), shortest(*rate).into());
            }
            LayerKind::Scale { factor } => {
                map.insert("factor".into(), shortest(*factor).into());
            }
            LayerKind::Activation(activation) => {
                Settings::write_activation(*activation, map);
            }
            LayerKind::Typed(spec) => spec.write(map),
            LayerKind::Input { features: None }
            | LayerKind::Add
            | LayerKind::Multiply
            | LayerKind::Concat => {}
        }
    }
}

/// The shortest decimal that reads back as this f32, not its expansion as f64.
pub(super) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
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

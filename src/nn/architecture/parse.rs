//! Reading an architecture from JSON: every type, setting and value checked, faults named.

use serde_json::{Map, Value};

use super::layer_types::{self, LAYER_TYPES};
use super::{Architecture, LayerKind, LayerSpec};
use crate::nn::base::error::{Error, nearest};
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::settings::Settings;

/// Longest architecture text in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// Most layers of a network.
pub const MAX_LAYERS: usize = 1000;
/// Most units of a layer, and most levels of an embedding.
pub const MAX_UNITS: usize = 1_000_000;
/// Most networks side by side.
pub const MAX_MEMBERS: usize = 64;
/// Longest name of a layer in bytes.
pub const MAX_NAME: usize = 200;

const TYPES: [&str; 10] = [
    "dense",
    "output",
    "embedding",
    "dropout",
    "scale",
    "activation",
    "add",
    "multiply",
    "concat",
    "input",
];
/// Keras's and PyTorch's class names in lower case, with the type each stands for.
const ALIASES: [(&str, &str); 4] = [
    ("linear", "dense"),
    ("concatenate", "concat"),
    ("inputlayer", "input"),
    ("cat", "concat"),
];
const DENSE: [&str; 5] = [
    "units",
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
];
impl Architecture {
    /// Reads an architecture from its JSON text.
    ///
    /// # Errors
    /// The first thing at fault: text longer than 1 MB, JSON that is broken or nested too deeply,
    /// an unknown type or setting (with the nearest known), or a value out of range.
    pub fn parse(text: &str) -> Result<Architecture, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::architecture(
                format!(
                    "the architecture is {} bytes long, more than {MAX_TEXT}",
                    text.len()
                ),
                "Describe the network with fewer layers.",
            ));
        }
        // serde_json refuses more than 128 levels, so that no text can exhaust the stack.
        let value: Value = serde_json::from_str(text).map_err(|e| Error::Json {
            message: e.to_string(),
        })?;
        Architecture::from_json(&value)
    }

    /// Reads an architecture from a JSON value; the errors are those of [`Architecture::parse`].
    pub fn from_json(value: &Value) -> Result<Architecture, Error> {
        let hint = "Give an object such as {\"layers\": [{\"type\": \"dense\", \"units\": 64}]}.";
        let Value::Object(map) = value else {
            return Err(Error::architecture(
                "the architecture must be a JSON object",
                hint,
            ));
        };
        const KEYS: [&str; 4] = ["layers", "members", "name", "description"];
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Error::UnknownSetting {
                layer: "the architecture".into(),
                given: clip(key),
                nearest: nearest(key, ["layers", "members"]).into(),
                known: KEYS.join(", "),
            });
        }
        let Some(Value::Array(layers)) = map.get("layers") else {
            return Err(Error::architecture(
                "the architecture needs an array \"layers\"",
                hint,
            ));
        };
        if layers.len() > MAX_LAYERS {
            return Err(Error::architecture(
                format!(
                    "the architecture has {} layers, more than {MAX_LAYERS}",
                    layers.len()
                ),
                "Describe the network with fewer layers.",
            ));
        }
        let layers = layers
            .iter()
            .enumerate()
            .map(|(i, layer)| parse_layer(i + 1, layer))
            .collect::<Result<Vec<_>, _>>()?;
        let members = match map.get("members") {
            None => Some(1),
            Some(members) => members
                .as_u64()
                .and_then(|members| usize::try_from(members).ok())
                .filter(|members| (1..=MAX_MEMBERS).contains(members)),
        };
        let Some(members) = members else {
            return Err(Error::architecture(
                format!("\"members\" must be a whole number from 1 to {MAX_MEMBERS}"),
                "It is how many networks of these layers are trained side by side; leave it out \
                 for one.",
            ));
        };
        Ok(Architecture { layers, members })
    }
}

fn parse_layer(position: usize, value: &Value) -> Result<LayerSpec, Error> {
    let Value::Object(map) = value else {
        return Err(Error::layer(
            format!("layer {position}"),
            "must be a JSON object",
            "Write a layer as {\"type\": \"dense\", \"units\": 64}.",
        ));
    };
    let (type_name, class_activation) = layer_type(position, map)?;
    let name = match map.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if valid_name(name) => Some(name.clone()),
        Some(_) => {
            return Err(Error::layer(
                format!("layer {position}"),
                format!(
                    "\"name\" must be text of 1 to {MAX_NAME} bytes without control characters"
                ),
                "Give the layer a short name, or none.",
            ));
        }
    };
    let label = match &name {
        Some(name) => format!("layer \"{name}\""),
        None => format!("layer {position} ({type_name})"),
    };
    let mut settings = Settings::new(label, map);
    let typed = layer_types::find(type_name);
    let own: &[&str] = match type_name {
        "dense" | "output" => &DENSE,
        "embedding" => &["vocabulary", "units"],
        "dropout" => &["rate"],
        "scale" => &["factor"],
        "activation" => match class_activation {
            Some(class) => Settings::of_class(class),
            None => &["activation"],
        },
        "input" => &["features"],
        _ => typed.map_or(&[], |typed| typed.settings),
    };
    settings.check_names(own)?;
    let kind = match type_name {
        "dense" => LayerKind::Dense(settings.dense(true)?),
        "output" => LayerKind::Output(settings.dense(false)?),
        "embedding" => LayerKind::Embedding {
            vocabulary: settings.count("vocabulary")?,
            units: settings.required_count("units")?,
        },
        "dropout" => LayerKind::Dropout {
            rate: settings
                .rate("rate")?
                .ok_or_else(|| settings.missing("rate"))?,
        },
        "scale" => LayerKind::Scale {
            factor: settings.positive("factor")?.unwrap_or(1.0),
        },
        "activation" => LayerKind::Activation(match class_activation {
            Some(class) => settings.activation_of_class(class)?,
            None => settings
                .activation()?
                .ok_or_else(|| settings.missing("activation"))?,
        }),
        "add" => LayerKind::Add,
        "multiply" => LayerKind::Multiply,
        "concat" => LayerKind::Concat,
        "input" => LayerKind::Input {
            features: settings.names("features")?,
        },
        _ => match typed {
            Some(typed) => LayerKind::Typed((typed.read)(typed.name, &settings)?),
            None => return Err(settings.error("is of an unknown type", "Name a known type.")),
        },
    };
    let inputs = match map.get("input") {
        Some(Value::String(one)) => vec![one.clone()],
        _ => settings.names("input")?.unwrap_or_default(),
    };
    if type_name == "input" && !inputs.is_empty() {
        return Err(settings.error(
            "an input layer reads columns, not other layers",
            "Name the columns in \"features\", or remove the layer.",
        ));
    }
    Ok(LayerSpec {
        name,
        inputs,
        trainable: settings.flag("trainable")?.unwrap_or(true),
        kind,
    })
}

/// The canonical type; for an activation's class name (`ReLU`) also the activation.
fn layer_type(
    position: usize,
    map: &Map<String, Value>,
) -> Result<(&'static str, Option<Activation>), Error> {
    let Some(Value::String(given)) = map.get("type") else {
        return Err(Error::layer(
            format!("layer {position}"),
            "needs a \"type\", which is text",
            format!("Known types are {}.", types().join(", ")),
        ));
    };
    let lower = given.to_lowercase();
    if let Some(known) = layer_types::find(&lower) {
        return Ok((known.name, None));
    }
    if let Some(known) = TYPES.iter().find(|known| **known == lower) {
        return Ok((known, None));
    }
    if let Some((_, known)) = ALIASES.iter().find(|(alias, _)| *alias == lower) {
        return Ok((known, None));
    }
    if let Ok(activation) = Activation::parse(&lower) {
        return Ok(("activation", Some(activation)));
    }
    Err(Error::UnknownType {
        position,
        given: clip(given),
        nearest: nearest(given, types()).into(),
        known: types().join(", "),
    })
}

/// The names of all types.
fn types() -> Vec<&'static str> {
    let typed = LAYER_TYPES.iter().map(|known| known.name);
    TYPES.into_iter().chain(typed).collect()
}

pub(in crate::nn) fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

/// A user's text, cut to what a message can carry.
pub(in crate::nn) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

//! Reading an architecture from JSON: every type, setting and value checked, faults named.

use serde_json::{Map, Value};

use super::{Architecture, LayerSpec, MAX_MEMBERS};
use crate::json_number;
use crate::nearest::nearest;
use crate::nn::base::error::Error;
use crate::nn::layer::settings::{Settings, clip};
use crate::nn::layer::spec::LayerType;
use crate::nn::layers::{self, InputSpec, LAYER_TYPES};

/// Longest architecture text in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// Most layers of a network.
pub const MAX_LAYERS: usize = 1000;
/// Longest name of a layer in bytes.
pub const MAX_NAME: usize = 200;

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
                nearest: nearest(key, KEYS).map(str::to_owned),
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
            Some(members) => json_number::whole(members)
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
        let architecture = Architecture { layers, members };
        // What the layers read is looked at before anything is asked of them.
        architecture.named()?.edges()?;
        Ok(architecture)
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
    let layer_type = layer_type(position, map)?;
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
        None => format!("layer {position} ({})", layer_type.name),
    };
    let mut settings = Settings::new(label, map);
    settings.check_names(layer_type.settings)?;
    let kind = (layer_type.read)(layer_type.name, &settings)?;
    let inputs = match map.get("input") {
        Some(Value::String(one)) => vec![one.clone()],
        _ => settings.names("input")?.unwrap_or_default(),
    };
    if kind.get::<InputSpec>().is_some() && !inputs.is_empty() {
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

fn layer_type(position: usize, map: &Map<String, Value>) -> Result<&'static LayerType, Error> {
    let names = || LAYER_TYPES.iter().map(|known| known.name);
    let listed = || names().collect::<Vec<_>>().join(", ");
    let Some(Value::String(given)) = map.get("type") else {
        return Err(Error::layer(
            format!("layer {position}"),
            "needs a \"type\", which is text",
            format!("Known types are {}.", listed()),
        ));
    };
    layers::find(&given.to_lowercase()).ok_or_else(|| Error::UnknownType {
        position,
        given: clip(given),
        nearest: nearest(given, names()).map(str::to_owned),
        known: listed(),
    })
}

pub(in crate::nn) fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

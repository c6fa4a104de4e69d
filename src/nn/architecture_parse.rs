//! Reading an architecture from JSON: every type, setting and value checked, faults named.

use serde_json::{Map, Value};

use super::activation::Activation;
use super::architecture::{Architecture, DenseSpec, LayerKind, LayerSpec};
use super::error::{Error, nearest};
use super::initializer::Initializer;

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
const COMMON: [&str; 4] = ["type", "name", "input", "trainable"];
const DENSE: [&str; 5] = [
    "units",
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
];
/// Settings of other libraries, whose spelling is far from ours.
const FOREIGN: [(&str, &str); 9] = [
    ("out_features", "units"),
    ("embedding_dim", "units"),
    ("output_dim", "units"),
    ("num_embeddings", "vocabulary"),
    ("input_dim", "vocabulary"),
    ("p", "rate"),
    ("bias", "use_bias"),
    ("inputs", "input"),
    ("columns", "features"),
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
    let settings = Settings { label, map };
    let own: &[&str] = match type_name {
        "dense" | "output" => &DENSE,
        "embedding" => &["vocabulary", "units"],
        "dropout" => &["rate"],
        "scale" => &["factor"],
        "activation" if class_activation.is_none() => &["activation"],
        "input" => &["features"],
        _ => &[],
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
            rate: settings.rate()?,
        },
        "scale" => LayerKind::Scale {
            factor: settings.factor()?,
        },
        "activation" => LayerKind::Activation(match class_activation {
            Some(activation) => activation,
            None => settings
                .activation()?
                .ok_or_else(|| settings.missing("activation"))?,
        }),
        "add" => LayerKind::Add,
        "multiply" => LayerKind::Multiply,
        "concat" => LayerKind::Concat,
        _ => LayerKind::Input {
            features: settings.names("features")?,
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
        trainable: settings.flag("trainable")?,
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
            format!("Known types are {}.", TYPES.join(", ")),
        ));
    };
    let lower = given.to_lowercase();
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
        nearest: nearest(given, TYPES).into(),
        known: TYPES.join(", "),
    })
}

pub(super) fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

/// A user's text, cut to what a message can carry.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A layer's JSON object, read setting by setting.
struct Settings<'a> {
    label: String,
    map: &'a Map<String, Value>,
}

impl Settings<'_> {
    fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::layer(self.label.clone(), message, hint)
    }

    fn missing(&self, setting: &str) -> Error {
        self.error(
            format!("needs \"{setting}\""),
            format!("Add \"{setting}\" to the layer."),
        )
    }

    fn check_names(&self, own: &[&'static str]) -> Result<(), Error> {
        let known = || own.iter().chain(&COMMON).copied();
        let Some(given) = self
            .map
            .keys()
            .find(|key| !known().any(|name| name == key.as_str()))
        else {
            return Ok(());
        };
        let meant = FOREIGN
            .iter()
            .find(|(foreign, ours)| foreign == given && known().any(|name| name == *ours));
        Err(Error::UnknownSetting {
            layer: self.label.clone(),
            given: clip(given),
            nearest: meant
                .map_or_else(|| nearest(given, known()), |(_, ours)| ours)
                .into(),
            known: known().collect::<Vec<_>>().join(", "),
        })
    }

    /// The setting's value; an explicit null counts as absent, as in Keras's configurations.
    fn get(&self, setting: &str) -> Option<&Value> {
        self.map.get(setting).filter(|value| !value.is_null())
    }

    fn count(&self, setting: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let number = value.as_f64().unwrap_or(f64::NAN);
        if number.fract() == 0.0 && number >= 1.0 && number <= MAX_UNITS as f64 {
            return Ok(Some(number as usize));
        }
        Err(self.error(
            format!("\"{setting}\" must be a whole number from 1 to {MAX_UNITS}"),
            format!("Give \"{setting}\" as a number such as 64."),
        ))
    }

    fn required_count(&self, setting: &str) -> Result<usize, Error> {
        self.count(setting)?.ok_or_else(|| self.missing(setting))
    }

    fn flag(&self, setting: &str) -> Result<bool, Error> {
        match self.get(setting) {
            None => Ok(true),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.error(
                format!("\"{setting}\" must be true or false"),
                format!("Give \"{setting}\" without quotes."),
            )),
        }
    }

    fn rate(&self) -> Result<f32, Error> {
        let value = self.get("rate").ok_or_else(|| self.missing("rate"))?;
        let rate = value.as_f64().unwrap_or(f64::NAN) as f32;
        if (0.0..1.0).contains(&rate) {
            return Ok(rate);
        }
        Err(self.error(
            "\"rate\" must be a number from 0 to below 1",
            "The rate is the share of values set to zero, for example 0.2.",
        ))
    }

    fn factor(&self) -> Result<f32, Error> {
        let Some(value) = self.get("factor") else {
            return Ok(1.0);
        };
        let factor = value.as_f64().unwrap_or(f64::NAN) as f32;
        if factor > 0.0 && factor.is_finite() {
            return Ok(factor);
        }
        Err(self.error(
            "\"factor\" must be a number above 0",
            "It multiplies the learnt weights; leave it out for 1.",
        ))
    }

    fn activation(&self) -> Result<Option<Activation>, Error> {
        let Some(value) = self.get("activation") else {
            return Ok(None);
        };
        let given = value.as_str().unwrap_or_default();
        if let Ok(activation) = Activation::parse(given) {
            return Ok(Some(activation));
        }
        let known = Activation::ALL.map(Activation::name);
        Err(self.error(
            format!(
                "unknown activation \"{}\", the nearest is \"{}\"",
                clip(value.as_str().map_or(&value.to_string(), |text| text)),
                nearest(given, known)
            ),
            format!("Known activations are {}.", known.join(", ")),
        ))
    }

    fn initializer(&self, setting: &str) -> Result<Option<Initializer>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let given = value.as_str().unwrap_or_default();
        if let Some(initializer) = Initializer::parse(given) {
            return Ok(Some(initializer));
        }
        let known = Initializer::ALL.map(Initializer::name);
        Err(self.error(
            format!(
                "unknown {setting} \"{}\", the nearest is \"{}\"",
                clip(value.as_str().map_or(&value.to_string(), |text| text)),
                nearest(given, known)
            ),
            format!("Known initializers are {}.", known.join(", ")),
        ))
    }

    fn names(&self, setting: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let names = value
            .as_array()
            .filter(|names| !names.is_empty())
            .and_then(|names| {
                names
                    .iter()
                    .map(|name| name.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
        names.map(Some).ok_or_else(|| {
            self.error(
                format!("\"{setting}\" must be a list of names"),
                format!("Write \"{setting}\": [\"…\", \"…\"]."),
            )
        })
    }

    fn dense(&self, needs_units: bool) -> Result<DenseSpec, Error> {
        let units = self.count("units")?;
        if needs_units && units.is_none() {
            return Err(self.missing("units"));
        }
        Ok(DenseSpec {
            units,
            activation: self.activation()?,
            use_bias: self.flag("use_bias")?,
            kernel_initializer: self.initializer("kernel_initializer")?,
            bias_initializer: self.initializer("bias_initializer")?,
        })
    }
}

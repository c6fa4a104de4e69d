//! A layer's JSON object, read setting by setting, each fault named with its layer.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::initializer::Initializer;
use crate::nearest::{self, nearest};
use crate::nn::base::error::Error;
use crate::nn::kernels::activation::{Activation, LEAKY_RELU_SLOPE};

/// Most units of a layer, and most levels of an embedding.
pub const MAX_UNITS: usize = 1_000_000;
/// Settings that every layer has.
const COMMON: [&str; 4] = ["type", "name", "input", "trainable"];
/// Settings of PyTorch's and Keras's that mean the same as ours.
const SYNONYMS: &[(&str, &str)] = &[
    ("out_features", "units"),
    ("hidden_size", "units"),
    ("embedding_dim", "units"),
    ("output_dim", "units"),
    ("num_embeddings", "vocabulary"),
    ("input_dim", "vocabulary"),
    ("p", "rate"),
    ("bias", "use_bias"),
    ("bias", "center"),
    ("eps", "epsilon"),
    ("layer_norm_eps", "epsilon"),
    ("num_groups", "groups"),
    ("nhead", "num_heads"),
    ("dim_feedforward", "feed_forward"),
    ("out_channels", "filters"),
    ("stride", "strides"),
    ("kernel_size", "pool_size"),
    ("dilation_rate", "dilation"),
    ("target_shape", "shape"),
    ("alpha", "negative_slope"),
];
/// Settings of other libraries whose spelling is far from what they come close to.
const FOREIGN: &[(&str, &str)] = &[
    ("nonlinearity", "activation"),
    ("inputs", "input"),
    ("columns", "features"),
    ("affine", "scale"),
    ("elementwise_affine", "scale"),
    ("intermediate_dim", "feed_forward"),
    ("layer_norm_epsilon", "epsilon"),
    ("normalize_first", "norm_first"),
    ("negative_slope", "activation"),
    ("approximate", "activation"),
];
/// Settings of PyTorch's and Keras's that say what a layer reads.
const READ: &[&str] = &[
    "in_features",
    "in_channels",
    "input_size",
    "input_shape",
    "num_features",
    "num_channels",
    "normalized_shape",
    "d_model",
    "embed_dim",
];
/// Types that only Keras spells like this, whose leaky ReLU has another slope.
const OF_KERAS: &[&str] = &["Dense", "Conv1D", "Conv2D", "SimpleRNN", "Activation"];

/// The settings of a layer.
pub struct Settings<'a> {
    label: String,
    map: Cow<'a, Map<String, Value>>,
}

impl<'a> Settings<'a> {
    /// The settings in `map` of the layer that messages name `label`.
    pub(in crate::nn) fn new(label: String, map: &'a Map<String, Value>) -> Self {
        Settings {
            label,
            map: Cow::Borrowed(map),
        }
    }

    /// The layer's type as its user wrote it, in lower case.
    pub fn type_as_written(&self) -> String {
        self.map
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    }

    /// An error that names the layer.
    pub fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::layer(self.label.clone(), message, hint)
    }

    /// The error of a setting that must be given.
    pub fn missing(&self, setting: &str) -> Error {
        self.error(
            format!("needs \"{setting}\""),
            format!("Add \"{setting}\" to the layer."),
        )
    }

    /// Takes other libraries' names of the type's `own` settings for these, and refuses settings
    /// that are neither common nor the type's own.
    pub(in crate::nn) fn check_names(&mut self, own: &[&'static str]) -> Result<(), Error> {
        let slope = own.contains(&"activation").then_some("negative_slope");
        let known: Vec<&'static str> = own.iter().chain(&COMMON).copied().chain(slope).collect();
        for (theirs, ours) in SYNONYMS {
            if own.contains(theirs) || !(own.contains(ours) || slope == Some(*ours)) {
                continue;
            }
            let Some(value) = self.map.get(*theirs) else {
                continue;
            };
            if self.map.contains_key(*ours) {
                return Err(self.error(
                    format!("\"{theirs}\" and \"{ours}\" are one setting, given twice"),
                    format!("Leave \"{theirs}\" out."),
                ));
            }
            let value = value.clone();
            let map = self.map.to_mut();
            map.remove(*theirs);
            map.insert((*ours).to_owned(), value);
        }
        let Some(given) = { self.map.keys() }.find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        if READ.contains(&given.as_str()) {
            return Err(self.error(
                format!("\"{given}\" is no setting: it follows from what the layer reads"),
                format!("Leave \"{given}\" out."),
            ));
        }
        let meant = SYNONYMS
            .iter()
            .chain(FOREIGN)
            .find(|(foreign, ours)| foreign == given && known.contains(ours));
        Err(Error::UnknownSetting {
            layer: self.label.clone(),
            given: clip(given),
            nearest: meant
                .map(|(_, ours)| *ours)
                .or_else(|| nearest(given, known.iter().copied()))
                .map(str::to_owned),
            known: known.join(", "),
        })
    }

    /// The setting's value; an explicit null counts as absent, as in Keras's configurations.
    pub fn get(&self, setting: &str) -> Option<&Value> {
        self.map.get(setting).filter(|value| !value.is_null())
    }

    /// A size, from 1 on.
    pub fn count(&self, setting: &str) -> Result<Option<usize>, Error> {
        let hint = format!("Give \"{setting}\" as a number such as 64.");
        self.count_within(setting, 1..=MAX_UNITS, &hint)
    }

    /// A size within bounds of its own; `hint` says what does for most.
    pub fn count_within(
        &self,
        setting: &str,
        bounds: RangeInclusive<usize>,
        hint: &str,
    ) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let (least, most) = bounds.into_inner();
        let number = value.as_f64().unwrap_or(f64::NAN);
        if number.fract() == 0.0 && number >= least as f64 && number <= most as f64 {
            return Ok(Some(number as usize));
        }
        Err(self.error(
            format!("\"{setting}\" must be a whole number from {least} to {most}"),
            hint,
        ))
    }

    /// A size that must be given.
    pub fn required_count(&self, setting: &str) -> Result<usize, Error> {
        self.count(setting)?.ok_or_else(|| self.missing(setting))
    }

    /// True or false.
    pub fn flag(&self, setting: &str) -> Result<Option<bool>, Error> {
        match self.get(setting) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.error(
                format!("\"{setting}\" must be true or false"),
                format!("Give \"{setting}\" without quotes."),
            )),
        }
    }

    /// A share from 0 to below 1, such as dropout's.
    pub fn rate(&self, setting: &str) -> Result<Option<f32>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let rate = value.as_f64().unwrap_or(f64::NAN) as f32;
        if (0.0..1.0).contains(&rate) {
            return Ok(Some(rate));
        }
        Err(self.error(
            format!("\"{setting}\" must be a number from 0 to below 1"),
            format!("\"{setting}\" is the share of values set to zero, for example 0.2."),
        ))
    }

    /// A finite number from 0 on.
    pub fn not_negative(&self, setting: &str) -> Result<Option<f32>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let number = value.as_f64().unwrap_or(f64::NAN) as f32;
        if number >= 0.0 && number.is_finite() {
            return Ok(Some(number));
        }
        Err(self.error(
            format!("\"{setting}\" must be a number from 0 on"),
            format!("Give \"{setting}\" as such a number, for example 0.01."),
        ))
    }

    /// A number above 0.
    pub fn positive(&self, setting: &str) -> Result<Option<f32>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let number = value.as_f64().unwrap_or(f64::NAN) as f32;
        if number > 0.0 && number.is_finite() {
            return Ok(Some(number));
        }
        Err(self.error(
            format!("\"{setting}\" must be a number above 0"),
            format!("Give \"{setting}\" as such a number, or leave it out."),
        ))
    }

    /// One of some words, in any case; the place of the one that was given.
    pub fn choice(&self, setting: &str, words: &[&str]) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let given = value.as_str().unwrap_or_default();
        if let Some(place) = words
            .iter()
            .position(|word| word.eq_ignore_ascii_case(given))
        {
            return Ok(Some(place));
        }
        Err(self.error(
            format!("unknown {setting} \"{}\"", shown(value)),
            nearest::hint(given, words.iter().copied()),
        ))
    }

    /// Whole numbers from `least` on: one, or a list of `count` (one stands for all).
    pub fn sizes(
        &self,
        setting: &str,
        count: usize,
        least: usize,
    ) -> Result<Option<Vec<usize>>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let size = |value: &Value| {
            let number = value.as_f64().unwrap_or(f64::NAN);
            let whole = number.fract() == 0.0 && number >= least as f64;
            (whole && number <= MAX_UNITS as f64).then_some(number as usize)
        };
        let sizes = match value {
            Value::Array(list) if list.len() == count => list.iter().map(size).collect(),
            Value::Array(list) if list.len() == 1 => size(&list[0]).map(|one| vec![one; count]),
            Value::Array(_) => None,
            one => size(one).map(|one| vec![one; count]),
        };
        sizes.map(Some).ok_or_else(|| {
            let several = match count {
                1 => "a whole number".to_owned(),
                2 => "a whole number or a pair of them".to_owned(),
                _ => format!("a whole number or a list of {count}"),
            };
            self.error(
                format!("\"{setting}\" must be {several}, from {least} to {MAX_UNITS}"),
                format!("Give \"{setting}\" as such a number, or leave it out."),
            )
        })
    }

    /// An activation by its name; a leaky ReLU's slope is in `negative_slope`.
    ///
    /// # Errors
    /// A name that is no activation's, a slope that goes with none, or a layer that has Keras's name
    /// and a leaky ReLU without a slope, which is another one there.
    pub fn activation(&self) -> Result<Option<Activation>, Error> {
        self.activation_named("activation")
    }

    /// [`Settings::activation`] of another setting.
    pub fn activation_named(&self, setting: &str) -> Result<Option<Activation>, Error> {
        let Some(value) = self.get(setting) else {
            return self.with_slope(None);
        };
        let given = value.as_str().unwrap_or_default();
        if let Ok(activation) = Activation::parse(given) {
            return self.with_slope(Some(activation));
        }
        let known = Activation::ALL.map(Activation::name);
        Err(self.error(
            format!("unknown activation \"{}\"", shown(value)),
            nearest::hint(given, known),
        ))
    }

    fn with_slope(&self, activation: Option<Activation>) -> Result<Option<Activation>, Error> {
        let slope = self.not_negative("negative_slope")?;
        match (activation, slope) {
            (Some(Activation::LeakyRelu(_)), Some(slope)) => Ok(Some(Activation::LeakyRelu(slope))),
            (Some(Activation::LeakyRelu(_)), None) => {
                let written = self.map.get("type").and_then(Value::as_str);
                match written.is_some_and(|written| OF_KERAS.contains(&written)) {
                    true => Err(self.slope_is_open("0.2")),
                    false => Ok(activation),
                }
            }
            (_, Some(_)) => Err(self.error(
                "\"negative_slope\" goes with the activation leaky_relu",
                "Leave it out, or set \"activation\": \"leaky_relu\".",
            )),
            (_, None) => Ok(activation),
        }
    }

    /// The activation that a layer is whose type is the activation's class (`ReLU`, `LeakyReLU`),
    /// with the settings that the class has.
    ///
    /// # Errors
    /// A `LeakyReLU` without a slope, whose default depends on the library, or a wrong setting.
    pub(in crate::nn) fn activation_of_class(
        &self,
        class: Activation,
    ) -> Result<Activation, Error> {
        match class {
            Activation::LeakyRelu(_) => match self.not_negative("negative_slope")? {
                Some(slope) => Ok(Activation::LeakyRelu(slope)),
                None if self.type_as_written().contains('_') => Ok(class),
                None => Err(self.slope_is_open("0.3")),
            },
            Activation::Gelu => match self.get("approximate") {
                None | Some(Value::Bool(false)) => Ok(class),
                Some(Value::Bool(true)) => Ok(Activation::GeluTanh),
                Some(_) => Ok(match self.choice("approximate", &["none", "tanh"])? {
                    Some(1) => Activation::GeluTanh,
                    _ => class,
                }),
            },
            _ => Ok(class),
        }
    }

    fn slope_is_open(&self, keras: &str) -> Error {
        self.error(
            format!(
                "needs \"negative_slope\", which is {LEAKY_RELU_SLOPE} in PyTorch and {keras} in \
                 Keras where nothing is said"
            ),
            format!("Add \"negative_slope\": {LEAKY_RELU_SLOPE}, or {keras}, to the layer."),
        )
    }

    /// Writes an activation as [`Settings::activation`] reads it.
    pub(in crate::nn) fn write_activation(
        activation: Activation,
        settings: &mut Map<String, Value>,
    ) {
        settings.insert("activation".into(), activation.name().into());
        match activation {
            Activation::LeakyRelu(slope) if slope != LEAKY_RELU_SLOPE => {
                settings.insert("negative_slope".into(), shortest(slope).into());
            }
            _ => {}
        }
    }

    /// An initializer by its name.
    pub fn initializer(&self, setting: &str) -> Result<Option<Initializer>, Error> {
        let Some(value) = self.get(setting) else {
            return Ok(None);
        };
        let given = value.as_str().unwrap_or_default();
        if let Some(initializer) = Initializer::parse(given) {
            return Ok(Some(initializer));
        }
        let known = Initializer::ALL.map(Initializer::name);
        Err(self.error(
            format!("unknown {setting} \"{}\"", shown(value)),
            nearest::hint(given, known),
        ))
    }

    /// A list of names.
    pub fn names(&self, setting: &str) -> Result<Option<Vec<String>>, Error> {
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
}

/// A user's text, cut to what a message can carry.
pub(in crate::nn) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A value as messages show it, cut.
fn shown(value: &Value) -> String {
    match value.as_str() {
        Some(text) => clip(text),
        None => clip(&value.to_string()),
    }
}

/// The shortest decimal that reads back as this f32, not its expansion as f64.
pub(in crate::nn) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

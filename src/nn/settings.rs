//! A layer's JSON object, read setting by setting, each fault named with its layer.

use serde_json::{Map, Value};

use super::activation::Activation;
use super::architecture::DenseSpec;
use super::architecture_parse::{MAX_UNITS, clip};
use super::error::{Error, nearest};
use super::initializer::Initializer;

/// Settings that every layer has.
const COMMON: [&str; 4] = ["type", "name", "input", "trainable"];
/// Settings of other libraries, whose spelling is far from ours.
const FOREIGN: &[(&str, &str)] = &[
    ("out_features", "units"),
    ("hidden_size", "units"),
    ("nonlinearity", "activation"),
    ("embedding_dim", "units"),
    ("output_dim", "units"),
    ("num_embeddings", "vocabulary"),
    ("input_dim", "vocabulary"),
    ("p", "rate"),
    ("bias", "use_bias"),
    ("inputs", "input"),
    ("columns", "features"),
    ("eps", "epsilon"),
    ("layer_norm_eps", "epsilon"),
    ("affine", "scale"),
    ("elementwise_affine", "scale"),
    ("bias", "center"),
    ("num_groups", "groups"),
    ("nhead", "num_heads"),
    ("dim_feedforward", "feed_forward"),
    ("intermediate_dim", "feed_forward"),
    ("layer_norm_epsilon", "epsilon"),
    ("normalize_first", "norm_first"),
    ("out_channels", "filters"),
    ("stride", "strides"),
    ("kernel_size", "pool_size"),
    ("dilation_rate", "dilation"),
    ("target_shape", "shape"),
];

/// The settings of a layer.
pub struct Settings<'a> {
    label: String,
    map: &'a Map<String, Value>,
}

impl<'a> Settings<'a> {
    /// The settings in `map` of the layer that messages name `label`.
    pub(super) fn new(label: String, map: &'a Map<String, Value>) -> Self {
        Settings { label, map }
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

    /// Refuses settings that are neither common nor the type's `own`.
    pub(super) fn check_names(&self, own: &[&'static str]) -> Result<(), Error> {
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
    pub fn get(&self, setting: &str) -> Option<&Value> {
        self.map.get(setting).filter(|value| !value.is_null())
    }

    /// A size, from 1 on.
    pub fn count(&self, setting: &str) -> Result<Option<usize>, Error> {
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
            format!(
                "unknown {setting} \"{}\", the nearest is \"{}\"",
                clip(value.as_str().map_or(&value.to_string(), |text| text)),
                nearest(given, words.iter().copied())
            ),
            format!("Known are {}.", words.join(", ")),
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

    /// An activation by its name.
    pub fn activation(&self) -> Result<Option<Activation>, Error> {
        self.activation_named("activation")
    }

    /// [`Settings::activation`] of another setting.
    pub fn activation_named(&self, setting: &str) -> Result<Option<Activation>, Error> {
        let Some(value) = self.get(setting) else {
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
            format!(
                "unknown {setting} \"{}\", the nearest is \"{}\"",
                clip(value.as_str().map_or(&value.to_string(), |text| text)),
                nearest(given, known)
            ),
            format!("Known initializers are {}.", known.join(", ")),
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

    /// The settings of a dense layer.
    pub fn dense(&self, needs_units: bool) -> Result<DenseSpec, Error> {
        let units = self.count("units")?;
        if needs_units && units.is_none() {
            return Err(self.missing("units"));
        }
        Ok(DenseSpec {
            units,
            activation: self.activation()?,
            use_bias: self.flag("use_bias")?.unwrap_or(true),
            kernel_initializer: self.initializer("kernel_initializer")?,
            bias_initializer: self.initializer("bias_initializer")?,
        })
    }
}

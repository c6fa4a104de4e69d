//! What the `features` argument asks of columns that hold many numbers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::image::{Geometry, check_shape};
use super::request::{bad, clip_setting, known_settings, scale_setting};
use super::{Column, DEFAULT_SCALE, Error, Origin, Scale, Treatment};

/// Most inputs that one column may have.
pub const MAX_INPUTS: usize = 1 << 20;
/// Longest vector of a column, each of whose numbers has a scale of its own.
pub const MAX_VECTOR: usize = 1 << 16;

/// How a vector is treated: each of its numbers by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSettings {
    /// The scaling.
    pub scale: Scale,
    /// Where far values level off, in scaled units; `None`: they do not.
    pub clip: Option<f64>,
    /// How many numbers it has; `None`: as many as in the first row.
    pub length: Option<usize>,
}

/// How an image is treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageSettings {
    /// How the images lie, and what part of them is seen.
    pub geometry: Geometry,
    /// What values are divided by; `None`: 255 for bytes, and for arrays the largest absolute
    /// value of the training rows.
    pub scale: Option<f64>,
    /// What is then subtracted, one number or one a channel.
    pub mean: ChannelStatistic,
    /// What is then divided by, one number or one a channel.
    pub std: ChannelStatistic,
    /// How images are varied at random while training.
    pub augment: Option<Augment>,
}

/// A statistic of each channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ChannelStatistic {
    /// None is taken.
    #[default]
    None,
    /// That of the training rows.
    Fit,
    /// One number, or one a channel.
    Given(Vec<f64>),
}

/// How images are varied at random while training, each time another way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Whether half of the images are mirrored left to right.
    #[serde(default)]
    pub horizontal: bool,
    /// Whether half of the images are mirrored top to bottom.
    #[serde(default)]
    pub vertical: bool,
    /// Black pixels that are put around the image before a piece of its size is cut out.
    #[serde(default)]
    pub crop: usize,
    /// How far the image moves at most: pixels, or a share of its sides when less than 1.
    #[serde(default)]
    pub shift: f64,
}

impl Augment {
    /// Most pixels that an image moves up or down, and sideways.
    pub fn reach(&self, height: usize, width: usize) -> [usize; 2] {
        [height, width].map(|side| {
            let shift = if self.shift < 1.0 {
                self.shift * side as f64
            } else {
                self.shift
            };
            (self.crop + shift.round() as usize).min(side)
        })
    }
}

/// How a sequence is treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SequenceSettings {
    /// Most steps that are kept, the last ones; `None`: as many as the longest training row has,
    /// at most [`DEFAULT_STEPS`](super::DEFAULT_STEPS).
    pub length: Option<usize>,
    /// How many numbers a step has; `None`: as many as in the first row.
    pub features: Option<usize>,
    /// The scaling of each feature over all steps; `None`: standard.
    pub scale: Option<Scale>,
    /// Where far values level off, in scaled units; `None`: they do not.
    pub clip: Option<f64>,
    /// Of tokens, which an embedding reads: they are below this number; `None`: as the training
    /// rows have them.
    pub vocabulary: Option<usize>,
}

impl Default for VectorSettings {
    fn default() -> Self {
        VectorSettings {
            scale: DEFAULT_SCALE,
            clip: super::request::default_clip(DEFAULT_SCALE),
            length: None,
        }
    }
}

/// Understands the settings of the treatments for arrays; `None` for another treatment.
pub(super) fn array_treatment(
    name: &str,
    settings: &Map<String, Value>,
    column: &Column,
) -> Option<Result<Treatment, Error>> {
    let numbers = matches!(column.origin, Origin::NumberArray | Origin::BooleanArray);
    Some(match name {
        "vector" if numbers => vector(settings, column).map(Treatment::Vector),
        "image" if numbers || column.origin == Origin::Bytes => {
            image(settings, column).map(Treatment::Image)
        }
        "sequence" if numbers => sequence(settings, column).map(Treatment::Sequence),
        _ => return None,
    })
}

fn vector(settings: &Map<String, Value>, column: &Column) -> Result<VectorSettings, Error> {
    known_settings(settings, column, &["type", "scale", "clip", "length"])?;
    let scale = scale_setting(settings, column)?.unwrap_or(DEFAULT_SCALE);
    Ok(VectorSettings {
        scale,
        clip: clip_setting(settings, column, scale)?,
        length: whole(settings, column, "length", MAX_VECTOR)?,
    })
}

fn sequence(settings: &Map<String, Value>, column: &Column) -> Result<SequenceSettings, Error> {
    let known = ["type", "length", "features", "scale", "clip", "vocabulary"];
    known_settings(settings, column, &known)?;
    let scale = scale_setting(settings, column)?;
    Ok(SequenceSettings {
        length: whole(settings, column, "length", MAX_INPUTS)?,
        features: whole(settings, column, "features", MAX_INPUTS)?,
        scale,
        clip: clip_setting(settings, column, scale.unwrap_or(Scale::Standard))?,
        vocabulary: whole(settings, column, "vocabulary", MAX_TOKENS)?,
    })
}

/// Most different tokens: those that an f32 tells apart.
pub const MAX_TOKENS: usize = 1 << 24;

fn image(settings: &Map<String, Value>, column: &Column) -> Result<ImageSettings, Error> {
    let known = [
        "type",
        "shape",
        "data_format",
        "resize",
        "crop",
        "scale",
        "mean",
        "std",
        "augment",
    ];
    known_settings(settings, column, &known)?;
    let shape = match settings.get("shape") {
        None => None,
        Some(value) => match sizes::<3>(value) {
            Some(shape) => Some(shape),
            None => match sizes::<2>(value) {
                Some([height, width]) => Some([1, height, width]),
                None => {
                    let wanted = "channels, height and width, such as [1, 28, 28]";
                    return Err(bad(column, "shape", value, wanted));
                }
            },
        },
    };
    if let Some(shape) = shape {
        check_shape(&column.name, shape)?;
    }
    let channels_last = match settings.get("data_format").map(Value::as_str) {
        None => false,
        Some(Some("channels_first")) => false,
        Some(Some("channels_last")) => true,
        Some(_) => {
            let wanted = "\"channels_first\" or \"channels_last\"";
            return Err(bad(column, "data_format", &settings["data_format"], wanted));
        }
    };
    let scale = match settings.get("scale") {
        None => None,
        Some(Value::String(name)) if name.eq_ignore_ascii_case("none") => Some(1.0),
        Some(value) => match value
            .as_f64()
            .filter(|scale| (1e-30..=1e30).contains(scale))
        {
            Some(scale) => Some(scale),
            None => {
                let wanted = "the number that values are divided by, such as 255, or \"none\"";
                return Err(bad(column, "scale", value, wanted));
            }
        },
    };
    let std = statistic(settings, column, "std", |value| value > 1e-30)?;
    Ok(ImageSettings {
        geometry: Geometry {
            shape,
            channels_last,
            resize: pair(settings, column, "resize")?,
            crop: pair(settings, column, "crop")?,
        },
        scale,
        mean: statistic(settings, column, "mean", |_| true)?,
        std,
        augment: augment(settings, column)?,
    })
}

fn statistic(
    settings: &Map<String, Value>,
    column: &Column,
    name: &str,
    allowed: impl Fn(f64) -> bool,
) -> Result<ChannelStatistic, Error> {
    let number = |value: &Value| {
        value
            .as_f64()
            .filter(|&value| value.abs() <= 1e30 && allowed(value))
    };
    let given = match settings.get(name) {
        None | Some(Value::Null) => return Ok(ChannelStatistic::None),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("fit") => {
            return Ok(ChannelStatistic::Fit);
        }
        Some(Value::Array(list)) => list.iter().map(number).collect::<Option<Vec<f64>>>(),
        Some(value) => number(value).map(|value| vec![value]),
    };
    match given {
        Some(given) if !given.is_empty() => Ok(ChannelStatistic::Given(given)),
        _ => {
            let wanted = if name == "std" {
                "a number above 0, a list of one a channel, or \"fit\""
            } else {
                "a number, a list of one a channel, or \"fit\""
            };
            Err(bad(column, name, &settings[name], wanted))
        }
    }
}

fn augment(settings: &Map<String, Value>, column: &Column) -> Result<Option<Augment>, Error> {
    let Some(value) = settings.get("augment") else {
        return Ok(None);
    };
    let wanted = "an object such as {\"flip\": true, \"crop\": 4, \"shift\": 0.1}";
    let Value::Object(given) = value else {
        return Err(bad(column, "augment", value, wanted));
    };
    known_settings(given, column, &["flip", "crop", "shift"])?;
    let mut augment = Augment::default();
    match given.get("flip") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) => augment.horizontal = true,
        Some(Value::String(name)) if name.eq_ignore_ascii_case("horizontal") => {
            augment.horizontal = true;
        }
        Some(Value::String(name)) if name.eq_ignore_ascii_case("vertical") => {
            augment.vertical = true;
        }
        Some(Value::String(name)) if name.eq_ignore_ascii_case("both") => {
            (augment.horizontal, augment.vertical) = (true, true);
        }
        Some(other) => {
            let wanted = "true, false, \"horizontal\", \"vertical\" or \"both\"";
            return Err(bad(column, "flip", other, wanted));
        }
    }
    if let Some(value) = given.get("crop") {
        augment.crop = match value.as_u64().filter(|&pixels| pixels <= MAX_INPUTS as u64) {
            Some(pixels) => pixels as usize,
            None => return Err(bad(column, "crop", value, "a number of pixels")),
        };
    }
    if let Some(value) = given.get("shift") {
        let allowed = |shift: &f64| (0.0..=MAX_INPUTS as f64).contains(shift);
        augment.shift = match value.as_f64().filter(allowed) {
            Some(shift) => shift,
            None => {
                let wanted = "a number of pixels, or a share of the image's sides below 1";
                return Err(bad(column, "shift", value, wanted));
            }
        };
    }
    Ok(Some(augment))
}

fn sizes<const N: usize>(value: &Value) -> Option<[usize; N]> {
    let list = value.as_array()?;
    let sizes: Vec<usize> = list
        .iter()
        .filter_map(Value::as_u64)
        .filter(|size| (1..=MAX_INPUTS as u64).contains(size))
        .map(|size| size as usize)
        .collect();
    if sizes.len() != list.len() {
        return None;
    }
    let product = sizes.iter().try_fold(1_usize, |a, b| a.checked_mul(*b))?;
    <[usize; N]>::try_from(sizes)
        .ok()
        .filter(|_| product <= MAX_INPUTS)
}

/// Height and width, given as a pair or, of a square, as one number.
fn pair(
    settings: &Map<String, Value>,
    column: &Column,
    name: &str,
) -> Result<Option<[usize; 2]>, Error> {
    let Some(value) = settings.get(name) else {
        return Ok(None);
    };
    let square = value
        .as_u64()
        .filter(|side| (1..=1024).contains(side))
        .map(|side| [side as usize; 2]);
    match square.or_else(|| sizes(value)) {
        Some(pair) => Ok(Some(pair)),
        None => Err(bad(
            column,
            name,
            value,
            "height and width, such as [32, 32]",
        )),
    }
}

fn whole(
    settings: &Map<String, Value>,
    column: &Column,
    name: &str,
    most: usize,
) -> Result<Option<usize>, Error> {
    let Some(value) = settings.get(name) else {
        return Ok(None);
    };
    match value.as_u64().filter(|n| (1..=most as u64).contains(n)) {
        Some(n) => Ok(Some(n as usize)),
        None => Err(bad(
            column,
            name,
            value,
            &format!("a number from 1 to {most}"),
        )),
    }
}

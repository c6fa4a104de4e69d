//! What is asked of an image, read from JSON and fitted.

use serde_json::{Map, Value};

use super::fitted::{Augment, Image, TREATMENT};
use super::geometry::{Geometry, check_shape, stored_shape};
use super::intake::ImageIntake;
use crate::features::arrays::{check_inputs, elements, own_settings};
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::error::Error;
use crate::features::gather::part::wrong_kind;
use crate::features::rows::elements::Place;
use crate::features::settings::{bad, known_settings};
use crate::features::treatment::{Asked, MAX_INPUTS, Site, Told};
use crate::json_number;
use crate::nn::Rank;

/// What a message says of a shape that is wrong or missing.
const SHAPE: &str = "channels, height and width, such as [1, 28, 28]";

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

impl Asked for ImageSettings {
    type Learnt = Image;
    type Intake = Box<ImageIntake>;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
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
                        return Err(bad(column, "shape", value, SHAPE));
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

    /// Numbers are taken as they come, bytes divided by 255, unless the settings say otherwise; there
    /// must be a `shape`.
    fn told(told: &Told<'_>) -> Result<Image, Error> {
        let column = told.column;
        let name = &column.name;
        let asked = ImageSettings::read(&own_settings(told, &TREATMENT, false)?, column)?;
        let Some(shape) = asked.geometry.shape else {
            return Err(bad(column, "shape", &Value::Null, SHAPE));
        };
        check_shape(name, shape)?;
        let given = |statistic, key: &str| match statistic {
            ChannelStatistic::None => Ok(Vec::new()),
            ChannelStatistic::Given(values) if values.len() == 1 || values.len() == shape[0] => {
                Ok(values)
            }
            _ => Err(Error::invalid(format!(
                "setting \"{key}\" of column \"{name}\" must be a number, or one for each of {} \
                 channels",
                shape[0]
            ))
            .with_hint("There are no rows to fit it on.")),
        };
        Ok(Image {
            geometry: asked.geometry,
            scale: asked.scale.unwrap_or(match column.origin {
                Origin::Bytes => 255.0,
                _ => 1.0,
            }),
            mean: given(asked.mean, "mean")?,
            std: given(asked.std, "std")?,
            augment: asked.augment,
        })
    }

    fn fit(&self, site: &Site<'_>) -> Result<Image, Error> {
        let column = site.column;
        let Some((
            elements,
            ArrayShape::Image {
                channels,
                height,
                width,
            },
        )) = elements(site)?
        else {
            return Err(wrong_kind(column));
        };
        let inputs = channels.saturating_mul(height).saturating_mul(width);
        check_inputs(column, inputs, MAX_INPUTS)?;
        let largest = elements
            .places()
            .map(|(place, _)| place.high.max(-place.low))
            .fold(0.0, f64::max);
        let scale = self.scale.unwrap_or(match column.origin {
            Origin::Bytes => 255.0,
            _ if largest > 1.0 => largest,
            _ => 1.0,
        });
        let statistic = |wanted: &ChannelStatistic, name: &str, of: &dyn Fn(&Place) -> f64| {
            Ok(match wanted {
                ChannelStatistic::None => Vec::new(),
                ChannelStatistic::Fit => elements
                    .places()
                    .map(|(place, _)| of(place) / scale)
                    .collect(),
                ChannelStatistic::Given(values)
                    if values.len() != 1 && values.len() != channels =>
                {
                    return Err(Error::invalid(format!(
                        "setting \"{name}\" of column \"{}\" has {} numbers, but the images have \
                         {channels} channels",
                        column.name,
                        values.len()
                    ))
                    .with_hint("Give one number, or one a channel."));
                }
                ChannelStatistic::Given(values) => values.clone(),
            })
        };
        Ok(Image {
            mean: statistic(&self.mean, "mean", &Place::mean)?,
            std: statistic(&self.std, "std", &|place| {
                // A channel without variation keeps its values.
                let deviation = place.deviation() / scale;
                if deviation > 1e-12 {
                    deviation * scale
                } else {
                    scale
                }
            })?,
            geometry: Geometry {
                shape: stored_shape(column),
                ..self.geometry.clone()
            },
            scale,
            augment: self.augment,
        })
    }

    fn intake(&self, memory: usize) -> Box<ImageIntake> {
        Box::new(ImageIntake::new(self.geometry.clone(), memory))
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Array
    }

    fn rank(&self) -> Rank {
        Rank::Image
    }

    fn seen_shape(&self, column: &Column) -> Option<ArrayShape> {
        match stored_shape(column) {
            Some(shape) => Some(ArrayShape::image(self.geometry.output(shape))),
            None => column.shape,
        }
    }
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
        augment.crop = match json_number::whole(value).filter(|&pixels| pixels <= MAX_INPUTS as u64)
        {
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
        .filter_map(json_number::whole)
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
    let square = json_number::whole(value)
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

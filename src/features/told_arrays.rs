//! Features of many numbers that are told rather than fitted: those of a network that was trained
//! elsewhere.

use serde_json::{Map, Value};

use super::image::check_shape;
use super::request::bad;
use super::request_arrays::{MAX_INPUTS, MAX_TOKENS, MAX_VECTOR, array_treatment};
use super::{
    ChannelStatistic, Column, Error, Fitted, ImageSettings, Origin, Precision, Scale, Tokens,
    Treatment,
};

/// How many deviations from the mean an infinity counts as.
const FAR: f64 = 1e6;

impl Fitted {
    /// The treatment `vector`, `image` or `sequence` of a column as an object describes it; `None`
    /// for another treatment, or a column that cannot have this one.
    ///
    /// Numbers are taken as they come, bytes divided by 255, unless `scale`, `mean` or `std` say
    /// otherwise. A vector needs its `length`, an image its `shape`, a sequence its `length` and,
    /// unless it is 1, its `features`; one that an embedding reads needs a `vocabulary`, which is
    /// that of the embedding (`embedded`) where the layer says it.
    ///
    /// # Errors
    /// A setting that is unknown, wrong or missing.
    pub fn told_array(
        treatment: &str,
        settings: &Map<String, Value>,
        column: &Column,
        embedded: Option<Option<usize>>,
    ) -> Option<Result<Fitted, Error>> {
        // What says which feature it is, and the numbers that stand for what would be fitted.
        let mut own = settings.clone();
        let mut apart = vec!["name", "sql_type", "type"];
        if treatment != "image" {
            apart.extend(["mean", "std"]);
        }
        own.retain(|key, _| !apart.contains(&key.as_str()));
        let fitted = ["scale", "clip"]
            .into_iter()
            .find_map(|key| Some((key, own.get(key)?)));
        if let (Some((key, value)), true) = (fitted, treatment != "image") {
            let wanted = "no value: there are no rows to fit it on; give \"mean\" and \"std\"";
            return Some(Err(bad(column, key, value, wanted)));
        }
        let requested = match array_treatment(treatment, &own, column)? {
            Ok(requested) => requested,
            Err(error) => return Some(Err(error)),
        };
        Some(match requested {
            Treatment::Vector(vector) => needed(vector.length, "length", MAX_VECTOR, column)
                .and_then(|length| {
                    let (center, divisor) = lines(settings, length, column)?;
                    let far = |sign: f64| -> Vec<f64> {
                        let pairs = center.iter().zip(&divisor);
                        pairs.map(|(c, d)| c + sign * FAR * d).collect()
                    };
                    let (low, high) = (far(-1.0), far(1.0));
                    Ok(Fitted::Vector {
                        scale: scale(settings),
                        missing: center.clone(),
                        low,
                        high,
                        center,
                        divisor,
                        clip: None,
                        precision: Precision::Double,
                    })
                }),
            Treatment::Image(image) => told_image(image, column),
            Treatment::Sequence(sequence) => needed(sequence.length, "length", MAX_INPUTS, column)
                .and_then(|length| {
                    let features = sequence.features.unwrap_or(1);
                    let (center, divisor) = lines(settings, features, column)?;
                    let tokens = match embedded {
                        None => None,
                        Some(vocabulary) => {
                            let known = vocabulary.or(sequence.vocabulary);
                            let known = needed(known, "vocabulary", MAX_TOKENS, column)?;
                            Some(Tokens {
                                known,
                                other: false,
                            })
                        }
                    };
                    Ok(Fitted::Sequence {
                        length,
                        features,
                        scale: scale(settings),
                        center,
                        divisor,
                        clip: None,
                        precision: Precision::Double,
                        tokens,
                    })
                }),
            _ => return None,
        })
    }
}

fn told_image(settings: ImageSettings, column: &Column) -> Result<Fitted, Error> {
    let name = &column.name;
    let Some(shape) = settings.geometry.shape else {
        return Err(bad(
            column,
            "shape",
            &Value::Null,
            "channels, height and width, such as [1, 28, 28]",
        ));
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
    Ok(Fitted::Image {
        geometry: settings.geometry,
        scale: settings.scale.unwrap_or(match column.origin {
            Origin::Bytes => 255.0,
            _ => 1.0,
        }),
        mean: given(settings.mean, "mean")?,
        std: given(settings.std, "std")?,
        augment: settings.augment,
    })
}

fn scale(settings: &Map<String, Value>) -> Scale {
    match settings.contains_key("mean") || settings.contains_key("std") {
        true => Scale::Standard,
        false => Scale::None,
    }
}

fn needed(
    value: Option<usize>,
    setting: &str,
    most: usize,
    column: &Column,
) -> Result<usize, Error> {
    value.ok_or_else(|| {
        let what = match setting {
            "length" => {
                "It is the number of elements of a vector, and of a sequence the most steps that a \
                         call gives; longer ones are cut to the newest."
            }
            _ => "It is how many whole numbers, from 0 on, the embedding has vectors for.",
        };
        Error::invalid(format!(
            "feature \"{}\" needs \"{setting}\", a number from 1 to {most}",
            column.name
        ))
        .with_hint(what)
    })
}

/// What is subtracted and divided by: none, one number, or one for each of `count`.
fn lines(
    settings: &Map<String, Value>,
    count: usize,
    column: &Column,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let numbers = |key: &str, none: f64, allowed: fn(f64) -> bool| {
        let number = |value: &Value| value.as_f64().filter(|&x| x.abs() <= 1e30 && allowed(x));
        let given = match settings.get(key) {
            None | Some(Value::Null) => return Ok(vec![none; count]),
            Some(Value::Array(list)) if list.len() == count => {
                list.iter().map(number).collect::<Option<Vec<f64>>>()
            }
            Some(value) => number(value).map(|number| vec![number; count]),
        };
        given.ok_or_else(|| {
            let wanted = format!("a number, or a list of {count}");
            bad(column, key, &settings[key], &wanted)
        })
    };
    Ok((
        numbers("mean", 0.0, |_| true)?,
        numbers("std", 1.0, |x| x > 1e-30)?,
    ))
}

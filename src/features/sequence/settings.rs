//! What is asked of a sequence, read from JSON and fitted.

use serde_json::{Map, Value};

use super::encode::Tokens;
use super::fitted::{MAX_TOKENS, Sequence, TREATMENT};
use super::instance::Instance;
use super::intake::SequenceIntake;
use crate::features::arrays::{
    check_inputs, elements, lines, location, needed, own_settings, told_scale,
};
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::error::{Error, unknown};
use crate::features::gather::part::wrong_kind;
use crate::features::rows::elements::Elements;
use crate::features::rows::sequences::DEFAULT_STEPS;
use crate::features::scales::lanes::Precision;
use crate::features::scales::rule::Scale;
use crate::features::settings::{bad, clip_setting, known_settings, scale_setting, whole};
use crate::features::treatment::{Asked, MAX_INPUTS, Site, Told};
use crate::nn::Rank;

/// How a sequence is treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SequenceSettings {
    /// Most steps that are kept, the last ones; `None`: as many as the longest training row has,
    /// at most [`DEFAULT_STEPS`].
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
    /// Whether each sequence is normalised by itself; `None`: as the held-out loss has it.
    pub normalize: Option<bool>,
    /// Whether outputs are turned back by it; `None`: those of a regression are.
    pub denormalize: Option<Denormalize>,
}

/// Whether the outputs of a regression are turned back by a sequence that is normalised by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denormalize {
    /// They are not.
    No,
    /// By the only number of its steps.
    Yes,
    /// By this of a step's numbers, counted from 0.
    By(usize),
}

impl Asked for SequenceSettings {
    type Learnt = Sequence;
    type Intake = SequenceIntake;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
        let known = [
            "type",
            "length",
            "features",
            "scale",
            "clip",
            "vocabulary",
            "normalize",
            "denormalize",
        ];
        known_settings(settings, column, &known)?;
        let (normalize, denormalize) = instance_settings(settings, column)?;
        let scale = scale_setting(settings, column)?;
        Ok(SequenceSettings {
            length: whole(settings, column, "length", 1..=MAX_INPUTS)?,
            features: whole(settings, column, "features", 1..=MAX_INPUTS)?,
            scale,
            clip: clip_setting(settings, column, scale.unwrap_or(Scale::Standard))?,
            vocabulary: whole(settings, column, "vocabulary", 1..=MAX_TOKENS)?,
            normalize,
            denormalize,
        })
    }

    /// Numbers are taken as they come unless `mean` or `std` say otherwise; there must be a `length`
    /// and, where an embedding reads them that says no vocabulary, a `vocabulary`.
    fn told(told: &Told<'_>) -> Result<Sequence, Error> {
        let column = told.column;
        let asked = SequenceSettings::read(&own_settings(told, &TREATMENT, true)?, column)?;
        if asked.normalize == Some(true) {
            return Err(Error::invalid(format!(
                "setting \"normalize\" of column \"{}\" goes with a training",
                column.name
            ))
            .with_hint("Leave it out, and import the network that reads the normalised numbers."));
        }
        let length = needed(asked.length, "length", MAX_INPUTS, column)?;
        let features = asked.features.unwrap_or(1);
        let (center, divisor) = lines(told.settings, features, column)?;
        let tokens = match told.embedded {
            None => None,
            Some(vocabulary) => Some(Tokens {
                known: needed(
                    vocabulary.or(asked.vocabulary),
                    "vocabulary",
                    MAX_TOKENS,
                    column,
                )?,
                other: false,
            }),
        };
        Ok(Sequence {
            length,
            features,
            scale: told_scale(told.settings),
            center,
            divisor,
            clip: None,
            precision: Precision::Double,
            tokens,
            instance: None,
        })
    }

    fn fit(&self, site: &Site<'_>) -> Result<Sequence, Error> {
        let column = site.column;
        let Some((elements, ArrayShape::Sequence { features })) = elements(site)? else {
            return Err(wrong_kind(column));
        };
        let length = self
            .length
            .unwrap_or_else(|| elements.longest.clamp(1, DEFAULT_STEPS));
        check_inputs(column, length.saturating_mul(features), MAX_INPUTS - 1)?;
        if site.embedded {
            if self.normalize == Some(true) {
                return Err(Error::invalid(format!(
                    "setting \"normalize\" of column \"{}\" goes with numbers, and an embedding \
                     reads tokens",
                    column.name
                ))
                .with_hint("Leave it out."));
            }
            if features != 1 {
                return Err(Error::type_mismatch(
                    format!(
                        "the sequences of column \"{}\" have {features} numbers a step and cannot \
                         be embedded",
                        column.name
                    ),
                    "An embedding reads one token a step: an array of whole numbers.",
                ));
            }
            return Ok(Sequence {
                length,
                features,
                scale: Scale::None,
                center: vec![0.0],
                divisor: vec![1.0],
                clip: None,
                precision: Precision::Double,
                tokens: Some(tokens(self.vocabulary, elements, column)?),
                instance: None,
            });
        }
        if self.vocabulary.is_some() {
            return Err(Error::invalid(format!(
                "setting \"vocabulary\" of column \"{}\" goes with an embedding layer",
                column.name
            ))
            .with_hint("Leave it out, or let a layer of type embedding read the column."));
        }
        let scale = self.scale.unwrap_or(Scale::Standard);
        let (center, divisor) = elements
            .places()
            .map(|(place, sorted)| location(scale, place, sorted))
            .unzip();
        Ok(Sequence {
            length,
            features,
            scale,
            center,
            divisor,
            clip: self.clip,
            precision: Precision::Double,
            tokens: None,
            instance: (self.normalize == Some(true)).then(Instance::default),
        })
    }

    fn intake(&self, _memory: usize) -> SequenceIntake {
        SequenceIntake {
            features: self.features,
            keep: self.length.unwrap_or(DEFAULT_STEPS),
        }
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Array
    }

    fn rank(&self) -> Rank {
        Rank::Sequence
    }

    fn is_scaled_array(&self) -> bool {
        true
    }

    fn set_vocabulary(&mut self, vocabulary: usize) {
        self.vocabulary = Some(vocabulary);
    }
}

/// The settings of each sequence's own normalisation.
fn instance_settings(
    settings: &Map<String, Value>,
    column: &Column,
) -> Result<(Option<bool>, Option<Denormalize>), Error> {
    const NAMES: [&str; 2] = ["instance", "none"];
    let normalize = match settings.get("normalize") {
        None => None,
        Some(Value::String(name)) => match name.to_ascii_lowercase().as_str() {
            "instance" => Some(true),
            "none" => Some(false),
            _ => return Err(unknown("normalize", name, NAMES)),
        },
        Some(other) => {
            return Err(bad(column, "normalize", other, "\"instance\" or \"none\""));
        }
    };
    let denormalize = match settings.get("denormalize") {
        None => None,
        Some(Value::Bool(false)) => Some(Denormalize::No),
        Some(Value::Bool(true)) => Some(Denormalize::Yes),
        Some(_) => whole(settings, column, "denormalize", 1..=MAX_INPUTS)
            .map_err(|_| {
                let wanted = "true, false, or the place of the number in a step, from 1";
                bad(column, "denormalize", &settings["denormalize"], wanted)
            })?
            .map(|place| Denormalize::By(place - 1)),
    };
    if denormalize.is_some() && normalize != Some(true) {
        return Err(Error::invalid(format!(
            "setting \"denormalize\" of column \"{}\" goes with \"normalize\": \"instance\"",
            column.name
        ))
        .with_hint("Set both, or leave it out."));
    }
    Ok((normalize, denormalize))
}

/// The tokens of an embedding that knows so many; else those up to the largest training one.
fn tokens(
    vocabulary: Option<usize>,
    elements: &Elements,
    column: &Column,
) -> Result<Tokens, Error> {
    if let Some(known) = vocabulary {
        return Ok(Tokens {
            known,
            other: false,
        });
    }
    let largest = elements.places().map(|(place, _)| place.high).next();
    let largest = largest.filter(|value| value.is_finite()).unwrap_or(0.0);
    let known = largest.max(0.0) as usize + 1;
    if known >= MAX_TOKENS {
        return Err(Error::invalid(format!(
            "column \"{}\" has the token {largest}, and at most {MAX_TOKENS} different ones are \
             possible",
            column.name
        ))
        .with_hint("Number the tokens from 0 on."));
    }
    Ok(Tokens { known, other: true })
}

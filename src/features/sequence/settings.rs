//! What is asked of a sequence, read from JSON and fitted.

use serde_json::{Map, Value};

use super::encode::Tokens;
use super::fitted::{MAX_TOKENS, Sequence, TREATMENT};
use super::intake::SequenceIntake;
use crate::features::arrays::{
    check_inputs, elements, lines, location, needed, own_settings, told_scale,
};
use crate::features::column::{ArrayShape, Column, Kind, Origin};
use crate::features::error::Error;
use crate::features::gather::part::wrong_kind;
use crate::features::rows::elements::Elements;
use crate::features::rows::sequences::DEFAULT_STEPS;
use crate::features::scales::lanes::Precision;
use crate::features::scales::rule::Scale;
use crate::features::settings::{clip_setting, known_settings, scale_setting, whole};
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
}

impl Asked for SequenceSettings {
    type Learnt = Sequence;
    type Intake = SequenceIntake;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
        let known = ["type", "length", "features", "scale", "clip", "vocabulary"];
        known_settings(settings, column, &known)?;
        let scale = scale_setting(settings, column)?;
        Ok(SequenceSettings {
            length: whole(settings, column, "length", 1..=MAX_INPUTS)?,
            features: whole(settings, column, "features", 1..=MAX_INPUTS)?,
            scale,
            clip: clip_setting(settings, column, scale.unwrap_or(Scale::Standard))?,
            vocabulary: whole(settings, column, "vocabulary", 1..=MAX_TOKENS)?,
        })
    }

    /// Numbers are taken as they come unless `mean` or `std` say otherwise; there must be a `length`
    /// and, where an embedding reads them that says no vocabulary, a `vocabulary`.
    fn told(told: &Told<'_>) -> Result<Sequence, Error> {
        let column = told.column;
        let asked = SequenceSettings::read(&own_settings(told, &TREATMENT, true)?, column)?;
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

//! What is asked of a number, read from JSON and fitted.

use serde_json::{Map, Value};

use super::calendar::{Calendar, Cycle};
use super::fitted::Numeric;
use crate::features::column::{Column, Kind, Origin};
use crate::features::error::{Error, unknown};
use crate::features::gather::gathered::Gathered;
use crate::features::gather::part::wrong_kind;
use crate::features::rows::statistics::quantile;
use crate::features::scales::clip::default_clip;
use crate::features::scales::rule::{DEFAULT_SCALE, FAR, Scale, Seen};
use crate::features::settings::{bad, clip_setting, flag, known_settings, scale_setting};
use crate::features::treatment::{Asked, NoIntake, Site, Told};

/// What stands in for a missing number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// The mean of the training rows.
    Mean,
    /// The median of the training rows.
    Median,
    /// This number, in the column's own unit.
    Constant(f64),
}

/// How a number is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericSettings {
    /// The scaling.
    pub scale: Scale,
    /// What stands in for a missing value.
    pub missing: Missing,
    /// Whether a second input tells that the value was missing; `None`: when the training rows
    /// have missing values.
    pub indicator: Option<bool>,
    /// Where far values level off, in scaled units; `None`: they do not.
    pub clip: Option<f64>,
    /// What of a date or timestamp comes round again that it also says; `None`: as the held-out loss
    /// has it.
    pub calendar: Option<Vec<Cycle>>,
}

/// A number as it is fitted.
#[derive(Debug)]
pub(in crate::features) enum Number {
    Plain(Numeric),
    /// A date or timestamp.
    Calendar(Calendar),
}

impl Default for NumericSettings {
    fn default() -> Self {
        NumericSettings {
            scale: DEFAULT_SCALE,
            missing: default_missing(DEFAULT_SCALE),
            indicator: None,
            clip: default_clip(DEFAULT_SCALE),
            calendar: None,
        }
    }
}

fn default_missing(scale: Scale) -> Missing {
    match scale {
        Scale::Robust => Missing::Median,
        _ => Missing::Mean,
    }
}

impl Asked for NumericSettings {
    type Learnt = Number;
    type Intake = NoIntake;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
        let known = ["type", "scale", "missing", "indicator", "clip", "calendar"];
        known_settings(settings, column, &known)?;
        let scale = scale_setting(settings, column)?.unwrap_or(DEFAULT_SCALE);
        let missing = match settings.get("missing") {
            None => default_missing(scale),
            Some(Value::String(name)) => match name.to_ascii_lowercase().as_str() {
                "mean" => Missing::Mean,
                "median" => Missing::Median,
                _ => return Err(unknown("value of \"missing\":", name, ["mean", "median"])),
            },
            Some(value) => match value.as_f64().filter(|x| x.is_finite()) {
                Some(number) => Missing::Constant(number),
                None => {
                    let wanted = "\"mean\", \"median\" or a number";
                    return Err(bad(column, "missing", value, wanted));
                }
            },
        };
        Ok(NumericSettings {
            scale,
            missing,
            indicator: flag(settings, column, "indicator")?,
            clip: clip_setting(settings, column, scale)?,
            calendar: calendar_setting(settings, column)?,
        })
    }

    fn told(told: &Told<'_>) -> Result<Number, Error> {
        let Told {
            settings, column, ..
        } = told;
        if !column.origin.is_number() {
            return Err(Error::type_mismatch(
                format!(
                    "feature \"{}\" of type {} is not a number",
                    column.name, column.sql_type
                ),
                "Give it another \"sql_type\", or the type \"categorical\".",
            ));
        }
        let known = [
            "name",
            "type",
            "sql_type",
            "mean",
            "std",
            "missing",
            "indicator",
        ];
        known_settings(settings, column, &known)?;
        let number = |key: &str| match settings.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|x| x.abs() <= 1e30) {
                Some(number) => Ok(Some(number)),
                None => Err(bad(column, key, value, "a number")),
            },
        };
        let (mean, std) = (number("mean")?, number("std")?);
        if let Some(value) = settings
            .get("std")
            .filter(|_| std.is_some_and(|std| std < 1e-30))
        {
            return Err(bad(column, "std", value, "a number above 0"));
        }
        let (center, divisor) = (mean.unwrap_or(0.0), std.unwrap_or(1.0));
        let indicator = match settings.get("indicator") {
            Some(Value::Null) => None,
            _ => flag(settings, column, "indicator")?,
        };
        Ok(Number::Plain(Numeric {
            scale: match (mean, std) {
                (None, None) => Scale::None,
                _ => Scale::Standard,
            },
            center,
            divisor,
            missing: number("missing")?.unwrap_or(center),
            low: center - FAR * divisor,
            high: center + FAR * divisor,
            indicator: indicator.unwrap_or(false),
            clip: None,
        }))
    }

    fn fit(&self, site: &Site<'_>) -> Result<Number, Error> {
        let Gathered::Number(numbers) = site.gathered else {
            return Err(wrong_kind(site.column));
        };
        let moments = &numbers.moments;
        let (low, high) = match moments.count() {
            0 => (0.0, 0.0),
            _ => (moments.low, moments.high),
        };
        let median = quantile(&numbers.sample, 0.5).unwrap_or(0.0);
        // Numbers so large that their sums overflow still have a middle and a range.
        let summed = (moments.mean(), moments.deviation());
        let summed = Some(summed).filter(|(mean, std)| mean.is_finite() && std.is_finite());
        let (center, divisor) = self.scale.fit(&Seen {
            low,
            high,
            moments: summed,
            middle: median,
            sorted: &numbers.sample,
        });
        // Infinities that were there to be learnt from stay apart from the largest number where the clip
        // bounds what is made of them.
        let (low, high) = match self.clip {
            Some(_) if moments.infinite > 0 => (center - FAR * divisor, center + FAR * divisor),
            _ => (low, high),
        };
        let number = Numeric {
            scale: self.scale,
            center,
            divisor,
            missing: match self.missing {
                Missing::Mean => summed.map_or(median, |(mean, _)| mean),
                Missing::Median => median,
                Missing::Constant(value) => value,
            },
            low,
            high,
            indicator: self.indicator.unwrap_or(moments.missing > 0),
            clip: self.clip,
        };
        Ok(match self.calendar.as_deref() {
            None | Some([]) => Number::Plain(number),
            Some(cycles) => Number::Calendar(Calendar {
                number,
                seconds: site.column.origin == Origin::Timestamp,
                cycles: cycles.to_vec(),
            }),
        })
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Number
    }

    fn check_embedding(&self, column: &Column) -> Result<(), Error> {
        Err(Error::type_mismatch(
            format!(
                "column \"{}\" is numeric and cannot be embedded",
                column.name
            ),
            "Treat it as \"categorical\" in features, or take the embedding out of the \
             architecture.",
        ))
    }
}

/// The setting "calendar" of dates and timestamps, if there is one.
fn calendar_setting(
    settings: &Map<String, Value>,
    column: &Column,
) -> Result<Option<Vec<Cycle>>, Error> {
    let Some(value) = settings.get("calendar") else {
        return Ok(None);
    };
    if !column.origin.is_time() {
        return Err(Error::invalid(format!(
            "setting \"calendar\" of column \"{}\" goes with dates and timestamps",
            column.name
        ))
        .with_hint("Leave it out, or cast the column in the query."));
    }
    let has_hours = column.origin == Origin::Timestamp;
    let whole = || Cycle::ALL.into_iter();
    let wanted = "true, false, or a list of \"week\", \"year\" and \"day\"";
    Ok(Some(match value {
        Value::Bool(true) => whole()
            .filter(|cycle| has_hours || *cycle != Cycle::Day)
            .collect(),
        Value::Bool(false) => Vec::new(),
        Value::Array(names) => {
            let mut asked = Vec::new();
            for name in names {
                let Some(name) = name.as_str() else {
                    return Err(bad(column, "calendar", value, wanted));
                };
                let cycle = whole().find(|cycle| cycle.name().eq_ignore_ascii_case(name));
                let Some(cycle) = cycle else {
                    let names = whole().map(Cycle::name);
                    return Err(unknown("value of \"calendar\":", name, names));
                };
                asked.push(cycle);
            }
            if asked.contains(&Cycle::Day) && !has_hours {
                return Err(Error::invalid(format!(
                    "setting \"calendar\" of column \"{}\" has \"day\", but a date has no hours",
                    column.name
                ))
                .with_hint("Leave \"day\" out."));
            }
            whole().filter(|cycle| asked.contains(cycle)).collect()
        }
        _ => return Err(bad(column, "calendar", value, wanted)),
    }))
}

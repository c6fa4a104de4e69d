//! A model's predictions held against what was true.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::error::Error;
use crate::features::{Family, Target, exposure_weight, positive_probability};
use crate::metrics::{
    Binary, Means, MultiLabel, MultiOutput, Multiclass, Quantiles, Regression, Shares,
};

/// What is true of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truth<'a> {
    /// A class, by its place in the target's list.
    Class(u32),
    /// A number, in the target's own unit.
    Number(f64),
    /// A number, and over how much it is.
    Over {
        /// The number.
        number: f64,
        /// The exposure, above 0.
        exposure: f64,
    },
    /// An array: a number for each output, or for each label 1 where it applies and else 0.
    Numbers(&'a [f64]),
}

/// Gathers predictions and truths; which metrics come out follows from the target.
pub struct Judge<'a> {
    target: &'a Target,
    kind: Kind,
}

enum Kind {
    Binary {
        metrics: Binary,
        positive: u32,
    },
    Multiclass(Multiclass),
    /// Classes in order.
    Ordinal(Multiclass),
    Regression(Regression),
    /// Means learnt through their logarithm, and the power of their variance.
    Means(Means, f64),
    Shares(Shares),
    /// Quantiles of a number: the metrics of a regression are those of the middle one, the median.
    /// Which quantiles they are is not known of all stored versions.
    Quantiles(Regression, Quantiles),
    Outputs(MultiOutput),
    Labels(MultiLabel),
}

impl<'a> Judge<'a> {
    /// A judge of predictions of this target.
    pub fn new(target: &'a Target) -> Judge<'a> {
        let kind = match target {
            Target::Classes {
                positive: Some(positive),
                threshold,
                ..
            } => Kind::Binary {
                metrics: Binary::new(*threshold),
                positive: *positive as u32,
            },
            Target::Classes {
                classes,
                ordered: true,
                ..
            } => Kind::Ordinal(Multiclass::new(classes.len())),
            Target::Classes { classes, .. } => Kind::Multiclass(Multiclass::new(classes.len())),
            Target::Labels {
                labels, threshold, ..
            } => Kind::Labels(MultiLabel::new(labels.len(), *threshold)),
            Target::Regression {
                family: Some(Family::Tweedie { power, .. }),
                ..
            } => Kind::Means(Means::new(*power), *power),
            Target::Regression {
                family: Some(Family::Share { .. }),
                ..
            } => Kind::Shares(Shares::default()),
            Target::Regression {
                outputs,
                array: true,
                ..
            } => Kind::Outputs(MultiOutput::new(outputs.len())),
            Target::Regression {
                outputs, quantiles, ..
            } if outputs.len() > 1 || !quantiles.is_empty() => {
                Kind::Quantiles(Regression::default(), Quantiles::new(quantiles))
            }
            Target::Regression { .. } => Kind::Regression(Regression::default()),
        };
        Judge { target, kind }
    }

    /// Adds a row: the network's outputs and the truth.
    ///
    /// # Errors
    /// A truth of the wrong sort, or scores that are not numbers.
    pub fn push(&mut self, outputs: &[f32], truth: Truth<'_>) -> Result<(), Error> {
        match (&mut self.kind, truth) {
            (Kind::Binary { metrics, positive }, Truth::Class(class)) => {
                metrics.push(positive_probability(outputs), class == *positive)?;
            }
            (Kind::Multiclass(metrics) | Kind::Ordinal(metrics), Truth::Class(class)) => {
                metrics.push(outputs, class)?;
            }
            (Kind::Means(metrics, _), Truth::Number(actual)) => {
                metrics.push(self.target.value(outputs), actual, 1.0, 1.0)?;
            }
            (Kind::Means(metrics, power), Truth::Over { number, exposure }) => {
                let weight = exposure_weight(exposure, *power);
                metrics.push(self.target.value(outputs), number, exposure, weight)?;
            }
            (Kind::Shares(metrics), Truth::Number(actual)) => {
                metrics.push(self.target.value(outputs), actual)?;
            }
            (Kind::Regression(metrics), Truth::Number(actual)) => {
                metrics.push(self.target.value(outputs), actual);
            }
            (Kind::Outputs(metrics), Truth::Numbers(actual)) if actual.len() == outputs.len() => {
                let pairs = outputs.iter().zip(actual).enumerate();
                metrics.push(pairs.map(|(i, (&y, &a))| (self.target.decode(i, y), a)))?;
            }
            (Kind::Labels(metrics), Truth::Numbers(actual)) if actual.len() == outputs.len() => {
                let pairs = outputs.iter().zip(actual);
                metrics.push(pairs.map(|(&p, &a)| (f64::from(p), a != 0.0)))?;
            }
            (Kind::Quantiles(metrics, quantiles), Truth::Number(actual)) => {
                let middle = outputs.len() / 2;
                let output = outputs.get(middle).copied().unwrap_or(f32::NAN);
                metrics.push(self.target.decode(middle, output), actual);
                let decoded = outputs.iter().enumerate();
                quantiles.push(decoded.map(|(i, &y)| self.target.decode(i, y)), actual);
            }
            _ => {
                return Err(Error::argument(
                    "the target",
                    "is not what the model predicts",
                ));
            }
        }
        Ok(())
    }

    /// Takes in all rows of another judge of the same target.
    pub fn merge(&mut self, other: &Judge<'_>) {
        match (&mut self.kind, &other.kind) {
            (Kind::Binary { metrics, .. }, Kind::Binary { metrics: more, .. }) => {
                metrics.merge(more);
            }
            (Kind::Multiclass(metrics), Kind::Multiclass(more))
            | (Kind::Ordinal(metrics), Kind::Ordinal(more)) => metrics.merge(more),
            (Kind::Means(metrics, _), Kind::Means(more, _)) => metrics.merge(more),
            (Kind::Shares(metrics), Kind::Shares(more)) => metrics.merge(more),
            (Kind::Regression(metrics), Kind::Regression(more)) => metrics.merge(more),
            (Kind::Quantiles(metrics, quantiles), Kind::Quantiles(more, others)) => {
                metrics.merge(more);
                quantiles.merge(others);
            }
            (Kind::Outputs(metrics), Kind::Outputs(more)) => metrics.merge(more),
            (Kind::Labels(metrics), Kind::Labels(more)) => metrics.merge(more),
            _ => {}
        }
    }

    /// Bytes that a row takes from when it is pushed until the end: scores that are to be ranked
    /// are kept.
    pub fn row_bytes(&self) -> usize {
        match self.kind {
            Kind::Binary { .. } => 16,
            _ => 0,
        }
    }

    /// The metrics by name, in the order of the documentation; `None` where one is not defined,
    /// as AUC is with one class. `tick` is called now and then while scores are sorted; it may
    /// unwind.
    pub fn finish(&mut self, tick: impl FnMut()) -> Vec<(Cow<'static, str>, Option<f64>)> {
        let (named, further) = match &mut self.kind {
            Kind::Binary { metrics, .. } => (metrics.finish(tick), Vec::new()),
            Kind::Multiclass(metrics) => (metrics.finish(), Vec::new()),
            Kind::Ordinal(metrics) => {
                let mut named = metrics.finish();
                named.push((
                    "quadratic_weighted_kappa",
                    metrics.confusion().quadratic_kappa(),
                ));
                (named, Vec::new())
            }
            Kind::Means(metrics, _) => (metrics.finish(), Vec::new()),
            Kind::Shares(metrics) => (metrics.finish(), Vec::new()),
            Kind::Regression(metrics) => (metrics.finish(), Vec::new()),
            Kind::Quantiles(metrics, quantiles) => match self.target {
                Target::Regression {
                    quantiles: known, ..
                } if known.is_empty() => (metrics.finish(), Vec::new()),
                _ => (metrics.finish(), quantiles.finish()),
            },
            Kind::Outputs(metrics) => (metrics.finish(), Vec::new()),
            Kind::Labels(metrics) => (metrics.finish(), Vec::new()),
        };
        let named = named.into_iter().map(|(name, value)| (name.into(), value));
        named.chain(further).collect()
    }
}

/// The metrics as JSON; an undefined one is null.
pub fn metrics_json(metrics: &[(Cow<'static, str>, Option<f64>)]) -> Value {
    let map: Map<String, Value> = metrics
        .iter()
        .map(|(name, value)| (name.to_string(), value.map_or(Value::Null, Value::from)))
        .collect();
    Value::Object(map)
}

//! The column to predict as a version keeps it: task, classes, scale.

use serde::{Deserialize, Serialize};

use super::class_index::ClassIndex;
use super::family::Family;
use crate::features::column::{Kind, Origin, is_plain_number};
use crate::features::error::{Error, unknown};
use crate::features::scales::rule::Scale;
use crate::nn::{Head, Link};

/// Most classes, labels or outputs of a target.
pub const MAX_CLASSES: usize = 1000;

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of some classes.
    Classification,
    /// A number.
    Regression,
}

impl Task {
    const NAMES: [&'static str; 2] = ["classification", "regression"];

    /// The task of this name, in any case.
    ///
    /// # Errors
    /// Another name.
    pub fn parse(name: &str) -> Result<Task, Error> {
        match name.to_ascii_lowercase().as_str() {
            "classification" => Ok(Task::Classification),
            "regression" => Ok(Task::Regression),
            _ => Err(unknown("task", name, Task::NAMES)),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Task::NAMES[self as usize]
    }
}

/// What is asked of the target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetRequest {
    /// The task; `None`: from the target's type and values.
    pub task: Option<Task>,
    /// Which of two classes is the positive one; `None`: by the rule.
    pub positive_class: Option<String>,
    /// The scaling of a regression's target; `None`: standard.
    pub scale: Option<Scale>,
    /// From which probability on the positive class is predicted; `None`: 0.5.
    pub threshold: Option<f64>,
}

/// How one output of a regression is scaled: the network learns `(value − center) / divisor`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputScale {
    /// What is subtracted.
    pub center: f64,
    /// What is divided by; above 0.
    pub divisor: f64,
}

impl OutputScale {
    /// That of an output which is learnt as it comes.
    pub(super) const NONE: OutputScale = OutputScale {
        center: 0.0,
        divisor: 1.0,
    };
}

/// The target of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Target {
    /// Numbers.
    Regression {
        /// The target's column.
        column: String,
        /// The name of its SQL type.
        sql_type: String,
        /// The family of its SQL type.
        origin: Origin,
        /// How `outputs` were chosen.
        scale: Scale,
        /// The scale of each output, at least one.
        outputs: Vec<OutputScale>,
        /// Whether a row's target is an array with a number for each output. Without, all outputs
        /// are of one number: it, or quantiles of it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        array: bool,
        /// Which quantile each output is of, if they are; each in (0, 1). Version 0.1 did not keep
        /// them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        quantiles: Vec<f64>,
        /// Of what kind the one number is, where its mean is learnt through a link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        family: Option<Family>,
    },
    /// Classes.
    #[serde(rename = "classification")]
    Classes {
        /// The target's column.
        column: String,
        /// The name of its SQL type.
        sql_type: String,
        /// The family of its SQL type.
        origin: Origin,
        /// The classes' texts, in order: C collation for texts, by value for numbers.
        classes: Vec<String>,
        /// The positive one of two classes, as a place in `classes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positive: Option<usize>,
        /// From which probability on the positive class is predicted.
        threshold: f64,
        /// Training rows of each class.
        #[serde(default)]
        counts: Vec<u64>,
        /// Of two classes with an output each: whether a file has the outputs in the order of the
        /// classes. Else the positive one's is the last, as it is in memory.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        outputs_as_classes: bool,
        /// Whether the classes are more and more of something, in their order: three at least.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ordered: bool,
    },
    /// Labels, any number of which apply to a row.
    #[serde(rename = "multi_label")]
    Labels {
        /// The target's column, which has arrays.
        column: String,
        /// The name of its SQL type.
        sql_type: String,
        /// The family of its elements' type: texts name the labels that apply; of truth values
        /// and numbers there is one for each label in order, which is named by its place from 1.
        origin: Origin,
        /// The labels; texts in C collation.
        labels: Vec<String>,
        /// From which probability on a label is predicted.
        threshold: f64,
        /// Training rows of each label.
        #[serde(default)]
        counts: Vec<u64>,
        /// Training rows.
        #[serde(default)]
        rows: u64,
    },
}

/// How the raw values of a target are to be stored whose elements, if it is an array, are of this
/// family. Numbers asked to be classes are read as texts, so that each class is exactly what
/// `::text` gives.
pub fn target_kind(request: &TargetRequest, origin: Origin, is_array: bool) -> Kind {
    match (request.task, origin) {
        _ if is_array && origin.is_number() => Kind::Numbers,
        _ if is_array => Kind::Labels,
        (_, Origin::Boolean) => Kind::Number,
        (Some(Task::Classification), _) => Kind::Category,
        (_, Origin::Integer) => Kind::Integer,
        _ => origin.kind(),
    }
}

impl Target {
    /// What the task asks of a network's output.
    pub fn head(&self) -> Head {
        match self {
            Target::Regression {
                outputs, family, ..
            } => match family {
                None => Head::Regression {
                    outputs: outputs.len(),
                },
                Some(Family::Tweedie { .. }) => Head::Mean(Link::Log),
                Some(Family::Share { .. }) => Head::Mean(Link::Logit),
            },
            Target::Classes { classes, .. } if classes.len() == 2 => Head::Binary,
            Target::Classes {
                classes,
                ordered: true,
                ..
            } => Head::Ordinal {
                classes: classes.len(),
            },
            Target::Classes { classes, .. } => Head::Multiclass {
                classes: classes.len(),
            },
            Target::Labels { labels, .. } => Head::MultiLabel {
                labels: labels.len(),
            },
        }
    }

    /// Whether a row's target is an array.
    pub fn is_array(&self) -> bool {
        match self {
            Target::Regression { array, .. } => *array,
            Target::Classes { .. } => false,
            Target::Labels { .. } => true,
        }
    }

    /// The task.
    pub fn task(&self) -> Task {
        match self {
            Target::Regression { .. } => Task::Regression,
            Target::Classes { .. } | Target::Labels { .. } => Task::Classification,
        }
    }

    /// The target column's name.
    pub fn column(&self) -> &str {
        match self {
            Target::Regression { column, .. }
            | Target::Classes { column, .. }
            | Target::Labels { column, .. } => column,
        }
    }

    /// The classes' or labels' texts in order; none for a regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Target::Regression { .. } => &[],
            Target::Classes { classes, .. } => classes,
            Target::Labels { labels, .. } => labels,
        }
    }

    /// The positive class's text, of two classes.
    pub fn positive_class(&self) -> Option<&str> {
        match self {
            Target::Classes {
                classes, positive, ..
            } => positive.and_then(|p| classes.get(p)).map(String::as_str),
            Target::Regression { .. } | Target::Labels { .. } => None,
        }
    }

    /// A regression's output of the network in the target's own unit.
    #[inline]
    pub fn decode(&self, output: usize, value: f32) -> f64 {
        match self {
            Target::Regression { outputs, .. } => match outputs.get(output) {
                Some(scale) => f64::from(value) * scale.divisor + scale.center,
                None => f64::from(value),
            },
            Target::Classes { .. } | Target::Labels { .. } => f64::from(value),
        }
    }

    /// Learns all outputs of a regression on one scale.
    pub fn set_output_scale(&mut self, scale: OutputScale) {
        if let Target::Regression { outputs, .. } = self {
            outputs.fill(scale);
        }
    }

    /// The number of the class or label with this text; where the classes are numbers, of the one
    /// with this value: `1.0` is `1`.
    pub fn class(&self, text: &str) -> Option<usize> {
        let exact = self.classes().iter().position(|class| class == text);
        exact.or_else(|| self.class_index().find(text, false))
    }

    /// What finds classes again and again.
    pub fn class_index(&self) -> ClassIndex {
        let is_number = match self {
            Target::Classes { origin, .. } => is_plain_number(*origin),
            Target::Regression { .. } | Target::Labels { .. } => false,
        };
        ClassIndex::new(self.classes(), is_number)
    }

    /// Checks a description from outside.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it could not have been fitted.
    pub fn validate(&self) -> Result<(), Error> {
        let fault = |what: &str| Err(Error::Damaged(format!("the target {what}")));
        match self {
            Target::Regression {
                outputs,
                quantiles,
                family,
                array,
                ..
            } => {
                if let Some(family) = family
                    && (!family.is_sound() || *array || outputs.len() != 1)
                {
                    return fault("has a family that is none of one number");
                }
                let of_outputs = quantiles.is_empty() || quantiles.len() == outputs.len();
                if !of_outputs || !quantiles.iter().all(|q| *q > 0.0 && *q < 1.0) {
                    return fault("has quantiles that are not those of its outputs");
                }
                if outputs.is_empty() || outputs.len() > MAX_CLASSES {
                    return fault("has no output or too many");
                }
                let good = |o: &OutputScale| {
                    o.center.is_finite() && o.divisor.is_finite() && o.divisor > 0.0
                };
                if !outputs.iter().all(good) {
                    return fault("has a scale that is not a finite number");
                }
            }
            Target::Classes {
                classes,
                positive,
                threshold,
                counts,
                ordered,
                ..
            } => {
                if *ordered && classes.len() < 3 {
                    return fault("has an order of fewer than three classes");
                }
                if !(2..=MAX_CLASSES).contains(&classes.len()) {
                    return fault("has fewer than two classes or too many");
                }
                let mut seen = std::collections::HashSet::new();
                if !classes.iter().all(|class| seen.insert(class)) {
                    return fault("has the same class twice");
                }
                let two = classes.len() == 2;
                if positive.is_some() != two || positive.is_some_and(|p| p >= classes.len()) {
                    return fault("has a positive class that is none of two");
                }
                if !(0.0..=1.0).contains(threshold) {
                    return fault("has a threshold that is no probability");
                }
                if !counts.is_empty() && counts.len() != classes.len() {
                    return fault("has counts of other classes");
                }
            }
            Target::Labels {
                labels,
                threshold,
                counts,
                rows,
                ..
            } => {
                if !(1..=MAX_CLASSES).contains(&labels.len()) {
                    return fault("has no label or too many");
                }
                let mut seen = std::collections::HashSet::new();
                if !labels.iter().all(|label| seen.insert(label)) {
                    return fault("has the same label twice");
                }
                if !(0.0..=1.0).contains(threshold) {
                    return fault("has a threshold that is no probability");
                }
                if !counts.is_empty() && counts.len() != labels.len()
                    || counts.iter().any(|count| count > rows)
                {
                    return fault("has counts of other labels");
                }
            }
        }
        Ok(())
    }
}

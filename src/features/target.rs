//! The column to predict: task, classes, scale, and the way from its values to labels and back.

use serde::{Deserialize, Serialize};

use super::block::pass;
use super::error::unknown;
use super::fit::usable;
use super::statistics::{Moments, Sample, quantile};
use super::{BitMask, Block, Column, Dictionary, Error, Kind, MISSING, Origin, RawRows, Scale};

/// Most classes of a target.
pub const MAX_CLASSES: usize = 1000;
/// An integer target with at most so many distinct values is taken for classes.
const FEW: usize = 20;
/// Training rows from which the quantiles of robust scaling are taken.
const SAMPLE: usize = 65_536;

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
    },
}

/// How the target's raw values are to be stored. Numbers asked to be classes are read as texts,
/// so that each class is exactly what `::text` gives.
pub fn target_kind(request: &TargetRequest, origin: Origin) -> Kind {
    match (request.task, origin) {
        (_, Origin::Boolean) => Kind::Number,
        (Some(Task::Classification), _) => Kind::Category,
        _ => origin.kind(),
    }
}

impl Target {
    /// Decides task and classes from all rows, whose target is the blocks' column `position`.
    /// What depends on the split waits for [`fit`](Target::fit).
    ///
    /// # Errors
    /// A task that the type does not allow, fewer than two or more than 1000 classes, no rows, a
    /// value that is missing, or infinite where a number is to be learnt.
    pub fn find(
        request: &TargetRequest,
        column: &Column,
        position: usize,
        dictionary: Option<&Dictionary>,
        rows: &mut dyn RawRows,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Target, Error> {
        if rows.rows() == 0 {
            return Err(Error::NoRows);
        }
        let regressible = matches!(
            column.origin,
            Origin::Integer | Origin::Float | Origin::Numeric | Origin::Boolean
        );
        if !regressible && request.task == Some(Task::Regression) {
            return Err(Error::type_mismatch(
                format!(
                    "the target \"{}\" of type {} is not a number",
                    column.name, column.sql_type
                ),
                "Convert it to a number in the query, or set task to 'classification'.",
            ));
        }
        if matches!(column.origin, Origin::Date | Origin::Timestamp) && request.task.is_none() {
            return Err(Error::type_mismatch(
                format!(
                    "the target \"{}\" is of type {}, which is neither a class nor a number",
                    column.name, column.sql_type
                ),
                "Convert it to a number in the query, or set task to 'classification'.",
            ));
        }
        let classes = match column.kind {
            Kind::Number => number_classes(request, column, position, rows, interrupted)?,
            Kind::Category => {
                let dictionary = dictionary.ok_or_else(|| {
                    Error::invalid(format!("there is no dictionary for \"{}\"", column.name))
                })?;
                Some(text_classes(
                    column,
                    position,
                    dictionary,
                    rows,
                    interrupted,
                )?)
            }
        };
        let (name, sql_type) = (column.name.clone(), column.sql_type.clone());
        let Some(classes) = classes else {
            if request.positive_class.is_some() {
                return Err(Error::invalid("positive_class is set for a regression")
                    .with_hint("Leave it out, or set task to 'classification'."));
            }
            return Ok(Target::Regression {
                column: name,
                sql_type,
                origin: column.origin,
                scale: request.scale.unwrap_or(Scale::Standard),
                outputs: vec![OutputScale {
                    center: 0.0,
                    divisor: 1.0,
                }],
            });
        };
        if let [class] = classes.as_slice() {
            return Err(Error::OneClass {
                column: name,
                class: class.clone(),
            });
        }
        if request.scale.is_some_and(|scale| scale != Scale::None) {
            return Err(Error::invalid("target_scale is set for a classification")
                .with_hint("Leave it out, or set task to 'regression'."));
        }
        let positive = match &request.positive_class {
            None => None,
            Some(_) if classes.len() > 2 => {
                return Err(Error::invalid(format!(
                    "positive_class is set, but the target \"{name}\" has {} classes",
                    classes.len()
                ))
                .with_hint("Only a target of two classes has a positive one."));
            }
            Some(wanted) => match classes.iter().position(|class| class == wanted) {
                None => {
                    let known = classes.iter().map(String::as_str);
                    return Err(unknown("positive_class", wanted, known));
                }
                found => found,
            },
        };
        let threshold = request.threshold.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::invalid(format!("threshold is {threshold}"))
                .with_hint("It is a probability, from 0 to 1."));
        }
        Ok(Target::Classes {
            column: name,
            sql_type,
            origin: column.origin,
            counts: vec![0; classes.len()],
            classes,
            positive,
            threshold,
        })
    }

    /// Fits scale, class counts and the positive class on the training rows.
    ///
    /// Of two classes the positive one is what the request says, else `true`, `1`, `yes` or `y`,
    /// else the rarer one of the training rows, else the one that sorts last in C collation.
    ///
    /// # Errors
    /// No training row, or only one class among them.
    pub fn fit(
        &mut self,
        position: usize,
        dictionary: Option<&Dictionary>,
        rows: &mut dyn RawRows,
        is_training: &BitMask,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let training = is_training.count();
        if training == 0 {
            return Err(Error::NoRows);
        }
        let labels = self.labels(dictionary)?;
        match self {
            Target::Regression { scale, outputs, .. } => {
                let mut moments = Moments::new();
                let mut sampled = Sample::new(training, SAMPLE);
                let mut sample = Vec::new();
                let mut ordinal = 0;
                let quantiles = *scale == Scale::Robust;
                pass(rows, interrupted, |start, block| {
                    for (row, &value) in block.numbers(position)?.iter().enumerate() {
                        if is_training.get(start + row) {
                            moments.add(value);
                            if quantiles && sampled.takes(ordinal) {
                                sample.push(value);
                            }
                            ordinal += 1;
                        }
                    }
                    Ok(())
                })?;
                moments.finish();
                sample.sort_unstable_by(f64::total_cmp);
                *outputs = vec![output_scale(*scale, &moments, &sample)];
                Ok(())
            }
            Target::Classes {
                column,
                classes,
                positive,
                counts,
                ..
            } => {
                *counts = vec![0; classes.len()];
                pass(rows, interrupted, |start, block| {
                    for row in 0..block.rows {
                        if is_training.get(start + row)
                            && let Some(class) = labels.class(block, position, row)
                        {
                            counts[class as usize] += 1;
                        }
                    }
                    Ok(())
                })?;
                let mut present = counts.iter().zip(classes.iter()).filter(|(n, _)| **n > 0);
                if let (Some((_, class)), None) = (present.next(), present.next()) {
                    return Err(Error::OneClass {
                        column: column.clone(),
                        class: class.clone(),
                    });
                }
                if classes.len() == 2 && positive.is_none() {
                    *positive = Some(positive_class(classes, counts));
                }
                Ok(())
            }
        }
    }

    /// The task.
    pub fn task(&self) -> Task {
        match self {
            Target::Regression { .. } => Task::Regression,
            Target::Classes { .. } => Task::Classification,
        }
    }

    /// The target column's name.
    pub fn column(&self) -> &str {
        match self {
            Target::Regression { column, .. } | Target::Classes { column, .. } => column,
        }
    }

    /// The classes' texts in order; none for a regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Target::Regression { .. } => &[],
            Target::Classes { classes, .. } => classes,
        }
    }

    /// The positive class's text, of two classes.
    pub fn positive_class(&self) -> Option<&str> {
        match self {
            Target::Classes {
                classes, positive, ..
            } => positive.and_then(|p| classes.get(p)).map(String::as_str),
            Target::Regression { .. } => None,
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
            Target::Classes { .. } => f64::from(value),
        }
    }

    /// What turns raw target values into labels.
    ///
    /// # Errors
    /// Classes that are texts, without a dictionary.
    pub fn labels(&self, dictionary: Option<&Dictionary>) -> Result<Labels, Error> {
        let (column, classes, positive, origin) = match self {
            Target::Regression {
                column, outputs, ..
            } => {
                let scale = outputs.first().copied().unwrap_or(OutputScale {
                    center: 0.0,
                    divisor: 1.0,
                });
                return Ok(Labels {
                    column: column.clone(),
                    form: LabelForm::Number(scale),
                    positive: None,
                });
            }
            Target::Classes {
                column,
                classes,
                positive,
                origin,
                ..
            } => (column, classes, positive, origin),
        };
        let form = match dictionary {
            Some(dictionary) => LabelForm::Codes(
                (0..dictionary.len() as u32)
                    .map(|code| {
                        let text = dictionary.text(code);
                        let class = classes.iter().position(|c| Some(c.as_str()) == text);
                        class.map_or(u32::MAX, |class| class as u32)
                    })
                    .collect(),
            ),
            None => LabelForm::Values(
                classes
                    .iter()
                    .enumerate()
                    .map(|(i, text)| (number(text, *origin), i as u32))
                    .collect(),
            ),
        };
        Ok(Labels {
            column: column.clone(),
            form,
            positive: positive.map(|p| p as u32),
        })
    }

    /// The number of the class with this text.
    pub fn class(&self, text: &str) -> Option<usize> {
        self.classes().iter().position(|class| class == text)
    }

    /// Checks a description from outside.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it could not have been fitted.
    pub fn validate(&self) -> Result<(), Error> {
        let fault = |what: &str| Err(Error::Damaged(format!("the target {what}")));
        match self {
            Target::Regression { outputs, .. } => {
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
                ..
            } => {
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
        }
        Ok(())
    }
}

/// The value of a class's text.
fn number(text: &str, origin: Origin) -> f64 {
    match (origin, text) {
        (Origin::Boolean, "true") => 1.0,
        (Origin::Boolean, "false") => 0.0,
        _ => text.parse().unwrap_or(f64::NAN),
    }
}

/// The classes of a target read as numbers, in order; `None` means regression.
fn number_classes(
    request: &TargetRequest,
    column: &Column,
    position: usize,
    rows: &mut dyn RawRows,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Option<Vec<String>>, Error> {
    let most = match column.origin {
        _ if request.task == Some(Task::Regression) => 0,
        _ if request.task == Some(Task::Classification) => MAX_CLASSES,
        Origin::Integer => FEW,
        _ => 2,
    };
    let mut values: Vec<f64> = Vec::new();
    let mut many = most == 0;
    let mut fault = None;
    pass(rows, interrupted, |_, block| {
        for &value in block.numbers(position)? {
            if !value.is_finite() {
                fault = Some(value);
            }
            if many {
                continue;
            }
            // Adding 0 makes one class of 0 and −0.
            let value = value + 0.0;
            if let Err(place) = values.binary_search_by(|v| v.total_cmp(&value)) {
                many = values.len() == most;
                values.insert(place, value);
            }
        }
        Ok(())
    })?;
    if let Some(value) = fault {
        let value = if value.is_nan() {
            "missing".to_owned()
        } else {
            "infinite".to_owned()
        };
        return Err(Error::invalid(format!(
            "the target \"{}\" is {value} in a row",
            column.name
        ))
        .with_hint("Leave such rows out with a WHERE clause in the query."));
    }
    let only_01 = values.iter().all(|v| *v == 0.0 || *v == 1.0);
    let is_class = match (request.task, column.origin) {
        (Some(task), _) => task == Task::Classification,
        (None, Origin::Boolean) => true,
        (None, Origin::Integer) => !many,
        (None, _) => !many && only_01,
    };
    if !is_class {
        return Ok(None);
    }
    if many {
        return Err(too_many(column));
    }
    let text = |value: f64| match column.origin {
        Origin::Boolean => if value == 0.0 { "false" } else { "true" }.to_owned(),
        _ => format!("{value}"),
    };
    Ok(Some(values.into_iter().map(text).collect()))
}

fn too_many(column: &Column) -> Error {
    Error::invalid(format!(
        "the target \"{}\" has more than {MAX_CLASSES} classes",
        column.name
    ))
    .with_hint("Group its values in the query, or predict a number with task 'regression'.")
}

/// The classes of a target read as texts, in order.
fn text_classes(
    column: &Column,
    position: usize,
    dictionary: &Dictionary,
    rows: &mut dyn RawRows,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<String>, Error> {
    let mut seen = BitMask::new(dictionary.len(), false);
    let (mut missing, mut overflow) = (false, false);
    pass(rows, interrupted, |_, block| {
        for &code in block.codes(position)? {
            missing |= code == MISSING;
            overflow |= code != MISSING && code as usize >= dictionary.len();
            seen.set(code as usize, true);
        }
        Ok(())
    })?;
    if missing {
        return Err(Error::invalid(format!(
            "the target \"{}\" is missing in a row",
            column.name
        ))
        .with_hint("Leave such rows out with a WHERE clause in the query."));
    }
    if overflow || seen.count() > MAX_CLASSES {
        return Err(too_many(column));
    }
    let mut classes: Vec<String> = (0..dictionary.len())
        .filter(|&code| seen.get(code))
        .filter_map(|code| dictionary.text(code as u32).map(str::to_owned))
        .collect();
    if matches!(
        column.origin,
        Origin::Integer | Origin::Float | Origin::Numeric
    ) {
        classes.sort_by(|a, b| {
            let (x, y) = (number(a, column.origin), number(b, column.origin));
            x.total_cmp(&y).then_with(|| a.cmp(b))
        });
    } else {
        classes.sort();
    }
    Ok(classes)
}

fn positive_class(classes: &[String], counts: &[u64]) -> usize {
    let by_name = ["true", "1", "yes", "y"]
        .iter()
        .find_map(|name| classes.iter().position(|class| class == name));
    by_name.unwrap_or_else(|| match counts[0].cmp(&counts[1]) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Greater => 1,
        std::cmp::Ordering::Equal => usize::from(classes[1] > classes[0]),
    })
}

fn output_scale(scale: Scale, moments: &Moments, sorted: &[f64]) -> OutputScale {
    let half_range = 0.5 * moments.high - 0.5 * moments.low;
    let middle = 0.5 * moments.high + 0.5 * moments.low;
    let at = |q| quantile(sorted, q).unwrap_or(middle);
    let (center, divisor) = match scale {
        Scale::Standard if moments.deviation().is_finite() && moments.mean().is_finite() => {
            (moments.mean(), moments.deviation())
        }
        Scale::Standard => (middle, half_range),
        Scale::Minmax => (moments.low, moments.high - moments.low),
        Scale::Robust => {
            let range = at(0.75) - at(0.25);
            (at(0.5), if range > 0.0 { range } else { half_range })
        }
        Scale::None => (0.0, 1.0),
    };
    OutputScale {
        center,
        divisor: usable(divisor),
    }
}

/// Turns raw target values into what the network learns.
#[derive(Clone, Debug)]
pub struct Labels {
    column: String,
    form: LabelForm,
    positive: Option<u32>,
}

#[derive(Clone, Debug)]
enum LabelForm {
    Number(OutputScale),
    /// The class of each code; u32::MAX for none.
    Codes(Vec<u32>),
    /// Values and their classes.
    Values(Vec<(f64, u32)>),
}

impl Labels {
    /// The class of a row, whose target is the block's column `position`; none for a regression,
    /// a missing value and a class that the target does not have.
    #[inline]
    pub fn class(&self, block: &Block, position: usize, row: usize) -> Option<u32> {
        match (&self.form, block.columns.get(position)?) {
            (LabelForm::Codes(classes), super::Values::Category(codes)) => {
                let class = *classes.get(*codes.get(row)? as usize)?;
                (class != u32::MAX).then_some(class)
            }
            (LabelForm::Values(values), super::Values::Number(numbers)) => {
                let value = *numbers.get(row)?;
                // In order but for a NaN, which nothing equals: a search would not be safe.
                values
                    .iter()
                    .find(|(v, _)| *v == value)
                    .map(|(_, class)| *class)
            }
            _ => None,
        }
    }

    /// The label of a row: the scaled number of a regression, 1 for the positive of two classes
    /// and 0 for the other one, the class's number of more.
    ///
    /// # Errors
    /// A value that is missing, infinite or none of the classes.
    #[inline]
    pub fn label(&self, block: &Block, position: usize, row: usize) -> Result<f32, Error> {
        if let LabelForm::Number(scale) = &self.form {
            let value = block.numbers(position)?.get(row).copied();
            return match value.filter(|value| value.is_finite()) {
                Some(value) => Ok(((value - scale.center) / scale.divisor) as f32),
                None => Err(self.fault("is missing or infinite")),
            };
        }
        match (self.class(block, position, row), self.positive) {
            (None, _) => Err(self.fault("is none of the model's classes")),
            (Some(class), Some(positive)) => Ok(f32::from(u8::from(class == positive))),
            (Some(class), None) => Ok(class as f32),
        }
    }

    fn fault(&self, what: &str) -> Error {
        Error::invalid(format!("the target \"{}\" {what} in a row", self.column))
            .with_hint("Leave such rows out with a WHERE clause in the query.")
    }
}

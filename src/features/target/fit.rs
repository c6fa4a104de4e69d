//! Finding out from the rows what a target is: its task, classes and scale.

use std::collections::BTreeMap;

use super::class_index::ClassIndex;
use super::labels::Labels;
use super::positive_class::{positive_by_name, rarer};
use super::stored::{MAX_CLASSES, OutputScale, Target, TargetRequest, Task};
use crate::features::column::{Column, Kind, Origin};
use crate::features::error::{Error, unknown};
use crate::features::fit::usable;
use crate::features::number_key::{integer, number, number_key};
use crate::features::request::Scale;
use crate::features::rows::block::{RawRows, pass};
use crate::features::rows::dictionary::{Dictionary, MISSING};
use crate::features::rows::mask::BitMask;
use crate::features::rows::statistics::{Moments, Sample, quantile};

/// An integer target with at most so many distinct values is taken for classes.
const FEW: usize = 20;
/// Training rows from which the quantiles of robust scaling are taken.
const SAMPLE: usize = 65_536;
/// Numbers that the samples of all outputs hold together, and rows that each has at least.
const SAMPLE_TOTAL: usize = 1 << 20;
const SAMPLE_LEAST: usize = 1024;

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
        let regressible = is_plain_number(column.origin);
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
        if column.kind.is_array() {
            return Target::find_array(request, column, position, dictionary, rows, interrupted);
        }
        let classes = match column.kind {
            Kind::Number => number_classes(request, column, position, rows, interrupted)?,
            Kind::Integer => integer_classes(request, column, position, rows, interrupted)?,
            _ => {
                let dictionary = dictionary.ok_or_else(|| no_dictionary(column))?;
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
            refuse_positive_class(request)?;
            refuse_threshold(request.threshold)?;
            return Ok(Target::Regression {
                column: name,
                sql_type,
                origin: column.origin,
                scale: request.scale.unwrap_or(Scale::Standard),
                outputs: vec![UNSCALED],
                array: false,
                quantiles: Vec::new(),
            });
        };
        if let [class] = classes.as_slice() {
            return Err(Error::OneClass {
                column: name,
                class: class.clone(),
            });
        }
        refuse_scale(request)?;
        let positive = match &request.positive_class {
            None => None,
            Some(_) if classes.len() > 2 => {
                return Err(Error::invalid(format!(
                    "positive_class is set, but the target \"{name}\" has {} classes",
                    classes.len()
                ))
                .with_hint("Only a target of two classes has a positive one."));
            }
            Some(wanted) => match ClassIndex::new(&classes, is_plain_number(column.origin))
                .find(wanted, false)
            {
                None => {
                    let known = classes.iter().map(String::as_str);
                    return Err(unknown("positive_class", wanted, known));
                }
                found => found,
            },
        };
        let threshold = threshold(request)?;
        Ok(Target::Classes {
            column: name,
            sql_type,
            origin: column.origin,
            counts: vec![0; classes.len()],
            classes,
            positive,
            threshold,
            outputs_as_classes: false,
        })
    }

    /// Fits scale, class counts and the positive class on the training rows.
    ///
    /// Of two classes the positive one is what the request says, else the one whose name says so
    /// ([`positive_by_name`]), else the rarer one of the training rows, else the one that sorts last
    /// in C collation.
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
            Target::Regression {
                scale,
                outputs,
                array,
                ..
            } => {
                let number = match array {
                    false => 1,
                    true => outputs.len(),
                };
                let quantiles = *scale == Scale::Robust;
                let size = SAMPLE.min((SAMPLE_TOTAL / number.max(1)).max(SAMPLE_LEAST));
                let mut sampled = Sample::new(training, size);
                let mut fits = vec![(Moments::new(), Vec::new()); number];
                let mut ordinal = 0;
                pass(rows, interrupted, |start, block| {
                    for row in (0..block.rows).filter(|row| is_training.get(start + row)) {
                        let plain;
                        let values = match array {
                            false => {
                                plain = block.number(position, row)?;
                                std::slice::from_ref(&plain)
                            }
                            true => block.number_arrays(position)?.get(row).unwrap_or_default(),
                        };
                        let keep = quantiles && sampled.takes(ordinal);
                        for ((moments, sample), &value) in fits.iter_mut().zip(values) {
                            moments.add(value);
                            if keep {
                                sample.push(value);
                            }
                        }
                        ordinal += 1;
                    }
                    Ok(())
                })?;
                *outputs = fits
                    .into_iter()
                    .map(|(mut moments, mut sample)| {
                        moments.finish();
                        sample.sort_unstable_by(f64::total_cmp);
                        output_scale(*scale, &moments, &sample)
                    })
                    .collect();
                Ok(())
            }
            Target::Labels {
                labels: names,
                counts,
                rows: counted,
                ..
            } => {
                *counts = vec![0; names.len()];
                *counted = training as u64;
                let mut applies = Vec::new();
                pass(rows, interrupted, |start, block| {
                    for row in (0..block.rows).filter(|row| is_training.get(start + row)) {
                        labels.actual(block, position, row, &mut applies);
                        for (count, applies) in counts.iter_mut().zip(&applies) {
                            *count += u64::from(*applies != 0.0);
                        }
                    }
                    Ok(())
                })
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
                    let by_name = positive_by_name(classes);
                    *positive = Some(by_name.unwrap_or_else(|| rarer(classes, counts)));
                }
                Ok(())
            }
        }
    }
}

impl Target {
    /// How many rows each class has on one side of a split; `None` for what has no classes, and for
    /// labels.
    ///
    /// # Errors
    /// Those of reading the rows.
    pub fn class_counts(
        &self,
        labels: &Labels,
        position: usize,
        rows: &mut dyn RawRows,
        (mask, side): (&BitMask, bool),
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<u64>>, Error> {
        let Target::Classes { classes, .. } = self else {
            return Ok(None);
        };
        let mut counts = vec![0; classes.len()];
        pass(rows, interrupted, |start, block| {
            for row in (0..block.rows).filter(|row| mask.get(start + row) == side) {
                if let Some(class) = labels.class(block, position, row) {
                    counts[class as usize] += 1;
                }
            }
            Ok(())
        })?;
        Ok(Some(counts))
    }
}

/// The classes of a target read as whole numbers, in order; `None` means regression.
fn integer_classes(
    request: &TargetRequest,
    column: &Column,
    position: usize,
    rows: &mut dyn RawRows,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Option<Vec<String>>, Error> {
    let most = match request.task {
        None => FEW,
        Some(Task::Classification) => MAX_CLASSES,
        Some(Task::Regression) => return Ok(None),
    };
    let mut values: Vec<i64> = Vec::new();
    pass(rows, interrupted, |_, block| {
        for value in block.integers(position)? {
            // One more than may be, so that it shows.
            if values.len() <= most
                && let Err(place) = values.binary_search(value)
            {
                values.insert(place, *value);
            }
        }
        Ok(())
    })?;
    match (values.len() > most, request.task) {
        (true, None) => Ok(None),
        (true, Some(_)) => Err(too_many(column)),
        (false, _) => Ok(Some(values.iter().map(i64::to_string).collect())),
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
        return Err(not_a_number(column, value));
    }
    let only_01 = values.iter().all(|v| *v == 0.0 || *v == 1.0);
    let is_class = match (request.task, column.origin) {
        (Some(task), _) => task == Task::Classification,
        (None, Origin::Boolean) => true,
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

/// An output that is learnt as it comes.
pub(super) const UNSCALED: OutputScale = OutputScale {
    center: 0.0,
    divisor: 1.0,
};

/// Whether values of this family can be learnt as they are.
pub fn is_plain_number(origin: Origin) -> bool {
    matches!(
        origin,
        Origin::Integer | Origin::Float | Origin::Numeric | Origin::Boolean
    )
}

pub(super) fn no_dictionary(column: &Column) -> Error {
    Error::invalid(format!("there is no dictionary for \"{}\"", column.name))
}

/// The error of a target that is not a number in some row.
pub(super) fn not_a_number(column: &Column, value: f64) -> Error {
    let what = if value.is_nan() {
        "missing"
    } else {
        "infinite"
    };
    Error::invalid(format!("the target \"{}\" is {what} in a row", column.name))
        .with_hint("Leave such rows out with a WHERE clause in the query.")
}

pub(super) fn refuse_positive_class(request: &TargetRequest) -> Result<(), Error> {
    match request.positive_class {
        None => Ok(()),
        Some(_) => Err(Error::invalid("positive_class is set for a regression")
            .with_hint("Leave it out, or set task to 'classification'.")),
    }
}

/// # Errors
/// A threshold, which a regression has no use for.
pub fn refuse_threshold(threshold: Option<f64>) -> Result<(), Error> {
    match threshold {
        None => Ok(()),
        Some(_) => Err(Error::invalid("threshold is set for a regression")
            .with_hint("Leave it out, or set task to 'classification'.")),
    }
}

pub(super) fn refuse_scale(request: &TargetRequest) -> Result<(), Error> {
    match request.scale {
        None | Some(Scale::None) => Ok(()),
        Some(_) => Err(Error::invalid("target_scale is set for a classification")
            .with_hint("Leave it out, or set task to 'regression'.")),
    }
}

pub(super) fn threshold(request: &TargetRequest) -> Result<f64, Error> {
    let threshold = request.threshold.unwrap_or(0.5);
    if (0.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(Error::invalid(format!("threshold is {threshold}"))
        .with_hint("It is a probability, from 0 to 1."))
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
    if is_plain_number(column.origin) {
        return Ok(by_value(classes));
    }
    classes.sort();
    Ok(classes)
}

/// One text for each number among the texts, in order: of several spellings, as `1.0` and `1.00`
/// are, the shortest.
fn by_value(texts: Vec<String>) -> Vec<String> {
    let mut classes: BTreeMap<String, String> = BTreeMap::new();
    for text in texts {
        let key = number_key(&text).unwrap_or_else(|| text.clone());
        let text = match key.as_str() {
            "0" => text.trim_start_matches('-').to_owned(),
            _ => text,
        };
        let before = |known: &String| (text.len(), &text) < (known.len(), known);
        if classes.get(&key).is_none_or(before) {
            classes.insert(key, text);
        }
    }
    let mut classes: Vec<String> = classes.into_values().collect();
    classes.sort_by(|a, b| {
        // Integers that are one as floats are told apart as what they are.
        let exactly = || integer(a).cmp(&integer(b)).then_with(|| a.cmp(b));
        number(a).total_cmp(&number(b)).then_with(exactly)
    });
    classes
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

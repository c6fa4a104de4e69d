//! Finding out from the rows what a target is: its task and classes.

use std::collections::BTreeMap;

use super::class_index::ClassIndex;
use super::given::{Given, check_request, not_a_number, threshold};
use super::stored::{MAX_CLASSES, OutputScale, Target, TargetRequest, Task};
use crate::features::column::{Column, Kind, Origin, is_plain_number};
use crate::features::error::{Error, unknown};
use crate::features::number_key::{integer, number, number_key};
use crate::features::rows::block::RawRows;
use crate::features::rows::dictionary::{Dictionary, MISSING};
use crate::features::rows::mask::BitMask;
use crate::features::scales::rule::Scale;

/// An integer target with at most so many distinct values is taken for classes.
const FEW: usize = 20;

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
        let mut given = Given {
            request,
            column,
            position,
            dictionary,
            rows,
            interrupted,
        };
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
            return Target::find_array(&mut given);
        }
        let classes = match column.kind {
            Kind::Number => number_classes(&mut given)?,
            Kind::Integer => integer_classes(&mut given)?,
            _ => Some(text_classes(&mut given)?),
        };
        let (name, sql_type) = (column.name.clone(), column.sql_type.clone());
        let Some(classes) = classes else {
            let target = Target::Regression {
                column: name,
                sql_type,
                origin: column.origin,
                scale: request.scale.unwrap_or(Scale::Standard),
                outputs: vec![OutputScale::NONE],
                array: false,
                quantiles: Vec::new(),
                family: None,
            };
            check_request(request, &target)?;
            return Ok(target);
        };
        if let [class] = classes.as_slice() {
            return Err(Error::OneClass {
                column: name,
                class: class.clone(),
            });
        }
        let positive = match &request.positive_class {
            Some(wanted) if classes.len() == 2 => {
                match ClassIndex::new(&classes, is_plain_number(column.origin)).find(wanted, false)
                {
                    None => {
                        let known = classes.iter().map(String::as_str);
                        return Err(unknown("positive_class", wanted, known));
                    }
                    found => found,
                }
            }
            _ => None,
        };
        let threshold = threshold(request)?;
        let target = Target::Classes {
            column: name,
            sql_type,
            origin: column.origin,
            counts: vec![0; classes.len()],
            classes,
            positive,
            threshold,
            outputs_as_classes: false,
            ordered: false,
        };
        check_request(request, &target)?;
        Ok(target)
    }
}

/// The classes of a target read as whole numbers, in order; `None` means regression.
fn integer_classes(given: &mut Given<'_>) -> Result<Option<Vec<String>>, Error> {
    let (request, column, position) = (given.request, given.column, given.position);
    let most = match request.task {
        None => FEW,
        Some(Task::Classification) => MAX_CLASSES,
        Some(Task::Regression) => return Ok(None),
    };
    let mut values: Vec<i64> = Vec::new();
    given.each(|block| {
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
fn number_classes(given: &mut Given<'_>) -> Result<Option<Vec<String>>, Error> {
    let (request, column, position) = (given.request, given.column, given.position);
    let most = match column.origin {
        _ if request.task == Some(Task::Regression) => 0,
        _ if request.task == Some(Task::Classification) => MAX_CLASSES,
        _ => 2,
    };
    let mut values: Vec<f64> = Vec::new();
    let mut many = most == 0;
    let mut fault = None;
    given.each(|block| {
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

fn too_many(column: &Column) -> Error {
    Error::invalid(format!(
        "the target \"{}\" has more than {MAX_CLASSES} classes",
        column.name
    ))
    .with_hint("Group its values in the query, or predict a number with task 'regression'.")
}

/// The classes of a target read as texts, in order.
fn text_classes(given: &mut Given<'_>) -> Result<Vec<String>, Error> {
    let (column, position, dictionary) = (given.column, given.position, given.dictionary()?);
    let mut seen = BitMask::new(dictionary.len(), false);
    let (mut missing, mut overflow) = (false, false);
    given.each(|block| {
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

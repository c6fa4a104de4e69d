//! Targets that are arrays: several numbers a row, or the labels that apply to it.

use super::given::{Given, check_request, not_a_number, threshold};
use super::stored::{MAX_CLASSES, OutputScale, Target, Task};
use crate::features::column::{Kind, Origin};
use crate::features::error::Error;
use crate::features::rows::mask::BitMask;
use crate::features::scales::rule::Scale;

impl Target {
    /// [`find`](Target::find) for a column of arrays. Numbers are outputs of a regression, truth
    /// values and texts labels; numbers that are all 0 or 1 are labels where the request says
    /// classification.
    pub(super) fn find_array(given: &mut Given<'_>) -> Result<Target, Error> {
        let (request, column) = (given.request, given.column);
        let is_regression = match request.task {
            Some(task) => task == Task::Regression,
            None => column.kind == Kind::Numbers && column.origin != Origin::Boolean,
        };
        if is_regression {
            let outputs = length(given, |_| true)?;
            let target = Target::Regression {
                column: column.name.clone(),
                sql_type: column.sql_type.clone(),
                origin: column.origin,
                scale: request.scale.unwrap_or(Scale::Standard),
                outputs: vec![OutputScale::NONE; outputs],
                array: true,
                quantiles: Vec::new(),
                family: None,
            };
            check_request(request, &target)?;
            return Ok(target);
        }
        let labels: Vec<String> = if column.kind == Kind::Numbers {
            let is_truth = |value: f64| value == 0.0 || value == 1.0;
            let labels = length(given, is_truth)?;
            (1..=labels).map(|place| place.to_string()).collect()
        } else {
            distinct(given)?
        };
        let target = Target::Labels {
            column: column.name.clone(),
            sql_type: column.sql_type.clone(),
            origin: column.origin,
            counts: vec![0; labels.len()],
            labels,
            threshold: threshold(request)?,
            rows: 0,
        };
        check_request(request, &target)?;
        Ok(target)
    }
}

/// The one length of all rows' arrays, every number of which must be allowed.
fn length(given: &mut Given<'_>, allowed: impl Fn(f64) -> bool) -> Result<usize, Error> {
    let (column, position) = (given.column, given.position);
    let mut length = None;
    given.each(|block| {
        let arrays = block.number_arrays(position)?;
        for row in 0..block.rows {
            let values = arrays.get(row).unwrap_or_default();
            let expected = *length.get_or_insert(values.len());
            if values.len() != expected {
                return Err(Error::invalid(format!(
                    "the target \"{}\" has {expected} values in one row and {} in another",
                    column.name,
                    values.len()
                ))
                .with_hint("Give every row as many outputs as the others."));
            }
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(not_a_number(column, value));
            }
            if let Some(value) = values.iter().find(|value| !allowed(**value)) {
                return Err(Error::invalid(format!(
                    "the target \"{}\" is {value} in a row, which is neither 0 nor 1",
                    column.name
                ))
                .with_hint(
                    "As labels an array of numbers holds only 0 and 1; predict its numbers with \
                     task 'regression'.",
                ));
            }
        }
        Ok(())
    })?;
    match length.unwrap_or(0) {
        0 => Err(
            Error::invalid(format!("the target \"{}\" is an empty array", column.name))
                .with_hint("Give every row at least one output."),
        ),
        length if length > MAX_CLASSES => Err(Error::invalid(format!(
            "the target \"{}\" has {length} outputs, more than {MAX_CLASSES}",
            column.name
        ))
        .with_hint("Predict fewer at once.")),
        length => Ok(length),
    }
}

/// The distinct texts of all rows' arrays, in C collation.
fn distinct(given: &mut Given<'_>) -> Result<Vec<String>, Error> {
    let (column, position, dictionary) = (given.column, given.position, given.dictionary()?);
    let mut seen = BitMask::new(dictionary.len(), false);
    let mut overflow = false;
    given.each(|block| {
        let arrays = block.code_arrays(position)?;
        for &code in arrays.iter().flatten() {
            overflow |= code as usize >= dictionary.len();
            seen.set(code as usize, true);
        }
        Ok(())
    })?;
    if overflow || seen.count() > MAX_CLASSES {
        return Err(Error::invalid(format!(
            "the target \"{}\" has more than {MAX_CLASSES} labels",
            column.name
        ))
        .with_hint("Leave rare labels out of the arrays in the query."));
    }
    let mut labels: Vec<String> = (0..dictionary.len())
        .filter(|&code| seen.get(code))
        .filter_map(|code| dictionary.text(code as u32).map(str::to_owned))
        .collect();
    if labels.is_empty() {
        return Err(Error::invalid(format!(
            "the target \"{}\" is an empty array in every row",
            column.name
        ))
        .with_hint("Some rows must have labels."));
    }
    labels.sort();
    Ok(labels)
}

//! What is true of a row that a model is judged on: its target, read for the model.

use std::fmt::Write as _;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::{ClassIndex, Target, is_exposure};
use crate::pg::cache::DecodedModel;
use crate::pg::error::{Report, Result};
use crate::pg::reader::Resolved;
use crate::pg::rows::{Elements, Reader, ResultColumn};
use crate::pg::sql_type::stored_type;
use crate::training::Truth;

/// The column of what the numbers of a target are over.
struct Exposure {
    name: String,
    place: usize,
    reader: Reader,
}

/// Classes that a message names.
const SHOWN: usize = 20;

/// Reads the targets of a query for a model.
pub(super) struct TargetReader<'a> {
    how: How,
    name: &'a str,
    /// The target's place among the query's columns.
    place: usize,
    exposure: Option<Exposure>,
    decoded: &'a DecodedModel,
    resolved: &'a Resolved,
    classes: ClassIndex,
    text: String,
    array: Vec<f64>,
}

/// How the target's column is read.
#[derive(Clone, Copy)]
enum How {
    Number(Reader),
    Class(Reader),
    /// An array of numbers or truth values.
    Numbers(Elements),
    /// An array of labels.
    Labels(Elements),
}

impl How {
    /// The way to read a column, if the model's target can be one of its type.
    fn new(target: &Target, column: &ResultColumn) -> Option<How> {
        if !target.is_array() {
            let reader = Reader::for_type(column.type_oid)?;
            return match target {
                Target::Regression {
                    sql_type, origin, ..
                } => {
                    // Dates and both kinds of timestamps are numbers of different moments.
                    let is_time = origin.is_time() || reader.origin().is_time();
                    // SAFETY: a catalog look-up by the OID of a type that exists.
                    let of = unsafe { pg_sys::getBaseType(column.type_oid) };
                    let fits = !is_time || stored_type(sql_type, *origin) == Some(of);
                    (fits && reader.is_number()).then_some(How::Number(reader))
                }
                _ => Some(How::Class(reader.spelled_as(target.classes()))),
            };
        }
        let elements = Elements::for_type(column.type_oid)?;
        let numbers = elements.reader.is_number();
        match target {
            Target::Labels { origin, .. } if !origin.is_number() => {
                (!numbers).then_some(How::Labels(elements))
            }
            _ => numbers.then_some(How::Numbers(elements)),
        }
    }
}

impl<'a> TargetReader<'a> {
    /// A reader of the column at this place of a query's result. What its numbers are over is found by
    /// name.
    ///
    /// # Errors
    /// A type that the model does not predict, and no exposure where the model has one.
    pub(super) fn new(
        decoded: &'a DecodedModel,
        resolved: &'a Resolved,
        name: &'a str,
        (columns, place): (&[ResultColumn], usize),
    ) -> Result<TargetReader<'a>> {
        let column = &columns[place];
        let exposure = exposure_of(decoded, resolved, columns)?;
        let how = How::new(&decoded.target, column).ok_or_else(|| {
            Report::new(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "the target \"{name}\" is of type {}, which model \"{}\" does not predict",
                    column.type_name,
                    resolved.label()
                ),
            )
            .hint("Name the right column, or cast it in the query.")
        })?;
        Ok(TargetReader {
            how,
            name,
            place,
            exposure,
            decoded,
            resolved,
            classes: decoded.target.class_index(),
            text: String::new(),
            array: Vec::new(),
        })
    }

    /// The classes of the model that is judged.
    pub(super) fn known_classes(&self) -> &'a [String] {
        self.decoded.target.classes()
    }

    /// The column's name.
    pub(super) fn name(&self) -> &str {
        self.name
    }

    /// What is true of a row of the query's result; `None` where the target is NULL or [`read`]
    /// says so.
    ///
    /// # Errors
    /// As for [`read`], and an exposure that is not above 0.
    ///
    /// # Safety
    /// The datums are of the query's column types.
    ///
    /// [`read`]: TargetReader::read
    pub(super) unsafe fn truth(
        &mut self,
        values: &[pg_sys::Datum],
        nulls: &[bool],
    ) -> Result<Option<Truth<'_>>> {
        if nulls[self.place] {
            return Ok(None);
        }
        let Some(Exposure {
            name,
            place,
            reader,
        }) = &self.exposure
        else {
            // SAFETY: as the caller says.
            return unsafe { self.read(values[self.place]) };
        };
        let exposure = match nulls[*place] {
            true => f64::NAN,
            // SAFETY: as the caller says; not NULL.
            false => unsafe { reader.number(values[*place]) },
        };
        if !is_exposure(exposure) {
            return Err(Report::invalid(format!(
                "column \"{name}\", the exposure of model \"{}\", is NULL, 0, negative or infinite \
                 in a row",
                self.resolved.label()
            ))
            .hint("Leave such rows out with a WHERE clause in the query."));
        }
        // SAFETY: as the caller says.
        let truth = unsafe { self.read(values[self.place])? };
        Ok(truth.map(|truth| match truth {
            Truth::Number(number) => Truth::Over { number, exposure },
            truth => truth,
        }))
    }

    /// What the datum says; `None` where it is NaN, or an array with a NULL or NaN in it, so that
    /// the row does not count.
    ///
    /// # Errors
    /// A class or label that the model does not know, or an array of another length than its outputs.
    ///
    /// # Safety
    /// The datum is of the column's type, and not NULL.
    unsafe fn read(&mut self, datum: pg_sys::Datum) -> Result<Option<Truth<'_>>> {
        // SAFETY: as the caller says, the datum and its elements are of the readers' types.
        unsafe {
            match self.how {
                How::Number(reader) => {
                    let number = reader.number(datum);
                    Ok((!number.is_nan()).then_some(Truth::Number(number)))
                }
                How::Class(reader) => {
                    let text = reader.text(datum, &mut self.text);
                    match self.classes.find(text, reader.origin().is_number()) {
                        Some(class) => Ok(Some(Truth::Class(class as u32))),
                        None => Err(no_class(text, self.decoded, self.resolved)),
                    }
                }
                How::Numbers(elements) => self.numbers(&elements, datum),
                How::Labels(elements) => self.labels(&elements, datum),
            }
        }
    }

    /// # Safety
    /// As for `read`; the elements are those of the column.
    unsafe fn numbers(
        &mut self,
        elements: &Elements,
        datum: pg_sys::Datum,
    ) -> Result<Option<Truth<'_>>> {
        let array = &mut self.array;
        array.clear();
        // SAFETY: as the caller says.
        unsafe {
            elements.for_each(datum, |element| {
                array.push(element.map_or(f64::NAN, |element| elements.reader.number(element)));
            });
        }
        if array.iter().any(|number| number.is_nan()) {
            return Ok(None);
        }
        let outputs = self.decoded.outputs();
        if array.len() != outputs {
            return Err(Report::invalid(format!(
                "the target \"{}\" has {} values in a row, but model \"{}\" has {outputs} outputs",
                self.name,
                array.len(),
                self.resolved.label(),
            ))
            .hint("Give every row a value for each output."));
        }
        Ok(Some(Truth::Numbers(array)))
    }

    /// # Safety
    /// As for `read`; the elements are those of the column.
    unsafe fn labels(
        &mut self,
        elements: &Elements,
        datum: pg_sys::Datum,
    ) -> Result<Option<Truth<'_>>> {
        let (array, text, classes) = (&mut self.array, &mut self.text, &self.classes);
        array.clear();
        array.resize(self.decoded.outputs(), 0.0);
        let (mut whole, mut unknown) = (true, None);
        // SAFETY: as the caller says.
        unsafe {
            elements.for_each(datum, |element| {
                let Some(element) = element else {
                    whole = false;
                    return;
                };
                let label = elements.reader.text(element, text);
                match classes.find(label, false).and_then(|at| array.get_mut(at)) {
                    Some(applies) => *applies = 1.0,
                    None => unknown = Some(label.to_owned()),
                }
            });
        }
        match unknown {
            _ if !whole => Ok(None),
            Some(label) => Err(no_class(&label, self.decoded, self.resolved)),
            None => Ok(Some(Truth::Numbers(array))),
        }
    }
}

/// The column that a model's exposures are in.
fn exposure_of(
    decoded: &DecodedModel,
    resolved: &Resolved,
    columns: &[ResultColumn],
) -> Result<Option<Exposure>> {
    let family = decoded.target.family();
    let Some(name) = family.and_then(|family| family.exposure()) else {
        return Ok(None);
    };
    let what = format!(
        "column \"{name}\", the exposure of model \"{}\",",
        resolved.label()
    );
    let place = columns.iter().position(|column| column.name == name);
    let place = place.ok_or_else(|| {
        Report::new(
            Code::ERRCODE_UNDEFINED_COLUMN,
            format!("{what} is missing from the query's result"),
        )
        .hint("Add it to the query: predictions are for 1 of it, and are multiplied by it.")
    })?;
    let column = &columns[place];
    let reader = Reader::for_type(column.type_oid).filter(|reader| reader.is_number());
    let reader = reader.ok_or_else(|| {
        Report::new(
            Code::ERRCODE_DATATYPE_MISMATCH,
            format!("{what} is of type {}, which is no number", column.type_name),
        )
        .hint("Cast it in the query.")
    })?;
    Ok(Some(Exposure {
        name: name.to_owned(),
        place,
        reader,
    }))
}

/// 22023 for a class or label that the model does not know.
fn no_class(text: &str, decoded: &DecodedModel, resolved: &Resolved) -> Report {
    let classes = decoded.target.classes();
    let mut known = String::new();
    for class in classes.iter().take(SHOWN) {
        let separator = if known.is_empty() { "" } else { ", " };
        let _ = write!(known, "{separator}{class}");
    }
    if classes.len() > SHOWN {
        known.push_str(", …");
    }
    Report::invalid(format!(
        "the target's value \"{text}\" is no class of model \"{}\"",
        resolved.label()
    ))
    .hint(format!("Its classes are: {known}."))
}

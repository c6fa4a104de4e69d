//! What is true of a row that a model is judged on: its target, read for the model.

use std::fmt::Write as _;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::{ClassIndex, Target};
use crate::pg::cache::DecodedModel;
use crate::pg::error::{Report, Result};
use crate::pg::reader::Resolved;
use crate::pg::rows::{Elements, Reader, ResultColumn};
use crate::pg::sql_type::stored_type;
use crate::training::Truth;

/// Classes that a message names.
const SHOWN: usize = 20;

/// Reads the targets of a query for a model.
pub(super) struct TargetReader<'a> {
    how: How,
    name: &'a str,
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
    /// A reader of the column.
    pub(super) fn new(
        decoded: &'a DecodedModel,
        resolved: &'a Resolved,
        name: &'a str,
        column: &ResultColumn,
    ) -> Result<TargetReader<'a>> {
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

    /// What the datum says; `None` where it is NaN, or an array with a NULL or NaN in it, so that
    /// the row does not count.
    ///
    /// # Errors
    /// A class or label that the model does not know, or an array of another length than its outputs.
    ///
    /// # Safety
    /// The datum is of the column's type, and not NULL.
    pub(super) unsafe fn read(&mut self, datum: pg_sys::Datum) -> Result<Option<Truth<'_>>> {
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

//! Taking arrays in, row by row, when they are read for training as when a model is called: each
//! is checked and brought to the form that its column's treatment asks for.

use super::image::ImageIntake;
use super::{
    ArrayShape, Arrays, Column, DEFAULT_STEPS, Error, Feature, Fitted, Real, Request, Treatment,
};

/// Takes in the arrays of one column.
///
/// What it has taken in are: of a vector its numbers, all rows' equally many; of an image its
/// values, unscaled, channel after channel, in the shape that the network sees; of a sequence its
/// last steps, at most as many as are kept. Missing arrays are empty.
#[derive(Clone, Debug)]
pub struct Intake {
    column: String,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// Nothing is kept.
    Skip,
    Vector {
        /// That of the first row.
        length: Option<usize>,
    },
    Image(Box<ImageIntake>),
    Sequence {
        /// Of the first row.
        features: Option<usize>,
        keep: usize,
    },
}

impl Intake {
    /// For a column that is to be treated so. An image may take `memory` bytes when decoded.
    pub fn new(request: &Request, column: &Column, memory: usize) -> Intake {
        let form = match &request.treatment {
            Treatment::Vector(settings) => Form::Vector {
                length: settings.length,
            },
            Treatment::Image(settings) => {
                let intake = ImageIntake::new(settings.geometry.clone(), memory);
                Form::Image(Box::new(intake))
            }
            Treatment::Sequence(settings) => Form::Sequence {
                features: settings.features,
                keep: settings.length.unwrap_or(DEFAULT_STEPS),
            },
            Treatment::Numeric(_) | Treatment::Categorical(_) | Treatment::Ignore => Form::Skip,
        };
        Intake {
            column: column.name.clone(),
            form,
        }
    }

    /// For a feature that is fitted. An image may take `memory` bytes when decoded.
    pub fn fitted(feature: &Feature, memory: usize) -> Intake {
        let form = match &feature.treatment {
            Fitted::Vector { center, .. } => Form::Vector {
                length: Some(center.len()),
            },
            Fitted::Image { geometry, .. } => {
                Form::Image(Box::new(ImageIntake::new(geometry.clone(), memory)))
            }
            Fitted::Sequence {
                length, features, ..
            } => Form::Sequence {
                features: Some(*features),
                keep: *length,
            },
            Fitted::Numeric { .. }
            | Fitted::OneHot { .. }
            | Fitted::Index { .. }
            | Fitted::Ignored { .. } => Form::Skip,
        };
        Intake {
            column: feature.name.clone(),
            form,
        }
    }

    /// Whether nothing is kept, so that the array need not even be read.
    pub fn skips(&self) -> bool {
        matches!(self.form, Form::Skip)
    }

    /// The shape that all arrays of the column have, as far as rows or settings have told.
    pub fn shape(&self) -> Option<ArrayShape> {
        match &self.form {
            Form::Skip => None,
            Form::Vector { length } => length.map(|length| ArrayShape::Vector { length }),
            Form::Image(intake) => intake.stored().map(ArrayShape::image),
            Form::Sequence { features, .. } => {
                features.map(|features| ArrayShape::Sequence { features })
            }
        }
    }

    /// Takes in an array of these dimensions, whose numbers stand behind the last row of `into`
    /// (see [`Arrays::open`]); a NULL among them is a NaN.
    ///
    /// # Errors
    /// Another shape than that of the rows before, or a value that the treatment cannot take; then
    /// the numbers are gone.
    pub fn array<T: Real>(&mut self, dims: &[usize], into: &mut Arrays<T>) -> Result<(), Error> {
        let taken = self.take(dims, into);
        if taken.is_err() {
            let start = into.start();
            into.open().truncate(start);
        }
        taken
    }

    fn take<T: Real>(&mut self, dims: &[usize], into: &mut Arrays<T>) -> Result<(), Error> {
        let column = &self.column;
        let start = into.start();
        let numbers = into.open().get(start..).unwrap_or_default();
        let count = numbers.len();
        if count == 0 || dims.iter().product::<usize>() != count {
            return Err(match self.form {
                Form::Skip => {
                    into.close();
                    return Ok(());
                }
                Form::Vector { .. } => {
                    Error::invalid(format!("column \"{column}\" has an empty array"))
                        .with_hint("A missing vector is NULL.")
                }
                Form::Image(_) => no_value(column, "an image", "is empty"),
                Form::Sequence { .. } => no_value(column, "a sequence", "has no steps"),
            });
        }
        let finite = || numbers.iter().all(|number| number.double().is_finite());
        match &mut self.form {
            Form::Skip => into.open().truncate(start),
            Form::Vector { length } => {
                let expected = *length.get_or_insert(count);
                if expected != count {
                    return Err(Error::invalid(format!(
                        "a vector in column \"{column}\" has {count} numbers, but the column's \
                         vectors have {expected}"
                    ))
                    .with_hint(
                        "All arrays of a vector column have one length; arrays of any length can \
                         be treated as \"sequence\".",
                    ));
                }
            }
            Form::Image(_) if !finite() => return Err(not_finite(column, "an image", numbers)),
            Form::Sequence { .. } if !finite() => {
                return Err(not_finite(column, "a sequence", numbers));
            }
            Form::Image(intake) => {
                let singles = T::singles(into).ok_or_else(|| {
                    Error::invalid(format!(
                        "the images of column \"{column}\" are held in double precision"
                    ))
                })?;
                return intake.array(column, dims, singles);
            }
            Form::Sequence { features, keep } => {
                let given = match dims {
                    [_] => 1,
                    [_, features] => *features,
                    _ => {
                        return Err(Error::invalid(format!(
                            "a sequence in column \"{column}\" is an array of {} dimensions",
                            dims.len()
                        ))
                        .with_hint("A sequence is an array of steps, or of steps × features."));
                    }
                };
                let expected = *features.get_or_insert(given);
                if given != expected {
                    return Err(Error::invalid(format!(
                        "a sequence in column \"{column}\" has {given} numbers a step, but the \
                         column's sequences have {expected}"
                    ))
                    .with_hint("Every step of every row has the same features."));
                }
                let surplus = count.saturating_sub(keep.saturating_mul(expected));
                into.open().drain(start..start + surplus);
            }
        }
        into.close();
        Ok(())
    }

    /// Takes in bytes: an encoded image, or its pixels.
    ///
    /// # Errors
    /// Bytes that are neither, or an image that would take too much memory.
    pub fn bytes<T: Real>(&mut self, bytes: &[u8], into: &mut Arrays<T>) -> Result<(), Error> {
        match &mut self.form {
            Form::Image(intake) => {
                let Some(into) = T::singles(into) else {
                    return Err(Error::invalid(format!(
                        "the images of column \"{}\" are held in double precision",
                        self.column
                    )));
                };
                let start = into.start();
                let taken = intake.bytes(&self.column, bytes, into);
                if taken.is_err() {
                    into.open().truncate(start);
                }
                taken
            }
            Form::Skip => {
                into.close();
                Ok(())
            }
            Form::Vector { .. } | Form::Sequence { .. } => Err(Error::type_mismatch(
                format!(
                    "column \"{}\" holds bytes, which are an image only",
                    self.column
                ),
                "Treat it as \"image\" in features.",
            )),
        }
    }

    /// Takes in a NULL.
    ///
    /// # Errors
    /// For an image or a sequence: only a vector can be missing.
    pub fn missing<T: Real>(&mut self, into: &mut Arrays<T>) -> Result<(), Error> {
        match self.form {
            Form::Skip | Form::Vector { .. } => {
                into.close();
                Ok(())
            }
            Form::Image(_) => Err(no_value(&self.column, "an image", "is NULL")),
            Form::Sequence { .. } => Err(no_value(&self.column, "a sequence", "is NULL")),
        }
    }
}

fn no_value(column: &str, what: &str, fault: &str) -> Error {
    Error::invalid(format!("{what} in column \"{column}\" {fault}"))
        .with_hint("Leave such rows out in the query's WHERE clause.")
}

fn not_finite<T: Real>(column: &str, what: &str, numbers: &[T]) -> Error {
    let fault = if numbers.iter().any(|number| number.double().is_nan()) {
        "NULL or NaN"
    } else {
        "an infinite number"
    };
    Error::invalid(format!("{what} in column \"{column}\" has {fault} inside"))
        .with_hint("Replace it in the query, or leave such rows out in its WHERE clause.")
}

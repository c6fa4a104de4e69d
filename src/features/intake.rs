//! Taking arrays in, row by row, when they are read for training as when a model is called: each
//! is checked and brought to the form that its column's treatment asks for.

use super::column::{ArrayShape, Column};
use super::error::Error;
use super::feature::Feature;
use super::request::Request;
use super::rows::arrays::{Arrays, Real};
use super::treatment::TakesIn;
use super::treatments::AnyIntake;

/// Takes in the arrays of one column.
///
/// What it has taken in are: of a vector its numbers, all rows' equally many; of an image its
/// values, unscaled, channel after channel, in the shape that the network sees; of a sequence its
/// last steps, at most as many as are kept. Missing arrays are empty.
#[derive(Clone, Debug)]
pub struct Intake {
    column: String,
    of: AnyIntake,
}

impl Intake {
    /// For a column that is to be treated so. An image may take `memory` bytes when decoded.
    pub fn new(request: &Request, column: &Column, memory: usize) -> Intake {
        Intake {
            column: column.name.clone(),
            of: request.treatment.intake(memory),
        }
    }

    /// For a feature that is fitted. An image may take `memory` bytes when decoded.
    pub fn fitted(feature: &Feature, memory: usize) -> Intake {
        Intake {
            column: feature.name.clone(),
            of: feature.treatment.intake(memory),
        }
    }

    /// Whether nothing is kept, so that the array need not even be read.
    pub fn skips(&self) -> bool {
        self.of.skips()
    }

    /// The shape that all arrays of the column have, as far as rows or settings have told.
    pub fn shape(&self) -> Option<ArrayShape> {
        self.of.shape()
    }

    /// Takes in an array of these dimensions, whose numbers stand behind the last row of `into`
    /// (see [`Arrays::open`]); a NULL among them is a NaN.
    ///
    /// # Errors
    /// Another shape than that of the rows before, or a value that the treatment cannot take; then
    /// the numbers are gone.
    pub fn array<T: Real>(&mut self, dims: &[usize], into: &mut Arrays<T>) -> Result<(), Error> {
        let start = into.start();
        let count = into.open().len().saturating_sub(start);
        let taken = match count == 0 || dims.iter().product::<usize>() != count {
            true => self.of.empty(&self.column, into),
            false => self.of.array(&self.column, dims, into),
        };
        if taken.is_err() {
            into.open().truncate(start);
        }
        taken
    }

    /// Takes in bytes: an encoded image, or its pixels.
    ///
    /// # Errors
    /// Bytes that are neither, or an image that would take too much memory.
    pub fn bytes<T: Real>(&mut self, bytes: &[u8], into: &mut Arrays<T>) -> Result<(), Error> {
        let start = into.start();
        let taken = self.of.bytes(&self.column, bytes, into);
        if taken.is_err() {
            into.open().truncate(start);
        }
        taken
    }

    /// Takes in a NULL.
    ///
    /// # Errors
    /// For an image or a sequence: only a vector can be missing.
    pub fn missing<T: Real>(&mut self, into: &mut Arrays<T>) -> Result<(), Error> {
        self.of.missing(&self.column, into)
    }
}

//! What a treatment is: what each room that has one answers. The table of them is in `treatments`.
//!
//! What is asked of a column ([`Asked`]) is fitted to the training rows ([`Learnt`]), which give the
//! column's arrays a form ([`TakesIn`]) and write its values as inputs of the network ([`Encodes`]).
//! The first two are asked once a column, and may be called without knowing which treatment it is;
//! the others are asked once a row or a block, and are always known.

use std::fmt::Debug;
use std::ops::Range;

use serde_json::{Map, Value};

use super::column::{ArrayShape, Column, Kind, Origin};
use super::error::Error;
use super::gather::gathered::Gathered;
use super::profile::Profile;
use super::rows::arrays::{Arrays, Real};
use super::rows::block::Block;
use super::rows::dictionary::Dictionary;
use super::rows::values::Values;
use crate::nn::{Augmentation, InputForm, Rank};

/// Most inputs that one column may have.
pub const MAX_INPUTS: usize = 1 << 20;

/// Rows that are encoded column by column.
pub(super) const STRIP: usize = 128;

/// A treatment as the `features` argument names it.
pub(super) struct TreatmentType {
    /// Its name.
    pub name: &'static str,
    /// The dimensions of the arrays that it is for, 0 of single values; none where nothing is made of
    /// the values.
    pub dimensions: Option<usize>,
    /// Whether a column of this family can be treated so.
    pub takes: fn(Origin) -> bool,
    /// Whether one is, unless told otherwise.
    pub suits: fn(Origin) -> bool,
    /// The SQL type of a feature that is told to be treated so, unless it is given another one; none
    /// where features cannot be told so.
    pub told_as: Option<(&'static str, Origin)>,
}

/// A feature as it is told rather than fitted.
pub(super) struct Told<'a> {
    /// What is said of it.
    pub settings: &'a Map<String, Value>,
    /// The column of such a call.
    pub column: &'a Column,
    /// `Some` where an embedding reads it, with the vocabulary that this one says it has.
    pub embedded: Option<Option<usize>>,
}

/// What a treatment is fitted on.
pub(super) struct Site<'a> {
    /// The column, whose shape is that of its arrays before anything is cropped from them.
    pub column: &'a Column,
    /// What its rows gave.
    pub gathered: &'a Gathered,
    /// Its texts.
    pub dictionary: Option<&'a Dictionary>,
    /// Whether an embedding of the architecture reads it.
    pub embedded: bool,
}

/// What is asked of a column: the settings of a treatment.
pub(super) trait Asked: Debug {
    /// What fitting makes of it.
    type Learnt
    where
        Self: Sized;
    /// What takes in its arrays.
    type Intake: TakesIn
    where
        Self: Sized;

    /// Understands the settings.
    ///
    /// # Errors
    /// One that is unknown or wrong.
    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error>
    where
        Self: Sized;

    /// What is fitted, from what is said of it: without any row.
    ///
    /// # Errors
    /// A setting that is unknown, wrong or missing, or a type that cannot be treated so.
    fn told(told: &Told<'_>) -> Result<Self::Learnt, Error>
    where
        Self: Sized;

    /// Fits it to what was gathered.
    ///
    /// # Errors
    /// Values that cannot be treated so.
    fn fit(&self, site: &Site<'_>) -> Result<Self::Learnt, Error>
    where
        Self: Sized;

    /// What takes in arrays that are to be treated so. An image may take `memory` bytes when decoded.
    fn intake(&self, memory: usize) -> Self::Intake
    where
        Self: Sized;

    /// How the raw values are to be stored.
    fn kind(&self, origin: Origin) -> Kind;

    /// As what a layer of the network reads it.
    fn rank(&self) -> Rank {
        Rank::Any
    }

    /// Whether it is an array whose numbers are scaled, each by itself.
    fn is_scaled_array(&self) -> bool {
        false
    }

    /// The dictionary to read the column with: what must keep its code however many other texts
    /// come first is in it from the start.
    fn dictionary(&self) -> Dictionary {
        Dictionary::new()
    }

    /// The shape that the arrays of a column have once they are taken in.
    fn seen_shape(&self, column: &Column) -> Option<ArrayShape> {
        column.shape
    }

    /// Takes note of the vocabulary of the embedding that reads it.
    fn set_vocabulary(&mut self, _vocabulary: usize) {}

    /// Checks that an embedding can read it.
    ///
    /// # Errors
    /// It cannot.
    fn check_embedding(&self, _column: &Column) -> Result<(), Error> {
        Ok(())
    }
}

/// A treatment that is fitted.
pub(super) trait Learnt: Debug {
    /// What encodes its values.
    type Encoder: Encodes
    where
        Self: Sized;
    /// What takes in its arrays.
    type Intake: TakesIn
    where
        Self: Sized;

    /// What encodes the values of a column that is treated so.
    fn encoder(&self, column: &Column) -> Self::Encoder
    where
        Self: Sized;

    /// What takes in arrays as it was fitted to them. An image may take `memory` bytes when decoded.
    fn intake(&self, memory: usize) -> Self::Intake
    where
        Self: Sized;

    /// The treatment.
    fn treatment(&self) -> &'static TreatmentType;

    /// Checks that numbers, sizes and levels are some that a fit could have given.
    ///
    /// # Errors
    /// What is wrong, as a predicate: `has the same level twice`.
    fn check(&self) -> Result<(), &'static str>;

    /// How the raw values are stored.
    fn kind(&self, origin: Origin) -> Kind;

    /// Inputs of the network that it fills.
    fn width(&self) -> usize;

    /// As what the network reads them.
    fn form(&self) -> InputForm {
        InputForm::Numbers(self.width())
    }

    /// The shape of its arrays, if it is used and holds arrays.
    fn shape(&self) -> Option<ArrayShape> {
        None
    }

    /// Whether it is an array whose numbers are scaled, each by itself.
    fn is_scaled_array(&self) -> bool {
        false
    }

    /// How many places of its arrays have scales of their own, beside those of a few channels.
    fn scales(&self) -> usize {
        0
    }

    /// The levels of a category that is used.
    fn levels(&self) -> Option<&[String]> {
        None
    }

    /// The dictionary to read its texts with.
    fn dictionary(&self) -> Dictionary {
        Dictionary::with_levels(self.levels().unwrap_or_default())
    }

    /// The width of the embedding that it asks for, where the architecture has none.
    fn embedding(&self) -> Option<usize> {
        None
    }

    /// Why the network does not see it, if it does not.
    fn reason(&self) -> Option<&str> {
        None
    }

    /// Why it cannot be one of the steps of sequences, if it cannot: what it is, and what to do.
    fn step_fault(&self) -> Option<(&'static str, &'static str)> {
        Some((
            self.treatment().name,
            "Say \"ignore\" of it in features, or leave it out of the query.",
        ))
    }

    /// How training varies the values at random, which begin at this place of the encoded row.
    fn augmentation(&self, _offset: usize) -> Option<Augmentation> {
        None
    }

    /// How it was distributed among the training rows.
    fn profile(&self, gathered: &Gathered, dictionary: Option<&Dictionary>) -> Profile {
        match (self.levels(), gathered, dictionary) {
            (None, ..) => gathered.deciles(),
            (Some(levels), Gathered::Category(codes), Some(dictionary)) => {
                Profile::Levels(codes.level_counts(levels, dictionary))
            }
            _ => Profile::None,
        }
    }

    /// In how many places its profile counts rows, if it does.
    fn counts(&self) -> Option<usize> {
        self.levels().map(|levels| levels.len() + 2)
    }

    /// It in a few words: `numeric, standard`.
    fn words(&self) -> String;

    /// Adds what a caller must know of the arrays to give.
    fn describe_shape(&self, _map: &mut Map<String, Value>) {}

    /// What the owner sees of it: an object.
    fn describe(&self) -> Value;
}

/// Takes in the arrays of one column, row by row; by itself nothing of them.
pub(super) trait TakesIn {
    /// Whether nothing is kept.
    fn skips(&self) -> bool {
        false
    }

    /// The shape that all arrays of the column have, as far as rows or settings have told.
    fn shape(&self) -> Option<ArrayShape> {
        None
    }

    /// Takes in an array of these dimensions, which has numbers: they stand behind the last row of
    /// `into`.
    ///
    /// # Errors
    /// Another shape than that of the rows before, or a value that the treatment cannot take.
    fn array<T: Real>(
        &mut self,
        _column: &str,
        _dims: &[usize],
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        let start = into.start();
        into.open().truncate(start);
        into.close();
        Ok(())
    }

    /// Takes in an array without numbers.
    ///
    /// # Errors
    /// There must be some.
    fn empty<T: Real>(&mut self, _column: &str, into: &mut Arrays<T>) -> Result<(), Error> {
        into.close();
        Ok(())
    }

    /// Takes in bytes.
    ///
    /// # Errors
    /// Bytes that the treatment cannot take.
    fn bytes<T: Real>(
        &mut self,
        column: &str,
        _bytes: &[u8],
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        if self.skips() {
            into.close();
            return Ok(());
        }
        Err(Error::type_mismatch(
            format!("column \"{column}\" holds bytes, which are an image only"),
            "Treat it as \"image\" in features.",
        ))
    }

    /// Takes in a NULL.
    ///
    /// # Errors
    /// A value that cannot be missing.
    fn missing<T: Real>(&mut self, _column: &str, into: &mut Arrays<T>) -> Result<(), Error> {
        into.close();
        Ok(())
    }
}

/// Takes in nothing: of a column whose treatment is not for arrays.
#[derive(Clone, Debug)]
pub(super) struct NoIntake;

impl TakesIn for NoIntake {
    fn skips(&self) -> bool {
        true
    }
}

/// The error of a row whose value cannot be missing.
pub(super) fn no_value(column: &str, what: &str, fault: &str) -> Error {
    Error::invalid(format!("{what} in column \"{column}\" {fault}"))
        .with_hint("Leave such rows out in the query's WHERE clause.")
}

/// Checks that all numbers of an array are finite.
pub(super) fn check_finite<T: Real>(column: &str, what: &str, numbers: &[T]) -> Result<(), Error> {
    let mut numbers = numbers.iter().map(|number| number.double());
    if numbers.clone().all(f64::is_finite) {
        return Ok(());
    }
    let fault = if numbers.any(f64::is_nan) {
        "NULL or NaN"
    } else {
        "an infinite number"
    };
    Err(
        Error::invalid(format!("{what} in column \"{column}\" has {fault} inside"))
            .with_hint("Replace it in the query, or leave such rows out in its WHERE clause."),
    )
}

/// The error of an array of another shape than the feature's.
pub(super) fn other_shape(column: &str) -> Error {
    Error::invalid(format!(
        "an array in column \"{column}\" has another shape than its feature"
    ))
}

/// Encodes the values of one feature. What it is not for it leaves alone.
pub(super) trait Encodes {
    /// Writes a number's inputs, which begin at `offset` of the row; NaN is missing.
    #[inline]
    fn number(&self, _value: f64, _row: &mut [f32], _offset: usize) {}

    /// Writes the inputs of a text; `None` is missing.
    #[inline]
    fn category(&self, _text: Option<&str>, _inputs: &mut [f32]) {}

    /// Writes the inputs of an array as it was taken in.
    ///
    /// # Errors
    /// An array of another shape, or with a value that has no encoding.
    #[inline]
    fn array<T: Real>(&self, _array: &[T], _inputs: &mut [f32]) -> Result<(), Error> {
        Ok(())
    }

    /// Writes the inputs of some rows of a block.
    ///
    /// # Errors
    /// A column of another kind, or what cannot be encoded.
    fn strip(&self, strip: Strip<'_>) -> Result<(), Error>;

    /// Whether a text is one of the levels.
    fn is_level(&self, _text: &str) -> bool {
        false
    }

    /// What [`strip`](Encodes::strip) needs to know of each of a dictionary's texts.
    fn codes(&self, _dictionary: &Dictionary) -> Option<Vec<u32>> {
        None
    }

    /// Bytes of memory it takes beside itself.
    fn size_bytes(&self) -> usize {
        0
    }
}

/// Some rows of a block on their way to inputs of the network.
pub(super) struct Strip<'a> {
    /// The block.
    pub block: &'a Block,
    /// Its column.
    pub column: usize,
    /// Its rows, at most [`STRIP`].
    pub rows: Range<usize>,
    /// What the feature's encoder says of each code, where it has a dictionary.
    pub of_codes: Option<&'a [u32]>,
    /// The encoded rows.
    pub out: &'a mut [f32],
    /// The width of each.
    pub width: usize,
    /// Where in each the feature's inputs are.
    pub inputs: Range<usize>,
    /// Room for a number a row.
    pub numbers: &'a mut [f32; STRIP],
}

impl<'a> Strip<'a> {
    /// What the feature's encoder says of each code.
    ///
    /// # Errors
    /// There is no dictionary.
    pub fn codes(&self) -> Result<&'a [u32], Error> {
        self.of_codes.ok_or_else(|| {
            Error::invalid(format!(
                "there is no dictionary for feature {}",
                self.column + 1
            ))
        })
    }

    /// Encodes the arrays, each into its row.
    pub fn each_array(self, encoder: &impl Encodes) -> Result<(), Error> {
        match self.block.columns.get(self.column) {
            Some(Values::Numbers(_)) => {
                let arrays = self.block.number_arrays(self.column)?;
                self.each(arrays, encoder)
            }
            _ => {
                let arrays = self.block.arrays(self.column)?;
                self.each(arrays, encoder)
            }
        }
    }

    fn each<T: Real>(self, arrays: &Arrays<T>, encoder: &impl Encodes) -> Result<(), Error> {
        for (row, place) in self.out.chunks_exact_mut(self.width).zip(self.rows) {
            let array = arrays.get(place).unwrap_or_default();
            encoder.array(array, &mut row[self.inputs.clone()])?;
        }
        Ok(())
    }
}

/// What writes nothing.
#[derive(Clone, Debug)]
pub(super) struct NoInputs;

impl Encodes for NoInputs {
    fn strip(&self, _strip: Strip<'_>) -> Result<(), Error> {
        Ok(())
    }
}

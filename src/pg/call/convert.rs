//! How one feature's value is made from a datum.

use std::ffi::CString;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::{Arrays, Encoder, Feature, Intake, Kind, Origin};
use crate::pg::error::Report;
use crate::pg::reader::Resolved;
use crate::pg::rows::{ArrayReader, Reader, type_name};
use crate::pg::settings;

const SECONDS_A_DAY: f64 = 86_400.0;

/// How one feature's value is made from a datum.
pub struct Convert {
    how: How,
    buffer: String,
}

enum How {
    /// As a number, times a factor (between days and seconds; mostly 1).
    Number(Reader, f64),
    /// As a level's name.
    Category(Reader),
    /// As an array, which is taken in ahead of being encoded.
    Array {
        reader: ArrayReader,
        intake: Box<Intake>,
        /// Room for one.
        taken: Arrays,
    },
    /// A literal without a type, parsed as the feature's type; what came out is kept when the
    /// literal is a constant of the query.
    Literal {
        input: pg_sys::Oid,
        parameter: pg_sys::Oid,
        then: Box<Convert>,
        kept: Option<Kept>,
    },
    /// The network does not see it.
    Unused,
}

enum Kept {
    Number(f64),
    Category(String),
    Array(Arrays),
}

impl Convert {
    /// How `feature` is read from a value of the given type.
    ///
    /// # Errors
    /// 42804 for a type that the feature cannot take.
    pub fn new(
        feature: &Feature,
        given: pg_sys::Oid,
        resolved: &Resolved,
    ) -> Result<Convert, Report> {
        let plain = |how| {
            Ok(Convert {
                how,
                buffer: String::new(),
            })
        };
        if !feature.is_used() {
            return plain(How::Unused);
        }
        if given == pg_sys::UNKNOWNOID {
            // SAFETY: looks the feature's type up by name, and its input function by OID.
            unsafe {
                let of_feature = type_by_name(&feature.sql_type);
                let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(of_feature, &mut input, &mut parameter);
                let then = Box::new(Convert::new(feature, of_feature, resolved)?);
                return plain(How::Literal {
                    input,
                    parameter,
                    then,
                    kept: None,
                });
            }
        }
        if let (Kind::Array, Some(reader)) = (feature.kind(), ArrayReader::for_type(given))
            && (feature.origin == Origin::Bytes) == (reader == ArrayReader::Bytes)
        {
            return plain(How::Array {
                reader,
                intake: Box::new(Intake::fitted(feature, settings::max_memory())),
                taken: Arrays::new(),
            });
        }
        let number = matches!(
            feature.origin,
            Origin::Integer | Origin::Float | Origin::Numeric | Origin::Boolean
        );
        let how = Reader::for_type(given).and_then(|reader| match (feature.kind(), reader) {
            (Kind::Number, Reader::Date) if feature.origin == Origin::Date => {
                Some(How::Number(reader, 1.0))
            }
            (Kind::Number, Reader::Date) if feature.origin == Origin::Timestamp => {
                Some(How::Number(reader, SECONDS_A_DAY))
            }
            (Kind::Number, Reader::Timestamp | Reader::TimestampTz)
                if feature.origin == Origin::Timestamp =>
            {
                Some(How::Number(reader, 1.0))
            }
            (Kind::Number, Reader::Timestamp | Reader::TimestampTz)
                if feature.origin == Origin::Date =>
            {
                Some(How::Number(reader, 1.0 / SECONDS_A_DAY))
            }
            (Kind::Number, Reader::Date | Reader::Timestamp | Reader::TimestampTz) => None,
            (Kind::Number, _) if number && reader.is_number() => Some(How::Number(reader, 1.0)),
            (Kind::Number, _) => None,
            (Kind::Category, _) if !reader.is_number() || feature.origin.is_number() => {
                Some(How::Category(level_reader(reader, feature)))
            }
            (Kind::Category | Kind::Array | Kind::Numbers | Kind::Labels, _) => None,
        });
        match how {
            Some(how) => plain(how),
            None => Err(Report::new(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "feature \"{}\" of model \"{}\" is of type {} and cannot take a value of type {}",
                    feature.name,
                    resolved.label(),
                    feature.sql_type,
                    type_name(given),
                ),
            )
            .hint("Give the features in call order, or cast the value.")),
        }
    }

    /// Whether it is read as a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.how, How::Number(..))
    }

    /// Whether a value is the number itself.
    pub(super) fn is_float8(&self) -> bool {
        matches!(self.how, How::Number(Reader::Float8, 1.0))
    }

    /// Whether it is a literal that may be parsed once for all rows, and is not yet.
    pub(super) fn is_unparsed(&self) -> bool {
        matches!(self.how, How::Literal { kept: None, .. })
    }

    /// The number; NaN for NULL, and for what is not read as a number.
    ///
    /// # Safety
    /// `given` is of the type planned for.
    #[inline]
    pub(super) unsafe fn number(&self, given: pg_sys::NullableDatum) -> f64 {
        match self.how {
            // SAFETY: as the caller says.
            How::Number(reader, factor) if !given.isnull => unsafe {
                factor * reader.number(given.value)
            },
            _ => f64::NAN,
        }
    }

    /// Writes the feature's part of the row.
    ///
    /// # Errors
    /// An array that the feature cannot take.
    ///
    /// # Safety
    /// `datum` is of the type planned for, unless `null`.
    #[inline]
    pub unsafe fn encode(
        &mut self,
        feature: usize,
        datum: pg_sys::Datum,
        null: bool,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        match &mut self.how {
            How::Number(reader, factor) => {
                let value = if null {
                    f64::NAN
                } else {
                    // SAFETY: as the caller says.
                    *factor * unsafe { reader.number(datum) }
                };
                encoder.number(feature, value, row);
            }
            How::Category(reader) => {
                let level = if null {
                    None
                } else {
                    // SAFETY: as the caller says.
                    Some(unsafe { reader.level(datum, &mut self.buffer) })
                };
                encoder.category(feature, level, row);
            }
            How::Array {
                reader,
                intake,
                taken,
            } => {
                taken.clear();
                // SAFETY: as the caller says.
                unsafe { reader.read(datum, null, intake, taken)? };
                encoder.array(feature, taken.get(0).unwrap_or_default(), row)?;
            }
            How::Literal {
                kept: Some(Kept::Array(taken)),
                ..
            } => encoder.array(feature, taken.get(0).unwrap_or_default(), row)?,
            How::Literal {
                kept: Some(Kept::Number(value)),
                ..
            } => {
                encoder.number(feature, *value, row);
            }
            How::Literal {
                kept: Some(Kept::Category(level)),
                ..
            } => {
                encoder.category(feature, Some(level), row);
            }
            How::Literal {
                input,
                parameter,
                then,
                ..
            } => {
                // SAFETY: an unknown value is a C string; the input function is its type's.
                unsafe {
                    let value = if null {
                        datum
                    } else {
                        pg_sys::OidInputFunctionCall(*input, datum.cast_mut_ptr(), *parameter, -1)
                    };
                    then.encode(feature, value, null, encoder, row)?;
                }
            }
            How::Unused => {}
        }
        Ok(())
    }

    /// Parses a literal once, when it is a constant of the query.
    ///
    /// # Errors
    /// An array that the feature cannot take.
    ///
    /// # Safety
    /// `datum` is a C string, not NULL.
    pub(super) unsafe fn parse(
        &mut self,
        datum: pg_sys::Datum,
        constant: bool,
    ) -> Result<(), Report> {
        let How::Literal {
            input,
            parameter,
            then,
            kept,
        } = &mut self.how
        else {
            return Ok(());
        };
        if !constant {
            return Ok(());
        }
        // SAFETY: as for `encode`.
        unsafe {
            let value = pg_sys::OidInputFunctionCall(*input, datum.cast_mut_ptr(), *parameter, -1);
            *kept = match &mut then.how {
                How::Array { reader, intake, .. } => {
                    let mut taken = Arrays::new();
                    reader.read(value, false, intake, &mut taken)?;
                    Some(Kept::Array(taken))
                }
                How::Number(reader, factor) => Some(Kept::Number(reader.number(value) * *factor)),
                How::Category(reader) => Some(Kept::Category(
                    reader.level(value, &mut then.buffer).to_string(),
                )),
                How::Literal { .. } | How::Unused => None,
            };
        }
        Ok(())
    }
}

/// How a level is read for a feature: without trailing blanks where they do not count for its own
/// type either.
fn level_reader(reader: Reader, feature: &Feature) -> Reader {
    match reader {
        Reader::Text
            if feature.sql_type.starts_with("character(") || feature.sql_type == "character" =>
        {
            Reader::PaddedText
        }
        _ => reader.spelled_as(feature.levels().unwrap_or_default()),
    }
}

/// The type of that name; text when it is no longer there.
///
/// # Safety
/// Called inside a transaction.
unsafe fn type_by_name(name: &str) -> pg_sys::Oid {
    let Ok(name) = CString::new(name) else {
        return pg_sys::TEXTOID;
    };
    // SAFETY: to_regtype gives NULL rather than an error for a type that is not there.
    unsafe {
        let text = pg_sys::cstring_to_text(name.as_ptr());
        pgrx::direct_function_call_as_datum(pg_sys::to_regtype, &[Some(pg_sys::Datum::from(text))])
            .map_or(pg_sys::TEXTOID, |datum| {
                pg_sys::Oid::from(datum.value() as u32)
            })
    }
}

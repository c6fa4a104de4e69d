//! How one feature's value is made from a datum.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::{Arrays, Encoder, Feature, Intake, Kind, Origin};
use crate::pg::error::Report;
use crate::pg::reader::Resolved;
use crate::pg::rows::{ArrayReader, Reader};
use crate::pg::settings;
use crate::pg::sql_type::feature_type;
use crate::pg::type_name::{qualified_name, type_name};

/// How one feature's value is made from a datum.
pub struct Convert {
    how: How,
    buffer: String,
}

enum How {
    /// As a number.
    Number(Reader),
    /// As a level's name.
    Category(Reader),
    /// The same of a `real` for a feature of another type: the level that its value in double
    /// precision is, which is what SQL's `=` compares, else the one that it is written as.
    SingleCategory,
    /// As an array, which is taken in ahead of being encoded.
    Array {
        reader: ArrayReader,
        intake: Box<Intake>,
        /// Room for one.
        taken: Taken,
    },
    /// A literal without a type, parsed as the feature's type; what came out is kept when the
    /// literal is a constant of the query.
    Literal {
        input: pg_sys::Oid,
        parameter: pg_sys::Oid,
        then: Box<Convert>,
        /// Why it cannot be parsed, where it cannot: only NULL is taken.
        refused: Option<Box<Report>>,
        kept: Option<Kept>,
    },
    /// The network does not see it.
    Unused,
}

enum Kept {
    Number(f64),
    Category(String),
    Array(Taken),
}

/// An array that was taken in, in the precision in which it is scaled.
#[derive(Clone)]
enum Taken {
    Single(Arrays<f32>),
    Double(Arrays<f64>),
}

impl Taken {
    /// Room for one of a feature's.
    fn new(feature: &Feature) -> Taken {
        match feature.kind() {
            Kind::Numbers => Taken::Double(Arrays::new()),
            _ => Taken::Single(Arrays::new()),
        }
    }

    /// Takes an array in, in place of the one before.
    ///
    /// # Safety
    /// As for [`ArrayReader::read`].
    unsafe fn take(
        &mut self,
        reader: ArrayReader,
        datum: pg_sys::Datum,
        null: bool,
        intake: &mut Intake,
    ) -> Result<(), Report> {
        // SAFETY: as the caller says.
        unsafe {
            match self {
                Taken::Single(arrays) => {
                    arrays.clear();
                    reader.read(datum, null, intake, arrays)?;
                }
                Taken::Double(arrays) => {
                    arrays.clear();
                    reader.read(datum, null, intake, arrays)?;
                }
            }
        }
        Ok(())
    }

    fn encode(&self, feature: usize, encoder: &Encoder, row: &mut [f32]) -> Result<(), Report> {
        match self {
            Taken::Single(arrays) => {
                encoder.array(feature, arrays.get(0).unwrap_or_default(), row)?;
            }
            Taken::Double(arrays) => {
                encoder.array(feature, arrays.get(0).unwrap_or_default(), row)?;
            }
        }
        Ok(())
    }
}

impl Convert {
    /// How `feature` is read from an argument of the given type, which may be a literal without one:
    /// that is parsed as the feature's type.
    ///
    /// # Errors
    /// 42804 for a type that the feature cannot take.
    pub fn of_argument(
        feature: &Feature,
        given: pg_sys::Oid,
        pinned: bool,
        resolved: &Resolved,
    ) -> Result<Convert, Report> {
        if given != pg_sys::UNKNOWNOID || !feature.is_used() {
            return Convert::new(feature, given, resolved);
        }
        let of_feature = feature_type(feature).ok_or_else(|| {
            Report::undefined(format!(
                "type {} of feature \"{}\" of model \"{}\" does not exist",
                feature.sql_type,
                feature.name,
                resolved.label()
            ))
            .hint("Create it as it was where the model was trained.")
        })?;
        // What a date's text means depends on settings of the session, which what is immutable must
        // not.
        let refused = (pinned && feature.origin.is_time()).then(|| {
            Report::new(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "feature \"{}\" of pinned model \"{}\" is of type {} and takes no literal \
                     without a type",
                    feature.name,
                    resolved.label(),
                    feature.sql_type,
                ),
            )
            .hint(format!(
                "Cast it, such as {} '2024-01-31': what a text means as a date or time depends on \
                 the session.",
                qualified_name(of_feature).trim_start_matches("pg_catalog.")
            ))
        });
        // SAFETY: looks a type's input function up by OID.
        unsafe {
            let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            pg_sys::getTypeInputInfo(of_feature, &mut input, &mut parameter);
            Ok(Convert {
                how: How::Literal {
                    input,
                    parameter,
                    then: Box::new(Convert::new(feature, of_feature, resolved)?),
                    refused: refused.map(Box::new),
                    kept: None,
                },
                buffer: String::new(),
            })
        }
    }

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
        if let (Kind::Array | Kind::Numbers, Some(reader)) =
            (feature.kind(), ArrayReader::for_type(given))
            && (feature.origin == Origin::Bytes) == (reader == ArrayReader::Bytes)
        {
            return plain(How::Array {
                reader,
                intake: Box::new(Intake::fitted(feature, settings::max_memory())),
                taken: Taken::new(feature),
            });
        }
        let reader = Reader::for_type(given);
        let of_time = feature.origin.is_time() || reader.is_some_and(|r| r.origin().is_time());
        let how = reader.and_then(|reader| match feature.kind() {
            // Days and the two kinds of moments are numbers that are never each other's.
            _ if of_time && !is_of(feature, given) => None,
            Kind::Number => {
                (feature.origin.is_number() && reader.is_number()).then_some(How::Number(reader))
            }
            Kind::Category => {
                (!reader.is_number() || feature.origin.is_number()).then(|| match reader {
                    Reader::Float4 if feature.sql_type != "real" => How::SingleCategory,
                    _ => How::Category(level_reader(reader, feature)),
                })
            }
            Kind::Integer | Kind::Array | Kind::Numbers | Kind::Labels => None,
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
            .hint(match of_time {
                true => {
                    "Give the features in call order, or cast the value: dates, and timestamps \
                     with and without a time zone, are not taken for one another."
                }
                false => "Give the features in call order, or cast the value.",
            })),
        }
    }

    /// Whether it is read as a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.how, How::Number(..))
    }

    /// Whether it follows from the type alone, and is small.
    pub(super) fn can_be_kept(&self) -> bool {
        match self.how {
            How::Number(_) | How::Category(_) | How::SingleCategory | How::Unused => true,
            How::Array { .. } | How::Literal { .. } => false,
        }
    }

    /// Whether a value is the number itself.
    pub(super) fn is_float8(&self) -> bool {
        matches!(self.how, How::Number(Reader::Float8))
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
            How::Number(reader) if !given.isnull => unsafe { reader.number(given.value) },
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
            How::Number(reader) => {
                let value = if null {
                    f64::NAN
                } else {
                    // SAFETY: as the caller says.
                    unsafe { reader.number(datum) }
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
            How::SingleCategory => {
                // SAFETY: as the caller says.
                let level =
                    (!null).then(|| unsafe { single(feature, datum, encoder, &mut self.buffer) });
                encoder.category(feature, level, row);
            }
            How::Array {
                reader,
                intake,
                taken,
            } => {
                // SAFETY: as the caller says.
                unsafe { taken.take(*reader, datum, null, intake)? };
                taken.encode(feature, encoder, row)?;
            }
            How::Literal {
                kept: Some(Kept::Array(taken)),
                ..
            } => taken.encode(feature, encoder, row)?,
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
                refused,
                ..
            } => {
                if let (Some(refused), false) = (refused, null) {
                    return Err((**refused).clone());
                }
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
            refused: None,
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
                How::Array {
                    reader,
                    intake,
                    taken,
                } => {
                    taken.take(*reader, value, false, intake)?;
                    Some(Kept::Array(taken.clone()))
                }
                How::Number(reader) => Some(Kept::Number(reader.number(value))),
                How::Category(reader) => Some(Kept::Category(
                    reader.level(value, &mut then.buffer).to_string(),
                )),
                How::SingleCategory | How::Literal { .. } | How::Unused => None,
            };
        }
        Ok(())
    }
}

/// Whether values of the given type, a domain looked through, are of the feature's own.
fn is_of(feature: &Feature, given: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up by the OID of a type that exists.
    feature_type(feature) == Some(unsafe { pg_sys::getBaseType(given) })
}

/// The level that a `real` is for a feature of another type.
///
/// # Safety
/// `datum` is a real, not NULL.
unsafe fn single<'a>(
    feature: usize,
    datum: pg_sys::Datum,
    encoder: &Encoder,
    buffer: &'a mut String,
) -> &'a str {
    // SAFETY: as the caller says; a double precision is its own bits.
    unsafe {
        let double = pg_sys::Datum::from(Reader::Float4.number(datum).to_bits() as usize);
        let known = encoder.is_level(feature, Reader::Float8.level(double, buffer));
        match known {
            true => Reader::Float8.level(double, buffer),
            false => Reader::Float4.level(datum, buffer),
        }
    }
}

/// How a level is read for a feature: without trailing blanks where they do not count for its own
/// type either.
fn level_reader(reader: Reader, feature: &Feature) -> Reader {
    match reader {
        Reader::Text if feature_type(feature) == Some(pg_sys::BPCHAROID) => Reader::PaddedText,
        _ => reader.spelled_as(feature.levels().unwrap_or_default()),
    }
}

//! One datum at a time: from PostgreSQL's types to the numbers and level names of the core.

use std::ffi::{CStr, c_char};
use std::fmt::Write as _;

use pgrx::pg_sys;

use crate::features::Origin;
use crate::pg::encoding;
use crate::pg::error::OrRaise;

/// Days from 1970-01-01 (ours) to 2000-01-01 (PostgreSQL's epoch).
const DAYS_TO_2000: f64 = 10_957.0;
const SECONDS_A_DAY: f64 = 86_400.0;
/// The Julian day of 2000-01-01.
const JULIAN_2000: i32 = 2_451_545;

/// How a datum of one SQL type is read. Chosen once a column or argument, used once a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Date,
    Timestamp,
    /// With time zone: a moment, which is written in UTC.
    TimestampTz,
    /// Either of these, for levels and classes that version 0.1 stored: seconds since 1970.
    EpochSeconds,
    Text,
    /// `char(n)`: trailing blanks do not count.
    PaddedText,
    Name,
    /// The one-byte `"char"`.
    Byte,
    Enum,
    Uuid,
}

impl Reader {
    /// The reader for a type, domains looked through; `None` where a feature cannot have the type.
    pub fn for_type(oid: pg_sys::Oid) -> Option<Reader> {
        // SAFETY: a catalog look-up by OID; it raises no error for a type that exists.
        let base = unsafe { pg_sys::getBaseType(oid) };
        Some(match base {
            pg_sys::BOOLOID => Reader::Bool,
            pg_sys::INT2OID => Reader::Int2,
            pg_sys::INT4OID => Reader::Int4,
            pg_sys::INT8OID => Reader::Int8,
            pg_sys::FLOAT4OID => Reader::Float4,
            pg_sys::FLOAT8OID => Reader::Float8,
            pg_sys::NUMERICOID => Reader::Numeric,
            pg_sys::DATEOID => Reader::Date,
            pg_sys::TIMESTAMPOID => Reader::Timestamp,
            pg_sys::TIMESTAMPTZOID => Reader::TimestampTz,
            pg_sys::TEXTOID | pg_sys::VARCHAROID => Reader::Text,
            pg_sys::BPCHAROID => Reader::PaddedText,
            pg_sys::NAMEOID => Reader::Name,
            pg_sys::CHAROID => Reader::Byte,
            pg_sys::UUIDOID => Reader::Uuid,
            // SAFETY: a catalog look-up by OID.
            other if unsafe { pg_sys::type_is_enum(other) } => Reader::Enum,
            _ => return None,
        })
    }

    /// The reader whose texts are spelled as those of a version that is stored.
    pub fn spelled_as(self, stored: &[String]) -> Reader {
        let in_seconds = |text: &String| text.parse::<f64>().is_ok_and(f64::is_finite);
        match self {
            Reader::Timestamp | Reader::TimestampTz if stored.iter().any(in_seconds) => {
                Reader::EpochSeconds
            }
            _ => self,
        }
    }

    /// What the core wants to know of where the value comes from.
    pub fn origin(self) -> Origin {
        match self {
            Reader::Bool => Origin::Boolean,
            Reader::Int2 | Reader::Int4 | Reader::Int8 => Origin::Integer,
            Reader::Float4 | Reader::Float8 => Origin::Float,
            Reader::Numeric => Origin::Numeric,
            Reader::Date => Origin::Date,
            Reader::Timestamp | Reader::TimestampTz | Reader::EpochSeconds => Origin::Timestamp,
            Reader::Text | Reader::PaddedText | Reader::Name | Reader::Byte => Origin::Text,
            Reader::Enum => Origin::Enum,
            Reader::Uuid => Origin::Uuid,
        }
    }

    /// Whether a datum is the value itself, so that equal ones have the same bits.
    pub fn is_by_value(self) -> bool {
        !matches!(
            self,
            Reader::Numeric | Reader::Text | Reader::PaddedText | Reader::Name | Reader::Uuid
        )
    }

    /// Whether [`Reader::number`] can be asked.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Reader::Bool
                | Reader::Int2
                | Reader::Int4
                | Reader::Int8
                | Reader::Float4
                | Reader::Float8
                | Reader::Numeric
                | Reader::Date
                | Reader::Timestamp
                | Reader::TimestampTz
                | Reader::EpochSeconds
        )
    }

    /// The value as a number: false and true as 0 and 1, dates as days and timestamps as seconds
    /// since 1970, infinite ones as infinities.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of the reader's type.
    #[inline]
    pub unsafe fn number(self, datum: pg_sys::Datum) -> f64 {
        let bits = datum.value();
        match self {
            Reader::Float8 => f64::from_bits(bits as u64),
            Reader::Float4 => f64::from(f32::from_bits(bits as u32)),
            Reader::Int4 => f64::from(bits as i32),
            Reader::Int8 => bits as i64 as f64,
            Reader::Int2 => f64::from(bits as i16),
            Reader::Bool => f64::from(u8::from(bits as u8 != 0)),
            Reader::Date => match bits as i32 {
                i32::MIN => f64::NEG_INFINITY,
                i32::MAX => f64::INFINITY,
                days => f64::from(days) + DAYS_TO_2000,
            },
            Reader::Timestamp | Reader::TimestampTz | Reader::EpochSeconds => match bits as i64 {
                i64::MIN => f64::NEG_INFINITY,
                i64::MAX => f64::INFINITY,
                micros => micros as f64 / 1e6 + DAYS_TO_2000 * SECONDS_A_DAY,
            },
            // SAFETY: the caller says that the datum is a numeric.
            Reader::Numeric => unsafe {
                pgrx::direct_function_call_as_datum(
                    pg_sys::numeric_float8_no_overflow,
                    &[Some(datum)],
                )
            }
            .map_or(f64::NAN, |value| f64::from_bits(value.value() as u64)),
            Reader::Text
            | Reader::PaddedText
            | Reader::Name
            | Reader::Byte
            | Reader::Enum
            | Reader::Uuid => f64::NAN,
        }
    }

    /// The value of an integer type; 0 for others.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of the reader's type.
    #[inline]
    pub unsafe fn integer(self, datum: pg_sys::Datum) -> i64 {
        match self {
            Reader::Int2 => i64::from(datum.value() as i16),
            Reader::Int4 => i64::from(datum.value() as i32),
            Reader::Int8 => datum.value() as i64,
            _ => 0,
        }
    }

    /// The value as the name of a level: its [`text`](Reader::text), but equal values have one
    /// name. `1.0` and `1.00` are equal as numeric and different as text, and so are 0 and -0.
    ///
    /// # Safety
    /// As for [`text`](Reader::text).
    pub unsafe fn level(self, datum: pg_sys::Datum, buffer: &mut String) -> &str {
        // SAFETY: as the caller says.
        let text = unsafe { self.text(datum, buffer) };
        match self {
            Reader::Numeric if text.contains('.') => {
                text.trim_end_matches('0').trim_end_matches('.')
            }
            Reader::Float4 | Reader::Float8 if text == "-0" => "0",
            _ => text,
        }
    }

    /// The value's `::text`, free of the session's settings (dates and times in the ISO style, a
    /// moment in UTC, floats with the fewest digits that tell them from others), written over `buffer` where it does
    /// not stand in the datum itself.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of the reader's type, and stays in place while the answer lives.
    pub unsafe fn text(self, datum: pg_sys::Datum, buffer: &mut String) -> &str {
        buffer.clear();
        match self {
            // SAFETY: text, varchar and char(n) are all varlenas of characters.
            Reader::Text => unsafe { varlena_text(datum) },
            // SAFETY: as before.
            Reader::PaddedText => unsafe { varlena_text(datum) }.trim_end_matches(' '),
            Reader::Enum | Reader::Numeric => {
                // SAFETY: the output functions of the types named give C strings.
                unsafe {
                    let output: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum =
                        if self == Reader::Enum {
                            pg_sys::enum_out
                        } else {
                            pg_sys::numeric_out
                        };
                    let text = call_output(output, datum);
                    server_text(std::slice::from_raw_parts(text.cast(), libc::strlen(text)))
                }
            }
            // SAFETY: a name is a zero-terminated array of at most 64 bytes.
            Reader::Name => unsafe {
                let text: *const libc::c_char = datum.cast_mut_ptr();
                server_text(std::slice::from_raw_parts(text.cast(), libc::strlen(text)))
            },
            Reader::Byte => {
                let byte = datum.value() as u8;
                if byte != 0 {
                    buffer.push(char::from(byte));
                }
                buffer
            }
            Reader::Uuid => {
                // SAFETY: a uuid is 16 bytes by reference.
                let bytes: [u8; 16] = unsafe { *datum.cast_mut_ptr::<[u8; 16]>() };
                for (i, byte) in bytes.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        buffer.push('-');
                    }
                    let _ = write!(buffer, "{byte:02x}");
                }
                buffer
            }
            Reader::Bool => {
                buffer.push_str(if datum.value() as u8 != 0 {
                    "true"
                } else {
                    "false"
                });
                buffer
            }
            Reader::Date => {
                write_date(datum.value() as i32, buffer);
                buffer
            }
            Reader::Int2 | Reader::Int4 | Reader::Int8 => {
                // SAFETY: the datum is of this reader's type, as the caller says.
                let _ = write!(buffer, "{}", unsafe { self.integer(datum) });
                buffer
            }
            Reader::Float4 => {
                let value = f32::from_bits(datum.value() as u32);
                write_float(f64::from(value), 6, &format!("{value:e}"), buffer);
                buffer
            }
            Reader::Float8 | Reader::EpochSeconds => {
                // SAFETY: the datum is of this reader's type, as the caller says.
                let value = unsafe { self.number(datum) };
                write_float(value, 15, &format!("{value:e}"), buffer);
                buffer
            }
            Reader::Timestamp | Reader::TimestampTz => {
                write_timestamp(datum.value() as i64, self == Reader::TimestampTz, buffer);
                buffer
            }
        }
    }
}

/// Calls an output function whatever its binding's calling convention.
///
/// # Safety
/// `output` is the output function of the datum's type.
unsafe fn call_output(
    output: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
    datum: pg_sys::Datum,
) -> *const libc::c_char {
    // SAFETY: the call frame is built as fmgr builds it, with room for one argument.
    unsafe { pgrx::direct_function_call_as_datum(output, &[Some(datum)]) }
        .map_or(c"".as_ptr(), |text| text.cast_mut_ptr())
}

/// # Safety
/// `datum` is a text, not NULL.
unsafe fn varlena_text<'a>(datum: pg_sys::Datum) -> &'a str {
    // SAFETY: a varlena; detoasting leaves an inline one where it is.
    unsafe {
        let varlena = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
        let bytes = std::slice::from_raw_parts(
            pgrx::vardata_any(varlena).cast::<u8>(),
            pgrx::varsize_any_exhdr(varlena),
        );
        server_text(bytes)
    }
}

/// A text of the database's, which is UTF-8 already unless an SQL_ASCII database took it unseen.
fn server_text(bytes: &[u8]) -> &str {
    encoding::utf8(bytes, "a text").or_raise()
}

fn write_date(days: i32, buffer: &mut String) {
    match days {
        i32::MIN => buffer.push_str("-infinity"),
        i32::MAX => buffer.push_str("infinity"),
        days => {
            let (mut year, mut month, mut day) = (0, 0, 0);
            // SAFETY: plain arithmetic over out parameters.
            unsafe { pg_sys::j2date(days + JULIAN_2000, &mut year, &mut month, &mut day) };
            let _ = if year > 0 {
                write!(buffer, "{year:04}-{month:02}-{day:02}")
            } else {
                write!(buffer, "{:04}-{month:02}-{day:02} BC", 1 - year)
            };
        }
    }
}

/// Microseconds since 2000 in the ISO style; of a moment in UTC, and saying so.
fn write_timestamp(micros: i64, is_moment: bool, buffer: &mut String) {
    match micros {
        i64::MIN => return buffer.push_str("-infinity"),
        i64::MAX => return buffer.push_str("infinity"),
        _ => {}
    }
    let mut written = [0 as c_char; pg_sys::MAXDATELEN as usize + 1];
    // SAFETY: splits a number into what it is given room for, without a time zone's rules, and
    // writes no more than MAXDATELEN characters and a zero.
    let text = unsafe {
        let mut time = pg_sys::pg_tm::default();
        let mut fraction = 0;
        let out_of_range = pg_sys::timestamp2tm(
            micros,
            std::ptr::null_mut(),
            &mut time,
            &mut fraction,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
        if out_of_range != 0 {
            return;
        }
        // A negative one would say that no zone is known, and none be written.
        time.tm_isdst = 0;
        pg_sys::EncodeDateTime(
            &mut time,
            fraction,
            is_moment,
            0,
            std::ptr::null(),
            pg_sys::USE_ISO_DATES as i32,
            written.as_mut_ptr(),
        );
        CStr::from_ptr(written.as_ptr())
    };
    buffer.push_str(&text.to_string_lossy());
}

/// A float as PostgreSQL prints it with `extra_float_digits` at its default, whatever it is set to:
/// class and level names must not depend on the session. `shortest` is it with the fewest digits
/// that tell it from others of its type, as `1.5e-7`; up to `digits` digits stand before the point.
fn write_float(value: f64, digits: i32, shortest: &str, buffer: &mut String) {
    if value.is_nan() {
        return buffer.push_str("NaN");
    }
    if value.is_infinite() {
        return buffer.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..digits).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(buffer, "{mantissa}e{sign}{:02}", exponent.abs());
        return;
    }
    let digits = mantissa.trim_start_matches('-');
    if digits.len() < mantissa.len() {
        buffer.push('-');
    }
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        buffer.push_str("0.");
        buffer.extend(std::iter::repeat_n('0', (-1 - exponent) as usize));
        buffer.push_str(&digits);
        return;
    }
    let whole = exponent as usize + 1;
    buffer.push_str(&digits[..whole.min(digits.len())]);
    match digits.len() > whole {
        true => {
            buffer.push('.');
            buffer.push_str(&digits[whole..]);
        }
        false => buffer.extend(std::iter::repeat_n('0', whole - digits.len())),
    }
}

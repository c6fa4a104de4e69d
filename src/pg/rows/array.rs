//! Arrays and bytea: from PostgreSQL's types to the core's arrays of numbers.

use pgrx::pg_sys;

use super::Reader;
use crate::features::{Arrays, Error, Intake, Origin, Real};
use crate::memory;
use crate::pg::element_type::{ElementType, free_elements};

/// How the arrays of one SQL type are read. Chosen once a column or argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayReader {
    /// An array of numbers or booleans, whose elements this reader reads.
    Numbers(Reader),
    /// bytea.
    Bytes,
}

/// A number of an array as it is held, from the elements that arrays have. Each is rounded once.
pub trait Held: Real {
    /// From a real, or what is no more precise.
    fn of_single(number: f32) -> Self;

    /// From a double precision.
    fn of_double(number: f64) -> Self;

    /// From an integer.
    fn of_integer(number: i64) -> Self;
}

impl Held for f32 {
    fn of_single(number: f32) -> f32 {
        number
    }

    fn of_double(number: f64) -> f32 {
        number as f32
    }

    fn of_integer(number: i64) -> f32 {
        number as f32
    }
}

impl Held for f64 {
    fn of_single(number: f32) -> f64 {
        f64::from(number)
    }

    fn of_double(number: f64) -> f64 {
        number
    }

    fn of_integer(number: i64) -> f64 {
        number as f64
    }
}

/// Most dimensions of a PostgreSQL array (MAXDIM).
const MOST_DIMENSIONS: usize = 6;

impl ArrayReader {
    /// The reader for a type, domains looked through; `None` for one that holds no numbers.
    pub fn for_type(oid: pg_sys::Oid) -> Option<ArrayReader> {
        // SAFETY: catalog look-ups by OID; they raise no error for a type that exists.
        let (base, element) = unsafe {
            let base = pg_sys::getBaseType(oid);
            (base, pg_sys::get_element_type(base))
        };
        if base == pg_sys::BYTEAOID {
            return Some(ArrayReader::Bytes);
        }
        // The type of no element is not even asked for.
        let element = (element != pg_sys::InvalidOid).then_some(element)?;
        match Reader::for_type(element)? {
            reader @ (Reader::Bool
            | Reader::Int2
            | Reader::Int4
            | Reader::Int8
            | Reader::Float4
            | Reader::Float8
            | Reader::Numeric) => Some(ArrayReader::Numbers(reader)),
            _ => None,
        }
    }

    /// What the core wants to know of where the value comes from.
    pub fn origin(self) -> Origin {
        match self {
            ArrayReader::Numbers(Reader::Bool) => Origin::BooleanArray,
            ArrayReader::Numbers(_) => Origin::NumberArray,
            ArrayReader::Bytes => Origin::Bytes,
        }
    }

    /// Takes a value in, as one more row of `into`.
    ///
    /// # Errors
    /// Those of the intake.
    ///
    /// # Safety
    /// `datum` is a value of the reader's type, unless `null`.
    pub unsafe fn read<T: Held>(
        self,
        datum: pg_sys::Datum,
        null: bool,
        intake: &mut Intake,
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        if null || intake.skips() {
            return intake.missing(into);
        }
        // SAFETY: both types are varlenas, as the caller says.
        unsafe {
            let given: *mut pg_sys::varlena = datum.cast_mut_ptr();
            match self {
                ArrayReader::Bytes => {
                    let plain = pg_sys::pg_detoast_datum_packed(given);
                    let bytes = std::slice::from_raw_parts(
                        pgrx::vardata_any(plain).cast::<u8>(),
                        pgrx::varsize_any_exhdr(plain),
                    );
                    let taken = intake.bytes(bytes, into);
                    free(plain, given);
                    taken
                }
                ArrayReader::Numbers(element) => {
                    let plain = pg_sys::pg_detoast_datum(given);
                    let mut dims = [0; MOST_DIMENSIONS];
                    let count = elements(plain.cast());
                    memory::grow(into.open(), count)?;
                    let count = read_array(plain.cast(), element, &mut dims, into.open());
                    let taken = intake.array(&dims[..count], into);
                    free(plain, given);
                    taken
                }
            }
        }
    }
}

/// How many elements an array has.
///
/// # Safety
/// A detoasted array.
unsafe fn elements(array: *mut pg_sys::ArrayType) -> usize {
    // SAFETY: the layout of utils/array.h: the dimensions follow the header.
    unsafe {
        let sizes: *const i32 = array.add(1).cast();
        match usize::try_from((*array).ndim).unwrap_or(0) {
            0 => 0,
            given => (0..given.min(MOST_DIMENSIONS))
                .map(|i| usize::try_from(*sizes.add(i)).unwrap_or(0))
                .product(),
        }
    }
}

/// Frees what detoasting made of a value, if it made anything.
///
/// # Safety
/// `plain` is what detoasting gave for `given`.
unsafe fn free(plain: *mut pg_sys::varlena, given: *mut pg_sys::varlena) {
    if plain != given {
        // SAFETY: a copy of our own.
        unsafe { pg_sys::pfree(plain.cast()) };
    }
}

/// Adds the array's numbers to `into`, NaN for NULL, and gives the number of its dimensions, which
/// are written to `dims`.
///
/// # Safety
/// `array` is a detoasted array of the element's type.
unsafe fn read_array<T: Held>(
    array: *mut pg_sys::ArrayType,
    element: Reader,
    dims: &mut [usize; MOST_DIMENSIONS],
    into: &mut Vec<T>,
) -> usize {
    // SAFETY: the layout of utils/array.h: a header, the dimensions, their lower bounds, a bitmap
    // where there are NULLs, then the elements.
    unsafe {
        let given = usize::try_from((*array).ndim).unwrap_or(0);
        let given = given.min(MOST_DIMENSIONS);
        let sizes: *const i32 = array.add(1).cast();
        for (i, size) in dims.iter_mut().enumerate().take(given) {
            *size = usize::try_from(*sizes.add(i)).unwrap_or(0);
        }
        let count = if given == 0 {
            0
        } else {
            dims[..given].iter().product()
        };
        let has_nulls = (*array).dataoffset != 0;
        if element == Reader::Numeric {
            read_numerics(array, count, into);
            return given;
        }
        // Where there is no bitmap the elements begin behind the lower bounds, aligned as palloc
        // aligns.
        let header = size_of::<pg_sys::ArrayType>() + 2 * size_of::<i32>() * given;
        let bitmap: *const u8 = array.cast::<u8>().add(header);
        let offset = if has_nulls {
            (*array).dataoffset as usize
        } else {
            header.next_multiple_of(pg_sys::MAXIMUM_ALIGNOF as usize)
        };
        let data: *const u8 = array.cast::<u8>().add(offset);
        let nulls = has_nulls.then_some(bitmap);
        into.reserve(count);
        match element {
            Reader::Float4 => extend(data.cast::<f32>(), count, nulls, T::of_single, into),
            Reader::Float8 => extend(data.cast::<f64>(), count, nulls, T::of_double, into),
            Reader::Int2 => {
                let number = |x| T::of_single(f32::from(x));
                extend(data.cast::<i16>(), count, nulls, number, into);
            }
            Reader::Int4 => {
                let number = |x| T::of_integer(i64::from(x));
                extend(data.cast::<i32>(), count, nulls, number, into);
            }
            Reader::Int8 => extend(data.cast::<i64>(), count, nulls, T::of_integer, into),
            _ => {
                let number = |x: u8| T::of_single(f32::from(u8::from(x != 0)));
                extend(data, count, nulls, number, into);
            }
        }
        given
    }
}

/// Adds `count` elements, those without a bit in the bitmap as NaN.
///
/// # Safety
/// The elements and the bitmap are those of an array; a NULL has no element.
unsafe fn extend<E: Copy, T: Held>(
    data: *const E,
    count: usize,
    nulls: Option<*const u8>,
    number: impl Fn(E) -> T,
    into: &mut Vec<T>,
) {
    // SAFETY: as the caller says; elements of fixed length lie at multiples of it.
    unsafe {
        let Some(bitmap) = nulls else {
            let elements = std::slice::from_raw_parts(data, count);
            into.extend(elements.iter().map(|&element| number(element)));
            return;
        };
        let mut next = data;
        into.extend((0..count).map(|i| {
            if *bitmap.add(i / 8) & (1 << (i % 8)) == 0 {
                return T::NAN;
            }
            let element = *next;
            next = next.add(1);
            number(element)
        }));
    }
}

/// Adds the elements of an array of numerics, which are of any length.
///
/// # Safety
/// `array` is a detoasted array of `count` numerics.
unsafe fn read_numerics<T: Held>(array: *mut pg_sys::ArrayType, count: usize, into: &mut Vec<T>) {
    if count == 0 {
        return;
    }
    // SAFETY: an array of numerics; what is pallocated is freed.
    unsafe {
        let (values, nulls) = ElementType::NUMERIC.elements(array);
        for (value, null) in values.iter().zip(nulls) {
            into.push(if *null {
                T::NAN
            } else {
                T::of_double(Reader::Numeric.number(*value))
            });
        }
        free_elements(values, nulls);
    }
}

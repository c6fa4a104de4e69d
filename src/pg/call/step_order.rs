//! Whether the steps that a call gives come in the order that the model's sequences have.

use std::cmp::Ordering;

use pgrx::pg_sys::{self, Datum};
use pgrx::spi::quote_identifier;

use crate::pg::rows::Reader;

/// What the steps of one row type are ordered by, as far as its columns tell.
pub(super) struct StepOrder {
    keys: Vec<Key>,
    /// Those of the step before, while it is there.
    before: Vec<Datum>,
}

struct Key {
    name: String,
    place: usize,
    compare: Compare,
}

/// How two values are compared: as the rows of a training are sorted.
enum Compare {
    /// As the 64-bit integers that these are: days and moments, too.
    Integers(Reader),
    /// By the function of the type's default order.
    Function(*mut pg_sys::FmgrInfo, pg_sys::Oid),
}

impl StepOrder {
    /// For the columns of these names, places and types, the first of which counts most; those behind
    /// one whose type has no order do not count.
    pub(super) fn new<'a>(
        columns: impl Iterator<Item = (&'a str, usize, pg_sys::Oid)>,
    ) -> StepOrder {
        let keys = columns.map_while(|(name, place, of)| {
            Some(Key {
                name: name.to_owned(),
                place,
                compare: Compare::of(of)?,
            })
        });
        StepOrder {
            keys: keys.collect(),
            before: Vec::new(),
        }
    }

    /// Whether nothing is known of the order.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The order as it is written behind ORDER BY, of rows called `t`.
    pub(super) fn written(&self) -> String {
        let keys = self.keys.iter().map(|key| {
            let collate = match key.compare {
                Compare::Function(_, collation) if collation != pg_sys::InvalidOid => {
                    " COLLATE \"C\""
                }
                _ => "",
            };
            format!("t.{}{collate}", quote_identifier(&key.name))
        });
        keys.collect::<Vec<_>>().join(", ")
    }

    /// The next step is the first of a sequence.
    pub(super) fn begin(&mut self) {
        self.before.clear();
    }

    /// The column by which the step with these values belongs before the one before it; none where it
    /// may stand behind it. A step in which one of the columns is NULL may stand anywhere.
    ///
    /// # Safety
    /// The values are those of a row of the type that this was made for, and the values of the steps
    /// before it are still there.
    pub(super) unsafe fn falls(&mut self, values: &[Datum], nulls: &[bool]) -> Option<&str> {
        if self.keys.is_empty() || self.keys.iter().any(|key| nulls[key.place]) {
            return None;
        }
        let pairs = self.keys.iter().zip(&self.before);
        for (key, &before) in pairs {
            // SAFETY: as the caller says.
            match unsafe { key.compare.call(before, values[key.place]) } {
                Ordering::Less => break,
                Ordering::Equal => {}
                Ordering::Greater => return Some(&key.name),
            }
        }
        self.before.clear();
        let now = self.keys.iter().map(|key| values[key.place]);
        self.before.extend(now);
        None
    }
}

impl Compare {
    /// None for a type without an order.
    fn of(oid: pg_sys::Oid) -> Option<Compare> {
        match Reader::for_type(oid) {
            Some(
                reader @ (Reader::Int2
                | Reader::Int4
                | Reader::Int8
                | Reader::Date
                | Reader::Timestamp
                | Reader::TimestampTz),
            ) => Some(Compare::Integers(reader)),
            // SAFETY: look-ups by the OID of a type that exists; entries of the type cache are never
            // freed.
            _ => unsafe {
                let of = pg_sys::getBaseType(oid);
                let flags = pg_sys::TYPECACHE_CMP_PROC_FINFO as i32;
                let entry = pg_sys::lookup_type_cache(of, flags);
                if (*entry).cmp_proc_finfo.fn_oid == pg_sys::InvalidOid {
                    return None;
                }
                // Texts are sorted in C collation.
                let collation = match pg_sys::get_typcollation(of) {
                    pg_sys::InvalidOid => pg_sys::InvalidOid,
                    _ => pg_sys::C_COLLATION_OID,
                };
                Some(Compare::Function(
                    &raw mut (*entry).cmp_proc_finfo,
                    collation,
                ))
            },
        }
    }

    /// # Safety
    /// The values are of the type that this was made for.
    unsafe fn call(&self, a: Datum, b: Datum) -> Ordering {
        match *self {
            Compare::Integers(reader) => {
                let integer = |datum: Datum| match reader {
                    Reader::Int2 => i64::from(datum.value() as i16),
                    Reader::Int4 | Reader::Date => i64::from(datum.value() as i32),
                    _ => datum.value() as i64,
                };
                integer(a).cmp(&integer(b))
            }
            // SAFETY: as the caller says.
            Compare::Function(function, collation) => unsafe {
                let order = pg_sys::FunctionCall2Coll(function, collation, a, b);
                (order.value() as i32).cmp(&0)
            },
        }
    }
}

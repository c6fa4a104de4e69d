//! The values of one column of raw rows.

use super::arrays::Arrays;
use crate::features::column::Kind;
use crate::features::error::Error;

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers; NaN is a missing value.
    Number(Vec<f64>),
    /// Whole numbers, none of which is missing.
    Integer(Vec<i64>),
    /// Codes into the column's dictionary.
    Category(Vec<u32>),
    /// Arrays of numbers.
    Array(Arrays),
    /// Arrays of numbers in full precision.
    Numbers(Arrays<f64>),
    /// Arrays of codes into the column's dictionary.
    Labels(Arrays<u32>),
}

/// What is done with the values, whatever they are.
macro_rules! any {
    ($values:expr, $some:ident => $done:expr) => {
        match $values {
            Values::Number($some) => $done,
            Values::Integer($some) => $done,
            Values::Category($some) => $done,
            Values::Array($some) => $done,
            Values::Numbers($some) => $done,
            Values::Labels($some) => $done,
        }
    };
}

impl Values {
    /// No values of this kind.
    pub fn new(kind: Kind) -> Values {
        match kind {
            Kind::Number => Values::Number(Vec::new()),
            Kind::Integer => Values::Integer(Vec::new()),
            Kind::Category => Values::Category(Vec::new()),
            Kind::Array => Values::Array(Arrays::new()),
            Kind::Numbers => Values::Numbers(Arrays::new()),
            Kind::Labels => Values::Labels(Arrays::new()),
        }
    }

    /// No values of this kind, with room for as many as there are here, arrays apart.
    pub(super) fn another(&self) -> Values {
        match self {
            Values::Number(values) => Values::Number(Vec::with_capacity(values.len())),
            Values::Integer(values) => Values::Integer(Vec::with_capacity(values.len())),
            Values::Category(codes) => Values::Category(Vec::with_capacity(codes.len())),
            _ => Values::new(self.kind()),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        any!(self, values => values.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which kind they are.
    pub fn kind(&self) -> Kind {
        match self {
            Values::Number(_) => Kind::Number,
            Values::Integer(_) => Kind::Integer,
            Values::Category(_) => Kind::Category,
            Values::Array(_) => Kind::Array,
            Values::Numbers(_) => Kind::Numbers,
            Values::Labels(_) => Kind::Labels,
        }
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        any!(self, values => values.clear())
    }

    /// Bytes of memory they take.
    pub fn memory(&self) -> usize {
        match self {
            Values::Number(values) => values.capacity() * 8,
            Values::Integer(values) => values.capacity() * 8,
            Values::Category(codes) => codes.capacity() * 4,
            Values::Array(arrays) => arrays.memory(),
            Values::Numbers(arrays) => arrays.memory(),
            Values::Labels(arrays) => arrays.memory(),
        }
    }

    /// Bytes that the values fill.
    pub fn bytes(&self) -> usize {
        match self {
            Values::Number(values) => values.len() * 8,
            Values::Integer(values) => values.len() * 8,
            Values::Category(codes) => codes.len() * 4,
            Values::Array(arrays) => arrays.bytes(),
            Values::Numbers(arrays) => arrays.bytes(),
            Values::Labels(arrays) => arrays.bytes(),
        }
    }

    /// The number at a place, if these are numbers.
    pub fn number(&self, place: usize) -> Option<f64> {
        match self {
            Values::Number(values) => values.get(place).copied(),
            Values::Integer(values) => values.get(place).map(|&value| value as f64),
            _ => None,
        }
    }

    /// Whether these are numbers that all meet the condition.
    pub fn all_numbers(&self, condition: impl Fn(f64) -> bool) -> bool {
        match self {
            Values::Number(values) => values.iter().all(|&value| condition(value)),
            _ => false,
        }
    }

    /// Adds the values at the places named; nothing if these are of another kind.
    pub fn pick(&mut self, from: &Values, places: impl Iterator<Item = usize>) {
        match (self, from) {
            (Values::Number(to), Values::Number(from)) => {
                to.extend(places.filter_map(|place| from.get(place)));
            }
            (Values::Integer(to), Values::Integer(from)) => {
                to.extend(places.filter_map(|place| from.get(place)));
            }
            (Values::Category(to), Values::Category(from)) => {
                to.extend(places.filter_map(|place| from.get(place)));
            }
            (Values::Array(to), Values::Array(from)) => to.pick(from, places),
            (Values::Numbers(to), Values::Numbers(from)) => to.pick(from, places),
            (Values::Labels(to), Values::Labels(from)) => to.pick(from, places),
            _ => {}
        }
    }

    /// Whether the values at two places are the same one, all missing values being one.
    pub fn same(&self, place: usize, other: &Values, other_place: usize) -> bool {
        match (self, other) {
            (Values::Number(these), Values::Number(those)) => {
                match (these.get(place), those.get(other_place)) {
                    (Some(this), Some(that)) => this == that || (this.is_nan() && that.is_nan()),
                    _ => false,
                }
            }
            (Values::Integer(these), Values::Integer(those)) => {
                these.get(place).is_some() && these.get(place) == those.get(other_place)
            }
            (Values::Category(these), Values::Category(those)) => {
                these.get(place).is_some() && these.get(place) == those.get(other_place)
            }
            (Values::Array(these), Values::Array(those)) => {
                let same = |a: &f32, b: &f32| a == b || (a.is_nan() && b.is_nan());
                these.same(place, those, other_place, same)
            }
            (Values::Numbers(these), Values::Numbers(those)) => {
                let same = |a: &f64, b: &f64| a == b || (a.is_nan() && b.is_nan());
                these.same(place, those, other_place, same)
            }
            (Values::Labels(these), Values::Labels(those)) => {
                these.same(place, those, other_place, |a, b| a == b)
            }
            _ => false,
        }
    }

    /// Adds `count` values of others from `start` on; values of another kind take the place of
    /// these.
    ///
    /// # Errors
    /// Fewer values than that.
    pub fn append(&mut self, from: &Values, start: usize, count: usize) -> Result<(), Error> {
        let end = start.saturating_add(count);
        match (self, from) {
            (Values::Number(to), Values::Number(from)) => {
                to.extend_from_slice(from.get(start..end).ok_or_else(short)?);
            }
            (Values::Integer(to), Values::Integer(from)) => {
                to.extend_from_slice(from.get(start..end).ok_or_else(short)?);
            }
            (Values::Category(to), Values::Category(from)) => {
                to.extend_from_slice(from.get(start..end).ok_or_else(short)?);
            }
            (Values::Array(to), Values::Array(from)) => {
                to.append(from, start, count).ok_or_else(short)?;
            }
            (Values::Numbers(to), Values::Numbers(from)) => {
                to.append(from, start, count).ok_or_else(short)?;
            }
            (Values::Labels(to), Values::Labels(from)) => {
                to.append(from, start, count).ok_or_else(short)?;
            }
            (to, from) => {
                *to = Values::new(from.kind());
                return to.append(from, start, count);
            }
        }
        Ok(())
    }
}

pub(super) fn short() -> Error {
    Error::invalid("a column has fewer values than there are rows")
}

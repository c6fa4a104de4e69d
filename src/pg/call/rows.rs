//! The arguments of many calls at one place of a query.

use pgrx::pg_sys::{Datum, NullableDatum};

/// Calls side by side, or some of them, in their order.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The arguments of a call after those of the one before.
    pub values: &'a [Datum],
    /// Which of them are NULL.
    pub nulls: &'a [bool],
    /// Arguments of a call.
    pub width: usize,
    /// The calls that are meant; none: all.
    pub chosen: Option<&'a [usize]>,
}

impl<'a> Rows<'a> {
    /// How many calls are meant.
    pub fn count(&self) -> usize {
        match self.chosen {
            Some(chosen) => chosen.len(),
            None => self.nulls.len() / self.width,
        }
    }

    /// Where the call that is meant in this place stands.
    #[inline]
    pub fn place(&self, row: usize) -> usize {
        self.chosen.map_or(row, |chosen| chosen[row])
    }

    /// Those from one place to another.
    pub fn part(&self, begin: usize, end: usize) -> Rows<'a> {
        match self.chosen {
            Some(chosen) => Rows {
                chosen: Some(&chosen[begin..end]),
                ..*self
            },
            None => Rows {
                values: &self.values[begin * self.width..end * self.width],
                nulls: &self.nulls[begin * self.width..end * self.width],
                ..*self
            },
        }
    }

    /// An argument of a call.
    #[inline]
    pub fn argument(&self, row: usize, argument: usize) -> NullableDatum {
        let at = self.place(row) * self.width + argument;
        NullableDatum {
            value: self.values[at],
            isnull: self.nulls[at],
        }
    }

    /// Neighbouring arguments of a call.
    #[inline]
    pub fn arguments(&self, row: usize, first: usize, count: usize) -> (&'a [Datum], &'a [bool]) {
        let at = self.place(row) * self.width + first;
        (&self.values[at..at + count], &self.nulls[at..at + count])
    }
}

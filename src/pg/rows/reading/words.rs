//! From single values to numbers and codes.

use pgrx::pg_sys;

use crate::features::{Dictionary, MISSING, OVERFLOW, Values, group_key};
use crate::pg::rows::ColumnPlan;
use crate::pg::rows::{Elements, Reader};

/// What turns single values into numbers and codes.
pub(super) struct Words {
    pub(super) dictionaries: Vec<Option<Dictionary>>,
    recent: Vec<Recent>,
    /// The target's column.
    required: Option<usize>,
    pub(super) buffer: String,
}

impl Words {
    pub(super) fn new(plans: &[ColumnPlan], required: Option<usize>) -> Words {
        Words {
            dictionaries: plans.iter().map(|plan| plan.dictionary.clone()).collect(),
            recent: plans.iter().map(|_| Recent::default()).collect(),
            required,
            buffer: String::new(),
        }
    }

    /// The value of a column of numbers; NaN for NULL, and where it is not to be read.
    ///
    /// # Safety
    /// The datum is of the column's type.
    #[inline]
    pub(super) unsafe fn number(&mut self, plan: &ColumnPlan, datum: Option<pg_sys::Datum>) -> f64 {
        let (Some(reader), Some(datum)) = (plan.reader, datum) else {
            return f64::NAN;
        };
        // SAFETY: as the caller says.
        unsafe {
            match plan.hashed {
                true => group_key(reader.text(datum, &mut self.buffer)),
                false => reader.number(datum),
            }
        }
    }

    /// The value of a column of integers, which is read where it is not NULL.
    ///
    /// # Safety
    /// The datum is of the column's type.
    #[inline]
    pub(super) unsafe fn integer(&self, plan: &ColumnPlan, datum: Option<pg_sys::Datum>) -> i64 {
        match (plan.reader, datum) {
            // SAFETY: as the caller says.
            (Some(reader), Some(datum)) => unsafe { reader.integer(datum) },
            _ => 0,
        }
    }

    /// The code of the value of the category column `i`.
    ///
    /// # Safety
    /// As for [`Words::number`].
    pub(super) unsafe fn code(
        &mut self,
        i: usize,
        plan: &ColumnPlan,
        datum: Option<pg_sys::Datum>,
    ) -> u32 {
        let (Some(reader), Some(datum)) = (plan.reader, datum) else {
            return MISSING;
        };
        self.recent[i].code(reader, datum, || {
            // SAFETY: as the caller says.
            let text = unsafe {
                // The target's classes are its texts as they are.
                if self.required == Some(i) {
                    reader.text(datum, &mut self.buffer)
                } else {
                    reader.level(datum, &mut self.buffer)
                }
            };
            let words = self.dictionaries[i].as_mut();
            words.map_or(MISSING, |words| words.intern(text))
        })
    }

    /// The bytes of memory that the dictionaries take.
    pub(super) fn memory(&self) -> usize {
        let dictionaries = self.dictionaries.iter().flatten();
        dictionaries.map(Dictionary::memory).sum()
    }
}

/// Adds an array to its column, whether it is whole; one with a NULL in it is not, and left out.
/// The error is the number of dimensions of an array that is no plain list.
///
/// # Safety
/// `datum` is a non-NULL array of the type that `elements` are of.
pub(super) unsafe fn read_array(
    elements: &Elements,
    datum: pg_sys::Datum,
    column: &mut Values,
    mut dictionary: Option<&mut Dictionary>,
    buffer: &mut String,
) -> Result<bool, usize> {
    let mut whole = true;
    // SAFETY: as the caller says; each element is of the reader's type.
    let dimensions = unsafe {
        elements.for_each(datum, |element| match (element, &mut *column) {
            (None, _) => whole = false,
            (Some(element), Values::Numbers(column)) => {
                column.open().push(elements.reader.number(element));
            }
            (Some(element), Values::Labels(column)) => {
                let text = elements.reader.text(element, buffer);
                let code = dictionary.as_mut().map_or(OVERFLOW, |d| d.intern(text));
                column.open().push(code);
            }
            _ => {}
        })
    };
    if dimensions > 1 {
        return Err(dimensions);
    }
    match column {
        Values::Numbers(column) if whole => column.close(),
        Values::Numbers(column) => {
            let start = column.start();
            column.open().truncate(start);
        }
        Values::Labels(column) if whole => {
            // One set has one form, whatever its order and however often it names a label.
            let start = column.start();
            let codes = column.open();
            codes[start..].sort_unstable();
            let mut seen = None;
            let mut kept = start;
            for at in start..codes.len() {
                let code = codes[at];
                if seen.replace(code) != Some(code) {
                    codes[kept] = code;
                    kept += 1;
                }
            }
            codes.truncate(kept);
            column.close();
        }
        Values::Labels(column) => {
            let start = column.start();
            column.open().truncate(start);
        }
        _ => {}
    }
    Ok(whole)
}

/// The codes of the values that came last, so that a class or a level that is no text is not
/// written out and looked up again in every row.
struct Recent([Option<(usize, u32)>; 64]);

impl Default for Recent {
    fn default() -> Self {
        Recent([None; 64])
    }
}

impl Recent {
    /// The code of a value: `find` gives it where it is not known.
    #[inline]
    fn code(&mut self, reader: Reader, datum: pg_sys::Datum, find: impl FnOnce() -> u32) -> u32 {
        if !reader.is_by_value() {
            return find();
        }
        let bits = datum.value();
        // Neighbours that differ in the low or in the high bits have places of their own.
        let place = (bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let slot = &mut self.0[place as usize];
        match slot {
            Some((known, code)) if *known == bits => *code,
            _ => {
                let code = find();
                *slot = Some((bits, code));
                code
            }
        }
    }
}

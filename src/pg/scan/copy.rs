//! Values that outlive the row they came in, and their ways from row to row.

use std::ffi::c_char;

use pgrx::pg_sys::{self, Datum};

use super::executor::{EOH_flatten_into, EOH_get_flat_size, MemoryContextAlloc};
use crate::memory;
use crate::pg::error::OrRaise;

/// How a type's values are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    /// The datum is the value.
    Value,
    /// So many bytes by reference.
    Bytes(usize),
    /// A length and what follows.
    Varlena,
    /// To the terminating zero.
    CString,
}

impl Copying {
    /// For a type.
    pub(super) fn of(oid: pg_sys::Oid) -> Copying {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: a catalog look-up.
        unsafe { pg_sys::get_typlenbyval(oid, &mut length, &mut by_value) };
        match length {
            _ if by_value => Copying::Value,
            -1 => Copying::Varlena,
            -2 => Copying::CString,
            length => Copying::Bytes(length as usize),
        }
    }

    /// A copy in a memory context, and the bytes it takes there.
    ///
    /// # Safety
    /// A value of the type, not NULL. May raise PostgreSQL's error for want of memory.
    #[inline]
    pub(super) unsafe fn copy(
        self,
        datum: pg_sys::Datum,
        context: pg_sys::MemoryContext,
    ) -> (pg_sys::Datum, usize) {
        // SAFETY: as the caller says.
        unsafe {
            let size = match self {
                Copying::Value => return (datum, 0),
                Copying::Bytes(size) => size,
                Copying::CString => libc::strlen(datum.cast_mut_ptr::<c_char>()) + 1,
                Copying::Varlena => {
                    let value: *mut pg_sys::varlena = datum.cast_mut_ptr();
                    if pgrx::varatt_is_1b_e(value)
                        && pgrx::vartag_is_expanded(pgrx::vartag_external(value).into())
                    {
                        return flatten(value, context);
                    }
                    pgrx::varsize_any(value)
                }
            };
            let copy: *mut u8 = MemoryContextAlloc(context, size).cast();
            copy.copy_from_nonoverlapping(datum.cast_mut_ptr(), size);
            (pg_sys::Datum::from(copy), size)
        }
    }
}

/// # Safety
/// A pointer to an expanded object.
unsafe fn flatten(
    value: *mut pg_sys::varlena,
    context: pg_sys::MemoryContext,
) -> (pg_sys::Datum, usize) {
    // SAFETY: two bytes of header, then the object's address, unaligned.
    unsafe {
        let object = value
            .cast::<u8>()
            .add(2)
            .cast::<*mut pg_sys::ExpandedObjectHeader>()
            .read_unaligned();
        let size = EOH_get_flat_size(object);
        let copy = MemoryContextAlloc(context, size);
        EOH_flatten_into(object, copy, size);
        (pg_sys::Datum::from(copy), size)
    }
}

/// A value's way from a column of one row to that of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) copying: Copying,
}

impl Part {
    /// Copies the column of a row, and what it refers to into `memory`; returns the bytes that
    /// this takes.
    ///
    /// # Safety
    /// The rows have these columns.
    #[inline(always)]
    pub(super) unsafe fn copy(
        &self,
        (values, nulls): (*const Datum, *const bool),
        (to_values, to_nulls): (*mut Datum, *mut bool),
        memory: pg_sys::MemoryContext,
    ) -> usize {
        // SAFETY: as the caller says.
        unsafe {
            let null = *nulls.add(self.from);
            *to_nulls.add(self.to) = null;
            if null {
                return 0;
            }
            let (copy, size) = self.copying.copy(*values.add(self.from), memory);
            *to_values.add(self.to) = copy;
            size
        }
    }
}

/// Neighbouring columns that are passed by value, and go to neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    from: usize,
    to: usize,
    count: usize,
}

impl Stretch {
    /// These columns, in as few stretches as there are.
    pub(super) fn of(parts: &[Part]) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for &Part { from, to, .. } in parts {
            match stretches.last_mut() {
                Some(last) if (last.from + last.count, last.to + last.count) == (from, to) => {
                    last.count += 1;
                }
                _ => stretches.push(Stretch { from, to, count: 1 }),
            }
        }
        stretches
    }

    /// Its columns one by one.
    pub(super) fn parts(self) -> impl Iterator<Item = Part> {
        (0..self.count).map(move |i| Part {
            from: self.from + i,
            to: self.to + i,
            copying: Copying::Value,
        })
    }

    /// The last column that is read, counted from 1.
    pub(super) fn end(&self) -> usize {
        self.from + self.count
    }

    /// Copies the columns of a row.
    ///
    /// # Safety
    /// The rows have these columns.
    #[inline(always)]
    pub(super) unsafe fn copy(
        &self,
        (values, nulls): (*const Datum, *const bool),
        (to_values, to_nulls): (*mut Datum, *mut bool),
    ) {
        // SAFETY: as the caller says; a batch's memory is not the slot's.
        unsafe {
            let (values, nulls) = (values.add(self.from), nulls.add(self.from));
            values.copy_to_nonoverlapping(to_values.add(self.to), self.count);
            nulls.copy_to_nonoverlapping(to_nulls.add(self.to), self.count);
        }
    }
}

/// Raises an error where the system has not the memory for so many values.
pub(super) fn ask_for_cells(cells: usize) {
    let bytes = size_of::<Datum>() + size_of::<bool>();
    memory::ask_for_many(cells.saturating_mul(bytes)).or_raise();
}

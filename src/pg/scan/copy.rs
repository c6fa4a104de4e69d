//! Values that outlive the row they came in.

use std::ffi::c_char;

use pgrx::pg_sys;

use super::executor::{EOH_flatten_into, EOH_get_flat_size, MemoryContextAlloc};

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

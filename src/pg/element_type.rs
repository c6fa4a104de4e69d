//! How the elements of arrays are laid out.

use pgrx::pg_sys;

/// The type of an array's elements, as it takes to find them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ElementType {
    oid: pg_sys::Oid,
    length: i16,
    by_value: bool,
    align: std::ffi::c_char,
}

impl ElementType {
    /// Any length, aligned as integers.
    pub(crate) const NUMERIC: ElementType = ElementType {
        oid: pg_sys::NUMERICOID,
        length: -1,
        by_value: false,
        align: b'i' as _,
    };

    /// The type with that OID, which exists.
    pub(crate) fn of(oid: pg_sys::Oid) -> ElementType {
        let (mut length, mut by_value, mut align) = (0, false, 0);
        // SAFETY: a catalog look-up that fills what it is given, or raises an error.
        unsafe {
            pg_sys::get_typlenbyvalalign(oid, &mut length, &mut by_value, &mut align);
        }
        ElementType {
            oid,
            length,
            by_value,
            align,
        }
    }

    /// The elements of an array, and which of them are NULL. Both lie in the current memory context.
    ///
    /// # Safety
    /// A detoasted array of such elements, which stays while they are used.
    pub(crate) unsafe fn elements<'a>(
        &self,
        array: *mut pg_sys::ArrayType,
    ) -> (&'a [pg_sys::Datum], &'a [bool]) {
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: as the caller says; both are made as long as there are elements.
        unsafe {
            pg_sys::deconstruct_array(
                array,
                self.oid,
                i32::from(self.length),
                self.by_value,
                self.align,
                &mut values,
                &mut nulls,
                &mut count,
            );
            let count = count as usize;
            (
                std::slice::from_raw_parts(values, count),
                std::slice::from_raw_parts(nulls, count),
            )
        }
    }
}

/// Frees what [`ElementType::elements`] gave.
///
/// # Safety
/// It is not used any more.
pub(crate) unsafe fn free_elements(values: &[pg_sys::Datum], nulls: &[bool]) {
    // SAFETY: both were pallocated.
    unsafe {
        pg_sys::pfree(values.as_ptr().cast_mut().cast());
        pg_sys::pfree(nulls.as_ptr().cast_mut().cast());
    }
}

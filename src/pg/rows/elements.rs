//! The elements of an array, one after the other.

use pgrx::pg_sys;

use super::Reader;

/// How the arrays of one SQL type are read.
#[derive(Debug, Clone, Copy)]
pub struct Elements {
    /// How an element is read.
    pub reader: Reader,
    type_oid: pg_sys::Oid,
    length: i16,
    by_value: bool,
    align: std::ffi::c_char,
}

impl Elements {
    /// How to read a type's arrays, domains looked through; `None` where it is no array, or one of
    /// elements that cannot be read.
    pub fn for_type(oid: pg_sys::Oid) -> Option<Elements> {
        // SAFETY: catalog look-ups by OID, which give InvalidOid for what is no array, and fill
        // what they are given for a type that exists.
        unsafe {
            let type_oid = pg_sys::get_element_type(pg_sys::getBaseType(oid));
            if type_oid == pg_sys::InvalidOid {
                return None;
            }
            let reader = Reader::for_type(type_oid)?;
            let (mut length, mut by_value, mut align) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(type_oid, &mut length, &mut by_value, &mut align);
            Some(Elements {
                reader,
                type_oid,
                length,
                by_value,
                align,
            })
        }
    }

    /// Calls `each` with every element in order, `None` for a NULL, and gives the number of the
    /// array's dimensions. What is allocated is left to the memory context.
    ///
    /// # Safety
    /// `datum` is a non-NULL array of the type.
    pub unsafe fn for_each(
        &self,
        datum: pg_sys::Datum,
        mut each: impl FnMut(Option<pg_sys::Datum>),
    ) -> usize {
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: a plain array of that element type, taken apart in arrays of `count`.
        unsafe {
            let array: *mut pg_sys::ArrayType =
                pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
            pg_sys::deconstruct_array(
                array,
                self.type_oid,
                i32::from(self.length),
                self.by_value,
                self.align,
                &mut values,
                &mut nulls,
                &mut count,
            );
            for i in 0..count as usize {
                each((!*nulls.add(i)).then(|| *values.add(i)));
            }
            (*array).ndim as usize
        }
    }
}

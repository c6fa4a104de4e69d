//! The elements of an array, one after the other.

use pgrx::pg_sys;

use super::Reader;
use crate::pg::element_type::ElementType;

/// How the arrays of one SQL type are read.
#[derive(Debug, Clone, Copy)]
pub struct Elements {
    /// How an element is read.
    pub reader: Reader,
    element: ElementType,
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
            let element = ElementType::of(type_oid);
            Some(Elements { reader, element })
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
        // SAFETY: a plain array of that element type.
        unsafe {
            let array: *mut pg_sys::ArrayType =
                pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
            let (values, nulls) = self.element.elements(array);
            for (value, null) in values.iter().zip(nulls) {
                each((!null).then_some(*value));
            }
            (*array).ndim as usize
        }
    }
}

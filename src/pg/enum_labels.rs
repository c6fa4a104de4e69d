//! The labels of enums in their order.

use pgrx::{Spi, pg_sys};

use crate::pg::error::{Report, Result};

/// The labels of an enum, or of a domain over one, the least first; none of another type.
///
/// # Errors
/// Those of reading the catalog.
pub(crate) fn enum_labels(oid: pg_sys::Oid) -> Result<Option<Vec<String>>> {
    // SAFETY: catalog look-ups by the OID of a type that exists.
    let base = unsafe { pg_sys::getBaseType(oid) };
    // SAFETY: as above.
    if !unsafe { pg_sys::type_is_enum(base) } {
        return Ok(None);
    }
    Spi::get_one_with_args::<Vec<String>>(
        "SELECT pg_catalog.array_agg(enumlabel::pg_catalog.text ORDER BY enumsortorder)
         FROM pg_catalog.pg_enum WHERE enumtypid OPERATOR(pg_catalog.=) $1",
        &[base.into()],
    )
    .map_err(Report::from)
}

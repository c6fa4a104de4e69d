//! The names that versions keep of SQL types.

use std::ffi::CStr;

use pgrx::pg_sys;

/// The name under which a version keeps a type: that of the type that a domain is over, which means
/// it whatever the search path. With its schema, unless it is one of PostgreSQL's own, and without a
/// length or precision, which belong to a column and not to its type. No setting has a part in it.
pub(crate) fn type_name(oid: pg_sys::Oid) -> String {
    // SAFETY: a catalog look-up by the OID of a type that exists.
    let name = qualified_name(unsafe { pg_sys::getBaseType(oid) });
    match name.strip_prefix("pg_catalog.") {
        Some(own) => own.to_owned(),
        None => name,
    }
}

/// A type in SQL that means it whatever the search path.
pub(crate) fn qualified_name(oid: pg_sys::Oid) -> String {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    let _setting = QuotedAsNeeded::begin();
    // SAFETY: gives a palloc'ed C string for any type that exists.
    unsafe {
        let text = pg_sys::format_type_extended(oid, -1, flags as pg_sys::bits16);
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

/// While it lives, names are quoted where they have to be, whatever `quote_all_identifiers` says.
struct QuotedAsNeeded {
    all: bool,
}

impl QuotedAsNeeded {
    fn begin() -> QuotedAsNeeded {
        // SAFETY: a setting of this backend's, which has one thread that reads it.
        unsafe {
            let all = pg_sys::quote_all_identifiers;
            pg_sys::quote_all_identifiers = false;
            QuotedAsNeeded { all }
        }
    }
}

impl Drop for QuotedAsNeeded {
    fn drop(&mut self) {
        // SAFETY: as in `begin`; an error unwinds through here.
        unsafe { pg_sys::quote_all_identifiers = self.all };
    }
}

//! The type `_neural.role`: a role as its OID, printed as its name.
//!
//! `regrole` would do everywhere but in a dump: there a role that is missing makes the restore
//! fail, and one that was dropped is printed as a number that may be another role elsewhere.

use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

/// Everybody, as in PostgreSQL's own grants.
pub(crate) const PUBLIC: pg_sys::Oid = pg_sys::InvalidOid;

/// No role at all: what an unknown name reads as. A role's OID is never 1, the first one of
/// PostgreSQL's own roles being 10.
pub(crate) const NOBODY: pg_sys::Oid = pg_sys::Oid::from_u32(1);

/// Reads a role's name, quoted or not. What is not found is nobody.
///
/// An integer of the type's length stands for the OID: an `Oid` of 0 would be taken for NULL.
#[pg_extern(sql = false)]
fn role_in(text: &CStr) -> i32 {
    read(text.to_bytes()).to_u32().cast_signed()
}

fn read(text: &[u8]) -> pg_sys::Oid {
    match text {
        b"public" => PUBLIC,
        b"none" => NOBODY,
        [b'"', quoted @ .., b'"'] => lookup(&unquote(quoted)),
        // A role that was dropped before the dump.
        [b'?', ..] => NOBODY,
        name => lookup(name),
    }
}

/// Prints a role as `role_in` reads it.
#[pg_extern(sql = false)]
fn role_out(role: pg_sys::Oid) -> CString {
    match role {
        PUBLIC => c"public".to_owned(),
        NOBODY => c"none".to_owned(),
        role => {
            // SAFETY: with `noerr` an unknown role is NULL; both functions return strings that
            // live in the current memory context.
            unsafe {
                let name = pg_sys::GetUserNameFromId(role, true);
                if !name.is_null() {
                    return CStr::from_ptr(pg_sys::quote_identifier(name)).to_owned();
                }
            }
            let unknown = format!("?{}", role.to_u32());
            CString::new(unknown).unwrap_or_default()
        }
    }
}

fn lookup(name: &[u8]) -> pg_sys::Oid {
    let Ok(name) = CString::new(name) else {
        return NOBODY;
    };
    // SAFETY: a syscache lookup by name; with `missing_ok` an unknown one is InvalidOid.
    let role = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    if role == pg_sys::InvalidOid {
        NOBODY
    } else {
        role
    }
}

fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'"' {
            bytes.next();
        }
        name.push(byte);
    }
    name
}

/// A role as an argument of a statement, PUBLIC included, which an `Oid` alone would make NULL.
pub(crate) fn argument(role: pg_sys::Oid) -> DatumWithOid<'static> {
    let datum = pg_sys::Datum::from(role);
    // SAFETY: the datum is an OID by value.
    unsafe { DatumWithOid::new(datum, pg_sys::OIDOID) }
}

/// A role's name for messages.
pub(crate) fn name(role: pg_sys::Oid) -> Option<String> {
    // SAFETY: with `noerr` an unknown role is NULL.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

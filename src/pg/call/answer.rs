//! What a call returns, as PostgreSQL's values.

use pgrx::pg_sys;

/// A float8.
#[inline]
pub(crate) fn number(value: f64) -> pg_sys::Datum {
    pg_sys::Datum::from(value.to_bits() as usize)
}

/// A float8[], made in the current memory context.
pub(crate) fn numbers(values: &[f64]) -> pg_sys::Datum {
    let mut values: Vec<pg_sys::Datum> = values.iter().copied().map(number).collect();
    // SAFETY: the elements are float8, eight bytes by value.
    unsafe {
        let array = pg_sys::construct_array(
            values.as_mut_ptr(),
            values.len() as i32,
            pg_sys::FLOAT8OID,
            8,
            true,
            b'd' as _,
        );
        pg_sys::Datum::from(array)
    }
}

/// A text in the database's encoding, made in the current memory context.
pub(crate) fn text(text: &str) -> pg_sys::Datum {
    // SAFETY: conversion gives its input or a zero-terminated palloc'ed string.
    unsafe {
        if text.is_ascii() || pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 {
            let text = pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), text.len() as i32);
            return pg_sys::Datum::from(text);
        }
        let converted = pg_sys::pg_any_to_server(
            text.as_ptr().cast(),
            text.len() as i32,
            pg_sys::pg_enc::PG_UTF8 as i32,
        );
        let length = if converted.cast_const() == text.as_ptr().cast() {
            text.len()
        } else {
            libc::strlen(converted)
        };
        pg_sys::Datum::from(pg_sys::cstring_to_text_with_len(converted, length as i32))
    }
}

//! `predict`, `predict_class`, `predict_proba` and their pinned twins, and `classes`.
//!
//! Raw fmgr functions rather than `#[pg_extern]`: they take VARIADIC "any" and run once a row.

use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::pg::cache;
use crate::pg::call::{Answer, Site};
use crate::pg::error::Report;
use crate::pg::reader;

/// Declares the C entry point of a `predict` function with its fmgr record.
macro_rules! entry_points {
    ($($name:ident, $info:ident, $pinned:literal, $answer:expr, $body:ident;)*) => {$(
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $info() -> &'static pg_sys::Pg_finfo_record {
            const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }

        #[doc(hidden)]
        #[pg_guard]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
            // SAFETY: called by fmgr with a frame of this function.
            let result = unsafe {
                Site::get(fcinfo, $pinned, $answer).and_then(|site| $body(site, fcinfo))
            };
            match result {
                Ok(datum) => datum,
                Err(report) => report.raise(),
            }
        }
    )*};
}

entry_points! {
    neural_predict, pg_finfo_neural_predict, false, Answer::Value, value;
    neural_predict_class, pg_finfo_neural_predict_class, false, Answer::Class, class;
    neural_predict_proba, pg_finfo_neural_predict_proba, false, Answer::All, all;
    neural_predict_pinned, pg_finfo_neural_predict_pinned, true, Answer::Value, value;
    neural_predict_class_pinned, pg_finfo_neural_predict_class_pinned, true, Answer::Class, class;
    neural_predict_proba_pinned, pg_finfo_neural_predict_proba_pinned, true, Answer::All, all;
}

/// # Safety
/// `fcinfo` is the frame of the call that gave `site`; so for the other two.
#[inline]
unsafe fn value(
    site: &mut Site,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says.
    unsafe { site.outputs(fcinfo)? };
    Ok(pg_sys::Datum::from(site.value().to_bits() as usize))
}

unsafe fn class(
    site: &mut Site,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says.
    unsafe { site.outputs(fcinfo)? };
    Ok(server_text(&site.class()))
}

unsafe fn all(site: &mut Site, fcinfo: pg_sys::FunctionCallInfo) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says; the array is made in the caller's memory context.
    unsafe {
        site.outputs(fcinfo)?;
        let mut numbers: Vec<pg_sys::Datum> = site
            .all()
            .into_iter()
            .map(|number| pg_sys::Datum::from(number.to_bits() as usize))
            .collect();
        let array = pg_sys::construct_array(
            numbers.as_mut_ptr(),
            numbers.len() as i32,
            pg_sys::FLOAT8OID,
            8,
            true,
            b'd' as _,
        );
        Ok(pg_sys::Datum::from(array))
    }
}

/// A text datum in the database's encoding.
fn server_text(text: &str) -> pg_sys::Datum {
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

/// `neural.classes(model)`: the classes in the order of `predict_proba`.
#[pg_extern(sql = false)]
fn classes(model: &str) -> Vec<String> {
    let classes = || -> Result<Vec<String>, Report> {
        let resolved = reader::resolve(model)?;
        let decoded = cache::model(&resolved)?;
        match decoded.target.classes() {
            [] => Err(Report::new(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!(
                    "model \"{}\" is a regression and has no classes",
                    resolved.label()
                ),
            )
            .hint(match decoded.outputs() {
                1 => "Use neural.predict for its value.",
                _ => "Use neural.predict_proba for its outputs.",
            })),
            classes => Ok(classes.to_vec()),
        }
    };
    classes().unwrap_or_else(|report| report.raise())
}

//! Arguments of type jsonb.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{FromDatum, JsonB, direct_function_call, pg_sys};
use serde_json::Value;

use crate::pg::encoding;
use crate::pg::error::{Report, Result};

/// A document as PostgreSQL writes it.
///
/// pgrx's own conversion ends in an internal error where serde reads less than PostgreSQL does: more
/// than some hundred levels, numbers beyond double precision, and texts that are no UTF-8.
pub(super) struct Document(Vec<u8>);

impl Document {
    /// What it says; `argument` names it in errors.
    ///
    /// # Errors
    /// 22023 if it cannot be taken, 22021 if it is no UTF-8.
    pub(super) fn parse(&self, argument: &str) -> Result<Value> {
        let what = format!("argument \"{argument}\"");
        serde_json::from_str(encoding::utf8(&self.0, &what)?).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line").next().unwrap_or(&message);
            Report::invalid(format!("{what} cannot be taken: {message}")).hint(
                "It may be nested a hundred levels deep, and its numbers are those of double precision.",
            )
        })
    }
}

impl FromDatum for Document {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: a jsonb; its output function takes it as it is stored, and the text that it
        // returns lives until the function's memory context goes.
        let text = unsafe { direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(datum)]) };
        text.map(|text| Document(text.to_bytes().to_vec()))
    }
}

// SAFETY: an argument is unboxed as its type says, in the way of pgrx's own types that are read from
// a datum.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as the caller says: not null, and a jsonb.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| Document(b"null".to_vec()))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: as the caller says: null or a jsonb.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: the SQL type is that of pgrx's own conversion; the SQL is written by hand.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = JsonB::TYPE_IDENT;
    const TYPE_ORIGIN: TypeOrigin = JsonB::TYPE_ORIGIN;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = JsonB::ARGUMENT_SQL;
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = JsonB::RETURN_SQL;
}

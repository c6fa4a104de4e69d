//! The SQL types that names kept by versions mean.

use std::ffi::CString;

use pgrx::pg_sys;

use super::error::Report;
use super::rows::{ArrayReader, Reader};
use super::type_name::{qualified_name, type_name};
use crate::features::{Feature, FeatureSet, Origin, TypeName};

/// The type of a feature's values, domains looked through. What a version keeps is a name, which may
/// come from elsewhere: it is looked up as the name of a type and nothing else, in the schema that it
/// says, and where there is no such type any more that a feature like this one could be of, another
/// one of its family takes its place.
///
/// `None` where there is none: of two kinds of timestamps neither stands for the other.
pub(crate) fn feature_type(feature: &Feature) -> Option<pg_sys::Oid> {
    stored_type(&feature.sql_type, feature.origin)
}

/// The same for a type of that name and family.
pub(crate) fn stored_type(name: &str, origin: Origin) -> Option<pg_sys::Oid> {
    let found = TypeName::parse(name).and_then(|name| find(&name));
    if let Some(found) = found
        && family(found) == Some(origin)
    {
        return Some(found);
    }
    Some(match origin {
        Origin::Boolean => pg_sys::BOOLOID,
        Origin::Integer => pg_sys::INT8OID,
        Origin::Float => pg_sys::FLOAT8OID,
        Origin::Numeric => pg_sys::NUMERICOID,
        Origin::Date => pg_sys::DATEOID,
        Origin::Timestamp => return None,
        Origin::Text | Origin::Enum => pg_sys::TEXTOID,
        Origin::Uuid => pg_sys::UUIDOID,
        Origin::NumberArray => pg_sys::FLOAT8ARRAYOID,
        Origin::BooleanArray => pg_sys::BOOLARRAYOID,
        Origin::Bytes => pg_sys::BYTEAOID,
    })
}

/// Refuses a file from outside that has a feature of a type that none can have. The name of a type in
/// another schema may mean nothing here: then one of its family stands for it.
pub(crate) fn check_types(features: &FeatureSet) -> Result<(), Report> {
    for feature in &features.features {
        let name = TypeName::parse(&feature.sql_type);
        let is_one = name.is_some_and(|name| match find(&name) {
            Some(found) if name.schema.is_none() => family(found) == Some(feature.origin),
            Some(found) => family(found).is_some(),
            None => name.schema.is_some(),
        });
        if !is_one {
            return Err(Report::invalid(format!(
                "feature \"{}\" of the imported model is of type \"{}\", which it cannot be of",
                feature.name, feature.sql_type
            ))
            .hint("The file was not exported by this extension, or was changed since: export the model anew."));
        }
    }
    Ok(())
}

/// Whether a version's name of a type is that of the type or, of a domain, the domain's own, as
/// version 0.1 kept it, or under a setting that quotes every name.
pub(crate) fn is_name_of(stored: &str, oid: pg_sys::Oid) -> bool {
    let stored = TypeName::parse(stored);
    stored.is_some()
        && [type_name(oid), qualified_name(oid)]
            .iter()
            .any(|name| TypeName::parse(name) == stored)
}

/// The family of a type's values; none of a type that no feature can have.
fn family(oid: pg_sys::Oid) -> Option<Origin> {
    Reader::for_type(oid)
        .map(Reader::origin)
        .or_else(|| ArrayReader::for_type(oid).map(ArrayReader::origin))
}

/// The type of a name, domains looked through.
fn find(name: &TypeName) -> Option<pg_sys::Oid> {
    let element = match &name.schema {
        None => own_type(&name.name)?,
        Some(schema) => {
            let (schema, of) = (
                CString::new(schema.as_str()).ok()?,
                CString::new(name.name.as_str()).ok()?,
            );
            // SAFETY: look-ups that give InvalidOid where nothing is found; a name of more than
            // 63 bytes, which no type has, does not get there.
            let found = unsafe {
                if of.count_bytes() >= pg_sys::NAMEDATALEN as usize {
                    return None;
                }
                let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
                if schema == pg_sys::InvalidOid {
                    return None;
                }
                pg_sys::GetSysCacheOid(
                    pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
                    pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
                    pg_sys::Datum::from(of.as_ptr()),
                    pg_sys::Datum::from(schema),
                    pg_sys::Datum::from(0_usize),
                    pg_sys::Datum::from(0_usize),
                )
            };
            (found != pg_sys::InvalidOid).then_some(found)?
        }
    };
    // SAFETY: look-ups by the OID of a type that exists.
    unsafe {
        let found = match name.is_array {
            true => pg_sys::get_array_type(element),
            false => element,
        };
        (found != pg_sys::InvalidOid).then(|| pg_sys::getBaseType(found))
    }
}

/// One of PostgreSQL's own types that a feature, or an element of one, can have.
fn own_type(name: &str) -> Option<pg_sys::Oid> {
    Some(match name {
        "boolean" | "bool" => pg_sys::BOOLOID,
        "smallint" | "int2" => pg_sys::INT2OID,
        "integer" | "int4" => pg_sys::INT4OID,
        "bigint" | "int8" => pg_sys::INT8OID,
        "real" | "float4" => pg_sys::FLOAT4OID,
        "double precision" | "float8" => pg_sys::FLOAT8OID,
        "numeric" => pg_sys::NUMERICOID,
        "date" => pg_sys::DATEOID,
        "timestamp without time zone" | "timestamp" => pg_sys::TIMESTAMPOID,
        "timestamp with time zone" | "timestamptz" => pg_sys::TIMESTAMPTZOID,
        "text" => pg_sys::TEXTOID,
        "character varying" | "varchar" => pg_sys::VARCHAROID,
        "character" | "bpchar" => pg_sys::BPCHAROID,
        "name" => pg_sys::NAMEOID,
        "char" => pg_sys::CHAROID,
        "uuid" => pg_sys::UUIDOID,
        "bytea" => pg_sys::BYTEAOID,
        _ => return None,
    })
}

//! How calls refer to a model or a version of it.

use pgrx::PgSqlErrorCode;

use super::version::no_such_version;
use crate::pg::error::{Report, Result};

/// `name` or `name@3`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) model: &'a str,
    /// `None`: the deployed version.
    pub(crate) version: Option<i32>,
}

/// Takes a reference apart. The name is not checked further: one that cannot be is not found.
pub(crate) fn parse(reference: &str) -> Result<Reference<'_>> {
    let Some((model, version)) = reference.rsplit_once('@') else {
        return Ok(Reference {
            model: reference,
            version: None,
        });
    };
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    if model.is_empty() || model.contains('@') || !digits {
        return Err(Report::new(
            PgSqlErrorCode::ERRCODE_INVALID_NAME,
            format!("\"{reference}\" does not name a model or a version of one"),
        )
        .hint("Write 'name' for the deployed version or 'name@3' for version 3."));
    }
    match version.parse() {
        Ok(version) => Ok(Reference {
            model,
            version: Some(version),
        }),
        Err(_) => Err(no_such_version(model, version)),
    }
}

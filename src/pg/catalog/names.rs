//! What a model may be called, and how calls refer to it.

use pgrx::PgSqlErrorCode;

use crate::pg::error::{Report, Result};

/// The longest name in bytes.
const LONGEST: usize = 255;

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
        Err(_) => Err(crate::pg::reader::no_such_version(model, version)),
    }
}

/// Checks a name that a model shall have.
pub(crate) fn check(name: &str) -> Result<()> {
    let invalid = |message: String| Report::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, message);
    if name.is_empty() {
        return Err(invalid("a model's name must not be empty".into())
            .hint("Choose a name such as 'credit_risk'."));
    }
    if name.contains('@') {
        return Err(
            invalid(format!("a model's name must not contain \"@\": \"{name}\""))
                .hint("'name@3' means version 3 of a model; versions are numbered by themselves."),
        );
    }
    if name.len() > LONGEST {
        return Err(invalid(format!(
            "a model's name of {} bytes is too long",
            name.len()
        ))
        .hint(format!("A name may have up to {LONGEST} bytes.")));
    }
    Ok(())
}

//! What a model may be called.

use pgrx::PgSqlErrorCode;

use crate::pg::error::{Report, Result};

/// The longest name in bytes.
const LONGEST: usize = 255;

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

//! What a model may be called.

use pgrx::{PgSqlErrorCode, pg_sys};

use super::{AsTableOwner, LockedModel, execute, fetch};
use crate::pg::access::acts_as;
use crate::pg::error::{Report, Result};
use crate::pg::role;

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

/// Checks that a new model may have a name: one that another role's model gave up may still be called
/// by functions, views and applications, which would then call this one.
pub(super) fn check_free(owner: &AsTableOwner, name: &str) -> Result<()> {
    let sql = "SELECT holder::oid FROM _neural.numbering WHERE name = $1";
    match fetch::<pg_sys::Oid>(owner, sql, &[name.into()])? {
        Some(holder) if !acts_as(owner.invoker(), holder) => Err(Report::denied(format!(
            "permission denied for the model name \"{name}\""
        ))
        .detail("A model of another role had it, and what calls that one names it so.")
        .hint(
            "Choose another name; a member of that role or a superuser can make the model and give \
             it away with neural.set_owner(model, role).",
        )),
        _ => Ok(()),
    }
}

/// Keeps the name that a model gives up for its owner.
pub(super) fn give_up(owner: &AsTableOwner, model: &LockedModel) -> Result<()> {
    execute(
        owner,
        "INSERT INTO _neural.numbering AS n (name, last, holder) VALUES ($1, 0, $2::_neural.role)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder",
        &[model.name.as_str().into(), role::argument(model.owner)],
    )?;
    Ok(())
}

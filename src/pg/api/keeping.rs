//! Deploying, dropping, renaming and sharing models.

use pgrx::prelude::*;

use super::{create_function, given, given_text};
use crate::pg::cache;
use crate::pg::catalog::{deployment, model as models};
use crate::pg::error::{OrRaise, Result};
use crate::pg::reader;

/// Makes a version the one that the bare name means.
#[pg_extern(sql = false)]
fn deploy(model: Option<&[u8]>, version: Option<i32>) -> i32 {
    let model = given_text(model, "model").or_raise();
    let number = deployment::deploy(model, given(version, "version").or_raise()).or_raise();
    follow(model, number).or_raise();
    number
}

/// Lets the functions that follow the model take what this version takes: features may have been
/// added between two versions.
fn follow(model: &str, number: i32) -> Result<()> {
    let resolved = reader::resolve(&format!("{model}@{number}"))?;
    match cache::model(&resolved) {
        Ok(decoded) => create_function::make_anew(model, decoded.features.features.len()),
        Err(report) if report.is_out_of_memory() => Err(report),
        // Whoever calls it is told.
        Err(_) => Ok(()),
    }
}

/// Goes back to the deployment before the present one.
#[pg_extern(sql = false)]
fn rollback(model: Option<&[u8]>) -> i32 {
    let model = given_text(model, "model").or_raise();
    let number = deployment::rollback(model).or_raise();
    follow(model, number).or_raise();
    number
}

/// Drops one version, or the whole model.
#[pg_extern(sql = false)]
fn drop_model(model: Option<&[u8]>, version: Option<i32>, force: Option<bool>) {
    let model = given_text(model, "model").or_raise();
    models::drop(model, version, force.unwrap_or(false)).or_raise()
}

/// Gives a model a new name.
#[pg_extern(sql = false)]
fn rename_model(model: Option<&[u8]>, new_name: Option<&[u8]>) {
    let model = given_text(model, "model").or_raise();
    models::rename(model, given_text(new_name, "new_name").or_raise()).or_raise()
}

/// Gives a model to another role.
#[pg_extern(sql = false)]
fn set_owner(model: Option<&[u8]>, new_owner: Option<pg_sys::Oid>) {
    let model = given_text(model, "model").or_raise();
    models::set_owner(model, given(new_owner, "new_owner").or_raise()).or_raise()
}

/// Lets a role use a model.
#[pg_extern(sql = false)]
fn grant_model(model: Option<&[u8]>, grantee: Option<pg_sys::Oid>) {
    let model = given_text(model, "model").or_raise();
    models::grant(model, given(grantee, "grantee").or_raise()).or_raise()
}

/// Takes back what `grant_model` gave.
#[pg_extern(sql = false)]
fn revoke_model(model: Option<&[u8]>, grantee: Option<pg_sys::Oid>) {
    let model = given_text(model, "model").or_raise();
    models::revoke(model, given(grantee, "grantee").or_raise()).or_raise()
}

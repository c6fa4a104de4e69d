//! What is wrong with stored models: all of it, where whoever uses one is told of the first thing.
//!
//! Like the reader, this goes by direct scans under one snapshot, on a standby as well, and changes
//! nothing. A version's bytes pass by piece by piece; no more of them than the header is kept.

mod files;
mod model;
mod problems;
mod tables;
mod version;

use pgrx::PgMemoryContexts;

use super::access::{Right, acts_as, invoker};
use super::error::Result;
use super::interrupt;
use super::reader::{self, Reference};
use crate::memory;

use model::StoredModel;
pub(crate) use problems::Problem;
use problems::Problems;

/// The problems of the model of this name, or of that version of it (`name@3`), or of all that the
/// invoker manages. Whoever has the rights of the tables' owner is also told of what belongs to no
/// model.
pub(crate) fn check(name: Option<&str>) -> Result<Vec<Problem>> {
    let _work = interrupt::begin(memory::LARGE)?;
    let mut found = Problems::default();
    if let Some(reference) = name {
        let Reference {
            model: name,
            version,
        } = reader::parse(reference)?;
        let model = reader::find_model(name)?.ok_or_else(|| reader::no_such_model(name))?;
        model.right(invoker())?.require(Right::Manage, name)?;
        if let Some(model) = StoredModel::find(model.id)? {
            check_model(&model, version, true, &mut found)?;
        }
        return Ok(found.all());
    }
    let everything = acts_as(invoker(), reader::table_owner()?);
    for model in StoredModel::managed()? {
        check_model(&model, None, !everything, &mut found)?;
    }
    if everything {
        tables::check(&mut found)?;
        files::check_all(&mut found)?;
    }
    Ok(found.all())
}

/// Checks a model and its versions, or the one of that number, and what connections share of them if
/// `files` says so.
fn check_model(
    model: &StoredModel,
    only: Option<i32>,
    files: bool,
    found: &mut Problems,
) -> Result<()> {
    found.of_model(&model.name);
    let mut versions = model.check(found)?;
    if let Some(only) = only {
        versions.retain(|_, number| *number == only);
        if versions.is_empty() {
            return Err(reader::no_such_version(&model.name, &only.to_string()));
        }
    }
    for (&id, &number) in &versions {
        interrupt::check();
        found.of_version(number);
        // What PostgreSQL allocates for a version goes with it.
        let mut context = PgMemoryContexts::new("pg_neural check");
        // SAFETY: nothing that lives on is allocated by PostgreSQL in it: problems are Rust's.
        unsafe { context.switch_to(|_| version::check(model, id, files, found))? };
    }
    found.of_none();
    Ok(())
}

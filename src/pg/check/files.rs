//! The files that connections share.

use super::problems::Problems;
use crate::pg::error::Result;
use crate::pg::{interrupt, shared_models};

/// Checks the file of the artifact with that hash, if there is one.
pub(super) fn check(artifact: &[u8; 32], found: &mut Problems) -> Result<()> {
    interrupt::check();
    let models = shared_models::all();
    let why = match models.check(artifact) {
        Ok(None) => return Ok(()),
        Ok(Some(why)) => why,
        Err(error) => {
            interrupt::check();
            error.to_string()
        }
    };
    found.add(format!(
        "the file \"{}\" is damaged: {why}; it can be removed, and is then made again when it is needed",
        models.path(artifact).display()
    ));
    Ok(())
}

/// Checks all files, those of other databases included.
pub(super) fn check_all(found: &mut Problems) -> Result<()> {
    match shared_models::all().files() {
        Ok(artifacts) => artifacts
            .iter()
            .try_for_each(|artifact| check(artifact, found)),
        Err(error) => {
            found.add(format!(
                "the files that connections share cannot be listed: {error}"
            ));
            Ok(())
        }
    }
}

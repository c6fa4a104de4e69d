//! What a model has before a training.

use crate::artifact::Model;
use crate::pg::error::{Report, Result};
use crate::pg::reader::Resolved;
use crate::pg::{catalog, reader};
use crate::training::{Deploy, Options, SeenRows};

/// The version that a new one follows.
pub(super) struct Earlier {
    /// The deployed version or, where none is, the newest, which tells the signature as well.
    pub(super) model: Option<Model>,
    /// The id of the deployed version.
    pub(super) deployed: Option<i64>,
    /// The rows that it was trained with, if it is gone on from and tells them.
    pub(super) seen: Option<SeenRows>,
}

impl Earlier {
    /// Looks the model up.
    ///
    /// # Errors
    /// No right to train it; 42704 where none is deployed that could be gone on from.
    pub(super) fn of(model: &str, options: &Options) -> Result<Earlier> {
        let existing = catalog::existing(model)?;
        let deployed = existing.as_ref().and_then(|existing| existing.deployed);
        let mut earlier = Earlier {
            model: None,
            deployed,
            seen: None,
        };
        match existing.and_then(|existing| existing.latest) {
            Some(_) if deployed.is_some() => {
                let resolved = reader::resolve(model)?;
                earlier.model = Some(stored_model(&resolved)?);
                if options.goes_on() {
                    let seen = reader::seen(&resolved)?;
                    earlier.seen = seen.and_then(|bytes| SeenRows::from_bytes(&bytes));
                }
            }
            Some(latest) => {
                let resolved = reader::resolve(&format!("{model}@{latest}"))?;
                earlier.model = Some(stored_model(&resolved)?);
            }
            None => {}
        }
        if options.goes_on() && deployed.is_none() {
            return Err(Report::undefined(format!(
                "there is no deployed version of \"{model}\" to start from"
            ))
            .hint("Train it without warm_start and add_features first."));
        }
        Ok(earlier)
    }

    /// Before the new version is stored: whatever was deployed meanwhile is what it is compared with.
    ///
    /// # Errors
    /// No right to train the model any more.
    pub(super) fn follow(&mut self, model: &str, options: &Options) -> Result<()> {
        let existing = catalog::existing(model)?;
        let deployed = existing.and_then(|existing| existing.deployed);
        if deployed != self.deployed {
            self.deployed = deployed;
            if deployed.is_some() && options.deploy == Some(Deploy::IfBetter) {
                self.model = Some(stored_model(&reader::resolve(model)?)?);
            }
        }
        Ok(())
    }
}

/// A version of a model, as it was stored.
fn stored_model(resolved: &Resolved) -> Result<Model> {
    Model::from_bytes(&reader::load(resolved)?)
        .map_err(|error| Report::stored(resolved.label(), error))
}

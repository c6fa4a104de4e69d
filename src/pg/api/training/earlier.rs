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
    /// Its number.
    pub(super) number: Option<i32>,
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
            number: None,
            deployed,
            seen: None,
        };
        match existing.and_then(|existing| existing.latest) {
            Some(_) if deployed.is_some() => earlier.follow(&reader::resolve(model)?, options)?,
            Some(latest) => {
                let resolved = reader::resolve(&format!("{model}@{latest}"))?;
                earlier.model = Some(stored_model(&resolved)?);
                earlier.number = Some(resolved.number);
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

    /// Before a version: another one of its model, or nothing.
    ///
    /// # Errors
    /// It is damaged.
    pub(super) fn before(version: Option<&Resolved>, options: &Options) -> Result<Earlier> {
        let mut earlier = Earlier {
            model: None,
            number: None,
            deployed: None,
            seen: None,
        };
        if let Some(version) = version {
            earlier.follow(version, options)?;
        }
        Ok(earlier)
    }

    /// The version is the one that is followed, and gone on from if the options say so.
    fn follow(&mut self, version: &Resolved, options: &Options) -> Result<()> {
        let model = stored_model(version)?;
        if options.goes_on() && model.quantization.is_some() {
            return Err(Report::invalid(format!(
                "version {} of model \"{}\" is quantised, and its rounded weights are not gone on from",
                version.number, version.model
            ))
            .hint(
                "Deploy the version that it was made of, which its options name, or train without \
                 warm_start and add_features.",
            ));
        }
        self.model = Some(model);
        self.number = Some(version.number);
        if options.goes_on()
            && let Some(bytes) = reader::seen(version)?
        {
            // Taken for nothing, it would let rows that were trained on be held out.
            let seen = SeenRows::from_bytes(&bytes).ok_or_else(|| {
                Report::damaged(format!(
                    "what version {} of model \"{}\" keeps of its rows is damaged",
                    version.number, version.model
                ))
            })?;
            self.seen = Some(seen);
        }
        Ok(())
    }

    /// Before the new version is stored: whatever was deployed meanwhile is what it is compared with.
    ///
    /// # Errors
    /// No right to train the model any more.
    pub(super) fn compare_with_deployed(&mut self, model: &str, options: &Options) -> Result<()> {
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
pub(super) fn stored_model(resolved: &Resolved) -> Result<Model> {
    Model::from_bytes(&reader::load(resolved)?)
        .map_err(|error| Report::stored(resolved.label(), error))
}

//! Which network is built: the one asked for, or the default for the rows, and how many members it
//! has.

use super::defaults;
use super::error::Error;
use super::job::Job;
use crate::models;
use crate::nn::{Architecture, Head};

/// The architecture of a training that names none.
pub const DEFAULT_ARCHITECTURE: &str = "tabular";
/// The architecture of a training on sequences of rows that names none.
pub const DEFAULT_SEQUENCE_ARCHITECTURE: &str = "gru_64";

/// The architecture asked for: JSON, a shipped one's name, the default or, for a warm start, that
/// of the deployed version.
pub(super) fn wished_architecture(job: &Job<'_>) -> Result<Architecture, Error> {
    if let (Some(previous), true) = (job.previous, job.warm_start()) {
        if job.architecture.is_some() {
            return Err(Error::option(
                "warm_start",
                "goes on with the deployed version's architecture; leave architecture NULL",
            ));
        }
        if job.options.dropout.is_some() {
            return Err(Error::option(
                "dropout",
                "belongs to the architecture, which warm_start keeps",
            ));
        }
        return Ok(previous.architecture.clone());
    }
    let default = match job.plan.sequence {
        Some(_) => DEFAULT_SEQUENCE_ARCHITECTURE,
        None => DEFAULT_ARCHITECTURE,
    };
    read_architecture(job.architecture.unwrap_or(default))
}

/// The architecture that a training names or writes, not yet resolved for a task.
pub(crate) fn read_architecture(given: &str) -> Result<Architecture, Error> {
    let text = given.trim();
    if text.starts_with(['{', '[']) {
        return Ok(Architecture::parse(text)?);
    }
    let shipped = models::find(text).ok_or_else(|| Error::NoArchitecture {
        name: text.to_string(),
    })?;
    Ok(Architecture::from_json(&shipped.architecture())?)
}

/// The architecture with nothing left open but the embeddings.
pub(super) fn architecture_of(
    job: &Job<'_>,
    wished: Architecture,
    members: usize,
    head: Head,
) -> Result<Architecture, Error> {
    if job.previous.is_some() && job.warm_start() {
        return Ok(wished);
    }
    let mut architecture = wished.resolve(head)?;
    architecture.members = members;
    Ok(match job.options.dropout {
        Some(rate) => architecture.with_dropout(rate as f32)?,
        None => architecture,
    })
}

/// How many networks are to be trained side by side: as the options say, else as the architecture
/// does, else several for a small table about which nothing was said.
pub(super) fn members_of(job: &Job<'_>, wished: usize, rows: usize) -> Result<usize, Error> {
    let given = job.options.members;
    if job.warm_start() && job.previous.is_some() {
        return match given {
            Some(members) if members != wished => Err(Error::option(
                "members",
                &format!("must be {wished} with warm_start, as in the deployed version"),
            )),
            _ => Ok(wished),
        };
    }
    let small = job.architecture.is_none()
        && job.sequences.is_none()
        && splits_nothing(job)
        && defaults::MEMBERS_ROWS.contains(&rows)
        && most_inputs(job) <= defaults::MEMBERS_INPUTS;
    Ok(given.unwrap_or(if small { defaults::MEMBERS } else { wished }))
}

/// How many inputs the features make at most, with the usual number of levels.
fn most_inputs(job: &Job<'_>) -> usize {
    let of_feature = |at: usize| match job.dictionaries.get(at) {
        Some(Some(levels)) => levels.len().min(100) + 2,
        _ => 2,
    };
    (0..job.plan.features.len()).map(of_feature).sum()
}

/// Whether nothing was said about the rows to hold out, so that members may hold out a fold each.
pub(super) fn splits_nothing(job: &Job<'_>) -> bool {
    let options = job.options;
    job.arguments.validation.is_none()
        && options.validation_split.is_none()
        && options.validation_group.is_none()
        && !job.warm_start()
}

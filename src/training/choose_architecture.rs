//! Which network is built: the one asked for, or the default for the rows, and how many members it
//! has.

use super::default_architecture::read_architecture;
use super::defaults;
use super::error::Error;
use super::idle;
use super::job::Job;
use crate::features::{ArrayShape, Column};
use crate::nn::{Architecture, Head};

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
    match job.architecture {
        Some(given) => read_architecture(given),
        None => job.plan.default_architecture(),
    }
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
        Some(rate) => {
            let architecture = architecture.with_dropout(rate as f32)?;
            idle::check_dropout(&architecture, rate)?;
            architecture
        }
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
    let nothing_said = job.architecture.is_none()
        && job.sequences.is_none()
        && splits_nothing(job)
        && most_inputs(job) <= defaults::MEMBERS_INPUTS;
    let usual = defaults::members(rows).filter(|_| nothing_said);
    Ok(given.or(usual).unwrap_or(wished))
}

/// How many inputs the features make at most, with the usual number of levels.
fn most_inputs(job: &Job<'_>) -> usize {
    let of_feature = |(at, column): (usize, &Column)| match (job.dictionaries.get(at), column.shape)
    {
        (_, Some(ArrayShape::Vector { length })) => length,
        // Not a table in this sense.
        (_, Some(_)) => defaults::MEMBERS_INPUTS + 1,
        (Some(Some(levels)), None) => levels.len().min(100) + 2,
        _ => 2,
    };
    let features = job.plan.features.iter().enumerate();
    features.map(of_feature).sum()
}

/// Whether nothing was said about the rows to hold out, so that members may hold out a fold each;
/// in a warm start each goes on with its own.
pub(super) fn splits_nothing(job: &Job<'_>) -> bool {
    let options = job.options;
    job.arguments.validation.is_none()
        && options.validation_split.is_none()
        && options.validation_group.is_none()
        && (!job.warm_start() || job.seen.is_some_and(|seen| seen.rows.has_folds()))
}

//! From raw rows to a model: read, split, fit, build, look for traps, train, judge.

use std::time::Instant;

use super::announce::announcement;
use super::build::BuildStage;
use super::error::Error;
use super::job::{Job, Observer, Outcome};
use super::read::ReadStage;
use super::remarks::{Remark, remarks};
use super::traps;
use crate::features::RawRows;

/// Trains a model on the rows, whose columns are as the plan says.
///
/// # Errors
/// See [`Error`]; an interruption comes as the interruption of the part it fell in.
pub fn run(
    job: &Job<'_>,
    rows: &mut dyn RawRows,
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut stop = || observer.interrupted();
    let mut built = ReadStage::read(job, rows, &mut stop)?
        .split(job, &mut stop)?
        .fit(job, observer)?
        .build(job, &mut || observer.interrupted())?;
    announce(job, &built, observer);
    built.fit.traps = traps::find(job, &mut built.fit, observer)?;
    let judged = built.train(job, observer)?.judge(job, observer)?;
    Ok(judged.outcome(job, started))
}

/// Tells what is known before the loop begins.
fn announce(job: &Job<'_>, built: &BuildStage<'_>, observer: &mut dyn Observer) {
    let learnt = built.learnt();
    for text in announcement(job, &learnt) {
        observer.notice(&text);
    }
    for tried in &built.fit.tried {
        observer.notice(&tried.notice);
    }
    for text in &built.fit.warnings {
        observer.warning(text);
    }
    for remark in remarks(job, &learnt) {
        match remark {
            Remark::Notice(text) => observer.notice(&text),
            Remark::Warning(text) => observer.warning(&text),
        }
    }
}

//! `neural.stat_models`: how often models are called.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::text;
use crate::pg::access::{Right, invoker};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::reader;
use crate::pg::usage::{self, Key};

/// What has been counted of a version: calls, rows, seconds, and when it was last called. NULL of one
/// that nobody has called.
#[pg_extern(sql = false)]
fn counted(
    version: i64,
    sha256: &[u8],
) -> TableIterator<
    'static,
    (
        name!(calls, i64),
        name!(rows, i64),
        name!(seconds, f64),
        name!(last_call, TimestampWithTimeZone),
    ),
> {
    let total = <&[u8; 32]>::try_from(sha256)
        .ok()
        .and_then(|sha256| usage::with_counters(|all| all.total(Key::new(version, sha256))))
        .flatten();
    TableIterator::new(total.into_iter().filter_map(|total| {
        Some((
            total.calls as i64,
            total.rows as i64,
            total.nanoseconds as f64 / 1e9,
            TimestampWithTimeZone::try_from(total.last).ok()?,
        ))
    }))
}

/// Forgets what was counted of a model; without one, of all that the invoker manages.
#[pg_extern(sql = false)]
fn reset_stat_models(model: Option<&[u8]>) {
    reset(text(model, "model").or_raise()).or_raise();
}

fn reset(model: Option<&str>) -> Result<()> {
    if let Some(name) = model {
        let found = reader::find_model(name)?.ok_or_else(|| reader::no_such_model(name))?;
        found.right(invoker())?.require(Right::Manage, name)?;
    }
    let versions = reader::managed_versions(model)?;
    usage::with_counters(|all| {
        for (version, sha256) in versions {
            all.reset(Key::new(version, &sha256));
        }
    })
    .ok_or_else(|| {
        Report::not_in_state("calls of models are not counted")
            .hint("The server's log says why: it could not map a file in its directory pg_stat.")
    })
}

//! Large models, mapped from files that all connections share.
//!
//! The files lie in `base/pgsql_tmp`, beside PostgreSQL's own temporary files: base backups leave
//! that directory out, a standby has its own, and the server empties it when it starts. PostgreSQL
//! removes there what begins with `pgsql_tmp` and knows its own files by a number behind; so ours
//! begin with `pgsql_tmp_neural`. `temp_tablespaces` does not apply: it differs from session to
//! session, and a file that all share has one place.
//!
//! A version has a file once its transaction has committed: none is left by one that is undone.
//!
//! A file goes when the server starts; when the transaction commits that dropped the last version of
//! these bytes; and when `neural.shared_models` would be exceeded by a new one, those first that no
//! connection opened for the longest time. It can always go: whoever has mapped it keeps what was
//! there, and the next who needs it makes it again. So databases need not know of each other.

use std::path::PathBuf;
use std::rc::Rc;

use pgrx::prelude::*;
use pgrx::{PgXactCallbackEvent, register_xact_callback};

use super::error::{Report, Result};
use super::reader::{self, Resolved};
use super::{encryption, heap, interrupt, settings};
use crate::artifact::shared::SharedModels;
use crate::artifact::{Error, Model, Prepared};

/// Artifacts of fewer bytes are not worth a file.
const LEAST: usize = 1 << 20;
/// How long to sleep before another look at who makes the file.
const MOMENT_MS: i64 = 5;

/// A version's model, and the file it is mapped from if it is.
pub(super) fn take(version: &Resolved) -> Result<(Prepared, Option<PathBuf>)> {
    let mut loaded = false;
    let mut load = || {
        loaded = true;
        let bytes = reader::load(version)?;
        let model = Model::from_bytes_until(&bytes, &interrupt::Checks)?;
        drop(bytes);
        // A large model takes a while to decode, and again to pack.
        interrupt::check();
        Ok(model)
    };
    let taken = match shared(version) {
        None => load()
            .and_then(|model| Ok(Prepared::new_until(model, &interrupt::Checks)?))
            .map(|model| (model, None)),
        Some(models) => models.take(&version.sha256, load, &mut wait).map(|taken| {
            for trouble in taken.trouble {
                log!("model \"{}\" is not shared: {trouble}", version.label());
            }
            (taken.model, taken.file)
        }),
    };
    if loaded {
        heap::give_back();
        // Once more when what PostgreSQL keeps for the statement is free, too.
        register_xact_callback(PgXactCallbackEvent::Commit, heap::give_back);
    }
    taken.map_err(|failure| match failure {
        Failure::Report(report) => report,
        Failure::Damaged(error) => Report::stored(version.label(), error),
    })
}

/// Why there is no model.
enum Failure {
    Report(Report),
    /// The stored bytes are those that were stored, but no model.
    Damaged(Error),
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Failure::Report(report)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Damaged(error)
    }
}

/// Where a version's model is shared, if it is. What is encrypted where it is stored stands in no file
/// that is not.
fn shared(version: &Resolved) -> Option<SharedModels> {
    let limit = settings::shared_models();
    let kept_back = version.undoable || version.key.is_some() || encryption::in_use();
    if kept_back || version.size < LEAST || version.size as u64 > limit {
        return None;
    }
    Some(models(limit))
}

fn models(limit: u64) -> SharedModels {
    // SAFETY: a number that the server set when it started.
    let mode = u32::try_from(unsafe { pg_sys::data_directory_mode }).unwrap_or(0o700);
    SharedModels {
        // A backend's working directory is the data directory.
        directory: PathBuf::from("base/pgsql_tmp"),
        prefix: "pgsql_tmp_neural.".into(),
        file_mode: mode & 0o666,
        directory_mode: mode,
        limit,
        stop: &interrupt::Checks,
    }
}

/// Lets a moment go by, unless the statement shall end.
fn wait() {
    interrupt::check();
    // SAFETY: the latch is this backend's; the events are as WaitLatch wants them. Whatever set the
    // latch is seen by the check for interrupts the next time.
    unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            MOMENT_MS as std::ffi::c_long,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// The files of all models, to be looked at.
pub(super) fn all() -> SharedModels {
    models(0)
}

/// Removes the files of these artifacts when the transaction commits.
pub(super) fn remove_at_commit(artifacts: Vec<[u8; 32]>) {
    if artifacts.is_empty() {
        return;
    }
    let artifacts = Rc::new(artifacts);
    register_xact_callback(PgXactCallbackEvent::Commit, move || {
        let models = all();
        artifacts
            .iter()
            .for_each(|artifact| models.remove(artifact));
    });
}

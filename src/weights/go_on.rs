//! Whether reading names goes on.

use super::error::Error;
use crate::nn::{NAME, Pace};

/// Counts so many names that are read, copied or looked up.
///
/// # Errors
/// [`Error::Interrupted`] if nobody waits for what comes of it.
pub(super) fn go_on(pace: &Pace<'_>, names: usize) -> Result<(), Error> {
    match pace.spend(names.saturating_mul(NAME)) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

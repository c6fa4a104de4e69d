//! That the system refuses the statement at hand more memory.

use std::cell::Cell;

use crate::memory::Refused;

thread_local! {
    /// Why the statement at hand cannot go on.
    static REFUSED: Cell<Option<Refused>> = const { Cell::new(None) };
}

/// Another statement begins.
pub(crate) fn forget() {
    REFUSED.set(None);
}

/// Keeps the refusal, if it is one.
pub(crate) fn remember(outcome: Result<(), Refused>) {
    REFUSED.set(outcome.err());
}

/// Whether memory has been refused.
pub(crate) fn is_known() -> bool {
    REFUSED.get().is_some()
}

/// The refusal, which ends the statement.
pub(crate) fn take() -> Option<Refused> {
    REFUSED.take()
}

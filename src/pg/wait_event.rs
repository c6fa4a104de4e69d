//! What `pg_stat_activity` shows a training to wait for: its threads. From PostgreSQL 17 on extensions
//! have wait events of their own; before nothing is shown.

use crate::nn::EpochReport;
use crate::training::{Kept, Observer};

#[cfg(not(any(feature = "pg15", feature = "pg16")))]
mod event {
    use std::cell::Cell;

    use pgrx::pg_sys;

    use crate::pg::attempt::attempt;

    /// As PostgreSQL names its own, so that nothing of it needs quoting.
    const NAME: &std::ffi::CStr = c"NeuralTrain";

    thread_local! {
        /// What stands for it in this process.
        static KNOWN: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Asks for the event, once a process. In a transaction.
    pub(super) fn prepare() {
        if KNOWN.get().is_none() {
            // SAFETY: the name is static. The server holds so many events and no more, all extensions'
            // together: no reason not to train.
            let named = attempt(|| unsafe { pg_sys::WaitEventExtensionNew(NAME.as_ptr()) });
            KNOWN.set(Some(named.unwrap_or(pg_sys::PG_WAIT_EXTENSION)));
        }
    }

    /// Shows it.
    pub(super) fn begin() {
        let event = KNOWN.get().unwrap_or(pg_sys::PG_WAIT_EXTENSION);
        // SAFETY: writes a number where other backends read it.
        unsafe { pg_sys::pgstat_report_wait_start(event) };
    }

    /// Shows nothing any more.
    pub(super) fn end() {
        // SAFETY: as above.
        unsafe { pg_sys::pgstat_report_wait_end() };
    }
}

#[cfg(any(feature = "pg15", feature = "pg16"))]
mod event {
    pub(super) fn prepare() {}
    pub(super) fn begin() {}
    pub(super) fn end() {}
}

/// Makes sure that the wait has a name. In a transaction.
pub(crate) fn prepare() {
    event::prepare();
}

/// While it lives the process shows that it waits for its training's threads, but for what it does
/// itself meanwhile: tell of an epoch, keep how far it is, look at what PostgreSQL wants. Whatever of
/// PostgreSQL's that calls may show waits of its own and end with none, so it is shown anew after each.
pub(crate) struct Waiting<'a>(&'a mut dyn Observer);

impl<'a> Waiting<'a> {
    pub(crate) fn begin(observer: &'a mut dyn Observer) -> Waiting<'a> {
        event::begin();
        Waiting(observer)
    }

    fn aside<T>(&mut self, work: impl FnOnce(&mut dyn Observer) -> T) -> T {
        event::end();
        let result = work(self.0);
        event::begin();
        result
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        event::end();
    }
}

impl Observer for Waiting<'_> {
    /// Asked often and mostly for nothing: not worth an end before it.
    fn interrupted(&mut self) -> bool {
        let ends = self.0.interrupted();
        event::begin();
        ends
    }

    fn notice(&mut self, text: &str) {
        self.aside(|observer| observer.notice(text));
    }

    fn warning(&mut self, text: &str) {
        self.aside(|observer| observer.warning(text));
    }

    fn notice_with_hint(&mut self, text: &str, hint: &str) {
        self.aside(|observer| observer.notice_with_hint(text, hint));
    }

    fn warning_with_hint(&mut self, text: &str, hint: &str) {
        self.aside(|observer| observer.warning_with_hint(text, hint));
    }

    fn epoch(&mut self, report: &EpochReport, epochs: usize) {
        self.aside(|observer| observer.epoch(report, epochs));
    }

    fn keeps(&mut self) -> bool {
        self.0.keeps()
    }

    fn keep(&mut self, kept: &Kept<'_>) {
        self.aside(|observer| observer.keep(kept));
    }
}

//! Whether workers go on, pause or stop, as the thread that started them says.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::nn::base::stop::Stop;

/// The training was aborted: the worker returns as soon as it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

/// Keeps two values that different threads write from sharing a cache line (or the pair of
/// lines that processors fetch together).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub T);

/// Tells a computation that nobody waits for its result any more, or lets it pause; one by default
/// does neither.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(pub(super) Option<Arc<State>>);

impl Stop for StopFlag {
    /// Whether to stop. A pause that is asked for is made here.
    #[inline]
    fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.look().is_err())
    }
}

/// Whether workers go on, pause or stop.
#[derive(Debug, Default)]
pub(super) struct State {
    /// One of the constants below.
    now: Apart<AtomicU8>,
    /// Workers that pause.
    paused: Mutex<usize>,
    /// They are told here that the pause has ended, and whoever waits for them that they make it.
    changed: Condvar,
}

pub(super) const RUNNING: u8 = 0;
pub(super) const PAUSING: u8 = 1;
const ABORTED: u8 = 2;

impl State {
    /// A worker's look: it goes on at once, after a pause, or not.
    #[inline]
    pub fn look(&self) -> Result<(), Aborted> {
        match self.now.0.load(Ordering::Relaxed) {
            RUNNING => Ok(()),
            PAUSING => self.pause(),
            _ => Err(Aborted),
        }
    }

    #[cold]
    fn pause(&self) -> Result<(), Aborted> {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        *paused += 1;
        self.changed.notify_all();
        while self.now.0.load(Ordering::Relaxed) == PAUSING {
            paused = self
                .changed
                .wait(paused)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *paused -= 1;
        drop(paused);
        self.look()
    }

    /// From one state to another, if it is in that; who waits for a change is told.
    pub fn set(&self, from: u8, to: u8) {
        // Under the lock, so that a worker that is about to wait does not miss it.
        self.change(|| {
            let set = |now| (now == from).then_some(to);
            let order = Ordering::Relaxed;
            let _ = self.now.0.fetch_update(order, order, set);
        });
    }

    /// Makes every worker stop at its next look.
    pub fn abort(&self) {
        self.change(|| self.now.0.store(ABORTED, Ordering::Relaxed));
    }

    /// Whether the workers are to stop: not a look of a worker, who would make a pause.
    pub fn is_aborted(&self) -> bool {
        self.now.0.load(Ordering::Relaxed) == ABORTED
    }

    /// Does something that those who wait for a change are to see.
    pub fn change(&self, change: impl FnOnce()) {
        let _paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        change();
        self.changed.notify_all();
    }

    /// Waits, for a while at most, until as many workers pause as `enough` says; whether they do.
    pub fn wait(&self, enough: impl Fn(usize) -> bool, time: Duration) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(paused, time, |paused| !enough(*paused));
        let (paused, _) = waited.unwrap_or_else(PoisonError::into_inner);
        enough(*paused)
    }
}

//! How often each version is called, for `neural.stat_models`.
//!
//! A process counts for itself, without a lock and mostly without a clock, and adds what it has counted
//! to a file that all connections of the database map: at the end of a transaction, and once a second
//! within a long one. Parallel workers do so for themselves. As with PostgreSQL's own statistics a
//! crash of a process loses what it has not added, and rows of a transaction that is rolled back count.

mod counters;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Once;
use std::time::{Duration, Instant};

use pgrx::{pg_guard, pg_sys};

use super::reader::Resolved;
pub(crate) use counters::{Counted, Counters, Key};

/// Of calls one by one, every so many are timed, and stand for those since the last.
const TIMED: u32 = 16;
/// How long a statement may count before it adds what it has.
const PATIENCE: Duration = Duration::from_secs(1);
/// Versions that a process remembers after it has added their counts.
const REMEMBERED: usize = 64;

/// What a process has counted of one version and not added yet.
struct Pending {
    key: Key,
    calls: Cell<u64>,
    rows: Cell<u64>,
    time: Cell<Duration>,
    added: Cell<Instant>,
}

thread_local! {
    static PENDING: RefCell<Vec<Rc<Pending>>> = const { RefCell::new(Vec::new()) };
    /// None where the file cannot be had: then nothing is counted.
    static COUNTERS: RefCell<Option<Counters>> = const { RefCell::new(None) };
}

/// Counts for one place in a statement that calls a version.
pub(crate) struct Usage {
    pending: Rc<Pending>,
    /// Rows until one is timed.
    untimed: u32,
    /// Those that it will stand for: itself, and those before it that were not timed.
    stands_for: u32,
}

impl Usage {
    /// A call of this version has begun.
    pub(crate) fn begin(version: &Resolved) -> Usage {
        ready();
        let key = Key::of(version);
        let pending = PENDING.with_borrow_mut(|pending| {
            if let Some(known) = pending.iter().find(|known| known.key == key) {
                return Rc::clone(known);
            }
            let new = Rc::new(Pending {
                key,
                calls: Cell::new(0),
                rows: Cell::new(0),
                time: Cell::new(Duration::ZERO),
                added: Cell::new(Instant::now()),
            });
            pending.push(Rc::clone(&new));
            new
        });
        if !parallel_worker() {
            pending.calls.set(pending.calls.get() + 1);
        }
        Usage {
            pending,
            // The first is timed: many a statement makes only one. It is dearer than the others, and
            // stands for itself alone.
            untimed: 0,
            stands_for: 1,
        }
    }

    /// Before a row is scored by itself: when it began, if it is one that is timed.
    #[inline]
    pub(crate) fn row_begins(&self) -> Option<Instant> {
        (self.untimed == 0).then(Instant::now)
    }

    /// After it.
    #[inline]
    pub(crate) fn row_done(&mut self, began: Option<Instant>) {
        let pending = &*self.pending;
        pending.rows.set(pending.rows.get() + 1);
        match began {
            None => self.untimed -= 1,
            Some(began) => self.timed(began),
        }
    }

    #[cold]
    fn timed(&mut self, began: Instant) {
        let pending = &*self.pending;
        let took = began.elapsed() * self.stands_for;
        pending.time.set(pending.time.get() + took);
        self.untimed = TIMED - 1;
        self.stands_for = TIMED;
        self.add_in_time(began);
    }

    /// After so many rows were scored together, by the clock of whoever cuts them to size: to read it
    /// four times more for each tile took half a percent of the cheapest rows.
    pub(crate) fn rows_done(&self, rows: usize, began: Instant, took: Duration) {
        let pending = &*self.pending;
        pending.rows.set(pending.rows.get() + rows as u64);
        pending.time.set(pending.time.get() + took);
        self.add_in_time(began);
    }

    fn add_in_time(&self, now: Instant) {
        if now.saturating_duration_since(self.pending.added.get()) > PATIENCE {
            add(&self.pending);
        }
    }
}

/// Whether this is a parallel worker: its calls are its leader's.
fn parallel_worker() -> bool {
    // SAFETY: a variable of PostgreSQL's.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// Makes sure that what is counted gets added.
fn ready() {
    #[pg_guard]
    unsafe extern "C-unwind" fn end(
        _event: pg_sys::XactEvent::Type,
        _nothing: *mut std::ffi::c_void,
    ) {
        add_all();
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a function of this library, which is never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(end), std::ptr::null_mut()) };
        COUNTERS.set(Counters::open());
    });
}

fn add(pending: &Pending) {
    let counted = Counted {
        calls: pending.calls.take(),
        rows: pending.rows.take(),
        time: pending.time.take(),
    };
    pending.added.set(Instant::now());
    if counted.calls + counted.rows > 0 {
        COUNTERS.with_borrow(|counters| {
            if let Some(counters) = counters {
                counters.add(pending.key, counted);
            }
        });
    }
}

/// Adds all that was counted. Raises nothing: a transaction is ending.
fn add_all() {
    PENDING.with_borrow_mut(|pending| {
        pending.iter().for_each(|pending| add(pending));
        if pending.len() > REMEMBERED {
            pending.retain(|pending| Rc::strong_count(pending) > 1);
        }
    });
}

/// The counters, with all that this process has counted.
pub(crate) fn with_counters<T>(action: impl FnOnce(&Counters) -> T) -> Option<T> {
    ready();
    add_all();
    COUNTERS.with_borrow(|counters| counters.as_ref().map(action))
}

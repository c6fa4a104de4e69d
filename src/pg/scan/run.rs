//! Which statements are run a few rows at a time: portals fetched in steps, loops over a query,
//! a query INTO variables, functions in SQL. They may end before their last row.

use std::cell::RefCell;

use pgrx::pg_sys;

/// The hook that was there before this one.
static mut PREVIOUS: pg_sys::ExecutorRun_hook_type = None;

/// Statements remembered whose execution ended with an error: more than are ever nested.
const MOST: usize = 1000;

thread_local! {
    /// Executions that are under way, by their state's address, and whether they are stepwise.
    /// Some have ended with an error; their addresses are used again.
    static RUNNING: RefCell<Vec<(usize, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Hooks into execution: once a process, at load.
pub(super) fn watch() {
    // SAFETY: `_PG_init` runs once, in the main thread.
    unsafe {
        PREVIOUS = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(run);
    }
}

/// Whether the execution with this state may end before its last row: so it is also of those that
/// are not run as a statement, which recheck a single row.
pub(super) fn is_stepwise(estate: *mut pg_sys::EState) -> bool {
    let address = estate as usize;
    RUNNING.with_borrow(|running| {
        let found = running.iter().rev().find(|(other, _)| *other == address);
        found.is_none_or(|(_, stepwise)| *stepwise)
    })
}

fn forget(address: usize) {
    RUNNING.with_borrow_mut(|running| running.retain(|(other, _)| *other != address));
}

fn remember(address: usize, stepwise: bool) {
    forget(address);
    RUNNING.with_borrow_mut(|running| {
        if running.len() >= MOST {
            running.drain(..MOST / 2);
        }
        running.push((address, stepwise));
    });
}

#[cfg(any(feature = "pg15", feature = "pg16"))]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: called by the executor with its arguments; no frame here holds a value with a
    // destructor when an error passes.
    unsafe {
        let address = (*query).estate as usize;
        remember(address, count != 0);
        match PREVIOUS {
            Some(previous) => previous(query, direction, count, once),
            None => super::executor::standard_ExecutorRun(query, direction, count, once),
        }
        forget(address);
    }
}

#[cfg(not(any(feature = "pg15", feature = "pg16")))]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: called by the executor with its arguments; no frame here holds a value with a
    // destructor when an error passes.
    unsafe {
        let address = (*query).estate as usize;
        remember(address, count != 0);
        match PREVIOUS {
            Some(previous) => previous(query, direction, count),
            None => super::executor::standard_ExecutorRun(query, direction, count),
        }
        forget(address);
    }
}

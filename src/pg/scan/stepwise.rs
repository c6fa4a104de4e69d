//! Which statements are run a few rows at a time: portals fetched in steps, loops over a query,
//! a query INTO variables, functions in SQL. They may end before their last row.

use std::ffi::c_void;

use pgrx::pg_sys;

use super::{batch, node};

/// The hook that was there before this one.
static mut PREVIOUS: pg_sys::ExecutorRun_hook_type = None;

/// Hooks into execution: once a process, at load.
pub(super) fn watch() {
    // SAFETY: `_PG_init` runs once, in the main thread.
    unsafe {
        PREVIOUS = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(run);
    }
}

type Visit = unsafe extern "C-unwind" fn(*mut pg_sys::PlanState, *mut c_void) -> bool;

unsafe extern "C-unwind" {
    // nodes/nodeFuncs.h, which pgrx has no bindings for.
    #[cfg_attr(not(feature = "pg15"), link_name = "planstate_tree_walker_impl")]
    fn planstate_tree_walker(
        state: *mut pg_sys::PlanState,
        visit: Visit,
        context: *mut c_void,
    ) -> bool;
}

/// Tells the nodes of ours in a statement whether it is run a few rows at a time. Those that are not
/// told are of an execution of another kind, which rechecks a single row, and take it for such.
///
/// # Safety
/// A query that has begun.
unsafe fn tell(query: *mut pg_sys::QueryDesc, mut stepwise: bool) {
    // Most statements have none.
    if batch::live() == 0 {
        return;
    }
    // SAFETY: as the caller says.
    let top = unsafe { (*query).planstate };
    if !top.is_null() {
        // SAFETY: the states of a plan that has begun.
        unsafe { visit(top, (&raw mut stepwise).cast()) };
    }
}

unsafe extern "C-unwind" fn visit(state: *mut pg_sys::PlanState, stepwise: *mut c_void) -> bool {
    // SAFETY: called by `tell`, and by the walker with what that gave it.
    unsafe {
        node::set_stepwise(state, *stepwise.cast::<bool>());
        planstate_tree_walker(state, visit, stepwise)
    }
}

#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: called by the executor with its arguments; no frame here holds a value with a
    // destructor when an error passes.
    unsafe {
        tell(query, count != 0);
        match PREVIOUS {
            Some(previous) => previous(query, direction, count, once),
            None => super::executor::standard_ExecutorRun(query, direction, count, once),
        }
    }
}

#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: called by the executor with its arguments; no frame here holds a value with a
    // destructor when an error passes.
    unsafe {
        tell(query, count != 0);
        match PREVIOUS {
            Some(previous) => previous(query, direction, count),
            None => super::executor::standard_ExecutorRun(query, direction, count),
        }
    }
}

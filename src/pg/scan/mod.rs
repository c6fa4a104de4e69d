//! Set-at-a-time scoring: rows that a query scores are gathered and go through the network a batch
//! at a time.
//!
//! A planner hook looks through the finished plan for calls of the `predict` functions and puts a
//! node of ours, `Custom Scan (NeuralScore)`, where their results are needed. It takes two forms.
//!
//! - *Above* a scan or join: the node computes what that plan's target list and filter would have,
//!   from the columns they read.
//! - *Below* an aggregate, a window or a projection: the node returns the columns of the plan below
//!   and one more for each call, and the parent reads those in the calls' place.
//!
//! A call that is not reached for every row (in a branch of CASE, a later operand of AND, an
//! aggregate with FILTER) is computed for those that reach it: what decides that is evaluated as
//! the rows are gathered. Whatever is not certain to give the same rows, and the same errors, is
//! left as it was: volatile arguments, cursors, conditions of outer joins, arguments that may raise
//! an error for a row that a LIMIT leaves out. There the functions are called a row at a time.
//!
//! The rows of a table are taken from its pages as they are stored, where nothing else is asked of
//! the scan below ([`heap_row`]).
//!
//! Of aggregates over all rows the node returns the states, where it knows them ([`aggregates`]).
//!
//! A row's result has the same bits either way: both sides share the encoding of arguments and the
//! packed predictor, whose results do not depend on the batch.
//!
//! The library has to be loaded when a query is planned. Where it is not in
//! `shared_preload_libraries` or `session_preload_libraries`, the first statement of a session
//! that calls a model loads it and runs a row at a time.

mod aggregates;
mod batch;
mod calls;
mod conditions;
mod copy;
mod counters;
mod executor;
mod fill;
mod functions;
mod heap_row;
mod lists;
mod node;
mod parallel;
mod places;
mod private;
mod rewrite;
mod scored_call;
mod state;
mod stepwise;

use pgrx::pg_sys;

use super::settings;
use crate::memory;

/// The planner hook that was there before this one.
static mut PREVIOUS: pg_sys::planner_hook_type = None;

/// Hooks into the planner and makes the node known: once a process, at load.
pub(crate) fn install() {
    node::register();
    functions::watch();
    stepwise::watch();
    // SAFETY: `_PG_init` runs once, in the main thread.
    unsafe {
        PREVIOUS = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(plan);
    }
}

/// Plans as ever and then looks for calls.
///
/// The planner is called without pgrx's guard, which would strip an error of its context: nothing
/// here needs a destructor when an error passes through.
unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const std::ffi::c_char,
    cursor_options: std::ffi::c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: called by the planner's entry with its arguments.
    unsafe {
        let statement = match PREVIOUS {
            Some(previous) => previous(query, text, cursor_options, parameters),
            None => executor::standard_planner(query, text, cursor_options, parameters),
        };
        // A cursor may be asked to go back, or its row to be updated: it needs the plan as it is.
        let cursor = pg_sys::CURSOR_OPT_FAST_PLAN | pg_sys::CURSOR_OPT_SCROLL;
        if cursor_options as u32 & cursor == 0 && settings::batch_scoring() {
            // Where there is no memory the functions are called a row at a time.
            if memory::secure(memory::SMALL).is_ok() {
                pgrx::pgrx_extern_c_guard(|| rewrite::rewrite(statement));
            }
        }
        statement
    }
}

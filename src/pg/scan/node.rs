//! The node `Custom Scan (NeuralScore)`: its plan, and what the executor calls.

use std::ffi::{CStr, CString, c_int};
use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag};
use pgrx::{pg_guard, pgrx_extern_c_guard};

use super::aggregates::Aggregates;
use super::batch::Batch;
use super::executor::{self, clear, passes, project, width};
use super::parallel;
use super::private::Private;
use super::state::State;
use super::{fill, lists};
use crate::pg::in_context::in_context;

const NAME: &CStr = c"NeuralScore";

/// A table of functions for PostgreSQL, which reads it from one thread.
struct Methods<T>(T);
// SAFETY: never written; the pointers in it are to functions and constants.
unsafe impl<T> Sync for Methods<T> {}

static PLAN: Methods<pg_sys::CustomScanMethods> = Methods(pg_sys::CustomScanMethods {
    CustomName: NAME.as_ptr(),
    CreateCustomScanState: Some(create),
});

static EXECUTION: Methods<pg_sys::CustomExecMethods> = Methods(pg_sys::CustomExecMethods {
    CustomName: NAME.as_ptr(),
    BeginCustomScan: Some(begin),
    ExecCustomScan: Some(execute),
    EndCustomScan: Some(end),
    ReScanCustomScan: Some(rescan),
    MarkPosCustomScan: None,
    RestrPosCustomScan: None,
    EstimateDSMCustomScan: Some(parallel::size),
    InitializeDSMCustomScan: Some(parallel::begin),
    ReInitializeDSMCustomScan: Some(parallel::begin_again),
    InitializeWorkerCustomScan: Some(parallel::join),
    ShutdownCustomScan: Some(parallel::end),
    ExplainCustomScan: Some(explain),
});

/// Makes the node known by name, so that a parallel worker can read a plan with it.
pub(super) fn register() {
    // SAFETY: the table is there for as long as the process.
    unsafe { pg_sys::RegisterCustomScanMethods(&PLAN.0) };
}

/// A call that a node computes.
pub(super) struct NewCall {
    /// Over the columns of the plan below.
    pub(super) call: *mut pg_sys::FuncExpr,
    /// Over these, too: what is true of the rows that it is computed for; null: for all.
    pub(super) reached: *mut pg_sys::Node,
    /// As the call was where it stood.
    pub(super) shown: *mut pg_sys::Node,
}

/// What a node adds to the plan below it and what it passes on.
pub(super) struct Columns {
    pub(super) calls: Vec<NewCall>,
    /// Which columns of the plan below are read above.
    pub(super) keep: Vec<bool>,
    /// No row may be read ahead where the statement is run a few rows at a time.
    pub(super) careful: bool,
}

/// A column: the variable with that place, counted from 0, of an expression's type.
///
/// # Safety
/// `like` is an expression.
pub(super) unsafe fn variable(
    relation: i32,
    place: usize,
    like: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    // SAFETY: as the caller says.
    unsafe {
        pg_sys::makeVar(
            relation as _,
            (place + 1) as pg_sys::AttrNumber,
            pg_sys::exprType(like),
            pg_sys::exprTypmod(like),
            pg_sys::exprCollation(like),
            0,
        )
        .cast()
    }
}

/// A target list of these expressions.
///
/// # Safety
/// Expressions.
pub(super) unsafe fn targets(columns: &[*mut pg_sys::Node]) -> *mut pg_sys::List {
    lists::of(columns.iter().enumerate().map(|(i, column)| {
        // SAFETY: as the caller says.
        unsafe { pg_sys::makeTargetEntry(column.cast(), (i + 1) as _, null_mut(), false) }
    }))
}

/// The node over a plan: it returns the plan's columns, those that are not kept as NULL, and then
/// the calls' results.
///
/// # Safety
/// `child` is a finished plan; `limit` is null or counts this node's rows.
pub(super) unsafe fn make(
    child: *mut pg_sys::Plan,
    columns: Columns,
    id: i32,
    limit: *mut pg_sys::Limit,
) -> *mut pg_sys::Plan {
    // SAFETY: as the caller says.
    unsafe {
        let scan: *mut pg_sys::CustomScan = pg_sys::palloc0(size_of::<pg_sys::CustomScan>()).cast();
        let plan = &raw mut (*scan).scan.plan;
        (*plan).type_ = NodeTag::T_CustomScan;
        (*plan).plan_node_id = id;
        (*plan).startup_cost = (*child).startup_cost;
        (*plan).total_cost = (*child).total_cost;
        (*plan).plan_rows = (*child).plan_rows;
        (*plan).plan_width = (*child).plan_width + 8 * columns.calls.len() as i32;
        (*plan).parallel_safe = (*child).parallel_safe;
        (*plan).extParam = pg_sys::bms_copy((*child).extParam);
        (*plan).allParam = pg_sys::bms_copy((*child).allParam);
        (*plan).lefttree = child;

        let below: Vec<_> = lists::items::<pg_sys::TargetEntry>((*child).targetlist).collect();
        let entry = |expression: *mut pg_sys::Node, i: usize, name| {
            pg_sys::makeTargetEntry(expression.cast(), (i + 1) as _, name, false)
        };
        let names = below.iter().map(|entry| (**entry).resname);
        let expressions = below
            .iter()
            .map(|entry| (**entry).expr.cast::<pg_sys::Node>());
        let all: Vec<(*mut pg_sys::Node, *mut std::ffi::c_char)> = expressions
            .zip(names)
            .chain(columns.calls.iter().map(|new| (new.shown, null_mut())))
            .collect();
        (*plan).targetlist = lists::of(
            all.iter()
                .enumerate()
                .map(|(i, (like, name))| entry(variable(pg_sys::INDEX_VAR, i, *like), i, *name)),
        );
        (*scan).custom_scan_tlist = lists::of(all.iter().enumerate().map(|(i, (like, name))| {
            match i.checked_sub(below.len()) {
                None => entry(variable(pg_sys::OUTER_VAR, i, *like), i, *name),
                Some(call) => entry(columns.calls[call].call.cast(), i, *name),
            }
        }));
        // Null items are there: as many as calls.
        (*scan).custom_exprs = lists::of(columns.calls.iter().map(|new| new.reached));
        let keep = columns.keep.iter().enumerate();
        let private = Private {
            kept: keep.filter(|(_, keep)| **keep).map(|(i, _)| i).collect(),
            bound: bound(limit),
            careful: columns.careful,
            aggregated: Vec::new(),
        };
        (*scan).custom_private = private.to_list();
        (*scan).methods = &PLAN.0;
        plan
    }
}

/// Whether a plan is a node of ours.
///
/// # Safety
/// A plan.
pub(super) unsafe fn is_node(plan: *mut pg_sys::Plan) -> bool {
    // SAFETY: looked at as what its tag says.
    unsafe {
        (*plan).type_ == NodeTag::T_CustomScan
            && (*plan.cast::<pg_sys::CustomScan>()).methods == &raw const PLAN.0
    }
}

/// Has a node compute the states of aggregates over these columns of its rows, which come behind its
/// columns. Its target list is left to the caller.
///
/// # Safety
/// A node of ours without a filter.
pub(super) unsafe fn aggregate(
    plan: *mut pg_sys::Plan,
    states: &[*mut pg_sys::Node],
    columns: &[usize],
) {
    // SAFETY: as the caller says.
    unsafe {
        let scan: *mut pg_sys::CustomScan = plan.cast();
        for state in states {
            let place = lists::length((*scan).custom_scan_tlist) + 1;
            let entry = pg_sys::makeTargetEntry(state.cast(), place as _, null_mut(), false);
            (*scan).custom_scan_tlist = pg_sys::lappend((*scan).custom_scan_tlist, entry.cast());
        }
        let mut private = Private::from_list((*scan).custom_private);
        private.aggregated = columns.to_vec();
        (*scan).custom_private = private.to_list();
        (*plan).plan_rows = 1.0;
        (*plan).plan_width = 8 * states.len() as i32;
    }
}

/// Whether it is known when execution begins how many rows a LIMIT takes.
///
/// # Safety
/// A LIMIT of the plan.
pub(super) unsafe fn is_bound(limit: *mut pg_sys::Limit) -> bool {
    // SAFETY: as the caller says.
    unsafe { bound(limit).is_some() }
}

/// Count and offset of a LIMIT where they are known when execution begins.
unsafe fn bound(limit: *mut pg_sys::Limit) -> Option<[*mut pg_sys::Node; 2]> {
    // SAFETY: a LIMIT of the plan, or null.
    unsafe {
        let limit = limit.as_ref()?;
        let both = [limit.limitCount, limit.limitOffset];
        let known = |node: &*mut pg_sys::Node| match node.as_ref().map(|node| node.type_) {
            None | Some(NodeTag::T_Const) => true,
            Some(NodeTag::T_Param) => {
                (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
            }
            Some(_) => false,
        };
        (!limit.limitCount.is_null() && both.iter().all(known)).then_some(both)
    }
}

/// Tells a node of ours, if this is one, whether its statement is run a few rows at a time.
///
/// # Safety
/// The state of a plan that has begun.
pub(super) unsafe fn set_stepwise(state: *mut pg_sys::PlanState, stepwise: bool) {
    // SAFETY: looked at as what its tag, and then its table of functions, says.
    unsafe {
        if (*state).type_ == NodeTag::T_CustomScanState
            && (*state.cast::<pg_sys::CustomScanState>()).methods == &raw const EXECUTION.0
        {
            (*(*state.cast::<State>()).batch).set_stepwise(stepwise);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn create(_plan: *mut pg_sys::CustomScan) -> *mut pg_sys::Node {
    // SAFETY: zeroed memory is a valid state.
    unsafe {
        let state: *mut State = pg_sys::palloc0(size_of::<State>()).cast();
        (*state).custom.ss.ps.type_ = NodeTag::T_CustomScanState;
        (*state).custom.methods = &EXECUTION.0;
        state.cast()
    }
}

unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::CustomScanState,
    estate: *mut pg_sys::EState,
    flags: c_int,
) {
    // SAFETY: called by the executor with a node of ours; the child is begun without a guard, so
    // that its errors stay as they are.
    unsafe {
        let plan: *mut pg_sys::CustomScan = (*node).ss.ps.plan.cast();
        let child = executor::ExecInitNode((*plan).scan.plan.lefttree, estate, flags);
        (*node).ss.ps.lefttree = child;
        pgrx_extern_c_guard(|| {
            let batch = Batch::new(&mut *node, &*plan, estate);
            (*node.cast::<State>()).batch = in_context((*estate).es_query_cxt, batch);
        });
    }
}

/// The next row. No frame of it holds a value with a destructor: errors in expressions and in the
/// plan below jump over it.
unsafe extern "C-unwind" fn execute(
    node: *mut pg_sys::CustomScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: called by the executor with a node of ours that has begun.
    unsafe {
        let batch = (*node.cast::<State>()).batch;
        let state = &raw mut (*node).ss.ps;
        let context = (*state).ps_ExprContext;
        let slot = (*node).ss.ss_ScanTupleSlot;
        if (*batch).aggregates.is_some() {
            return give_states(node);
        }
        loop {
            if (*batch).is_spent() && !next_batch(node) {
                return null_mut();
            }
            clear(slot);
            show(slot, (*batch).next_row());
            let (filter, projection) = ((*state).qual, (*state).ps_ProjInfo);
            if filter.is_null() && projection.is_null() {
                return slot;
            }
            executor::MemoryContextReset((*context).ecxt_per_tuple_memory);
            (*context).ecxt_scantuple = slot;
            if passes(filter, context) {
                return if projection.is_null() {
                    slot
                } else {
                    project(projection)
                };
            }
            if let Some(instrument) = (*state).instrument.as_mut() {
                instrument.nfiltered1 += 1.0;
            }
        }
    }
}

/// Gathers the next rows and scores them; false where there are no more.
unsafe fn next_batch(node: *mut pg_sys::CustomScanState) -> bool {
    // SAFETY: as for `execute`.
    unsafe {
        let batch = (*node.cast::<State>()).batch;
        let state = &raw mut (*node).ss.ps;
        clear((*node).ss.ss_ScanTupleSlot);
        fill::fill(&mut *batch, state);
        let before = (*batch).done();
        pgrx_extern_c_guard(|| (*batch).score((*state).ps_ExprContext));
        (*node.cast::<State>())
            .workers
            .tell((*batch).done() - before);
        !(*batch).is_spent()
    }
}

/// Has a slot show a row where it lies; nothing frees a slot's own arrays.
#[inline(always)]
unsafe fn show(
    slot: *mut pg_sys::TupleTableSlot,
    (values, nulls): (*mut pg_sys::Datum, *mut bool),
) {
    // SAFETY: a slot that was cleared, and a row as wide.
    unsafe {
        (*slot).tts_values = values;
        (*slot).tts_isnull = nulls;
        (*slot).tts_flags &= !(pg_sys::TTS_FLAG_EMPTY as u16);
        (*slot).tts_nvalid = width(slot) as pg_sys::AttrNumber;
    }
}

/// The states of the aggregates over all rows, once.
unsafe fn give_states(node: *mut pg_sys::CustomScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as for `execute`.
    unsafe {
        let batch = (*node.cast::<State>()).batch;
        let slot = (*node).ss.ss_ScanTupleSlot;
        clear(slot);
        if (*batch)
            .aggregates
            .as_ref()
            .is_none_or(Aggregates::is_given)
        {
            return null_mut();
        }
        while next_batch(node) {
            pgrx_extern_c_guard(|| (*batch).aggregate());
        }
        let outer = executor::enter((*batch).memory());
        let row = pgrx_extern_c_guard(|| (*batch).aggregates.as_mut().map(Aggregates::give));
        executor::enter(outer);
        let Some(row) = row else {
            return null_mut();
        };
        show(slot, row);
        let projection = (*node).ss.ps.ps_ProjInfo;
        if projection.is_null() {
            return slot;
        }
        let context = (*node).ss.ps.ps_ExprContext;
        executor::MemoryContextReset((*context).ecxt_per_tuple_memory);
        (*context).ecxt_scantuple = slot;
        project(projection)
    }
}

unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: called by the executor with a node of ours that has begun.
    unsafe {
        (*(*node.cast::<State>()).batch).restart();
        clear((*node).ss.ss_ScanTupleSlot);
        // With changed parameters the child begins anew when it is asked for its first row.
        let child = (*node).ss.ps.lefttree;
        if (*child).chgParam.is_null() {
            executor::ExecReScan(child);
        }
    }
}

unsafe extern "C-unwind" fn end(node: *mut pg_sys::CustomScanState) {
    // SAFETY: called by the executor with a node of ours that has begun.
    unsafe {
        clear((*node).ss.ss_ScanTupleSlot);
        executor::ExecEndNode((*node).ss.ps.lefttree);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn explain(
    node: *mut pg_sys::CustomScanState,
    _ancestors: *mut pg_sys::List,
    explain: *mut pg_sys::ExplainState,
) {
    // SAFETY: called by EXPLAIN with a node of ours that has begun.
    unsafe {
        let batch = &*(*node.cast::<State>()).batch;
        let text = |label: &CStr, value: String| {
            if let Ok(value) = CString::new(value) {
                pg_sys::ExplainPropertyText(label.as_ptr(), value.as_ptr(), explain);
            }
        };
        let count = |label: &CStr, value: usize| {
            let label = label.as_ptr();
            pg_sys::ExplainPropertyInteger(label, std::ptr::null(), value as i64, explain);
        };
        text(c"Model", batch.models().join(", "));
        if let Some(aggregates) = &batch.aggregates {
            let plan = &*(*node).ss.ps.plan.cast();
            text(c"Aggregates", aggregates.names(plan).join(", "));
        }
        count(c"Batch Rows", batch.most_rows());
        if (*explain).analyze {
            let workers = &(*node.cast::<State>()).workers;
            let done = batch.done() + workers.done();
            count(c"Batches", done.batches);
            count(c"Rows Scored", done.rows);
            if (*explain).timing {
                let milliseconds = done.time.as_secs_f64() * 1e3;
                let (label, unit) = (c"Network Time".as_ptr(), c"ms".as_ptr());
                pg_sys::ExplainPropertyFloat(label, unit, milliseconds, 3, explain);
            }
        }
    }
}

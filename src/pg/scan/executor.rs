//! PostgreSQL's functions that this folder calls without pgrx's guard.
//!
//! The guard costs up to 20 ns, which is much for what runs once a row, and it turns an error into
//! a new one without the context, constraint and object names of the first. Around these calls no
//! frame holds a value with a destructor, so that an error may jump over them.

use std::ffi::{c_char, c_int, c_void};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    pub(super) fn standard_planner(
        query: *mut pg_sys::Query,
        text: *const c_char,
        cursor_options: c_int,
        parameters: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    pub(super) fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        once: bool,
    );
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
    pub(super) fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
    );
    pub(super) fn ExecInitNode(
        plan: *mut pg_sys::Plan,
        estate: *mut pg_sys::EState,
        flags: c_int,
    ) -> *mut pg_sys::PlanState;
    pub(super) fn ExecEndNode(state: *mut pg_sys::PlanState);
    pub(super) fn ExecReScan(state: *mut pg_sys::PlanState);
    pub(super) fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attributes: c_int);
    pub(super) fn ExecStoreBufferHeapTuple(
        row: pg_sys::HeapTuple,
        slot: *mut pg_sys::TupleTableSlot,
        buffer: pg_sys::Buffer,
    ) -> *mut pg_sys::TupleTableSlot;
    pub(super) fn InstrStartNode(instrument: *mut pg_sys::Instrumentation);
    pub(super) fn InstrStopNode(instrument: *mut pg_sys::Instrumentation, rows: f64);
    fn ProcessInterrupts();
    pub(super) fn MemoryContextReset(context: pg_sys::MemoryContext);
    pub(super) fn MemoryContextAlloc(context: pg_sys::MemoryContext, size: usize) -> *mut c_void;
    pub(super) fn EOH_get_flat_size(object: *mut pg_sys::ExpandedObjectHeader) -> usize;
    pub(super) fn EOH_flatten_into(
        object: *mut pg_sys::ExpandedObjectHeader,
        result: *mut c_void,
        size: usize,
    );
}

/// The next row of a plan, or null: PostgreSQL's ExecProcNode.
///
/// # Safety
/// `child` is an initialised plan state.
#[inline(always)]
pub(super) unsafe fn next_row(child: *mut pg_sys::PlanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: every plan state has its function; a changed parameter asks for a rescan first.
    unsafe {
        if !(*child).chgParam.is_null() {
            ExecReScan(child);
        }
        let slot = (*child).ExecProcNode.unwrap_unchecked()(child);
        let empty = slot.is_null() || u32::from((*slot).tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0;
        if empty { std::ptr::null_mut() } else { slot }
    }
}

/// Evaluates a projection into its slot: PostgreSQL's ExecProject.
///
/// # Safety
/// The projection's context has the slots that it reads.
#[inline(always)]
pub(super) unsafe fn project(
    projection: *mut pg_sys::ProjectionInfo,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: a virtual slot as wide as the projection; evaluated in the context for one row.
    unsafe {
        let state = &raw mut (*projection).pi_state;
        let slot = (*state).resultslot;
        clear(slot);
        let context = (*projection).pi_exprContext;
        let outer = enter((*context).ecxt_per_tuple_memory);
        let mut null = false;
        (*state).evalfunc.unwrap_unchecked()(state, context, no_result(&mut null));
        pg_sys::CurrentMemoryContext = outer;
        (*slot).tts_flags &= !(pg_sys::TTS_FLAG_EMPTY as u16);
        (*slot).tts_nvalid = width(slot) as pg_sys::AttrNumber;
        slot
    }
}

/// PostgreSQL 18 wants to be asked for no result where an expression gives none.
#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
fn no_result(null: &mut bool) -> *mut bool {
    null
}
#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
fn no_result(_: &mut bool) -> *mut bool {
    std::ptr::null_mut()
}

/// Whether a row passes a filter, which may be null: PostgreSQL's ExecQual.
///
/// # Safety
/// The context has the slots that the filter reads.
#[inline(always)]
pub(super) unsafe fn passes(
    filter: *mut pg_sys::ExprState,
    context: *mut pg_sys::ExprContext,
) -> bool {
    if filter.is_null() {
        return true;
    }
    // SAFETY: evaluated in the context for one row.
    unsafe {
        let outer = enter((*context).ecxt_per_tuple_memory);
        let mut null = false;
        let result = (*filter).evalfunc.unwrap_unchecked()(filter, context, &mut null);
        pg_sys::CurrentMemoryContext = outer;
        result.value() as u8 != 0
    }
}

/// Whatever has to be done in between: PostgreSQL's CHECK_FOR_INTERRUPTS.
///
/// # Safety
/// Called while the query runs.
#[inline(always)]
pub(super) unsafe fn check_for_interrupts() {
    // SAFETY: as the caller says; a signal handler writes the flag.
    unsafe {
        if (&raw const pg_sys::InterruptPending).read_volatile() != 0 {
            ProcessInterrupts();
        }
    }
}

/// Makes a memory context the current one and returns the one before.
///
/// # Safety
/// The context is alive until it is left.
#[inline(always)]
pub(super) unsafe fn enter(context: pg_sys::MemoryContext) -> pg_sys::MemoryContext {
    // SAFETY: as the caller says.
    unsafe {
        let outer = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = context;
        outer
    }
}

/// Empties a slot: PostgreSQL's ExecClearTuple.
///
/// # Safety
/// An initialised slot.
#[inline(always)]
pub(super) unsafe fn clear(slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: every kind of slot knows how to be emptied.
    unsafe { (*(*slot).tts_ops).clear.unwrap_unchecked()(slot) }
}

/// How many columns a slot has.
///
/// # Safety
/// A slot with a descriptor.
#[inline(always)]
pub(super) unsafe fn width(slot: *mut pg_sys::TupleTableSlot) -> usize {
    // SAFETY: as the caller says.
    unsafe { (*(*slot).tts_tupleDescriptor).natts as usize }
}

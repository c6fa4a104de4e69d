//! The judging aggregates: auc, gini, ks, log_loss, brier, rmse, mae, r2.
//!
//! Their states live in the aggregate's memory context, and what else they have goes with it, so an
//! ERROR anywhere leaks nothing and PostgreSQL's accounting sees what grows with the rows. Final functions leave
//! the state usable, which window frames and shared states need. The functions take their arguments
//! raw, because they are called once a row.

mod accumulators;
mod kept_scores;
mod list;
mod ranking;
mod score_files;

use std::slice;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, MemoryContext};

use crate::pg::error::Report;

/// The argument of this number, if it is not NULL.
///
/// # Safety
/// The call has that many arguments.
unsafe fn argument(fcinfo: FunctionCallInfo, number: usize) -> Option<Datum> {
    // SAFETY: the array behind fcinfo is as long as the call has arguments.
    let argument = unsafe { *(*fcinfo).args.as_ptr().add(number) };
    (!argument.isnull).then_some(argument.value)
}

/// The state that this argument points to, if there is one yet.
///
/// # Safety
/// The argument is of type internal and came from a function of this aggregate.
unsafe fn state<'a, S>(fcinfo: FunctionCallInfo, number: usize) -> Option<&'a mut S> {
    // SAFETY: such a pointer leads to a state in a memory context that outlives the call.
    unsafe { argument(fcinfo, number).and_then(|datum| datum.cast_mut_ptr::<S>().as_mut()) }
}

/// A NULL result.
///
/// # Safety
/// `fcinfo` is that of the running call.
unsafe fn null(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { (*fcinfo).isnull = true };
    Datum::null()
}

/// A state or NULL as result.
///
/// # Safety
/// `fcinfo` is that of the running call.
unsafe fn state_or_null<S>(fcinfo: FunctionCallInfo, state: Option<&mut S>) -> Datum {
    match state {
        Some(state) => Datum::from(&raw mut *state),
        // SAFETY: as above.
        None => unsafe { null(fcinfo) },
    }
}

/// A number or NULL as result.
///
/// # Safety
/// `fcinfo` is that of the running call.
unsafe fn number_or_null(fcinfo: FunctionCallInfo, value: Option<f64>) -> Datum {
    match value {
        Some(value) => Datum::from(value.to_bits()),
        // SAFETY: as above.
        None => unsafe { null(fcinfo) },
    }
}

/// Raises an error unless an aggregate or a window calls: older servers let SQL call functions with
/// an internal argument, and take anything for it.
///
/// # Safety
/// `fcinfo` is that of the running call.
unsafe fn require_aggregate(fcinfo: FunctionCallInfo) {
    // SAFETY: the context is a node or nothing. AggCheckCallContext asks the same, at the price of a
    // guarded call a row.
    let tag = unsafe { (*fcinfo).context.as_ref() }.map(|node| node.type_);
    if !matches!(
        tag,
        Some(pg_sys::NodeTag::T_AggState | pg_sys::NodeTag::T_WindowAggState)
    ) {
        outside_of_aggregate();
    }
}

fn outside_of_aggregate() -> ! {
    Report::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "an aggregate's function was called outside of an aggregate",
    )
    .hint("Call the aggregate itself, such as neural.auc.")
    .raise()
}

/// The memory context in which the running aggregate's states live.
///
/// # Safety
/// `fcinfo` is that of the running call.
unsafe fn aggregate_context(fcinfo: FunctionCallInfo) -> MemoryContext {
    let mut context = std::ptr::null_mut();
    // SAFETY: the function only looks at the call's node and writes the context.
    if unsafe { pg_sys::AggCheckCallContext(fcinfo, &mut context) } == 0 {
        outside_of_aggregate();
    }
    context
}

/// Puts a state into a memory context.
///
/// # Safety
/// The context is alive. The state's destructor never runs.
unsafe fn place<'a, S: Copy>(context: MemoryContext, state: S) -> &'a mut S {
    // SAFETY: MemoryContextAlloc gives room for the state, aligned for any plain type.
    unsafe {
        let room = pg_sys::MemoryContextAlloc(context, size_of::<S>()).cast::<S>();
        room.write(state);
        &mut *room
    }
}

/// A bytea of this many bytes and the bytes to be filled in.
///
/// # Safety
/// The bytes are filled before anybody reads the bytea.
unsafe fn new_bytea<'a>(length: usize) -> (Datum, &'a mut [u8]) {
    let whole = length + pg_sys::VARHDRSZ;
    // SAFETY: palloc0 gives `whole` zeroed bytes, or raises an ERROR.
    unsafe {
        let bytea = pg_sys::palloc0(whole).cast::<pg_sys::varlena>();
        pgrx::varlena::set_varsize_4b(bytea, whole as i32);
        let bytes = bytea.cast::<u8>().add(pg_sys::VARHDRSZ);
        (Datum::from(bytea), slice::from_raw_parts_mut(bytes, length))
    }
}

/// The bytes of the first argument, a bytea.
///
/// # Safety
/// It is one.
unsafe fn bytea_argument<'a>(fcinfo: FunctionCallInfo) -> &'a [u8] {
    // SAFETY: detoasting gives a varlena that lives in the call's memory context; its header may be
    // a short one, since it came through a tuple.
    unsafe {
        let datum = argument(fcinfo, 0).unwrap_or_else(Datum::null);
        let bytea = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
        pgrx::varlena::varlena_to_byte_slice(bytea)
    }
}

fn broken_state() -> ! {
    Report::internal("a parallel worker's partial aggregate has a wrong size").raise()
}

/// A value as PostgreSQL passes it.
trait FromDatum {
    fn from_datum(datum: Datum) -> Self;
}

impl FromDatum for f64 {
    fn from_datum(datum: Datum) -> f64 {
        f64::from_bits(datum.value() as u64)
    }
}

impl FromDatum for bool {
    fn from_datum(datum: Datum) -> bool {
        // Only the lowest byte of a bool is defined.
        datum.value() as u8 != 0
    }
}

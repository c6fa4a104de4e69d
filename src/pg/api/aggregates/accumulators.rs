//! log_loss and brier, rmse, mae and r2: states of constant size, one for the metrics of probabilities
//! and one for those of numbers.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::{
    FromDatum, aggregate_context, argument, broken_state, bytea_argument, new_bytea,
    number_or_null, place, require_aggregate, state, state_or_null,
};
use crate::metrics::{Accumulator, Error, Errors, Probabilities, Words};
use crate::pg::error::Report;
use crate::pg::stamp::{self, STAMP};

fn refuse(error: Error) -> ! {
    Report::invalid(error.to_string())
        .maybe_hint(error.hint())
        .raise()
}

/// Takes one row into an accumulator; a row with a NULL is passed over.
///
/// # Safety
/// Called as (internal, float8, the actual value's type).
unsafe fn push<A: Accumulator<Actual: FromDatum>>(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let state = state::<A>(fcinfo, 0);
        let (Some(predicted), Some(actual)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return state_or_null(fcinfo, state);
        };
        let state = state.unwrap_or_else(|| place(aggregate_context(fcinfo), A::default()));
        let (predicted, actual) = (f64::from_datum(predicted), A::Actual::from_datum(actual));
        if let Err(error) = state.push(predicted, actual) {
            refuse(error);
        }
        state_or_null(fcinfo, Some(state))
    }
}

/// Merges the second state into the first.
///
/// # Safety
/// Called as (internal, internal).
unsafe fn merge<A: Accumulator>(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let (first, second) = (state::<A>(fcinfo, 0), state::<A>(fcinfo, 1));
        let first = match (first, second) {
            (Some(first), Some(second)) => {
                first.merge(second);
                Some(first)
            }
            // The second state may live shorter than the aggregate.
            (None, Some(second)) => Some(place(aggregate_context(fcinfo), *second)),
            (first, None) => first,
        };
        state_or_null(fcinfo, first)
    }
}

/// The state as bytes.
///
/// # Safety
/// Called as (internal), strict.
unsafe fn serialize<A: Accumulator>(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let words = state::<A>(fcinfo, 0)
            .map(|state| state.to_words())
            .unwrap_or_default();
        let (bytea, bytes) = new_bytea(size_of::<u64>() + size_of::<Words>());
        let words = [STAMP].into_iter().chain(words);
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *chunk = word.to_ne_bytes();
        }
        bytea
    }
}

/// The state from its bytes.
///
/// # Safety
/// Called as (bytea, internal), strict.
unsafe fn deserialize<A: Accumulator>(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let (stamp, bytes) = match bytea_argument(fcinfo).split_first_chunk() {
            Some((stamp, rest)) => (Some(u64::from_ne_bytes(*stamp)), rest),
            None => (None, &[][..]),
        };
        stamp::check(stamp);
        if bytes.len() != size_of::<Words>() {
            broken_state();
        }
        let mut words = Words::default();
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*chunk);
        }
        let state = place(pg_sys::CurrentMemoryContext, A::from_words(&words));
        state_or_null(fcinfo, Some(state))
    }
}

/// A metric of the state.
///
/// # Safety
/// Called as (internal).
unsafe fn finish<A: Accumulator>(fcinfo: FunctionCallInfo, metric: fn(&A) -> Option<f64>) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let value = state::<A>(fcinfo, 0).and_then(|state| metric(state));
        number_or_null(fcinfo, value)
    }
}

/// Makes an accumulator's functions, each with the name of its record: those of the state and those of
/// the metrics.
macro_rules! accumulator_functions {
    (
        $accumulator:ty:
        $($name:ident $info:ident = $body:ident),*;
        $($metric_name:ident $metric_info:ident = $metric:ident),*
    ) => {
        $(raw_function!($name, $info, $body::<$accumulator>);)*
        $(raw_function!($metric_name, $metric_info, |fcinfo| {
            finish(fcinfo, <$accumulator>::$metric)
        });)*
    };
}

accumulator_functions!(Probabilities:
    neural_probabilities_transition pg_finfo_neural_probabilities_transition = push,
    neural_probabilities_combine pg_finfo_neural_probabilities_combine = merge,
    neural_probabilities_serialize pg_finfo_neural_probabilities_serialize = serialize,
    neural_probabilities_deserialize pg_finfo_neural_probabilities_deserialize = deserialize;
    neural_log_loss_final pg_finfo_neural_log_loss_final = log_loss,
    neural_brier_final pg_finfo_neural_brier_final = brier
);
accumulator_functions!(Errors:
    neural_errors_transition pg_finfo_neural_errors_transition = push,
    neural_errors_combine pg_finfo_neural_errors_combine = merge,
    neural_errors_serialize pg_finfo_neural_errors_serialize = serialize,
    neural_errors_deserialize pg_finfo_neural_errors_deserialize = deserialize;
    neural_rmse_final pg_finfo_neural_rmse_final = rmse,
    neural_mae_final pg_finfo_neural_mae_final = mae,
    neural_r2_final pg_finfo_neural_r2_final = r2
);

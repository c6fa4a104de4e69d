//! auc, gini, ks: one state that keeps the scores of each class.

use std::slice;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, MemoryContext};

use super::{
    FromDatum, aggregate_context, argument, broken_state, bytea_argument, new_bytea,
    number_or_null, place, raw_function, state, state_or_null,
};
use crate::metrics::{Ranking, Separation, separation};
use crate::pg::error::Report;
use crate::pg::interrupt;

/// The first room a list of scores gets: small, for queries with many groups.
const FIRST_CAPACITY: usize = 16;
/// Most bytes of a state that a worker can hand over: what a bytea can hold.
const MAX_SERIALIZED: usize = 0x3fff_ffff - pg_sys::VARHDRSZ;

/// A growing list of scores in a memory context.
#[derive(Clone, Copy)]
struct Scores {
    values: *mut f64,
    length: usize,
    capacity: usize,
}

impl Scores {
    const EMPTY: Scores = Scores {
        values: std::ptr::null_mut(),
        length: 0,
        capacity: 0,
    };

    fn slice(&mut self) -> &mut [f64] {
        match self.values.is_null() {
            true => &mut [],
            // SAFETY: `length` values are initialised, and nobody else has the pointer.
            false => unsafe { slice::from_raw_parts_mut(self.values, self.length) },
        }
    }

    /// Makes room for more scores; `context` is asked for only while there is none at all.
    ///
    /// # Safety
    /// The context is alive as long as the scores are.
    unsafe fn reserve(&mut self, more: usize, context: impl FnOnce() -> MemoryContext) {
        let needed = self.length.saturating_add(more);
        if needed <= self.capacity {
            return;
        }
        let capacity = needed.max(self.capacity * 2).max(FIRST_CAPACITY);
        let bytes = capacity.saturating_mul(size_of::<f64>());
        // SAFETY: both raise an ERROR instead of returning no room, and then the list is unchanged;
        // repalloc keeps the values and stays in their context.
        self.values = unsafe {
            match self.values.is_null() {
                true => pg_sys::MemoryContextAllocHuge(context(), bytes),
                false => pg_sys::repalloc_huge(self.values.cast(), bytes),
            }
        }
        .cast();
        self.capacity = capacity;
    }

    /// Appends scores for which there is room.
    ///
    /// # Safety
    /// [`Scores::reserve`] was called for as many.
    unsafe fn extend(&mut self, scores: impl ExactSizeIterator<Item = f64>) {
        for score in scores {
            // SAFETY: by this function's contract the place is inside of the allocation.
            unsafe { self.values.add(self.length).write(score) };
            self.length += 1;
        }
    }
}

/// The state of auc, gini and ks: 8 bytes a row.
#[derive(Clone, Copy)]
struct RankingState {
    positives: Scores,
    negatives: Scores,
}

impl RankingState {
    const EMPTY: RankingState = RankingState {
        positives: Scores::EMPTY,
        negatives: Scores::EMPTY,
    };

    /// Sorts the scores where they are, which changes nothing for later rows or calls.
    fn separation(&mut self) -> Option<Separation> {
        // A cancel unwinds out of the sort; the scores stay whole.
        separation(
            self.positives.slice(),
            self.negatives.slice(),
            interrupt::check,
        )
    }
}

/// Takes one row into a ranking.
///
/// # Safety
/// Called as (internal, float8, bool).
unsafe fn push(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        let state = state::<RankingState>(fcinfo, 0);
        let (Some(score), Some(label)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return state_or_null(fcinfo, state);
        };
        let state = state.unwrap_or_else(|| place(aggregate_context(fcinfo), RankingState::EMPTY));
        let side = match bool::from_datum(label) {
            true => &mut state.positives,
            false => &mut state.negatives,
        };
        side.reserve(1, || aggregate_context(fcinfo));
        side.extend(std::iter::once(Ranking::canonical(f64::from_datum(score))));
        state_or_null(fcinfo, Some(state))
    }
}

/// Merges the second ranking into the first.
///
/// # Safety
/// Called as (internal, internal).
unsafe fn merge(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        let first = state::<RankingState>(fcinfo, 0);
        let Some(second) = state::<RankingState>(fcinfo, 1) else {
            return state_or_null(fcinfo, first);
        };
        let first = first.unwrap_or_else(|| place(aggregate_context(fcinfo), RankingState::EMPTY));
        for (into, from) in [
            (&mut first.positives, &mut second.positives),
            (&mut first.negatives, &mut second.negatives),
        ] {
            into.reserve(from.length, || aggregate_context(fcinfo));
            into.extend(from.slice().iter().copied());
        }
        state_or_null(fcinfo, Some(first))
    }
}

/// A ranking as bytes: the number of positive scores, these, the negative ones.
///
/// # Safety
/// Called as (internal), strict.
unsafe fn serialize(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        let mut empty = RankingState::EMPTY;
        let state = state::<RankingState>(fcinfo, 0).unwrap_or(&mut empty);
        let (positives, negatives) = (state.positives.slice(), state.negatives.slice());
        let length = (1 + positives.len() + negatives.len()) * size_of::<u64>();
        if length > MAX_SERIALIZED {
            Report::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("a parallel worker has {length} bytes of scores to hand over"),
            )
            .hint("Set max_parallel_workers_per_gather to 0 for this query.")
            .raise();
        }
        let (bytea, bytes) = new_bytea(length);
        let words = std::iter::once(positives.len() as u64).chain(
            positives
                .iter()
                .chain(&*negatives)
                .map(|score| score.to_bits()),
        );
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *chunk = word.to_ne_bytes();
        }
        bytea
    }
}

/// A ranking from its bytes.
///
/// # Safety
/// Called as (bytea, internal), strict.
unsafe fn deserialize(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        let (words, rest) = bytea_argument(fcinfo).as_chunks::<8>();
        let mut words = words.iter().map(|chunk| u64::from_ne_bytes(*chunk));
        let count = words.next().and_then(|count| usize::try_from(count).ok());
        let Some(count) = count.filter(|count| *count <= words.len() && rest.is_empty()) else {
            broken_state();
        };
        let context = pg_sys::CurrentMemoryContext;
        let state = place(context, RankingState::EMPTY);
        let negatives = words.len() - count;
        state.positives.reserve(count, || context);
        state
            .positives
            .extend(words.by_ref().take(count).map(f64::from_bits));
        state.negatives.reserve(negatives, || context);
        state.negatives.extend(words.map(f64::from_bits));
        state_or_null(fcinfo, Some(state))
    }
}

/// How far the state's classes are apart.
///
/// # Safety
/// Called as (internal).
unsafe fn separated(fcinfo: FunctionCallInfo) -> Option<Separation> {
    // SAFETY: by this function's contract.
    unsafe { state::<RankingState>(fcinfo, 0) }.and_then(|state| state.separation())
}

unsafe fn auc(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: called as (internal).
    unsafe { number_or_null(fcinfo, separated(fcinfo).map(|s| s.auc)) }
}

unsafe fn gini(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: called as (internal).
    unsafe { number_or_null(fcinfo, separated(fcinfo).map(|s| s.gini())) }
}

unsafe fn ks(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: called as (internal).
    unsafe { number_or_null(fcinfo, separated(fcinfo).map(|s| s.ks)) }
}

raw_function!(
    neural_ranking_transition,
    pg_finfo_neural_ranking_transition,
    push
);
raw_function!(
    neural_ranking_combine,
    pg_finfo_neural_ranking_combine,
    merge
);
raw_function!(
    neural_ranking_serialize,
    pg_finfo_neural_ranking_serialize,
    serialize
);
raw_function!(
    neural_ranking_deserialize,
    pg_finfo_neural_ranking_deserialize,
    deserialize
);
raw_function!(neural_auc_final, pg_finfo_neural_auc_final, auc);
raw_function!(neural_gini_final, pg_finfo_neural_gini_final, gini);
raw_function!(neural_ks_final, pg_finfo_neural_ks_final, ks);

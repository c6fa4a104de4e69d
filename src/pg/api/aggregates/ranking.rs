//! auc, gini, ks: one state that keeps the scores of each class.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::kept_scores::RankingState;
use super::score_files::{FileName, sweep_at_transaction_end};
use super::{
    FromDatum, aggregate_context, argument, broken_state, bytea_argument, new_bytea,
    number_or_null, place, require_aggregate, state, state_or_null,
};
use crate::metrics::{Ranking, Run, Separation};
use crate::pg::error::Report;
use crate::pg::settings;
use crate::pg::stamp::{self, STAMP};

/// Most bytes of a state that a worker can hand over: what a bytea can hold.
const MAX_SERIALIZED: usize = 0x3fff_ffff - pg_sys::VARHDRSZ;
/// Words of a serialized run: its file's process and number, its level, its place, its scores.
const RUN_WORDS: usize = 5;

/// Takes one row into a ranking.
///
/// # Safety
/// Called as (internal, float8, bool).
unsafe fn push(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let state = state::<RankingState>(fcinfo, 0);
        let (Some(score), Some(label)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return state_or_null(fcinfo, state);
        };
        let state = state.unwrap_or_else(|| RankingState::new(aggregate_context(fcinfo)));
        let side = usize::from(!bool::from_datum(label));
        let score = Ranking::canonical(f64::from_datum(score));
        RankingState::take(state, side, &[score]);
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
        require_aggregate(fcinfo);
        let first = state::<RankingState>(fcinfo, 0);
        let Some(second) = state::<RankingState>(fcinfo, 1) else {
            return state_or_null(fcinfo, first);
        };
        let first = first.unwrap_or_else(|| RankingState::new(aggregate_context(fcinfo)));
        RankingState::merge(first, second);
        state_or_null(fcinfo, Some(first))
    }
}

/// A ranking as words: for each class the numbers of scores and of runs, then the classes' scores,
/// then their runs. In a parallel query most scores stay in the file that they were written to; any
/// other caller may be on another machine, and gets them all.
///
/// # Safety
/// Called as (internal), strict.
unsafe fn serialize(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let mut empty = RankingState::EMPTY;
        let state = state::<RankingState>(fcinfo, 0).unwrap_or(&mut empty);
        let by_file = pg_sys::IsInParallelMode() && state.can_be_handed_over();
        if by_file && state.in_memory() > settings::max_memory() / 16 {
            state.write_out();
        }
        let (scores, runs) = match by_file {
            true => (
                state.sides.each_ref().map(|side| side.scores.len()),
                state.sides.each_ref().map(|side| side.runs.len()),
            ),
            false => (state.counts().map(|count| count as usize), [0, 0]),
        };
        let words = 5 + scores[0] + scores[1] + (runs[0] + runs[1]) * RUN_WORDS;
        let length = words.saturating_mul(size_of::<u64>());
        if length > MAX_SERIALIZED {
            Report::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("an aggregate has {length} bytes of scores to hand over"),
            )
            .hint("Aggregate fewer rows at once.")
            .raise();
        }
        let (bytea, bytes) = new_bytea(length);
        let mut chunks = bytes.as_chunks_mut().0.iter_mut();
        let mut put = |word: u64| {
            if let Some(chunk) = chunks.next() {
                *chunk = word.to_ne_bytes();
            }
        };
        put(STAMP);
        for count in scores.into_iter().chain(runs) {
            put(count as u64);
        }
        for side in 0..2 {
            match by_file {
                true => {
                    let scores = state.sides[side].scores.slice();
                    scores.iter().for_each(|score| put(score.to_bits()));
                }
                false => state.each(side, |score| put(score.to_bits())),
            }
        }
        for (side, count) in runs.into_iter().enumerate() {
            let list = state.sides[side].runs;
            for run in list.slice().iter().take(count) {
                let name = state.hand_over(run).unwrap_or_else(|| broken_state());
                put(name.process.into());
                put(name.number.into());
                put(run.level.into());
                put(run.offset);
                put(run.count);
            }
        }
        bytea
    }
}

/// A ranking from its words, which waits to be merged.
///
/// # Safety
/// Called as (bytea, internal), strict.
unsafe fn deserialize(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        let (words, rest) = bytea_argument(fcinfo).as_chunks::<8>();
        let mut words = words.iter().map(|chunk| u64::from_ne_bytes(*chunk));
        stamp::check(words.next());
        let mut next = || words.next().and_then(|word| usize::try_from(word).ok());
        let (Some(p), Some(n), Some(p_runs), Some(n_runs)) = (next(), next(), next(), next())
        else {
            broken_state();
        };
        let runs = p_runs.saturating_add(n_runs);
        let scores = p.saturating_add(n);
        let needed = runs.saturating_mul(RUN_WORDS).saturating_add(scores);
        if needed != words.len() || !rest.is_empty() {
            broken_state();
        }
        let context = pg_sys::CurrentMemoryContext;
        let state = place(context, RankingState::EMPTY);
        for (side, count) in state.sides.iter_mut().zip([p, n]) {
            if count > 0 {
                side.scores.grow(count, context);
                side.scores
                    .extend(words.by_ref().take(count).map(f64::from_bits));
            }
        }
        let mut names: Vec<FileName> = Vec::new();
        for (side, count) in state.sides.iter_mut().zip([p_runs, n_runs]) {
            if count > 0 {
                side.runs.grow(count, context);
            }
            for _ in 0..count {
                let run: [u64; RUN_WORDS] = std::array::from_fn(|_| words.next().unwrap_or(0));
                let name = FileName {
                    process: run[0] as u32,
                    number: run[1] as u32,
                };
                let known = names.iter().position(|other| *other == name);
                let place = known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                side.runs.extend(std::iter::once(Run {
                    file: place as u32 + 1,
                    level: run[2] as u32,
                    offset: run[3],
                    count: run[4],
                }));
            }
        }
        if !names.is_empty() {
            state.names.grow(names.len(), context);
            state.names.extend(names.into_iter());
        }
        state_or_null(fcinfo, Some(state))
    }
}

/// How far the state's classes are apart.
///
/// # Safety
/// Called as (internal).
unsafe fn separated(fcinfo: FunctionCallInfo) -> Option<Separation> {
    // SAFETY: by this function's contract.
    unsafe {
        require_aggregate(fcinfo);
        state::<RankingState>(fcinfo, 0).and_then(|state| state.separation())
    }
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
    merge,
    // A leader looks this function up before its workers start.
    sweep_at_transaction_end()
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

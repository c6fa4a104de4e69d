//! Aggregates over all rows that the node below computes: it gives the states that PostgreSQL's own
//! would have after the last row, in one row, in place of its rows.
//!
//! So far it is what parallel workers do: each aggregates its rows into states, which another aggregate
//! combines. The combining one stays, for the final functions and whatever is computed of them. A
//! worker's own has nothing left to do, and the node takes its place.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, AggSplit, NodeTag, Plan};

use crate::pg::scan::aggregates::Kind;
use crate::pg::scan::places::Places;
use crate::pg::scan::{lists, node};
use crate::pg::tree::{Next, is_deep, replace, walk};

/// Aggregates, each once, and the columns of the node's rows that they are over.
struct Found {
    aggregates: Places,
    columns: Vec<usize>,
}

/// Has the node below an aggregate over all rows compute its states, where it can; returns what takes
/// the aggregate's place.
///
/// # Safety
/// An aggregate of a finished plan.
pub(super) unsafe fn hand_down(agg: *mut pg_sys::Agg) -> *mut Plan {
    // SAFETY: an aggregate's expressions read the plan below.
    unsafe {
        let plan = &raw mut (*agg).plan;
        let below = (*plan).lefttree;
        let partial = (*agg).aggsplit == AggSplit::AGGSPLIT_INITIAL_SERIAL;
        let is_over_a_node = !below.is_null()
            && node::is_node(below)
            && (*below).qual.is_null()
            && (*agg).aggstrategy == pg_sys::AggStrategy::AGG_PLAIN
            && (*agg).groupingSets.is_null()
            && (*agg).chain.is_null()
            && (partial || (*agg).aggsplit == AggSplit::AGGSPLIT_SIMPLE);
        if !is_over_a_node || partial && !gives_states_alone(plan) {
            return plan;
        }
        let Some(found) = find(agg, below) else {
            return plan;
        };
        let aggregates = found.aggregates.as_slice().iter().zip(&found.columns);
        let states: Vec<*mut pg_sys::Node> = aggregates
            .map(|(aggregate, column)| state(aggregate.cast(), below, *column))
            .collect();
        let width = lists::length((*below.cast::<pg_sys::CustomScan>()).custom_scan_tlist);
        let column = |i: usize| node::variable(pg_sys::INDEX_VAR, width + i, states[i]);
        node::aggregate(below, &states, &found.columns);
        if partial {
            let mut over = |part| Some(column(found.aggregates.position(part)?));
            (*below).targetlist = replace((*plan).targetlist, &mut over);
            (*below).extParam = (*plan).extParam;
            (*below).allParam = (*plan).allParam;
            return below;
        }
        let columns: Vec<_> = (0..states.len()).map(column).collect();
        (*below).targetlist = node::targets(&columns);
        let mut combined = |part: *mut pg_sys::Node| {
            let at = found.aggregates.position(part)?;
            let variable = node::variable(pg_sys::OUTER_VAR, at, states[at]);
            Some(combining(part.cast(), variable))
        };
        for list in [&raw mut (*plan).targetlist, &raw mut (*plan).qual] {
            *list = replace(*list, &mut combined);
        }
        (*agg).aggsplit = AggSplit::AGGSPLIT_FINAL_DESERIAL;
        plan
    }
}

/// Whether a worker's aggregate returns states and nothing else.
unsafe fn gives_states_alone(plan: *mut Plan) -> bool {
    // SAFETY: an aggregate's target list.
    unsafe {
        let mut entries = lists::items::<pg_sys::TargetEntry>((*plan).targetlist);
        (*plan).qual.is_null()
            && (*plan).initPlan.is_null()
            && entries.all(|entry| (*(*entry).expr).type_ == NodeTag::T_Aggref)
    }
}

/// The aggregates of a plan, if the node below can compute all of them and nothing else is read of
/// its rows.
unsafe fn find(agg: *mut pg_sys::Agg, below: *mut Plan) -> Option<Found> {
    // SAFETY: expressions of a finished plan, over the node.
    unsafe {
        let mut found = Found {
            aggregates: Places::default(),
            columns: Vec::new(),
        };
        for list in [(*agg).plan.targetlist, (*agg).plan.qual] {
            let refused = is_deep(list)
                || walk(list.cast(), &mut |part| match (*part).type_ {
                    NodeTag::T_Aggref if found.aggregates.position(part).is_some() => Next::Past,
                    NodeTag::T_Aggref => {
                        let aggregate: *mut pg_sys::Aggref = part.cast();
                        let column = ((*aggregate).aggsplit == (*agg).aggsplit)
                            .then(|| column(aggregate, below))
                            .flatten();
                        let Some(column) = column else {
                            return Next::Stop;
                        };
                        found.aggregates.push(part);
                        found.columns.push(column);
                        Next::Past
                    }
                    NodeTag::T_Var | NodeTag::T_GroupingFunc => Next::Stop,
                    _ => Next::Into,
                });
            if refused {
                return None;
            }
        }
        (!found.columns.is_empty()).then_some(found)
    }
}

/// The column of the node's rows that an aggregate is over, if the node can compute it; any where it
/// is over none.
unsafe fn column(aggregate: *mut pg_sys::Aggref, below: *mut Plan) -> Option<usize> {
    // SAFETY: looked at as what the tags say.
    unsafe {
        let kind = Kind::of((*aggregate).aggfnoid)?;
        let also = [
            (*aggregate).aggorder.cast(),
            (*aggregate).aggdistinct.cast(),
            (*aggregate).aggfilter,
        ];
        if also.iter().any(|part: &*mut pg_sys::Expr| !part.is_null()) {
            return None;
        }
        if kind == Kind::Rows {
            return Some(0);
        }
        let argument = lists::items::<pg_sys::TargetEntry>((*aggregate).args).next()?;
        let read = |expression: *mut pg_sys::Expr, relation: i32| {
            let variable: *mut pg_sys::Var = expression.cast();
            let is_column = (*expression).type_ == NodeTag::T_Var
                && (*variable).varno as i64 == i64::from(relation)
                && (*variable).varattno > 0;
            is_column.then(|| (*variable).varattno as usize - 1)
        };
        let place = read((*argument).expr, pg_sys::OUTER_VAR)?;
        let entry = lists::items::<pg_sys::TargetEntry>((*below).targetlist).nth(place)?;
        read((*entry).expr, pg_sys::INDEX_VAR)
    }
}

/// What a node returns for an aggregate over a column of its rows, as EXPLAIN shows it.
unsafe fn state(
    aggregate: *mut pg_sys::Aggref,
    below: *mut Plan,
    column: usize,
) -> *mut pg_sys::Node {
    // SAFETY: a plan's aggregate; the node has the column.
    unsafe {
        let copy: *mut pg_sys::Aggref = pg_sys::copyObjectImpl(aggregate.cast()).cast();
        (*copy).aggsplit = AggSplit::AGGSPLIT_INITIAL_SERIAL;
        (*copy).aggtype = (*copy).aggtranstype;
        let columns = (*below.cast::<pg_sys::CustomScan>()).custom_scan_tlist;
        let shown = lists::items::<pg_sys::TargetEntry>(columns).nth(column);
        if let (Some(shown), false) = (shown, (*copy).args.is_null()) {
            (*copy).args = argument((*shown).expr);
        }
        copy.cast()
    }
}

/// An aggregate that combines the states in a column.
unsafe fn combining(
    aggregate: *mut pg_sys::Aggref,
    column: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    // SAFETY: a plan's aggregate.
    unsafe {
        let copy: *mut pg_sys::Aggref = pg_sys::copyObjectImpl(aggregate.cast()).cast();
        (*copy).aggsplit = AggSplit::AGGSPLIT_FINAL_DESERIAL;
        (*copy).args = argument(column.cast());
        copy.cast()
    }
}

unsafe fn argument(expression: *mut pg_sys::Expr) -> *mut pg_sys::List {
    // SAFETY: an expression.
    lists::of([unsafe { pg_sys::makeTargetEntry(expression, 1, null_mut(), false) }])
}

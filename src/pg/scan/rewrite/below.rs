//! Nodes below an aggregate, a window or a projection, which reads their columns in the calls' place.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use super::plans::takes_all;
use super::read_ahead::Ahead;
use super::stages::MOST_STAGES;
use super::{Place, Rewrite, Stops};
use crate::pg::interrupt;
use crate::pg::scan::calls::{Found, Search};
use crate::pg::scan::lists;
use crate::pg::scan::node::{self, Columns, NewCall};
use crate::pg::scan::places::Places;
use crate::pg::tree::{Next, is_deep, replace, replace_parts, walk};

impl Rewrite {
    /// Aggregates' arguments are computed for every row.
    pub(super) unsafe fn below_aggregate(&mut self, agg: *mut pg_sys::Agg, place: Place) {
        // SAFETY: an aggregate's expressions read the plan below.
        unsafe {
            let plan = &raw mut (*agg).plan;
            let mut below = place.below();
            if takes_all(agg) {
                below.stops = Stops::Never;
            } else if place.is_partial() {
                // It looks at a row before it is certain to evaluate anything for it.
                return;
            }
            let grouping = std::slice::from_raw_parts(
                if (*agg).numCols == 0 {
                    std::ptr::NonNull::dangling().as_ptr()
                } else {
                    (*agg).grpColIdx
                },
                (*agg).numCols as usize,
            );
            // Each grouping set has its own columns.
            let all = !(*agg).groupingSets.is_null() || !(*agg).chain.is_null();
            let also = (!all).then_some(grouping);
            let search = |search: &mut Search<'_>| {
                let mut read = Vec::new();
                for list in [(*plan).targetlist, (*plan).qual] {
                    walk(list.cast(), &mut |node| {
                        if (*node).type_ != NodeTag::T_Aggref {
                            return Next::Into;
                        }
                        let aggregate = &*node.cast::<pg_sys::Aggref>();
                        search.filtered(aggregate.args, aggregate.aggfilter);
                        read.push(node);
                        Next::Past
                    });
                }
                read
            };
            // Outside of aggregates, expressions see a group rather than a row.
            self.below(plan, below, also, Some(NodeTag::T_Aggref), search);
        }
    }

    /// Window functions' arguments are computed for the rows of a frame.
    pub(super) unsafe fn below_window(&mut self, plan: *mut Plan, place: Place) {
        // SAFETY: a window's expressions read the plan below.
        unsafe {
            let window = &*plan.cast::<pg_sys::WindowAgg>();
            // Other functions, and other frames, leave rows out.
            let options = window.frameOptions as u32;
            let to_the_row =
                pg_sys::FRAMEOPTION_END_CURRENT_ROW | pg_sys::FRAMEOPTION_END_UNBOUNDED_FOLLOWING;
            if options & pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING == 0
                || options & to_the_row == 0
                || options & pg_sys::FRAMEOPTION_EXCLUSION != 0
                || !window.runCondition.is_null()
                || place.is_partial()
            {
                return;
            }
            let search = |search: &mut Search<'_>| {
                walk((*plan).targetlist.cast(), &mut |node| {
                    if (*node).type_ != NodeTag::T_WindowFunc {
                        return Next::Into;
                    }
                    let function = &*node.cast::<pg_sys::WindowFunc>();
                    if function.winagg {
                        search.filtered(function.args, function.aggfilter);
                    }
                    Next::Past
                });
                vec![(*plan).targetlist.cast(), (*plan).qual.cast()]
            };
            self.below(plan, place.below(), None, None, search);
        }
    }

    /// A projection's target list is computed for every row, and a set-returning function's
    /// arguments are.
    pub(super) unsafe fn below_projection(&mut self, plan: *mut Plan, place: Place) {
        // SAFETY: a projection's expressions read the plan below.
        unsafe {
            let sets = (*plan).type_ == NodeTag::T_ProjectSet;
            let mut below = place;
            if sets {
                below = place.below();
            } else if let Some(stops) = place.exact {
                below.stops = stops;
            }
            let search = |search: &mut Search<'_>| {
                for entry in lists::items::<pg_sys::TargetEntry>((*plan).targetlist) {
                    if !sets || pg_sys::expression_returns_set((*entry).expr.cast()) {
                        search.expression(entry);
                    }
                }
                vec![(*plan).targetlist.cast()]
            };
            if (*plan).qual.is_null() {
                self.below(plan, below, Some(&[]), None, search);
            }
        }
    }

    /// Puts nodes below a plan: each returns the columns of the plan below it and the results of
    /// the calls that `search` finds, which the plan then reads in their place.
    ///
    /// `also` are columns that the plan reads besides those in its expressions; none: all. Calls
    /// are replaced inside nodes of the kind `within`, or everywhere. `search` returns all
    /// expressions that are then replaced in.
    unsafe fn below(
        &mut self,
        plan: *mut Plan,
        place: Place,
        also: Option<&[pg_sys::AttrNumber]>,
        within: Option<NodeTag>,
        search: impl Fn(&mut Search<'_>) -> Vec<*mut pg_sys::Node>,
    ) {
        // SAFETY: as for `plan`.
        unsafe {
            let lists = [(*plan).targetlist, (*plan).qual];
            if (*plan).lefttree.is_null() || lists.iter().any(|list| is_deep(*list)) {
                return;
            }
            let mut taken = 0;
            for round in 0..MOST_STAGES {
                interrupt::check();
                let none = Places::default();
                let mut found = Search::new(place.is_partial(), &none, taken);
                let read = search(&mut found);
                let found = found.found(&read);
                if found.is_empty() || place.is_partial() && round > 0 {
                    return;
                }
                taken += found.len();
                let shows = self.shows((*plan).lefttree);
                if shows == Ahead::Volatile || shows == Ahead::Shows && place.is_partial() {
                    return;
                }
                let careful = place.stops == Stops::Stepwise
                    && (shows == Ahead::Shows
                        || round > 0
                        || found.iter().any(|found| found.may_raise()));
                let child = (*plan).lefttree;
                let before = lists::length((*child).targetlist);
                let places = Places::of(found.iter().map(|found| found.call.cast()));
                let mut column = |part: *mut pg_sys::Node| {
                    let at = places.position(part)?;
                    Some(node::variable(pg_sys::OUTER_VAR, before + at, part))
                };
                for list in [&raw mut (*plan).targetlist, &raw mut (*plan).qual] {
                    *list = match within {
                        None => replace(*list, &mut column),
                        Some(tag) => replace(*list, &mut |part| {
                            ((*part).type_ == tag).then(|| replace_parts(part, &mut column))
                        }),
                    };
                }
                let mut keep = vec![also.is_none(); before];
                for column in also.unwrap_or_default() {
                    mark(&mut keep, i32::from(*column));
                }
                for list in [(*plan).targetlist, (*plan).qual] {
                    mark_read(&mut keep, list.cast());
                }
                let id = self.next_id();
                let calls = found.iter().map(|found| NewCall {
                    call: found.call,
                    reached: found.reached,
                    shown: found.call.cast(),
                });
                let columns = Columns {
                    calls: calls.collect(),
                    keep,
                    careful,
                };
                let top = node::make(child, columns, id, place.limit);
                (*top).parallel_aware = place.parallel;
                (*top).total_cost += (*child).plan_rows * cost(&found);
                // The calls' parameters were the parent's.
                for found in &found {
                    for part in [found.call.cast(), found.reached] {
                        add_parameters(top, part, plan);
                    }
                }
                (*plan).lefttree = top;
            }
        }
    }
}

fn mark(keep: &mut [bool], column: i32) {
    if let Some(keep) = usize::try_from(column - 1)
        .ok()
        .and_then(|at| keep.get_mut(at))
    {
        *keep = true;
    }
}

/// Marks the columns of the plan below that an expression reads; all where it reads whole rows.
unsafe fn mark_read(keep: &mut [bool], node: *mut pg_sys::Node) {
    // SAFETY: looked at as what the tag says.
    unsafe {
        walk(node, &mut |part| {
            if (*part).type_ == NodeTag::T_Var {
                let variable = &*part.cast::<pg_sys::Var>();
                if variable.varno == pg_sys::OUTER_VAR {
                    if variable.varattno <= 0 {
                        keep.fill(true);
                    }
                    mark(keep, i32::from(variable.varattno));
                }
            }
            Next::Into
        });
    }
}

/// What the calls for a row cost, as the planner was told.
unsafe fn cost(found: &[Found]) -> f64 {
    let cost = |found: &Found| {
        let mut cost = pg_sys::QualCost::default();
        // SAFETY: a call of a finished plan; nothing needs the planner's state any more.
        unsafe { pg_sys::cost_qual_eval_node(&mut cost, found.call.cast(), null_mut()) };
        cost.per_tuple
    };
    found.iter().map(cost).sum()
}

/// Adds an expression's parameters that change while the plan runs, as the parent has them.
unsafe fn add_parameters(plan: *mut Plan, node: *mut pg_sys::Node, parent: *mut Plan) {
    // SAFETY: an expression of the parent's.
    unsafe {
        walk(node, &mut |part| {
            if (*part).type_ == NodeTag::T_Param {
                let parameter = &*part.cast::<pg_sys::Param>();
                let sets = [
                    (&raw mut (*plan).extParam, (*parent).extParam),
                    (&raw mut (*plan).allParam, (*parent).allParam),
                ];
                for (own, parents) in sets {
                    if parameter.paramkind == pg_sys::ParamKind::PARAM_EXEC
                        && pg_sys::bms_is_member(parameter.paramid, parents)
                    {
                        *own = pg_sys::bms_add_member(*own, parameter.paramid);
                    }
                }
            }
            Next::Into
        });
    }
}

//! Nodes one above another, where a call or a filter needs the result of another call.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, Plan};

use super::{Place, Rewrite};
use crate::pg::interrupt;
use crate::pg::scan::calls::Found;
use crate::pg::scan::lists;
use crate::pg::scan::node::{self, Columns, NewCall};
use crate::pg::scan::places::Places;
use crate::pg::tree::replace;

/// Most nodes that are put one above another; calls beyond them are computed row by row.
pub(super) const MOST_STAGES: usize = 30;

/// What one node computes, and the filters that can be applied once it has.
pub(super) struct Stage {
    pub(super) calls: Vec<Found>,
    pub(super) filters: Vec<*mut pg_sys::Node>,
}

/// The stages of these filters, in their order, and then of a target list over these columns;
/// `search` finds the calls of an expression that can be computed from columns, some of which are
/// earlier calls, so many. The last stage has all filters that are left.
///
/// # Safety
/// Expressions of a finished plan.
pub(super) unsafe fn stages(
    columns: &[*mut pg_sys::Node],
    filters: &[*mut pg_sys::Node],
    targets: *mut pg_sys::Node,
    search: impl Fn(&Places, usize, *mut pg_sys::Node) -> Vec<Found>,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    // SAFETY: as the caller says.
    let mut known = unsafe { Places::of(columns.iter().copied()) };
    let mut waiting = filters.iter().copied().peekable();
    loop {
        interrupt::check();
        let find = |known: &Places, node| search(known, known.len() - columns.len(), node);
        let calls = match waiting.peek() {
            Some(filter) => find(&known, *filter),
            None => find(&known, targets),
        };
        if calls.is_empty() && waiting.peek().is_none() {
            return stages;
        }
        for found in &calls {
            // SAFETY: a call of the plan's.
            unsafe { known.push(found.call.cast()) };
        }
        let last = stages.len() + 1 == MOST_STAGES;
        let mut filters = Vec::new();
        while let Some(filter) = waiting.next_if(|filter| last || find(&known, *filter).is_empty())
        {
            filters.push(filter);
        }
        stages.push(Stage { calls, filters });
        if last {
            return stages;
        }
    }
}

impl Rewrite {
    /// Puts a node for each stage above a plan, which now returns `columns`; the uppermost returns
    /// `targets`. Returns that one.
    ///
    /// # Safety
    /// A plan and expressions over it.
    pub(super) unsafe fn stack(
        &mut self,
        plan: *mut Plan,
        targets: *mut pg_sys::List,
        columns: Vec<*mut pg_sys::Node>,
        stages: &[Stage],
        careful: bool,
        place: Place,
    ) -> *mut Plan {
        // SAFETY: as the caller says.
        unsafe {
            let rows = (*plan).plan_rows;
            let mut top = plan;
            let mut known = Places::of(columns);
            for (i, stage) in stages.iter().enumerate() {
                let before = known.len();
                let mut keep = vec![false; before];
                let mut over = |part: *mut pg_sys::Node| {
                    known
                        .position(part)
                        .map(|at| node::variable(pg_sys::OUTER_VAR, at, part))
                };
                let calls: Vec<_> = stage
                    .calls
                    .iter()
                    .map(|found| NewCall {
                        call: replace(found.call, &mut over),
                        reached: replace(found.reached, &mut over),
                        shown: found.call.cast(),
                    })
                    .collect();
                for found in &stage.calls {
                    known.push(found.call.cast());
                }
                let mut read = |part: *mut pg_sys::Node| {
                    let at = known.position(part)?;
                    if at < before {
                        keep[at] = true;
                    }
                    Some(node::variable(pg_sys::INDEX_VAR, at, part))
                };
                let qual = lists::of(
                    stage
                        .filters
                        .iter()
                        .map(|filter| replace(*filter, &mut read)),
                );
                let last = i + 1 == stages.len();
                let targetlist = if last {
                    replace(targets, &mut read)
                } else {
                    // For the stages above: what they read, and this one's calls.
                    for above in &stages[i + 1..] {
                        for found in &above.calls {
                            replace(found.call.cast::<pg_sys::Node>(), &mut read);
                            replace(found.reached, &mut read);
                        }
                        for filter in &above.filters {
                            replace(*filter, &mut read);
                        }
                    }
                    replace(targets, &mut read);
                    null_mut()
                };
                // A filter takes rows away that a LIMIT does not count.
                let limit = if stages[i..].iter().all(|stage| stage.filters.is_empty()) {
                    place.limit
                } else {
                    null_mut()
                };
                let id = self.next_id();
                let columns = Columns {
                    calls,
                    keep,
                    careful,
                };
                top = node::make(top, columns, id, limit);
                (*top).parallel_aware = place.parallel;
                (*top).qual = qual;
                (*top).plan_rows = rows;
                if last {
                    (*top).targetlist = targetlist;
                }
            }
            top
        }
    }
}

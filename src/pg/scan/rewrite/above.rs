//! Nodes above a scan, a join or the like: they take its target list over, and those of its filters
//! that come to a call.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use super::plans::{inner_join, is_current_of, is_join};
use super::read_ahead::Ahead;
use super::stages::stages;
use super::{Place, Rewrite, Stops};
use crate::pg::scan::calls::Search;
use crate::pg::scan::places::Places;
use crate::pg::scan::{lists, node};
use crate::pg::tree::{Next, is_deep, walk};

impl Rewrite {
    /// Puts nodes above a plan, which take over its target list and those of its filters that
    /// hold a call or come after one that does.
    pub(super) unsafe fn above(&mut self, plan: *mut Plan, place: Place) -> *mut Plan {
        // SAFETY: as for `plan`.
        unsafe {
            // Of an inner join, its conditions are filters like any other.
            let join = inner_join(plan);
            let conditions = join.map_or(null_mut(), |join| (*join).joinqual);
            let filters: Vec<*mut pg_sys::Node> = lists::items(conditions)
                .chain(lists::items((*plan).qual))
                .collect();
            let targets: *mut pg_sys::Node = (*plan).targetlist.cast();
            if targets.is_null() && filters.is_empty() {
                return plan;
            }
            if is_deep(targets) || filters.iter().any(|filter| is_deep(*filter)) {
                return plan;
            }
            let read: Vec<*mut pg_sys::Node> = filters.iter().copied().chain([targets]).collect();
            let exact = place.exact.filter(|_| filters.is_empty());
            let stops = exact.unwrap_or(place.stops);
            let partial = stops == Stops::Anywhere;
            let search = |columns: &Places, before, node: *mut pg_sys::Node| {
                let mut search = Search::new(partial, columns, before);
                if node.is_null() {
                    return Vec::new();
                }
                if (*node).type_ == NodeTag::T_List {
                    search.list(node.cast());
                } else {
                    search.expression(node);
                }
                search.found(&read)
            };
            let first = filters
                .iter()
                .position(|filter| !search(&Places::default(), 0, *filter).is_empty())
                .unwrap_or(filters.len());
            let stays = filters.len() == first;
            if stays && search(&Places::default(), 0, targets).is_empty() {
                return plan;
            }
            let (kept, moved) = filters.split_at(first);
            let mut shows = self.shows_below(plan);
            if join.is_none() && is_join(plan) {
                shows = shows.max(self.evaluations((*plan.cast::<pg_sys::Join>()).joinqual));
            }
            for filter in kept {
                shows = shows.max(self.evaluation(*filter));
            }
            if shows == Ahead::Volatile
                || shows == Ahead::Shows && partial
                || moved.iter().any(|filter| is_current_of(*filter))
            {
                return plan;
            }

            let mut columns = columns_read(moved.iter().copied().chain([targets]));
            if let Some(all) = self.whole_rows(plan, &columns) {
                columns = all;
            }

            let mut stages = stages(&columns, moved, targets, search);
            if partial {
                // Other nodes would read ahead of the first; their calls are left where they are.
                stages.truncate(1);
                if let Some(first) = stages.first_mut() {
                    first.filters = moved.to_vec();
                }
            } else if stages.len() > 1 && moved.iter().any(|filter| self.is_volatile(*filter)) {
                return plan;
            }
            let careful = stops == Stops::Stepwise
                && (shows == Ahead::Shows
                    || stages.len() > 1
                    || stages[0].calls.iter().any(|found| found.may_raise()));

            let original = (*plan).targetlist;
            (*plan).targetlist = node::targets(&columns);
            let own = kept.len().min(lists::length(conditions));
            if let Some(join) = join {
                (*join).joinqual = lists::of(kept[..own].iter().copied());
            }
            (*plan).qual = lists::of(kept[own..].iter().copied());
            // An append that waits for several foreign servers at once asks the scan itself.
            (*plan).async_capable = false;

            self.stack(plan, original, columns, &stages, careful, place)
        }
    }

    /// A table's columns as they lie on disk, for a scan that then need not copy them.
    unsafe fn whole_rows(
        &self,
        plan: *mut Plan,
        columns: &[*mut pg_sys::Node],
    ) -> Option<Vec<*mut pg_sys::Node>> {
        // SAFETY: as for `plan`; the table is locked for the statement that is planned.
        unsafe {
            if !matches!(
                (*plan).type_,
                NodeTag::T_SeqScan
                    | NodeTag::T_SampleScan
                    | NodeTag::T_IndexScan
                    | NodeTag::T_BitmapHeapScan
                    | NodeTag::T_TidScan
                    | NodeTag::T_TidRangeScan
            ) {
                return None;
            }
            let relation = (*plan.cast::<pg_sys::Scan>()).scanrelid;
            let plain = |column: &*mut pg_sys::Node| {
                let variable = &*column.cast::<pg_sys::Var>();
                (**column).type_ == NodeTag::T_Var
                    && variable.varno as i64 == i64::from(relation)
                    && variable.varattno > 0
            };
            if relation == 0 || columns.is_empty() || !columns.iter().all(plain) {
                return None;
            }
            let entry = lists::items::<pg_sys::RangeTblEntry>((*self.statement).rtable)
                .nth(relation as usize - 1)?;
            if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                return None;
            }
            let table = pg_sys::relation_open((*entry).relid, pg_sys::NoLock as i32);
            let all = pgrx::PgTupleDesc::from_pg_unchecked((*table).rd_att)
                .iter()
                .enumerate()
                .map(|(i, attribute)| {
                    (!attribute.attisdropped && !attribute.atthasmissing).then(|| {
                        pg_sys::makeVar(
                            relation as _,
                            (i + 1) as pg_sys::AttrNumber,
                            attribute.atttypid,
                            attribute.atttypmod,
                            attribute.attcollation,
                            0,
                        )
                        .cast::<pg_sys::Node>()
                    })
                })
                .collect::<Option<Vec<_>>>();
            pg_sys::relation_close(table, pg_sys::NoLock as i32);
            // Every column that is read must be among them just so.
            all.filter(|all| {
                let all = Places::of(all.iter().copied());
                columns.iter().all(|column| all.position(*column).is_some())
            })
        }
    }
}

/// What expressions read of the plan they stand on, each once.
unsafe fn columns_read(
    expressions: impl Iterator<Item = *mut pg_sys::Node>,
) -> Vec<*mut pg_sys::Node> {
    let mut columns = Places::default();
    for expression in expressions {
        // SAFETY: expressions of a finished plan.
        unsafe {
            walk(expression, &mut |part| match (*part).type_ {
                NodeTag::T_Var
                | NodeTag::T_Aggref
                | NodeTag::T_WindowFunc
                | NodeTag::T_GroupingFunc => {
                    if columns.position(part).is_none() {
                        columns.push(part);
                    }
                    Next::Past
                }
                _ => Next::Into,
            });
        }
    }
    columns.as_slice().to_vec()
}

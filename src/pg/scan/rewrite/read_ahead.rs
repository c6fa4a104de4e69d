//! Whether anybody could tell that a plan's rows were read ahead of those that are wanted.

use pgrx::pg_sys::{self, NodeTag, Plan};

use super::Rewrite;
use super::plans::{parts, takes_all};
use crate::pg::scan::calls;
use crate::pg::scan::lists;
use crate::pg::scan::tree::{Next, is_deep, walk};

/// What comes of reading rows ahead of those that are wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ahead {
    Nothing,
    /// An error might be raised, or a lock taken, for a row that nobody asks for.
    Shows,
    /// What a volatile function gives depends on when it is called.
    Volatile,
}

impl Rewrite {
    /// What comes of reading a plan's rows ahead.
    pub(super) unsafe fn shows(&self, plan: *mut Plan) -> Ahead {
        if plan.is_null() {
            return Ahead::Nothing;
        }
        // SAFETY: looked at as what its tag says.
        unsafe {
            let own = match (*plan).type_ {
                // These read all rows before they give one, whatever is above.
                NodeTag::T_Sort | NodeTag::T_Hash => return Ahead::Nothing,
                NodeTag::T_Agg if takes_all(plan.cast()) => return Ahead::Nothing,
                // The recursion may have no end.
                NodeTag::T_RecursiveUnion
                | NodeTag::T_CustomScan
                | NodeTag::T_ProjectSet
                | NodeTag::T_LockRows
                | NodeTag::T_ModifyTable => Ahead::Shows,
                NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin => {
                    self.evaluations((*plan.cast::<pg_sys::Join>()).joinqual)
                }
                _ => Ahead::Nothing,
            };
            own.max(self.evaluations((*plan).targetlist))
                .max(self.evaluations((*plan).qual))
                .max(self.shows_below(plan))
        }
    }

    /// The same of what a plan reads.
    pub(super) unsafe fn shows_below(&self, plan: *mut Plan) -> Ahead {
        // SAFETY: looked at as what its tag says.
        unsafe {
            let own = match (*plan).type_ {
                NodeTag::T_ValuesScan => {
                    let lists = (*plan.cast::<pg_sys::ValuesScan>()).values_lists;
                    let rows = lists::items::<pg_sys::List>(lists);
                    rows.map(|row| self.evaluations(row)).max()
                }
                NodeTag::T_CteScan => {
                    let subplan = (*plan.cast::<pg_sys::CteScan>()).ctePlanId;
                    Some(self.shows(self.subplan(subplan)))
                }
                _ => None,
            };
            let below = parts(plan).into_iter().map(|plan| self.shows(plan));
            below.chain(own).max().unwrap_or(Ahead::Nothing)
        }
    }

    pub(super) unsafe fn evaluations(&self, list: *mut pg_sys::List) -> Ahead {
        // SAFETY: a list of expressions.
        let all = unsafe { lists::items::<pg_sys::Node>(list) };
        // SAFETY: expressions.
        let all = all.map(|node| unsafe { self.evaluation(node) });
        all.max().unwrap_or(Ahead::Nothing)
    }

    pub(super) unsafe fn evaluation(&self, node: *mut pg_sys::Node) -> Ahead {
        // SAFETY: an expression.
        unsafe {
            if is_deep(node) || self.is_volatile(node) {
                Ahead::Volatile
            } else if calls::may_raise(node) {
                Ahead::Shows
            } else {
                Ahead::Nothing
            }
        }
    }

    /// Whether an expression, or a subquery in it, calls a volatile function.
    pub(super) unsafe fn is_volatile(&self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: an expression.
        unsafe {
            pg_sys::contain_volatile_functions(node)
                || walk(node, &mut |part| {
                    if (*part).type_ == NodeTag::T_SubPlan {
                        let subplan = &*part.cast::<pg_sys::SubPlan>();
                        if self.plan_is_volatile(self.subplan(subplan.plan_id)) {
                            return Next::Stop;
                        }
                    }
                    Next::Into
                })
        }
    }

    unsafe fn plan_is_volatile(&self, plan: *mut Plan) -> bool {
        if plan.is_null() {
            return false;
        }
        // SAFETY: a plan.
        unsafe {
            self.is_volatile((*plan).targetlist.cast())
                || self.is_volatile((*plan).qual.cast())
                || parts(plan)
                    .into_iter()
                    .any(|plan| self.plan_is_volatile(plan))
        }
    }
}

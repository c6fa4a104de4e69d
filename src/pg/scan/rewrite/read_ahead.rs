//! Whether anybody could tell that a plan's rows were read ahead of those that are wanted.
//!
//! The first batch is a single row, so what a plan does before it has given one is done either
//! way. What it does for later rows alone might raise an error that nobody was to see.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use super::Rewrite;
use super::plans::{evaluated_a_row, evaluated_a_scan, is_join, is_known, parts, takes_all};
use crate::pg::scan::calls;
use crate::pg::scan::lists;
use crate::pg::tree::{Next, is_deep, walk};

/// What comes of reading rows ahead of those that are wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ahead {
    Nothing,
    /// An error might be raised, or a lock taken, for a row that nobody asks for.
    Shows,
    /// What a volatile function gives depends on when it is called.
    Volatile,
}

/// When a part of the plan that is read begins.
#[derive(Clone, Copy)]
struct Begins {
    /// Before the whole has given a row; otherwise when an append comes to it.
    at_once: bool,
    /// Parameters with which it begins anew for other rows of a join.
    again_with: *mut pg_sys::Bitmapset,
}

impl Begins {
    const AT_ONCE: Begins = Begins {
        at_once: true,
        again_with: null_mut(),
    };

    /// Whether a plan begins before the first row and never again.
    unsafe fn is_once(self, plan: *mut Plan) -> bool {
        // SAFETY: a plan.
        self.at_once && unsafe { !pg_sys::bms_overlap((*plan).allParam, self.again_with) }
    }

    /// Whether an expression is a value that a join hands down.
    unsafe fn hands_down(self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: looked at as what its tag says.
        unsafe {
            (*node).type_ == NodeTag::T_Param && {
                let parameter = &*node.cast::<pg_sys::Param>();
                parameter.paramkind == pg_sys::ParamKind::PARAM_EXEC
                    && pg_sys::bms_is_member(parameter.paramid, self.again_with)
            }
        }
    }

    /// When a part of a plan begins, where this is when the plan does.
    unsafe fn below(mut self, plan: *mut Plan, part: *mut Plan) -> Begins {
        // SAFETY: looked at as what its tag says.
        unsafe {
            match (*plan).type_ {
                NodeTag::T_Append => {
                    let plans = (*plan.cast::<pg_sys::Append>()).appendplans;
                    let first = lists::items(plans).next() == Some(part);
                    // Parallel workers begin with any.
                    self.at_once &= first && !(*plan).parallel_aware;
                }
                NodeTag::T_NestLoop if part == (*plan).righttree => {
                    let parameters = (*plan.cast::<pg_sys::NestLoop>()).nestParams;
                    self.again_with = pg_sys::bms_copy(self.again_with);
                    for parameter in lists::items::<pg_sys::NestLoopParam>(parameters) {
                        self.again_with =
                            pg_sys::bms_add_member(self.again_with, (*parameter).paramno);
                    }
                }
                _ => {}
            }
        }
        self
    }
}

impl Rewrite {
    /// What comes of reading a plan's rows ahead.
    pub(super) unsafe fn shows(&self, plan: *mut Plan) -> Ahead {
        // SAFETY: as the caller says.
        unsafe { self.shows_beginning(plan, Begins::AT_ONCE) }
    }

    /// The same of what a plan reads, but for its target list and filter, and a join's condition.
    pub(super) unsafe fn shows_below(&self, plan: *mut Plan) -> Ahead {
        // SAFETY: as the caller says.
        unsafe { self.shows_reading(plan, Begins::AT_ONCE) }
    }

    unsafe fn shows_beginning(&self, plan: *mut Plan, begins: Begins) -> Ahead {
        if plan.is_null() {
            return Ahead::Nothing;
        }
        // SAFETY: looked at as what its tag says.
        unsafe {
            let own = match (*plan).type_ {
                // These read all rows before they give one, whatever is above.
                NodeTag::T_Sort | NodeTag::T_Hash if begins.is_once(plan) => {
                    return Ahead::Nothing;
                }
                NodeTag::T_Agg if takes_all(plan.cast()) && begins.is_once(plan) => {
                    return Ahead::Nothing;
                }
                // The recursion may have no end.
                NodeTag::T_RecursiveUnion
                | NodeTag::T_CustomScan
                | NodeTag::T_ProjectSet
                | NodeTag::T_LockRows
                | NodeTag::T_ModifyTable => Ahead::Shows,
                _ if is_join(plan) => self.evaluations((*plan.cast::<pg_sys::Join>()).joinqual),
                _ if is_known(plan) => Ahead::Nothing,
                // Nobody knows what it does.
                _ => Ahead::Volatile,
            };
            own.max(self.evaluations((*plan).targetlist))
                .max(self.evaluations((*plan).qual))
                .max(self.shows_reading(plan, begins))
        }
    }

    unsafe fn shows_reading(&self, plan: *mut Plan, begins: Begins) -> Ahead {
        // SAFETY: looked at as what its tag says.
        unsafe {
            let of_a_scan = match begins.is_once(plan) {
                true => Vec::new(),
                false => evaluated_a_scan(plan),
            };
            let own = evaluated_a_row(plan).into_iter().chain(of_a_scan);
            let own = own.filter(|node| !node.is_null() && !begins.hands_down(*node));
            let own = own.map(|node| self.evaluation(node));
            let subplan = match (*plan).type_ {
                NodeTag::T_CteScan => {
                    let number = (*plan.cast::<pg_sys::CteScan>()).ctePlanId;
                    Some(self.shows_beginning(self.subplan(number), begins))
                }
                _ => None,
            };
            let below = parts(plan).into_iter().map(|part| {
                let begins = begins.below(plan, part);
                self.shows_beginning(part, begins)
            });
            own.chain(below)
                .chain(subplan)
                .max()
                .unwrap_or(Ahead::Nothing)
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
        // SAFETY: a plan, looked at as what its tag says.
        unsafe {
            let condition = match is_join(plan) {
                true => (*plan.cast::<pg_sys::Join>()).joinqual,
                false => null_mut(),
            };
            let subplan = match (*plan).type_ {
                NodeTag::T_CteScan => self.subplan((*plan.cast::<pg_sys::CteScan>()).ctePlanId),
                _ => null_mut(),
            };
            let mut own = evaluated_a_row(plan)
                .into_iter()
                .chain(evaluated_a_scan(plan))
                .chain([(*plan).targetlist, (*plan).qual, condition].map(<*mut _>::cast));
            own.any(|node| self.is_volatile(node))
                || parts(plan)
                    .into_iter()
                    .chain([subplan])
                    .any(|plan| self.plan_is_volatile(plan))
        }
    }
}

//! From a finished plan to one that scores a batch at a time.
//!
//! Plans are gone through from the top, with what those above do to one's rows ([`Place`]); where
//! calls are found, nodes go above ([`above`]) or below ([`below`]) the plan that has them, unless
//! somebody could tell that its rows were read ahead ([`read_ahead`]).

mod above;
mod below;
mod plans;
mod read_ahead;
mod stages;
mod states;

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use self::plans::{highest_id, is_known_throughout, takes_all};
use super::{lists, node};

/// Whether those above a plan may stop before its last row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// They take all rows.
    Never,
    /// They do if the statement is run a few rows at a time, which its execution will tell.
    Stepwise,
    Anywhere,
}

/// Where a plan stands among those above it.
#[derive(Clone, Copy)]
struct Place {
    stops: Stops,
    /// It is told to remember a row and to go back there, which our node cannot.
    marked: bool,
    /// The LIMIT that counts its rows one for one; null without.
    limit: *mut pg_sys::Limit,
    /// Where that LIMIT's rows are known in number when execution begins, whether it is stopped.
    exact: Option<Stops>,
    /// Parallel workers run it, too.
    parallel: bool,
}

impl Place {
    /// Rows that are read ahead may turn out not to be wanted.
    fn is_partial(self) -> bool {
        self.stops == Stops::Anywhere
    }

    fn below(self) -> Place {
        Place {
            limit: null_mut(),
            exact: None,
            marked: false,
            ..self
        }
    }
}

struct Rewrite {
    statement: *mut pg_sys::PlannedStmt,
    /// The last number given to a node of the plan; 0 before they are counted.
    last_id: i32,
    /// Subplans of which every row is read: the numbers of common table expressions.
    read_wholly: Vec<i32>,
}

/// Puts nodes into a statement's plans wherever they can compute its calls.
///
/// # Safety
/// What the planner has just returned.
pub(super) unsafe fn rewrite(statement: *mut pg_sys::PlannedStmt) {
    // SAFETY: as the caller says; whatever is changed belongs to the statement alone.
    unsafe {
        if statement.is_null() || (*statement).planTree.is_null() || !may_call(statement) {
            return;
        }
        // What is not known is not rewritten, wherever in the statement it is: what it does with the
        // rows of others cannot be told.
        let subplans = lists::items::<Plan>((*statement).subplans);
        let mut plans = subplans.chain([(*statement).planTree]);
        if !plans.all(|plan| is_known_throughout(plan)) {
            return;
        }
        let mut rewrite = Rewrite {
            statement,
            last_id: 0,
            read_wholly: Vec::new(),
        };
        let reads = (*statement).commandType == pg_sys::CmdType::CMD_SELECT;
        let top = Place {
            stops: if reads { Stops::Stepwise } else { Stops::Never },
            marked: false,
            limit: null_mut(),
            exact: None,
            parallel: false,
        };
        (*statement).planTree = rewrite.plan((*statement).planTree, top);
        let subplans = (*statement).subplans;
        // A common table expression comes before those that read it.
        for i in (0..lists::length(subplans)).rev() {
            let subplan = (*(*subplans).elements.add(i)).ptr_value.cast::<Plan>();
            if !subplan.is_null() {
                let place = Place {
                    stops: match rewrite.read_wholly.contains(&(i as i32 + 1)) {
                        true => top.stops,
                        false => Stops::Anywhere,
                    },
                    ..top
                };
                lists::set(subplans, i, rewrite.plan(subplan, place));
            }
        }
    }
}

/// Whether the statement depends on any function that is not built in: the planner lists them, so
/// that a cached plan falls with them. Ordinary statements are let go here.
unsafe fn may_call(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: the list is of such items.
    unsafe {
        lists::items::<pg_sys::PlanInvalItem>((*statement).invalItems)
            .any(|item| (*item).cacheId == pg_sys::SysCacheIdentifier::PROCOID as i32)
    }
}

impl Rewrite {
    /// Rewrites a plan and those below it; returns what takes its place.
    unsafe fn plan(&mut self, plan: *mut Plan, place: Place) -> *mut Plan {
        if plan.is_null() {
            return plan;
        }
        // SAFETY: each plan is looked at as what its tag says.
        unsafe {
            self.children(plan, place);
            match (*plan).type_ {
                NodeTag::T_Agg => {
                    self.below_aggregate(plan.cast(), place);
                    let plan = states::hand_down(plan.cast());
                    self.above(plan, place)
                }
                NodeTag::T_WindowAgg => {
                    self.below_window(plan, place);
                    let window = &*plan.cast::<pg_sys::WindowAgg>();
                    // Its run condition reads its target list by position.
                    if window.runCondition.is_null() && (*plan).qual.is_null() {
                        self.above(plan, place)
                    } else {
                        plan
                    }
                }
                NodeTag::T_Result | NodeTag::T_ProjectSet => {
                    if !place.marked {
                        self.below_projection(plan, place);
                    }
                    plan
                }
                NodeTag::T_ForeignScan
                    if (*plan.cast::<pg_sys::ForeignScan>()).operation
                        != pg_sys::CmdType::CMD_SELECT =>
                {
                    plan
                }
                NodeTag::T_SeqScan
                | NodeTag::T_SampleScan
                | NodeTag::T_IndexScan
                | NodeTag::T_IndexOnlyScan
                | NodeTag::T_BitmapHeapScan
                | NodeTag::T_TidScan
                | NodeTag::T_TidRangeScan
                | NodeTag::T_SubqueryScan
                | NodeTag::T_FunctionScan
                | NodeTag::T_TableFuncScan
                | NodeTag::T_ValuesScan
                | NodeTag::T_CteScan
                | NodeTag::T_NamedTuplestoreScan
                | NodeTag::T_WorkTableScan
                | NodeTag::T_ForeignScan
                | NodeTag::T_NestLoop
                | NodeTag::T_MergeJoin
                | NodeTag::T_HashJoin
                | NodeTag::T_Group
                | NodeTag::T_Gather
                | NodeTag::T_GatherMerge => {
                    if place.marked {
                        plan
                    } else {
                        self.above(plan, place)
                    }
                }
                _ => plan,
            }
        }
    }

    /// Rewrites the plans below.
    unsafe fn children(&mut self, plan: *mut Plan, place: Place) {
        // SAFETY: as for `plan`.
        unsafe {
            let below = place.below();
            let (mut left, mut right) = (below, below);
            match (*plan).type_ {
                NodeTag::T_Limit => {
                    let limit = plan.cast::<pg_sys::Limit>();
                    left.stops = Stops::Anywhere;
                    if (*limit).limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT {
                        left.limit = limit;
                        left.exact = node::is_bound(limit).then_some(place.stops);
                    }
                }
                NodeTag::T_Result => {
                    left.marked = place.marked;
                }
                NodeTag::T_Gather | NodeTag::T_GatherMerge => left.parallel = true,
                // Its run condition may end it.
                NodeTag::T_WindowAgg
                    if !(*plan.cast::<pg_sys::WindowAgg>()).runCondition.is_null() =>
                {
                    left.stops = Stops::Anywhere;
                }
                NodeTag::T_ModifyTable => left.stops = Stops::Never,
                NodeTag::T_CteScan if !place.is_partial() => {
                    let scan = &*plan.cast::<pg_sys::CteScan>();
                    self.read_wholly.push(scan.ctePlanId);
                }
                // These take all rows before they give one.
                NodeTag::T_Sort | NodeTag::T_Hash => left.stops = Stops::Never,
                NodeTag::T_Agg if takes_all(plan.cast()) => left.stops = Stops::Never,
                NodeTag::T_NestLoop | NodeTag::T_HashJoin => {
                    left.stops = Stops::Anywhere;
                    right.stops = Stops::Anywhere;
                }
                NodeTag::T_MergeJoin => {
                    left.stops = Stops::Anywhere;
                    right.stops = Stops::Anywhere;
                    right.marked = true;
                }
                NodeTag::T_Append => {
                    self.list((*plan.cast::<pg_sys::Append>()).appendplans, below);
                }
                NodeTag::T_MergeAppend => {
                    self.list((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, below);
                }
                NodeTag::T_SubqueryScan => {
                    let scan = plan.cast::<pg_sys::SubqueryScan>();
                    (*scan).subplan = self.plan((*scan).subplan, below);
                }
                _ => {}
            }
            (*plan).lefttree = self.plan((*plan).lefttree, left);
            (*plan).righttree = self.plan((*plan).righttree, right);
        }
    }

    unsafe fn list(&mut self, plans: *mut pg_sys::List, place: Place) {
        // SAFETY: a list of plans.
        unsafe {
            for (i, plan) in lists::items::<Plan>(plans).enumerate() {
                lists::set(plans, i, self.plan(plan, place));
            }
        }
    }

    unsafe fn subplan(&self, number: i32) -> *mut Plan {
        // SAFETY: the statement's list.
        unsafe {
            lists::items((*self.statement).subplans)
                .nth(number as usize - 1)
                .unwrap_or(null_mut())
        }
    }

    unsafe fn next_id(&mut self) -> i32 {
        // SAFETY: the statement's plans.
        unsafe {
            if self.last_id == 0 {
                let statement = &*self.statement;
                self.last_id = lists::items::<Plan>(statement.subplans)
                    .chain([statement.planTree])
                    .map(|plan| highest_id(plan))
                    .max()
                    .unwrap_or(0);
            }
        }
        self.last_id += 1;
        self.last_id
    }
}

//! Plans as the planner makes them: what lies below one, and what kind it is.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use crate::pg::scan::lists;
use crate::pg::scan::tree::{Next, walk};

pub(super) unsafe fn is_current_of(node: *mut pg_sys::Node) -> bool {
    // SAFETY: an expression.
    unsafe {
        walk(node, &mut |part| match (*part).type_ {
            NodeTag::T_CurrentOfExpr => Next::Stop,
            _ => Next::Into,
        })
    }
}

pub(super) unsafe fn is_join(plan: *mut Plan) -> bool {
    // SAFETY: a plan.
    let tag = unsafe { (*plan).type_ };
    matches!(
        tag,
        NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin
    )
}

/// Whether an aggregate takes all rows before it gives one.
pub(super) unsafe fn takes_all(agg: *mut pg_sys::Agg) -> bool {
    // SAFETY: an aggregate.
    let strategy = unsafe { (*agg).aggstrategy };
    matches!(
        strategy,
        pg_sys::AggStrategy::AGG_PLAIN | pg_sys::AggStrategy::AGG_HASHED
    )
}

/// An inner join.
pub(super) unsafe fn inner_join(plan: *mut Plan) -> Option<*mut pg_sys::Join> {
    // SAFETY: looked at as what its tag says.
    unsafe {
        let join: *mut pg_sys::Join = plan.cast();
        (is_join(plan) && (*join).jointype == pg_sys::JoinType::JOIN_INNER).then_some(join)
    }
}

/// The plans right below a plan, and null ones.
pub(super) unsafe fn parts(plan: *mut Plan) -> Vec<*mut Plan> {
    // SAFETY: looked at as what its tag says.
    unsafe {
        let more = match (*plan).type_ {
            NodeTag::T_Append => (*plan.cast::<pg_sys::Append>()).appendplans,
            NodeTag::T_MergeAppend => (*plan.cast::<pg_sys::MergeAppend>()).mergeplans,
            NodeTag::T_BitmapAnd => (*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans,
            NodeTag::T_BitmapOr => (*plan.cast::<pg_sys::BitmapOr>()).bitmapplans,
            NodeTag::T_CustomScan => (*plan.cast::<pg_sys::CustomScan>()).custom_plans,
            _ => null_mut(),
        };
        let subquery = match (*plan).type_ {
            NodeTag::T_SubqueryScan => (*plan.cast::<pg_sys::SubqueryScan>()).subplan,
            _ => null_mut(),
        };
        lists::items(more)
            .chain([(*plan).lefttree, (*plan).righttree, subquery])
            .collect()
    }
}

/// The highest number of a plan and those below.
pub(super) unsafe fn highest_id(plan: *mut Plan) -> i32 {
    if plan.is_null() {
        return 0;
    }
    // SAFETY: a plan.
    unsafe {
        let below = parts(plan).into_iter().map(|plan| highest_id(plan)).max();
        below.unwrap_or(0).max((*plan).plan_node_id)
    }
}

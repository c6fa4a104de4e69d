//! Plans as the planner makes them: what lies below one, and what kind it is.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use crate::pg::scan::lists;
use crate::pg::tree::{Next, walk};

pub(super) unsafe fn is_current_of(node: *mut pg_sys::Node) -> bool {
    // SAFETY: an expression.
    unsafe {
        walk(node, &mut |part| match (*part).type_ {
            NodeTag::T_CurrentOfExpr => Next::Stop,
            _ => Next::Into,
        })
    }
}

/// Whether this is a kind of plan of which it is known what lies below it, what it evaluates, and
/// when. A later PostgreSQL may have others; tests/support/plan_nodes compares the list with a
/// server's header.
pub(super) unsafe fn is_known(plan: *mut Plan) -> bool {
    // SAFETY: a plan.
    let tag = unsafe { (*plan).type_ };
    matches!(
        tag,
        NodeTag::T_Result
            | NodeTag::T_ProjectSet
            | NodeTag::T_ModifyTable
            | NodeTag::T_Append
            | NodeTag::T_MergeAppend
            | NodeTag::T_RecursiveUnion
            | NodeTag::T_BitmapAnd
            | NodeTag::T_BitmapOr
            | NodeTag::T_SeqScan
            | NodeTag::T_SampleScan
            | NodeTag::T_IndexScan
            | NodeTag::T_IndexOnlyScan
            | NodeTag::T_BitmapIndexScan
            | NodeTag::T_BitmapHeapScan
            | NodeTag::T_TidScan
            | NodeTag::T_TidRangeScan
            | NodeTag::T_SubqueryScan
            | NodeTag::T_FunctionScan
            | NodeTag::T_ValuesScan
            | NodeTag::T_TableFuncScan
            | NodeTag::T_CteScan
            | NodeTag::T_NamedTuplestoreScan
            | NodeTag::T_WorkTableScan
            | NodeTag::T_ForeignScan
            | NodeTag::T_CustomScan
            | NodeTag::T_NestLoop
            | NodeTag::T_MergeJoin
            | NodeTag::T_HashJoin
            | NodeTag::T_Material
            | NodeTag::T_Memoize
            | NodeTag::T_Sort
            | NodeTag::T_IncrementalSort
            | NodeTag::T_Group
            | NodeTag::T_Agg
            | NodeTag::T_WindowAgg
            | NodeTag::T_Unique
            | NodeTag::T_Gather
            | NodeTag::T_GatherMerge
            | NodeTag::T_Hash
            | NodeTag::T_SetOp
            | NodeTag::T_LockRows
            | NodeTag::T_Limit
    )
}

/// Whether a plan and all below it are of known kinds.
pub(super) unsafe fn is_known_throughout(plan: *mut Plan) -> bool {
    // SAFETY: a plan, or null.
    unsafe {
        plan.is_null()
            || is_known(plan)
                && parts(plan)
                    .into_iter()
                    .all(|part| is_known_throughout(part))
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

/// The plans right below a plan of a known kind, and null ones.
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

/// What a plan of a known kind evaluates each time that it begins a scan. Null items are there.
pub(super) unsafe fn evaluated_a_scan(plan: *mut Plan) -> Vec<*mut pg_sys::Node> {
    // SAFETY: looked at as what its tag says.
    unsafe {
        match (*plan).type_ {
            NodeTag::T_IndexScan => {
                let scan = &*plan.cast::<pg_sys::IndexScan>();
                compared(&[scan.indexqual, scan.indexorderby])
            }
            NodeTag::T_IndexOnlyScan => {
                let scan = &*plan.cast::<pg_sys::IndexOnlyScan>();
                compared(&[scan.indexqual, scan.indexorderby])
            }
            NodeTag::T_BitmapIndexScan => {
                compared(&[(*plan.cast::<pg_sys::BitmapIndexScan>()).indexqual])
            }
            NodeTag::T_TidScan => compared(&[(*plan.cast::<pg_sys::TidScan>()).tidquals]),
            NodeTag::T_TidRangeScan => {
                compared(&[(*plan.cast::<pg_sys::TidRangeScan>()).tidrangequals])
            }
            NodeTag::T_ForeignScan => {
                lists::items((*plan.cast::<pg_sys::ForeignScan>()).fdw_exprs).collect()
            }
            NodeTag::T_SampleScan => {
                let sample = &*(*plan.cast::<pg_sys::SampleScan>()).tablesample;
                let args = lists::items(sample.args);
                args.chain([sample.repeatable.cast()]).collect()
            }
            NodeTag::T_FunctionScan => {
                let functions = (*plan.cast::<pg_sys::FunctionScan>()).functions;
                lists::items::<pg_sys::RangeTblFunction>(functions)
                    .map(|function| (*function).funcexpr)
                    .collect()
            }
            NodeTag::T_TableFuncScan => {
                vec![(*plan.cast::<pg_sys::TableFuncScan>()).tablefunc.cast()]
            }
            NodeTag::T_Limit => {
                let limit = &*plan.cast::<pg_sys::Limit>();
                vec![limit.limitOffset, limit.limitCount]
            }
            NodeTag::T_Result => {
                lists::items((*plan.cast::<pg_sys::Result>()).resconstantqual.cast()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What a plan of a known kind evaluates for its rows besides its target list, its filter and a join's condition.
pub(super) unsafe fn evaluated_a_row(plan: *mut Plan) -> Vec<*mut pg_sys::Node> {
    // SAFETY: looked at as what its tag says.
    unsafe {
        match (*plan).type_ {
            NodeTag::T_ValuesScan => {
                let rows = (*plan.cast::<pg_sys::ValuesScan>()).values_lists;
                lists::items::<pg_sys::List>(rows)
                    .flat_map(|row| lists::items(row))
                    .collect()
            }
            NodeTag::T_HashJoin => {
                lists::items((*plan.cast::<pg_sys::HashJoin>()).hashkeys).collect()
            }
            NodeTag::T_MergeJoin => compared(&[(*plan.cast::<pg_sys::MergeJoin>()).mergeclauses]),
            _ => Vec::new(),
        }
    }
}

/// The two sides of comparisons that an index or a kind of join makes by itself.
unsafe fn compared(lists: &[*mut pg_sys::List]) -> Vec<*mut pg_sys::Node> {
    // SAFETY: lists of expressions, each looked at as what its tag says.
    unsafe {
        let sides = |clause: *mut pg_sys::Node| -> Vec<*mut pg_sys::Node> {
            match (*clause).type_ {
                NodeTag::T_OpExpr => {
                    lists::items((*clause.cast::<pg_sys::OpExpr>()).args).collect()
                }
                NodeTag::T_ScalarArrayOpExpr => {
                    lists::items((*clause.cast::<pg_sys::ScalarArrayOpExpr>()).args).collect()
                }
                NodeTag::T_RowCompareExpr => {
                    let rows = &*clause.cast::<pg_sys::RowCompareExpr>();
                    let left = lists::items(rows.largs);
                    left.chain(lists::items(rows.rargs)).collect()
                }
                _ => vec![clause],
            }
        };
        let clauses = lists.iter().flat_map(|list| lists::items(*list));
        clauses.flat_map(sides).collect()
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

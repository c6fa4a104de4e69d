//! Conditions under which the evaluation of an expression comes to a part of it.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, BoolExprType, BoolTestType, Node, NodeTag};

use super::lists;
use crate::pg::tree::{Next, replace, walk};

/// What is asked of a boolean.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    True,
    NotTrue,
    NotFalse,
}

fn make<T>(tag: NodeTag) -> *mut T {
    // SAFETY: room for the node; zeroes are its defaults.
    unsafe {
        let node: *mut Node = pg_sys::palloc0(size_of::<T>()).cast();
        (*node).type_ = tag;
        node.cast()
    }
}

/// `node IS TRUE` and its like.
pub(super) fn test(node: *mut Node, kind: Kind) -> *mut Node {
    let test: *mut pg_sys::BooleanTest = make(NodeTag::T_BooleanTest);
    // SAFETY: just made.
    unsafe {
        (*test).arg = node.cast();
        (*test).booltesttype = match kind {
            Kind::True => BoolTestType::IS_TRUE,
            Kind::NotTrue => BoolTestType::IS_NOT_TRUE,
            Kind::NotFalse => BoolTestType::IS_NOT_FALSE,
        };
        (*test).location = -1;
    }
    test.cast()
}

/// Whether a value, not its fields, is NULL.
pub(super) fn is_null(node: *mut Node) -> *mut Node {
    let test: *mut pg_sys::NullTest = make(NodeTag::T_NullTest);
    // SAFETY: just made.
    unsafe {
        (*test).arg = node.cast();
        (*test).nulltesttype = pg_sys::NullTestType::IS_NULL;
        (*test).location = -1;
    }
    test.cast()
}

/// All of them, asked in their order and no further than the first that is not; null for none.
pub(super) fn all(conditions: &[*mut Node]) -> *mut Node {
    match conditions {
        [] => null_mut(),
        [one] => *one,
        several => boolean(BoolExprType::AND_EXPR, several),
    }
}

/// One or the other; null, which is always true, if either is.
pub(super) fn either(a: *mut Node, b: *mut Node) -> *mut Node {
    if a.is_null() || b.is_null() {
        return null_mut();
    }
    boolean(BoolExprType::OR_EXPR, &[a, b])
}

fn boolean(kind: BoolExprType::Type, parts: &[*mut Node]) -> *mut Node {
    let expression: *mut pg_sys::BoolExpr = make(NodeTag::T_BoolExpr);
    // SAFETY: just made.
    unsafe {
        (*expression).boolop = kind;
        (*expression).args = lists::of(parts.iter().copied());
        (*expression).location = -1;
    }
    expression.cast()
}

/// The condition of a WHEN, with what the CASE tests in its place; none where another CASE inside
/// makes it doubtful which one's is meant.
///
/// # Safety
/// `condition` is the WHEN's expression, `tested` the CASE's argument or null.
pub(super) unsafe fn of_case(condition: *mut Node, tested: *mut Node) -> Option<*mut Node> {
    if tested.is_null() {
        return Some(condition);
    }
    // SAFETY: expressions of a finished plan.
    unsafe {
        let doubtful = walk(condition, &mut |part| match (*part).type_ {
            NodeTag::T_CaseExpr | NodeTag::T_ArrayCoerceExpr => Next::Stop,
            _ => Next::Into,
        });
        (!doubtful).then(|| {
            replace(condition, &mut |part| {
                ((*part).type_ == NodeTag::T_CaseTestExpr).then_some(tested)
            })
        })
    }
}

/// `CASE WHEN condition THEN node END`: a value that is computed only where it is needed.
///
/// # Safety
/// Expressions, the first a boolean.
pub(super) unsafe fn only_where(condition: *mut Node, node: *mut Node) -> *mut Node {
    let when: *mut pg_sys::CaseWhen = make(NodeTag::T_CaseWhen);
    let case: *mut pg_sys::CaseExpr = make(NodeTag::T_CaseExpr);
    // SAFETY: just made; the type is the expression's.
    unsafe {
        let (result, modifier) = (pg_sys::exprType(node), pg_sys::exprTypmod(node));
        (*when).expr = condition.cast();
        (*when).result = node.cast();
        (*case).casetype = result;
        (*case).casecollid = pg_sys::exprCollation(node);
        (*case).args = lists::of([when]);
        (*case).defresult = pg_sys::makeNullConst(result, modifier, (*case).casecollid).cast();
        (*case).location = -1;
    }
    case.cast()
}

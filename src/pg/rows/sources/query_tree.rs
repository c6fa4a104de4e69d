//! The parts of analysed queries.

use pgrx::{PgList, pg_sys};

/// The columns of a query's result.
///
/// # Safety
/// An analysed query.
pub(super) unsafe fn columns(query: &pg_sys::Query) -> Vec<*mut pg_sys::TargetEntry> {
    // SAFETY: as the caller says.
    unsafe {
        let mut columns = list::<pg_sys::TargetEntry>(query.targetList);
        columns.retain(|&column| !(*column).resjunk);
        columns
    }
}

/// The entries of the range table that a set operation is of; none of another query.
///
/// # Safety
/// An analysed query.
pub(super) unsafe fn arms(query: &pg_sys::Query) -> Vec<i32> {
    let mut left = vec![query.setOperations];
    let mut found = Vec::new();
    while let Some(node) = left.pop().filter(|node| !node.is_null()) {
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            if (*node).type_ == pg_sys::NodeTag::T_RangeTblRef {
                found.push((*node.cast::<pg_sys::RangeTblRef>()).rtindex);
            } else if (*node).type_ == pg_sys::NodeTag::T_SetOperationStmt {
                let operation: *const pg_sys::SetOperationStmt = node.cast();
                left.push((*operation).larg);
                left.push((*operation).rarg);
            }
        }
    }
    found
}

/// Whether all that a set operation's arms have are rows of its; true where there is none.
///
/// # Safety
/// An analysed query.
pub(super) unsafe fn is_union_all(query: &pg_sys::Query) -> bool {
    let mut left = vec![query.setOperations];
    while let Some(node) = left.pop() {
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            if !node.is_null() && (*node).type_ == pg_sys::NodeTag::T_SetOperationStmt {
                let operation: *const pg_sys::SetOperationStmt = node.cast();
                if (*operation).op != pg_sys::SetOperation::SETOP_UNION || !(*operation).all {
                    return false;
                }
                left.push((*operation).larg);
                left.push((*operation).rarg);
            }
        }
    }
    true
}

/// An entry of a query's range table, counted from 1.
///
/// # Safety
/// An analysed query.
pub(super) unsafe fn entry_of(
    query: &pg_sys::Query,
    entry: i32,
) -> Option<*mut pg_sys::RangeTblEntry> {
    // SAFETY: as the caller says.
    let entries = unsafe { list::<pg_sys::RangeTblEntry>(query.rtable) };
    entries.get((entry - 1) as usize).copied()
}

/// The functions that make the rows of an entry, if any do.
///
/// # Safety
/// An entry of a range table.
pub(super) unsafe fn made_by(entry: *const pg_sys::RangeTblEntry) -> *mut pg_sys::Node {
    // SAFETY: as the caller says; what the entry is tells which of its fields it has.
    unsafe {
        match (*entry).rtekind {
            pg_sys::RTEKind::RTE_FUNCTION => (*entry).functions.cast(),
            pg_sys::RTEKind::RTE_TABLEFUNC => (*entry).tablefunc.cast(),
            _ => std::ptr::null_mut(),
        }
    }
}

/// The items of a list of pointers.
///
/// # Safety
/// Null or a list of such.
pub(super) unsafe fn list<T>(list: *mut pg_sys::List) -> Vec<*mut T> {
    // SAFETY: as the caller says.
    unsafe { PgList::<T>::from_pg(list) }.iter_ptr().collect()
}

/// The joins, lists and entries of the range table that a FROM clause or a part of one is of.
///
/// # Safety
/// A part of an analysed query's join tree.
pub(super) unsafe fn parts(from: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    let mut found = vec![from];
    let mut at = 0;
    while let Some(&node) = found.get(at) {
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            match (*node).type_ {
                pg_sys::NodeTag::T_FromExpr => {
                    found.extend(list((*node.cast::<pg_sys::FromExpr>()).fromlist));
                }
                pg_sys::NodeTag::T_JoinExpr => {
                    let join: *const pg_sys::JoinExpr = node.cast();
                    found.extend([(*join).larg, (*join).rarg]);
                }
                _ => {}
            }
        }
        at += 1;
    }
    found
}

/// The entries of the range table among these parts.
///
/// # Safety
/// As for [`parts`].
pub(super) unsafe fn entries(from: *mut pg_sys::Node) -> Vec<i32> {
    let entry = |node: *mut pg_sys::Node| {
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            ((*node).type_ == pg_sys::NodeTag::T_RangeTblRef)
                .then(|| (*node.cast::<pg_sys::RangeTblRef>()).rtindex)
        }
    };
    // SAFETY: as the caller says.
    unsafe { parts(from) }
        .into_iter()
        .filter_map(entry)
        .collect()
}

/// The condition of a join or of a list.
///
/// # Safety
/// As for [`parts`].
pub(super) unsafe fn condition(part: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as the caller says; the tag tells the type.
    unsafe {
        match (*part).type_ {
            pg_sys::NodeTag::T_FromExpr => (*part.cast::<pg_sys::FromExpr>()).quals,
            pg_sys::NodeTag::T_JoinExpr => (*part.cast::<pg_sys::JoinExpr>()).quals,
            _ => std::ptr::null_mut(),
        }
    }
}

/// The conditions that all have to hold for one to hold.
///
/// # Safety
/// Null or a condition of an analysed query.
pub(super) unsafe fn conjuncts(condition: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    let mut left = vec![condition];
    let mut found = Vec::new();
    while let Some(node) = left.pop() {
        if node.is_null() {
            continue;
        }
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            let all: *const pg_sys::BoolExpr = node.cast();
            if (*node).type_ == pg_sys::NodeTag::T_BoolExpr
                && (*all).boolop == pg_sys::BoolExprType::AND_EXPR
            {
                left.extend(list::<pg_sys::Node>((*all).args));
            } else {
                found.push(node);
            }
        }
    }
    found
}

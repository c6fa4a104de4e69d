//! What an expression reads.

use pgrx::pg_sys;

use super::query_tree::{entries, list};
use crate::pg::tree::{Next, is_deep, walk};

/// A field of a row, of which again a field is taken, and so on.
pub(super) type Fields = Vec<pg_sys::AttrNumber>;

/// What an expression reads.
pub(super) enum Reads {
    /// A column of an entry of the range table of the query so many levels up, or a field of it.
    Column {
        up: pg_sys::Index,
        entry: i32,
        number: pg_sys::AttrNumber,
        fields: Fields,
    },
    /// A subquery, or a field of the row that it gives.
    Subquery(*const pg_sys::SubLink, Fields),
    /// The rows of a group of the query so many levels up.
    Group { up: pg_sys::Index },
    /// The rows of a window of that number.
    Window(pg_sys::Index),
}

/// What an expression of an analysed query reads, or a list of such; of its value, what those fields
/// read of it.
///
/// # Safety
/// Null or such an expression.
pub(super) unsafe fn reads(expression: *mut pg_sys::Node, fields: Fields) -> Vec<Reads> {
    let mut found = Vec::new();
    // SAFETY: as the caller says.
    unsafe {
        if !is_deep(expression) {
            read(expression, fields, &mut found);
        }
    }
    found
}

/// # Safety
/// As for [`reads`], and no deeper than a walk may go.
unsafe fn read(mut expression: *mut pg_sys::Node, mut fields: Fields, found: &mut Vec<Reads>) {
    // SAFETY: as the caller says; the tag tells the type.
    unsafe {
        // From the value that a field is taken of, the last one first, to that field's own expression.
        while !expression.is_null() {
            match (*expression).type_ {
                pg_sys::NodeTag::T_FieldSelect => {
                    let select: *const pg_sys::FieldSelect = expression.cast();
                    fields.insert(0, (*select).fieldnum);
                    expression = (*select).arg.cast();
                }
                pg_sys::NodeTag::T_RelabelType if !fields.is_empty() => {
                    expression = (*expression.cast::<pg_sys::RelabelType>()).arg.cast();
                }
                pg_sys::NodeTag::T_RowExpr if !fields.is_empty() => {
                    let parts = (*expression.cast::<pg_sys::RowExpr>()).args;
                    let part = (fields.remove(0) - 1) as usize;
                    let part = list::<pg_sys::Node>(parts).get(part).copied();
                    expression = part.unwrap_or(std::ptr::null_mut());
                }
                _ => break,
            }
        }
        let mut whole = Some(fields);
        walk(expression, &mut |node| {
            // The fields are the expression's, not those of its parts.
            let fields = whole.take().unwrap_or_default();
            match (*node).type_ {
                pg_sys::NodeTag::T_Var => {
                    let var: *const pg_sys::Var = node.cast();
                    found.push(Reads::Column {
                        up: (*var).varlevelsup,
                        entry: (*var).varno,
                        number: (*var).varattno,
                        fields,
                    });
                }
                pg_sys::NodeTag::T_SubLink => {
                    found.push(Reads::Subquery(node.cast(), fields));
                    return Next::Past;
                }
                pg_sys::NodeTag::T_FieldSelect => {
                    read(node, Vec::new(), found);
                    return Next::Past;
                }
                pg_sys::NodeTag::T_Aggref => {
                    let up = (*node.cast::<pg_sys::Aggref>()).agglevelsup;
                    found.push(Reads::Group { up });
                }
                pg_sys::NodeTag::T_WindowFunc => {
                    found.push(Reads::Window((*node.cast::<pg_sys::WindowFunc>()).winref));
                }
                _ => {}
            }
            Next::Into
        });
    }
}

/// Whether a condition tells which rows of two or more entries of a query's range table go together.
///
/// # Safety
/// An analysed query, and a condition of its.
pub(super) unsafe fn joins(query: *const pg_sys::Query, condition: *mut pg_sys::Node) -> bool {
    // SAFETY: as the caller says; the tag tells the type.
    unsafe {
        let kinds = list::<pg_sys::RangeTblEntry>((*query).rtable);
        let of_several = entries((*query).jointree.cast()).len() > 1;
        let mut read = Vec::new();
        walk(condition, &mut |node| {
            let several = match (*node).type_ {
                pg_sys::NodeTag::T_Var => {
                    let (up, entry) = {
                        let var: *const pg_sys::Var = node.cast();
                        ((*var).varlevelsup, (*var).varno)
                    };
                    if !read.contains(&(up, entry)) {
                        read.push((up, entry));
                    }
                    let kind = kinds.get((entry - 1) as usize).filter(|_| up == 0);
                    read.len() > 1
                        || kind.is_some_and(|&of| (*of).rtekind == pg_sys::RTEKind::RTE_JOIN)
                }
                // One that reads of this query, of whatever entries.
                pg_sys::NodeTag::T_SubLink if of_several => {
                    pg_sys::contain_vars_of_level((*node.cast::<pg_sys::SubLink>()).subselect, 1)
                }
                _ => false,
            };
            if several { Next::Stop } else { Next::Into }
        })
    }
}

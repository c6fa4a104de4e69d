//! A column of a table, as what a value is made from.

use pgrx::pg_sys;

/// A column of a table that a column of a query is made from, unchanged or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The table, or foreign table.
    pub table: pg_sys::Oid,
    /// The column's number in it.
    pub number: pg_sys::AttrNumber,
}

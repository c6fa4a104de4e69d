//! What of a table a model was trained from, under whatever names the training query had it.

use std::collections::HashSet;
use std::ffi::CStr;

use pgrx::pg_sys;

use super::order::Order;
use crate::pg::error::Result;
use crate::pg::inheritance::{inheritors, parents};
use crate::pg::learnt_from::{LearntFrom, Part, TableColumn};
use crate::pg::reader;
use crate::pg::rows::Source;

/// What the versions of a model were trained from.
pub(super) struct Learnt<'a> {
    model: &'a str,
    from: Vec<LearntFrom>,
}

impl<'a> Learnt<'a> {
    pub(super) fn of(order: &'a Order) -> Result<Self> {
        let mut from = reader::learnt_from(&order.resolved)?;
        // The target is told of first.
        from.sort_by_key(|from| from.part);
        Ok(Self {
            model: order.resolved.label(),
            from,
        })
    }

    /// Which column of the model was made from a column of this name in the table, in what belongs
    /// to it or in what it belongs to.
    pub(super) fn made_from(&self, table: pg_sys::Oid, column: &CStr) -> Option<String> {
        if self.from.is_empty() {
            return None;
        }
        let sources = family(table, column);
        let columns: Vec<TableColumn> = sources
            .iter()
            .copied()
            .filter_map(TableColumn::of)
            .collect();
        let is_among = |from: &&LearntFrom| {
            from.was_in(&sources) || columns.iter().any(|column| from.is(column))
        };
        let from = self.from.iter().find(is_among)?;
        let part = match from.part {
            Part::Target => "the target of",
            Part::Feature => "a feature of",
            Part::Option => "named by an option of",
        };
        Some(format!(
            "column \"{}\", {part} model \"{}\"",
            from.column, self.model
        ))
    }
}

/// The columns of that name in a table, its ancestors and all their partitions and heirs, which have
/// it from each other.
fn family(table: pg_sys::Oid, column: &CStr) -> HashSet<Source> {
    let number = |table| {
        // SAFETY: a look-up that gives 0 where nothing is found.
        let number = unsafe { pg_sys::get_attnum(table, column.as_ptr()) };
        (number > 0).then_some(Source { table, number })
    };
    let mut line = vec![table];
    let mut at = 0;
    while let Some(&child) = line.get(at) {
        for parent in parents(child) {
            if number(parent).is_some() && !line.contains(&parent) {
                line.push(parent);
            }
        }
        at += 1;
    }
    let heirs = line
        .iter()
        .flat_map(|&table| inheritors(table, pg_sys::NoLock));
    heirs.filter_map(number).collect()
}

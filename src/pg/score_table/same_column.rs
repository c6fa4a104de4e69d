//! Whether the column that is written is still the one of the beginning.
//!
//! It goes by its name, which is another column's after a renaming between two batches, or in a
//! partition that is attached meanwhile.

use std::collections::HashMap;
use std::ffi::{CStr, CString};

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::extent::heirs;
use super::order::Order;
use crate::pg::error::{Report, Result};

/// A column, and what it is in the partitions and heirs of its table.
pub(super) struct SameColumn {
    own: Column,
    /// Its number in each table, of those too that do not belong to the table any more.
    numbers: Numbers,
}

/// The number of a column of one name in each of several tables.
pub(super) type Numbers = HashMap<pg_sys::Oid, pg_sys::AttrNumber>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    number: pg_sys::AttrNumber,
    type_oid: pg_sys::Oid,
    modifier: i32,
}

impl SameColumn {
    /// The column of the call, in tables that are locked; `None` where it is not there.
    pub(super) fn of(order: &Order) -> Option<Self> {
        Some(Self {
            own: column_of(order.table, &name_of(order))?,
            numbers: numbers(order),
        })
    }

    /// Locks the table as an UPDATE does, and checks that its column is that of the beginning. That
    /// the table is gone is for others to say.
    ///
    /// # Errors
    /// 42703 where no column has the name any more, 22023 where another one has it, or it is of
    /// another type.
    pub(super) fn check(&self, order: &Order) -> Result<()> {
        // SAFETY: a missing relation is null; the lock stays when it is closed.
        let table = unsafe {
            let lock = pg_sys::RowExclusiveLock as i32;
            let relation = pg_sys::try_relation_open(order.table, lock);
            if relation.is_null() {
                return Ok(());
            }
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            table_name(order.table)
        };
        let what = format!("column \"{}\" of table {table}", order.column);
        let was = self.own;
        let Some(is) = column_of(order.table, &name_of(order)) else {
            return Err(Report::new(
                Code::ERRCODE_UNDEFINED_COLUMN,
                format!("{what} was {} during the call", fate(order.table, was)),
            )
            .hint(AGAIN));
        };
        if is.number != was.number {
            return Err(Report::invalid(format!(
                "{what} is another one than when the call began: that was {} meanwhile",
                fate(order.table, was)
            ))
            .hint(AGAIN));
        }
        if is != was {
            return Err(Report::invalid(format!(
                "{what} was of type {} when the call began, and is of type {} now",
                type_of(was),
                type_of(is)
            ))
            .hint(
                "What was scored stays, converted. Call neural.score_table again for a column of the \
                 type that is meant.",
            ));
        }
        Ok(())
    }

    /// Checks that in a table that belonged to the call's at any time the column is the one that it
    /// was.
    ///
    /// # Errors
    /// 22023 where it is another one.
    pub(super) fn check_in(&self, order: &Order, numbers: &Numbers) -> Result<()> {
        let is_other = |&(table, number): &(&pg_sys::Oid, &pg_sys::AttrNumber)| {
            self.numbers.get(table).is_some_and(|was| was != number)
        };
        match numbers.iter().find(is_other) {
            None => Ok(()),
            Some((&table, _)) => Err(Report::invalid(format!(
                "column \"{}\" of table {}, a part of table {}, is another one than when the call \
                 began",
                order.column,
                table_name(table),
                table_name(order.table)
            ))
            .hint(AGAIN)),
        }
    }

    /// Takes in what came.
    pub(super) fn add(&mut self, numbers: Numbers) {
        self.numbers.extend(numbers);
    }
}

const AGAIN: &str =
    "What was scored stays. Call neural.score_table again for the column that is meant.";

/// The column's number in the table, its partitions and heirs as they are now, which are locked as an
/// UPDATE locks them.
pub(super) fn numbers(order: &Order) -> Numbers {
    let name = name_of(order);
    heirs(order.table)
        .into_iter()
        // SAFETY: a look-up that gives 0 where nothing is found.
        .map(|table| (table, unsafe { pg_sys::get_attnum(table, name.as_ptr()) }))
        .collect()
}

/// Checks that a table has the name still by which a statement has written it: a lock on it does not
/// keep its schema from being renamed, and another one from getting that name.
///
/// # Errors
/// 40001, after which the batch is tried again.
pub(super) fn check_name(table: pg_sys::Oid, written: &str) -> Result<()> {
    let now = table_name(table);
    if now == written {
        return Ok(());
    }
    Err(Report::new(
        Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
        format!("table {written} became {now} while it was written"),
    )
    .hint("Call neural.score_table again."))
}

fn name_of(order: &Order) -> CString {
    CString::new(order.column.as_str()).unwrap_or_default()
}

fn column_of(table: pg_sys::Oid, name: &CStr) -> Option<Column> {
    // SAFETY: look-ups, the first of which gives 0 where nothing is found; the table is locked.
    unsafe {
        let number = pg_sys::get_attnum(table, name.as_ptr());
        if number <= 0 {
            return None;
        }
        let (mut type_oid, mut modifier, mut collation) =
            (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
        pg_sys::get_atttypetypmodcoll(table, number, &mut type_oid, &mut modifier, &mut collation);
        Some(Column {
            number,
            type_oid,
            modifier,
        })
    }
}

/// What became of a column that has not its name any more.
fn fate(table: pg_sys::Oid, was: Column) -> String {
    // SAFETY: look-ups; a name is a palloc'ed C string, and that of a dropped column not found by it.
    unsafe {
        let name = pg_sys::get_attname(table, was.number, true);
        if name.is_null() || pg_sys::get_attnum(table, name) != was.number {
            return "dropped".to_owned();
        }
        format!("renamed to \"{}\"", CStr::from_ptr(name).to_string_lossy())
    }
}

fn type_of(column: Column) -> String {
    let flags = match column.modifier {
        ..0 => 0,
        _ => pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN,
    };
    // SAFETY: gives a palloc'ed C string, whether there is such a type or not.
    unsafe {
        let name = pg_sys::format_type_extended(column.type_oid, column.modifier, flags as u16);
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// A table's name with its schema, quoted.
fn table_name(table: pg_sys::Oid) -> String {
    // SAFETY: look-ups that give null where nothing is found, else palloc'ed C strings.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(table));
        let name = pg_sys::get_rel_name(table);
        if schema.is_null() || name.is_null() {
            return format!("with OID {}", table.to_u32());
        }
        let text = |text| CStr::from_ptr(text).to_string_lossy();
        pgrx::spi::quote_qualified_identifier(text(schema), text(name))
    }
}

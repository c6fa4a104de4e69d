//! Whether a column may receive answers: what it holds is lost batch by batch, without a way back.
//!
//! So a column is refused whose values tell rows apart, tie them to other tables or say in which
//! partition they lie, and one from which a generated column makes what the model reads or was
//! trained on.

use std::ffi::{CStr, CString};

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::spi::{quote_identifier, quote_literal};
use pgrx::{PgList, pg_sys};

use super::extent::heirs;
use super::learnt::Learnt;
use super::order::Order;
use super::output::Output;
use super::statement::{Written, count};
use crate::pg::error::{Report, Result};
use crate::pg::generated::{columns_read, generated_columns};

unsafe extern "C-unwind" {
    // catalog/partition.h, which pgrx has no bindings for.
    fn get_partition_ancestors(table: pg_sys::Oid) -> *mut pg_sys::List;
    fn has_partition_attrs(
        relation: pg_sys::Relation,
        attributes: *mut pg_sys::Bitmapset,
        in_expression: *mut bool,
    ) -> bool;
}

/// Checks the column in the table of this name, in what belongs to it and in what it belongs to.
///
/// # Errors
/// 22023 for a column that is no fit receiver.
pub(super) fn check(order: &Order, table: &str, written: &Written) -> Result<()> {
    let refuse = |why: String| {
        Report::invalid(format!(
            "column \"{}\" of table {table} {why}, and answers would take the place of its values",
            order.column
        ))
        .hint(own_column(order, table))
    };
    let name = CString::new(order.column.as_str()).unwrap_or_default();
    let learnt = Learnt::of(order)?;
    if let Some(made) = learnt.made_from(order.table, &name) {
        return Err(refuse(format!("is what {made}, was made from")));
    }
    // SAFETY: the OIDs of relations that are locked, or of partitioned tables above one.
    let ancestors = unsafe {
        let list = pg_guard_ffi_boundary(|| match pg_sys::get_rel_relispartition(order.table) {
            true => get_partition_ancestors(order.table),
            false => std::ptr::null_mut(),
        });
        PgList::<pg_sys::Oid>::from_pg(list)
    };
    let ancestors = (0..ancestors.len()).filter_map(|i| ancestors.get_oid(i));
    for oid in heirs(order.table).into_iter().chain(ancestors) {
        let lock = pg_sys::AccessShareLock as i32;
        // SAFETY: the relation is there, since a transaction holds a lock on it or on a partition
        // of it; it is closed again.
        let found = unsafe {
            let relation = pg_sys::relation_open(oid, lock);
            let number = pg_sys::get_attnum(oid, name.as_ptr());
            let found = tied(relation, number).or_else(|| source(relation, number, order, &learnt));
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            found
        };
        if let Some(why) = found {
            return Err(refuse(why));
        }
    }
    let serial = format!(
        "SELECT pg_catalog.count(pg_catalog.pg_get_serial_sequence({}, {}))",
        quote_literal(table),
        quote_literal(&order.column)
    );
    match count(&serial, written)? {
        0 => Ok(()),
        _ => Err(refuse("takes its values from a sequence".to_owned())),
    }
}

/// What to do where a column is not fit.
pub(super) fn own_column(order: &Order, table: &str) -> String {
    let own = format!("{}_answer", order.resolved.model);
    let own = quote_identifier(&own);
    format!(
        "Give the answers a column of their own: ALTER TABLE {table} ADD COLUMN {own} {}.",
        Output::usual_type(&order.model)
    )
}

/// What a column is part of that ties its values to something else.
///
/// # Safety
/// An open relation and the number of one of its columns, or 0.
unsafe fn tied(relation: pg_sys::Relation, number: pg_sys::AttrNumber) -> Option<String> {
    // SAFETY: as the caller says; lists and sets are in the current memory context.
    unsafe {
        let indexes = PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(relation));
        for oid in (0..indexes.len()).filter_map(|i| indexes.get_oid(i)) {
            let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
            let form = &*(*index).rd_index;
            let keys = form.indkey.values.as_slice(form.indnkeyatts as usize);
            let is_key = form.indisunique || form.indisexclusion;
            let has_column = is_key
                && (keys.contains(&number)
                    || columns_read(pg_sys::RelationGetIndexExpressions(index).cast())
                        .contains(&number));
            let name = pg_sys::name_data_to_str(&(*(*index).rd_rel).relname).to_owned();
            let what = match (form.indisprimary, form.indisexclusion) {
                (true, _) => "the primary key",
                (_, true) => "the exclusion constraint",
                _ => "the unique index",
            };
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            if has_column {
                return Some(format!("is part of {what} \"{name}\""));
            }
        }
        let keys = pg_sys::RelationGetFKeyList(relation);
        for key in PgList::<pg_sys::ForeignKeyCacheInfo>::from_pg(keys).iter_ptr() {
            if (&(*key).conkey)[..(*key).nkeys as usize].contains(&number) {
                let name = pg_sys::get_constraint_name((*key).conoid);
                let name = match name.is_null() {
                    true => String::new(),
                    false => format!(" \"{}\"", CStr::from_ptr(name).to_string_lossy()),
                };
                return Some(format!("is part of the foreign key{name}"));
            }
        }
        let partitioned = (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
        if partitioned && number > 0 {
            let attributes = pg_sys::bms_make_singleton(bit(number));
            let mut in_expression = false;
            if pg_guard_ffi_boundary(|| {
                has_partition_attrs(relation, attributes, &mut in_expression)
            }) {
                let name = pg_sys::name_data_to_str(&(*(*relation).rd_rel).relname);
                return Some(format!("is part of the partition key of table \"{name}\""));
            }
        }
        None
    }
}

/// Which generated column that the model reads, or was trained on, is made from a column.
///
/// # Safety
/// As for [`tied`].
unsafe fn source(
    relation: pg_sys::Relation,
    number: pg_sys::AttrNumber,
    order: &Order,
    learnt: &Learnt,
) -> Option<String> {
    // SAFETY: as the caller says.
    let (generated, columns) = unsafe {
        let columns = pgrx::PgTupleDesc::from_pg_unchecked((*relation).rd_att);
        (generated_columns(relation), columns)
    };
    for made in generated {
        let Some(column) = columns.get((made.number - 1) as usize) else {
            continue;
        };
        if !made.from.contains(&number) {
            continue;
        }
        let (name, features) = (column.name(), &order.model.features.features);
        let label = order.resolved.label();
        let what = match () {
            () if features.iter().any(|feature| feature.name == name) => {
                format!("a feature of model \"{label}\"")
            }
            () if order.model.target.column() == name => {
                format!("what is learnt by model \"{label}\"")
            }
            () => {
                // SAFETY: as the caller says; a column's name ends with a zero byte.
                let made = unsafe {
                    let name = CStr::from_ptr(column.attname.data.as_ptr());
                    learnt.made_from((*relation).rd_id, name)
                };
                match made {
                    Some(made) => format!("and that is what {made}, was made from"),
                    None => continue,
                }
            }
        };
        return Some(format!(
            "is what column \"{name}\" is generated from, {what}"
        ));
    }
    None
}

/// A column's place in sets of columns.
fn bit(number: pg_sys::AttrNumber) -> i32 {
    i32::from(number) - pg_sys::FirstLowInvalidHeapAttributeNumber
}

//! What generated columns are made from.

use pgrx::pg_sys;

/// A generated column, and the columns of the same row that it is made from.
pub(crate) struct Generated {
    pub(crate) number: pg_sys::AttrNumber,
    pub(crate) from: Vec<pg_sys::AttrNumber>,
}

/// The generated columns of a relation.
///
/// # Safety
/// It is open.
pub(crate) unsafe fn generated_columns(relation: pg_sys::Relation) -> Vec<Generated> {
    // SAFETY: as the caller says; a default's text is an expression's, over the relation as entry 1.
    unsafe {
        let descriptor = (*relation).rd_att;
        let constraints = (*descriptor).constr;
        if constraints.is_null() || (*constraints).num_defval == 0 {
            return Vec::new();
        }
        let defaults =
            std::slice::from_raw_parts((*constraints).defval, (*constraints).num_defval as usize);
        let columns = pgrx::PgTupleDesc::from_pg_unchecked(descriptor);
        let is_generated = |default: &&pg_sys::AttrDefault| {
            let column = columns.get((default.adnum - 1) as usize);
            column.is_some_and(|column| column.attgenerated != 0)
        };
        let generated = |default: &pg_sys::AttrDefault| Generated {
            number: default.adnum,
            from: columns_read(pg_sys::stringToNode(default.adbin).cast()),
        };
        defaults
            .iter()
            .filter(is_generated)
            .map(generated)
            .collect()
    }
}

/// The generated columns of a table; none of one that is gone.
pub(crate) fn generated_in(table: pg_sys::Oid) -> Vec<Generated> {
    let lock = pg_sys::AccessShareLock as i32;
    // SAFETY: a missing relation is null; another is open until it is closed.
    unsafe {
        let relation = pg_sys::try_relation_open(table, lock);
        if relation.is_null() {
            return Vec::new();
        }
        let columns = generated_columns(relation);
        pg_sys::relation_close(relation, lock);
        columns
    }
}

/// The columns of a relation that an expression over it, or one of several, reads.
///
/// # Safety
/// An expression over the relation as entry 1 of a range table, or null.
pub(crate) unsafe fn columns_read(expression: *mut pg_sys::Node) -> Vec<pg_sys::AttrNumber> {
    let mut read = std::ptr::null_mut();
    let mut found = Vec::new();
    // SAFETY: as the caller says; the set is in the current memory context.
    unsafe {
        pg_sys::pull_varattnos(expression, 1, &mut read);
        let mut member = -1;
        loop {
            member = pg_sys::bms_next_member(read, member);
            if member < 0 {
                return found;
            }
            // Sets hold no negative numbers, as those of system columns are.
            found.push((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as pg_sys::AttrNumber);
        }
    }
}

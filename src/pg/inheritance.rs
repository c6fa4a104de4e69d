//! Which tables are partitions of others or inherit from them.

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{PgList, pg_sys};

unsafe extern "C-unwind" {
    // catalog/pg_inherits.h, which pgrx has no bindings for.
    fn find_all_inheritors(
        parent: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// The catalog pg_inherits and its index by the heir, which pgrx has no bindings for.
const INHERITS: u32 = 2611;
const INHERITS_INDEX: u32 = 2680;

/// The first columns of pg_inherits.
#[repr(C)]
struct Inherits {
    _heir: pg_sys::Oid,
    parent: pg_sys::Oid,
}

/// A table, its partitions and heirs, with this lock on each.
pub(crate) fn inheritors(table: pg_sys::Oid, lock: u32) -> Vec<pg_sys::Oid> {
    // SAFETY: a table's OID; the list is in the current memory context.
    let oids = unsafe {
        let list =
            pg_guard_ffi_boundary(|| find_all_inheritors(table, lock as i32, std::ptr::null_mut()));
        PgList::<pg_sys::Oid>::from_pg(list)
    };
    (0..oids.len()).filter_map(|i| oids.get_oid(i)).collect()
}

/// The tables that a table is a partition of or inherits from.
pub(crate) fn parents(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: the catalog's rows are of the type named; all is closed again.
    unsafe {
        let lock = pg_sys::AccessShareLock as i32;
        let catalog = pg_sys::table_open(INHERITS.into(), lock);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            1,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::F_OIDEQ.into(),
            table.into(),
        );
        let scan = pg_sys::systable_beginscan(
            catalog,
            INHERITS_INDEX.into(),
            true,
            std::ptr::null_mut(),
            1,
            &mut key,
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let row: *const Inherits = pg_sys::GETSTRUCT(tuple).cast();
            found.push((*row).parent);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, lock);
    }
    found
}

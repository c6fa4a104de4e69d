//! The roles that own models, were granted some or asked for jobs, as PostgreSQL knows them.
//!
//! These are rows of ours, so PostgreSQL would drop a role that has some without a word. It does
//! know of rights on functions: every such role may execute `_neural.model_owner_or_grantee()`, which
//! makes DROP ROLE refuse, names that function as the reason, and lets DROP OWNED take the right away.
//! `pg::catalog` keeps the two in step.

use pgrx::prelude::*;

use super::error::Result;
use super::own_table::columns::holder;
use super::own_table::{Key, Table};

/// The function whose EXECUTE right says that a role has models.
const MARK: &std::ffi::CStr = c"model_owner_or_grantee";

/// Does nothing; what counts is who may execute it.
#[pg_extern(sql = false)]
fn model_owner_or_grantee() {}

/// `_neural.is_granted`, for the views: whether a grant to this role counts.
#[pg_extern(sql = false)]
fn is_granted(grantee: Option<pg_sys::Oid>) -> bool {
    grantee.is_some_and(counts)
}

/// Whether a grant to this role counts: one to PUBLIC always, else unless DROP OWNED took it or the
/// role is gone.
pub(crate) fn counts(grantee: pg_sys::Oid) -> bool {
    grantee == super::role::PUBLIC || mark().is_some_and(|mark| mark.holders.contains(&grantee))
}

/// Whether models and jobs of this role are its own: not after DROP OWNED, or the role would have been
/// dropped with models that a later role of the same OID then had. Where a dump was restored without privileges
/// the role was never known, and has what it had.
pub(crate) fn owns(role: pg_sys::Oid) -> Result<bool> {
    Ok(counts(role) || !was_known(role)?)
}

/// Whether this database has made the role known to PostgreSQL.
fn was_known(role: pg_sys::Oid) -> Result<bool> {
    let table = Table::open(c"holder")?;
    let mut scan = table.scan(c"holder_pkey", &[Key::oid(holder::ROLE, role)])?;
    Ok(scan.next().is_some())
}

/// The function, and who may execute it.
pub(crate) struct Mark {
    pub(crate) function: pg_sys::Oid,
    pub(crate) owner: pg_sys::Oid,
    pub(crate) holders: Vec<pg_sys::Oid>,
}

/// Looks the function up in PostgreSQL's cache; `None` where the extension is not there.
pub(crate) fn mark() -> Option<Mark> {
    use pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP;
    // SAFETY: syscache lookups by name, without arguments; the row is copied from before it is
    // released. An access list is a one-dimensional array without NULLs of fixed-size items, which
    // may have been compressed.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"_neural".as_ptr(), true);
        let none = pg_sys::buildoidvector(std::ptr::null(), 0);
        let row = pg_sys::SearchSysCache3(
            PROCNAMEARGSNSP as i32,
            pg_sys::Datum::from(MARK.as_ptr()),
            pg_sys::Datum::from(none),
            pg_sys::Datum::from(schema),
        );
        pg_sys::pfree(none.cast());
        if row.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_proc>();
        let (function, owner) = ((*form).oid, (*form).proowner);
        let mut is_null = false;
        let acl = pg_sys::SysCacheGetAttr(
            PROCNAMEARGSNSP as i32,
            row,
            pg_sys::Anum_pg_proc_proacl as i16,
            &mut is_null,
        );
        let mut holders = vec![owner];
        if !is_null {
            let stored: *mut pg_sys::varlena = acl.cast_mut_ptr();
            let plain = pg_sys::pg_detoast_datum(stored);
            let array = plain.cast::<pg_sys::ArrayType>();
            let array = std::ptr::NonNull::new_unchecked(array);
            let mut items = pgrx::array::RawArray::from_ptr(array);
            for item in items.data::<pg_sys::AclItem>().as_ref() {
                if item.ai_privs & pg_sys::AclMode::from(pg_sys::ACL_EXECUTE) != 0 {
                    holders.push(item.ai_grantee);
                }
            }
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
        }
        pg_sys::ReleaseSysCache(row);
        Some(Mark {
            function,
            owner,
            holders,
        })
    }
}

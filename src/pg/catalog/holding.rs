//! Keeps [`holders`] in step with who owns models, who was granted some and who asked for jobs.

use pgrx::pg_sys;

use super::{AsTableOwner, execute, fetch};
use crate::pg::error::{Report, Result};
use crate::pg::{holders, role};

/// Before a role becomes a model's owner or grantee, or has a job: makes it known to PostgreSQL.
///
/// Until the transaction ends the role cannot be dropped, and nobody can [`release`] it.
pub(super) fn hold(owner: &AsTableOwner, role: pg_sys::Oid) -> Result<()> {
    if role == role::PUBLIC {
        return Ok(());
    }
    // SAFETY: waits for a heavyweight lock, or raises an error. DROP ROLE takes the strongest.
    unsafe {
        pg_sys::LockSharedObject(
            pg_sys::AuthIdRelationId,
            role,
            0,
            pg_sys::RowExclusiveLock as i32,
        );
    }
    if role::name(role).is_none() {
        return Err(missing(role));
    }
    let held = |mark: &holders::Mark| mark.holders.contains(&role);
    let Some(mark) = holders::mark() else {
        return Err(Report::internal("the function that marks roles is missing"));
    };
    if held(&mark) {
        return remember(owner, role);
    }
    // Of two that change one function's privileges at once, PostgreSQL lets one fail.
    // SAFETY: as above.
    unsafe {
        pg_sys::LockDatabaseObject(
            pg_sys::ProcedureRelationId,
            mark.function,
            0,
            pg_sys::ExclusiveLock as i32,
        );
    }
    if holders::mark().as_ref().is_some_and(held) {
        return remember(owner, role);
    }
    // What DROP OWNED took must not come back with what is given now.
    let sql = "DELETE FROM _neural.model_grant WHERE grantee::oid = $1";
    execute(owner, sql, &[role::argument(role)])?;
    for sql in [
        "UPDATE _neural.model SET owner = $2::_neural.role
         WHERE owner::oid = $1 AND EXISTS (SELECT FROM _neural.holder WHERE role = $1)",
        "UPDATE _neural.job SET requested_by = $2::_neural.role
         WHERE requested_by::oid = $1 AND EXISTS (SELECT FROM _neural.holder WHERE role = $1)",
    ] {
        let nobody = role::argument(role::NOBODY);
        execute(owner, sql, &[role::argument(role), nobody])?;
    }
    change(owner, "GRANT", "TO", role)?;
    remember(owner, role)
}

/// Keeps that the role was made known: it may be known by a restored dump alone.
fn remember(owner: &AsTableOwner, role: pg_sys::Oid) -> Result<()> {
    let sql = "INSERT INTO _neural.holder (role)
               SELECT $1 WHERE NOT EXISTS (SELECT FROM _neural.holder WHERE role = $1)
               ON CONFLICT DO NOTHING";
    execute(owner, sql, &[role::argument(role)])?;
    Ok(())
}

/// After a role may have lost its last model or grant: lets PostgreSQL drop it, unless it has jobs, or
/// others are giving it models at this moment, or are about to take the last. Then it stays known, and
/// DROP OWNED releases it.
pub(super) fn release(owner: &AsTableOwner, roles: &[pg_sys::Oid]) -> Result<()> {
    for &role in roles {
        let Some(mark) = holders::mark() else {
            return Ok(());
        };
        if role == mark.owner || !mark.holders.contains(&role) {
            continue;
        }
        let free = try_lock(pg_sys::InvalidOid, pg_sys::AuthIdRelationId, role)
            // SAFETY: reads a variable of the backend.
            && try_lock(unsafe { pg_sys::MyDatabaseId }, pg_sys::ProcedureRelationId, mark.function);
        if !free {
            continue;
        }
        let has_some = fetch::<bool>(
            owner,
            "SELECT EXISTS (SELECT FROM _neural.model WHERE owner::oid = $1)
                 OR EXISTS (SELECT FROM _neural.model_grant WHERE grantee::oid = $1)
                 OR EXISTS (SELECT FROM _neural.job WHERE requested_by::oid = $1)",
            &[role::argument(role)],
        )?;
        if has_some == Some(false) {
            change(owner, "REVOKE", "FROM", role)?;
            let sql = "DELETE FROM _neural.holder WHERE role = $1";
            execute(owner, sql, &[role::argument(role)])?;
        }
    }
    Ok(())
}

/// 42704 for a role that does not exist: `regrole` takes any number.
pub(super) fn missing(role: pg_sys::Oid) -> Report {
    Report::undefined(format!("role with OID {} does not exist", role.to_u32()))
        .hint("Name the role, or '-' for PUBLIC where everybody is meant.")
}

fn change(owner: &AsTableOwner, verb: &str, preposition: &str, role: pg_sys::Oid) -> Result<()> {
    // A role that was dropped has no privileges left.
    let Some(name) = role::name(role) else {
        return Ok(());
    };
    let sql = format!(
        "{verb} EXECUTE ON FUNCTION _neural.model_owner_or_grantee() {preposition} {}",
        pgrx::spi::quote_identifier(name)
    );
    execute(owner, &sql, &[])?;
    Ok(())
}

/// Takes an exclusive lock on an object until the transaction ends, if nobody stands in the way.
fn try_lock(database: pg_sys::Oid, class: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: database.to_u32(),
        locktag_field2: class.to_u32(),
        locktag_field3: object.to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    // SAFETY: a tag as PostgreSQL's own macro fills it; what others changed before is then seen.
    unsafe {
        let taken = pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, true);
        pg_sys::AcceptInvalidationMessages();
        taken != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }
}

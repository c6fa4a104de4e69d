//! Which functions, views, indexes and the like call a model: what `sql/03_users.sql` finds.

use pgrx::prelude::*;

use super::{AsTableOwner, fetch};
use crate::pg::error::{Report, Result};
use crate::pg::reader::{self, Resolved};

/// Most objects that a message lists.
const LISTED: usize = 100;

/// An object that names a model.
pub(super) struct Named {
    /// As PostgreSQL describes it: its kind and its name.
    pub(super) object: String,
    /// Where `neural.create_function` made it.
    pub(super) made: Option<Made>,
}

/// What `neural.create_function` was asked for.
pub(super) struct Made {
    pub(super) function: String,
    pub(super) returns: String,
}

/// Keeps a version from being dropped until the transaction ends, for a function that is about to be
/// pinned to it.
pub(crate) fn keep_version(version: &Resolved) -> Result<()> {
    let owner = AsTableOwner::enter()?;
    let sql = "SELECT true FROM _neural.version WHERE id = $1 FOR KEY SHARE";
    match fetch::<bool>(&owner, sql, &[version.version_id.into()])? {
        Some(_) => Ok(()),
        None => Err(reader::no_such_version(
            &version.model,
            &version.number.to_string(),
        )),
    }
}

/// Waits for those that [`keep_version`] of one version of a model, or of any, and keeps others off.
pub(super) fn wait_for_new(owner: &AsTableOwner, model: i64, version: Option<i64>) -> Result<()> {
    let sql = "SELECT count(*) FROM (SELECT FROM _neural.version
                   WHERE model = $1 AND ($2 IS NULL OR id = $2) FOR UPDATE) AS v";
    fetch::<i64>(owner, sql, &[model.into(), version.into()])?;
    Ok(())
}

/// What is pinned to one version of a model, or to any, and to no other version of the same bytes.
pub(super) fn pinned(
    owner: &AsTableOwner,
    model: i64,
    version: Option<i64>,
) -> Result<Vec<String>> {
    let (column, value) = match version {
        Some(version) => ("id", version),
        None => ("model", model),
    };
    look(
        owner,
        &format!(
            "SELECT array_agg(object ORDER BY object) FROM (
                 SELECT DISTINCT pg_describe_object(u.classid, u.objid, u.objsubid) AS object
                 FROM _neural.model_user u JOIN _neural.version v ON v.id = u.version
                 WHERE u.kind = 'pinned' AND v.{column} = {value} AND NOT EXISTS
                     (SELECT FROM _neural.version o WHERE o.sha256 = v.sha256 AND o.{column} <> {value})
             ) AS pinned WHERE object IS NOT NULL"
        ),
    )
}

/// What names a model, or one version of it.
pub(super) fn named(owner: &AsTableOwner, model: i64, version: Option<i64>) -> Result<Vec<Named>> {
    let of_version = match version {
        Some(version) => format!("AND version = {version}"),
        None => String::new(),
    };
    let found = look(
        owner,
        &format!(
            "SELECT array_agg(field ORDER BY object, place) FROM (
                 SELECT DISTINCT ON (object) object, made.name, made.returns
                 FROM (SELECT classid, objid, pg_describe_object(classid, objid, 0) AS object
                       FROM _neural.model_reference WHERE kind = 'named' AND model = {model} {of_version}) AS r
                 LEFT JOIN LATERAL (
                     SELECT format('%I.%I', n.nspname, p.proname) AS name,
                            split_part(obj_description(p.oid, 'pg_proc'), ' ', 1) AS returns
                     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                     WHERE r.classid = 'pg_proc'::regclass AND p.oid = r.objid
                       AND obj_description(p.oid, 'pg_proc') LIKE '%made by neural.create_function'
                 ) AS made ON true
                 WHERE object IS NOT NULL ORDER BY object
             ) AS named,
             LATERAL (VALUES (1, object), (2, coalesce(name, '')), (3, coalesce(returns, '')))
                 AS fields (place, field)"
        ),
    )?;
    let users = found.chunks_exact(3).map(|fields| {
        let [object, function, returns] = [0, 1, 2].map(|place| fields[place].clone());
        Named {
            object,
            made: (!function.is_empty()).then_some(Made { function, returns }),
        }
    });
    Ok(users.collect())
}

/// Objects for a message, a line each.
pub(super) fn listed(objects: impl IntoIterator<Item = String>) -> String {
    let mut objects: Vec<String> = objects.into_iter().collect();
    let more = objects.len().saturating_sub(LISTED);
    objects.truncate(LISTED);
    if more > 0 {
        objects.push(format!("and {more} more, which neural.model_users shows"));
    }
    objects.join("\n")
}

/// Runs a query that returns one array, under a snapshot of its own: what others committed is seen
/// even where the transaction's snapshot is older, and a lock that was waited for counts.
fn look(_owner: &AsTableOwner, sql: &str) -> Result<Vec<String>> {
    let command = std::ffi::CString::new(sql)
        .map_err(|_| Report::internal("a query holds the character NUL"))?;
    Spi::connect(|_| {
        // SAFETY: inside SPI, which frees what it returned when the closure ends. The snapshot that
        // is pushed is popped again; an error's abort does so by itself. The value is an array of
        // texts by the queries above.
        unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            pg_sys::SPI_execute(command.as_ptr(), true, 1);
            let found = pg_sys::SPI_tuptable
                .as_ref()
                .filter(|table| table.numvals > 0)
                .and_then(|table| {
                    let mut is_null = true;
                    let value = pg_sys::SPI_getbinval(*table.vals, table.tupdesc, 1, &mut is_null);
                    Vec::<String>::from_datum(value, is_null)
                });
            pg_sys::PopActiveSnapshot();
            Ok(found.unwrap_or_default())
        }
    })
}

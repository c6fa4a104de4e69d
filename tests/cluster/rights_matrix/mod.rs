//! Every kind of role against every object of the extension, as the catalogs list them: an object
//! that no line here speaks of fails the test.

mod objects;
mod own;
mod roles;

use std::collections::BTreeMap;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{outcome, text};
use crate::harness::Cluster;
use objects::{CALLS, CLOSED, Needs, RESTRICTED_VIEWS, VIEWS};
use roles::{Kind, Right, kinds};

/// What of the extension a role has privileges on, by the catalogs.
const PRIVILEGES: &str = "
    WITH member AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_neural')
    SELECT coalesce(string_agg(DISTINCT object, E'\\n'), '') FROM (
        SELECT 'execute ' || n.nspname || '.' || p.proname
        FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE has_function_privilege(p.oid, 'EXECUTE')
        UNION ALL
        SELECT lower(privilege) || ' ' || n.nspname || '.' || c.relname
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        JOIN pg_namespace n ON n.oid = c.relnamespace,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
        WHERE c.relkind IN ('r', 'v') AND (has_table_privilege(c.oid, privilege)
            OR CASE WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                    THEN has_any_column_privilege(c.oid, privilege) END)
        UNION ALL
        SELECT lower(privilege) || ' ' || n.nspname || '.' || c.relname
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        JOIN pg_namespace n ON n.oid = c.relnamespace,
        unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS privilege
        WHERE c.relkind = 'S' AND has_sequence_privilege(c.oid, privilege)
        UNION ALL
        SELECT 'usage ' || format_type(t.oid, NULL)
        FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
        WHERE t.typtype = 'b' AND t.typelem = 0 AND has_type_privilege(t.oid, 'USAGE')
        UNION ALL
        SELECT lower(privilege) || ' schema ' || n.nspname
        FROM pg_namespace n, unnest(ARRAY['USAGE', 'CREATE']) AS privilege
        WHERE n.nspname IN ('neural', '_neural') AND has_schema_privilege(n.oid, privilege)
    ) AS list (object)";

/// The names of the extension's members of a class, such as `r` for tables or `p` for functions.
fn members(client: &mut Client, kinds: &str) -> Vec<String> {
    let sql = format!(
        "SELECT DISTINCT n.nspname || '.' || o.name
         FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_neural'
         JOIN (SELECT 'pg_class'::regclass AS class, oid, relkind::text AS kind, relname AS name,
                      relnamespace AS schema FROM pg_class
               UNION ALL
               SELECT 'pg_proc'::regclass, oid, 'p', proname, pronamespace FROM pg_proc
               UNION ALL
               SELECT 'pg_type'::regclass, oid, 't', typname, typnamespace FROM pg_type
               WHERE typtype = 'b' AND typelem = 0) AS o ON o.class = d.classid AND o.oid = d.objid
         JOIN pg_namespace n ON n.oid = o.schema
         WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
           AND strpos('{kinds}', o.kind) > 0 ORDER BY 1"
    );
    let rows = client.query(&sql, &[]).expect("the members");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The kinds of objects that the tables here speak of are all that there are.
fn no_other_kinds(client: &mut Client) {
    let sql = "SELECT coalesce(string_agg(DISTINCT pg_describe_object(d.classid, d.objid, 0), ', '), '')
               FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_neural'
               LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
               LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
               WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                 AND d.classid NOT IN ('pg_proc'::regclass, 'pg_namespace'::regclass)
                 -- Casts and their like have no privileges of their own.
                 AND d.classid NOT IN ('pg_cast'::regclass, 'pg_operator'::regclass)
                 AND coalesce(c.relkind NOT IN ('r', 'v', 'S'), t.typtype NOT IN ('b', 'c'), true)";
    assert_eq!(
        text(client, sql),
        "",
        "objects of a kind that is not looked at"
    );
}

/// What [`PRIVILEGES`] is to say of a role that nothing was granted to, and what more of others.
fn expected_privileges(client: &mut Client, kind: &Kind) -> Vec<String> {
    let mut all: Vec<String> = vec!["usage schema neural".into()];
    let superuser = kind.name == "superuser";
    for name in members(client, "p") {
        let needs = CALLS.iter().find(|call| call.function == name);
        let open = needs.is_some_and(|call| {
            matches!(call.needs, Needs::Nothing | Needs::Model(_) | Needs::Schema)
        });
        if open || superuser {
            all.push(format!("execute {name}"));
        }
    }
    // What tells PostgreSQL that the role has models or was granted some.
    if !superuser && kind.known {
        all.push("execute _neural.model_owner_or_grantee".into());
    }
    let reads = kind.name == "reader";
    let writes = [
        "insert",
        "update",
        "delete",
        "truncate",
        "references",
        "trigger",
    ];
    for view in members(client, "v") {
        if view.starts_with("neural.") || superuser || reads {
            all.push(format!("select {view}"));
        }
        if superuser {
            all.extend(writes.map(|privilege| format!("{privilege} {view}")));
        } else if reads {
            all.extend(
                writes[..3]
                    .iter()
                    .map(|privilege| format!("{privilege} {view}")),
            );
        }
    }
    for table in members(client, "r") {
        if superuser || reads {
            all.push(format!("select {table}"));
            let most = if superuser { writes.len() } else { 3 };
            all.extend(
                writes[..most]
                    .iter()
                    .map(|privilege| format!("{privilege} {table}")),
            );
        }
    }
    for sequence in members(client, "S") {
        if superuser {
            all.push(format!("usage {sequence}"));
        }
        if superuser || reads {
            all.push(format!("select {sequence}"));
            all.push(format!("update {sequence}"));
        }
    }
    if superuser {
        all.extend(
            members(client, "t")
                .iter()
                .map(|name| format!("usage {name}")),
        );
        all.push("create schema neural".into());
        all.push("create schema _neural".into());
    }
    if superuser || reads {
        all.push("usage schema _neural".into());
    }
    all.sort();
    all
}

/// Statements that were tried, and those that came to something else than they had to.
#[derive(Default)]
struct Tally {
    tried: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Tries a statement, which is taken back, of a kind of role that may do it, and then ends so, or
    /// may not.
    fn check(&mut self, kind: &mut Kind, sql: &str, may: bool, ends: Option<&SqlState>) {
        self.tried += 1;
        let came = outcome(&mut kind.client, sql);
        let denied = SqlState::INSUFFICIENT_PRIVILEGE;
        let expected = if may { ends } else { Some(&denied) };
        if came.as_ref() != expected {
            self.wrong
                .push(format!("{}: {sql}: {came:?}, not {expected:?}", kind.name));
        }
    }
}

/// Tries what a kind of role may do, and what it may not.
fn try_everything(kind: &mut Kind, admin: &mut Client, tally: &mut Tally) {
    let hash = crate::fixture::sha256(admin, kind.model);
    let superuser = kind.name == "superuser";
    let reader = kind.name == "reader";
    for call in CALLS {
        let may = match call.needs {
            Needs::Nothing => true,
            Needs::Model(right) => kind.right >= right,
            Needs::Execute(_) | Needs::Superuser => superuser,
            Needs::Schema => superuser || reader,
        };
        let sql = kind.fill(call.sql).replace("{hash}", &hash);
        tally.check(kind, &sql, may, call.ends.as_ref());
    }
    let mut check = |kind: &mut Kind, sql: &str, may: bool| tally.check(kind, sql, may, None);
    // The closed functions, by name; to whom the schema is open PostgreSQL's other rules apply.
    if !superuser && !reader {
        for name in members(admin, "p") {
            if name.starts_with("_neural.") {
                check(kind, &format!("SELECT {name}(NULL)"), false);
                check(kind, &format!("SELECT '{name}'::regproc"), false);
            }
        }
    }
    for table in members(admin, "r") {
        let may = superuser || reader;
        for sql in [
            "TABLE {t}",
            "DELETE FROM {t}",
            "COPY {t} TO STDOUT",
            "SELECT ctid FROM {t} TABLESAMPLE system (100)",
        ] {
            let sql = sql.replace("{t}", &table);
            check(kind, &sql, may);
        }
        for sql in [
            "TRUNCATE {t}",
            "ALTER TABLE {t} DISABLE ROW LEVEL SECURITY",
            "DROP TABLE {t}",
            "CREATE TEMP TABLE child () INHERITS ({t})",
            "CREATE RULE r AS ON SELECT TO {t} DO INSTEAD NOTHING",
            "CREATE POLICY p ON {t}",
            "CREATE STATISTICS s ON version, number FROM {t}",
        ] {
            if !superuser {
                check(kind, &sql.replace("{t}", &table), false);
            }
        }
    }
    for sequence in members(admin, "S") {
        // By number, since that needs no right on the schema.
        let oid = text(admin, &format!("SELECT '{sequence}'::regclass::oid::text"));
        // Whoever may write all data may count as well.
        let all = superuser || reader;
        check(kind, &format!("SELECT nextval({oid}::regclass)"), all);
        check(kind, &format!("SELECT setval({oid}::regclass, 1000)"), all);
        check(kind, &format!("SELECT last_value FROM {sequence}"), all);
    }
    for name in members(admin, "t") {
        check(kind, &format!("CREATE TEMP TABLE t (x {name})"), superuser);
        check(
            kind,
            &format!("CREATE DOMAIN pg_temp.d AS {name}"),
            superuser,
        );
    }
    for create in [
        "CREATE TABLE neural.mine ()",
        "CREATE FUNCTION neural.mine() RETURNS int LANGUAGE sql RETURN 1",
    ] {
        check(kind, create, superuser);
    }
}

/// What the views show a kind of role of its model: rows or none, and the columns of managers.
fn look(kind: &mut Kind, wrong: &mut Vec<String>) {
    for (view, rows_of) in VIEWS {
        let shown = match rows_of {
            None => true,
            // Of jobs those that one's roles asked for, as the model's owner did here.
            Some(_) if *view == "neural.jobs" => kind.right >= Right::Manage,
            Some(_) => kind.right >= Right::Use,
        };
        // A copy was never trained here.
        if *view == "neural.training_history" && kind.model != "risk" {
            continue;
        }
        let condition = rows_of.map_or("true".into(), |column| {
            format!("{column} = '{}'", kind.model)
        });
        let sql = format!("SELECT (count(*) > 0)::text FROM {view} WHERE {condition}");
        let seen = text(&mut kind.client, &sql);
        if seen != shown.to_string() {
            wrong.push(format!("{}: rows in {view}: {seen}", kind.name));
        }
    }
    if kind.right < Right::Use {
        return;
    }
    for (what, sql) in RESTRICTED_VIEWS {
        let seen = text(&mut kind.client, &sql.replace("{m}", kind.model));
        let shown = kind.right >= Right::Manage;
        if seen != shown.to_string() {
            wrong.push(format!("{}: {what} shown: {seen}", kind.name));
        }
    }
}

#[test]
fn every_kind_of_role_and_every_object() {
    let cluster = Cluster::with_extension(&[]);
    let mut admin = cluster.superuser();
    let mut kinds = kinds(&cluster);
    no_other_kinds(&mut admin);
    let called = CALLS.iter().map(|call| call.function);
    let mut listed: Vec<&str> = called.chain(CLOSED.iter().copied()).collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(
        members(&mut admin, "p"),
        listed,
        "functions without a line in the table"
    );
    let mut views: Vec<&str> = VIEWS.iter().map(|(view, _)| *view).collect();
    views.sort_unstable();
    let mut there = members(&mut admin, "v");
    there.retain(|view| view.starts_with("neural."));
    assert_eq!(there, views, "views without a line in the table");

    let mut tally = Tally::default();
    for kind in &mut kinds {
        let has = text(&mut kind.client, PRIVILEGES);
        let mut has: Vec<&str> = has.lines().collect();
        has.sort_unstable();
        let expected = expected_privileges(&mut admin, kind);
        for object in has
            .iter()
            .filter(|object| !expected.iter().any(|e| e == *object))
        {
            tally.wrong.push(format!("{}: has {object}", kind.name));
        }
        for object in expected
            .iter()
            .filter(|object| !has.contains(&object.as_str()))
        {
            tally.wrong.push(format!("{}: lacks {object}", kind.name));
        }
        try_everything(kind, &mut admin, &mut tally);
        look(kind, &mut tally.wrong);
        own::reproduce_what_others_trained(kind, &mut tally);
    }
    // What an administrator grants EXECUTE on is then for those who may do it with the model.
    for call in CALLS {
        if let Needs::Execute(_) | Needs::Superuser = call.needs {
            let sql = format!("GRANT EXECUTE ON ROUTINE {} TO PUBLIC", call.function);
            admin.batch_execute(&sql).expect("the grant");
        }
    }
    for kind in &mut kinds {
        for call in CALLS {
            let may = match call.needs {
                Needs::Execute(right) => kind.right >= right,
                Needs::Superuser => kind.name == "superuser",
                _ => continue,
            };
            let sql = kind.fill(call.sql);
            tally.check(kind, &sql, may, call.ends.as_ref());
        }
    }
    own::ask_for_jobs(&mut kinds, &mut tally);
    own::cancel_what_runs(&mut kinds, &mut tally);
    let names: BTreeMap<&str, Right> = kinds.iter().map(|kind| (kind.name, kind.right)).collect();
    println!(
        "{} statements by {} kinds of role: {names:?}",
        tally.tried,
        names.len()
    );
    assert!(
        tally.wrong.is_empty(),
        "{} wrong:\n{}",
        tally.wrong.len(),
        tally.wrong.join("\n")
    );
}

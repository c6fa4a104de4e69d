//! The ways to a model that are not a plain call: what users make that calls it, roles that a session
//! takes on, rows that are hidden, and what the administrator set before the extension came.

use std::sync::{Arc, Mutex};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::fixture::{create_loans, outcome, score, sha256, text, train};
use crate::harness::{Cluster, SUPERUSER};

/// `risk` of role `owner`, granted to `grantee` and not to `stranger`; a schema of the owner's that
/// everybody may use and make things in.
fn cluster_with_roles() -> Cluster {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 300);
    train(&mut client, "risk", 1);
    train(&mut client, "risk", 2);
    client
        .batch_execute(
            "CREATE ROLE owner LOGIN; CREATE ROLE grantee LOGIN; CREATE ROLE stranger LOGIN;
             GRANT SELECT ON loan TO PUBLIC;
             SELECT neural.set_owner('risk', 'owner'), neural.grant_model('risk', 'grantee');
             CREATE SCHEMA shop AUTHORIZATION owner; GRANT ALL ON SCHEMA shop TO PUBLIC",
        )
        .expect("the roles");
    cluster
}

/// What the model's owner makes for everybody to use.
const MADE: &str = "
    SET search_path = shop, public;
    SELECT neural.create_function('shop.named', 'risk'), neural.create_function('shop.pinned', 'risk', version => 1),
           neural.create_function('shop.classed', 'risk', returns => 'class');
    CREATE VIEW plain AS SELECT id, neural.predict('risk', age, amount, purpose) AS p FROM loan;
    CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM plain WHERE p >= 0;
    CREATE VIEW invoker WITH (security_invoker) AS SELECT id, pinned(age, amount, purpose) AS p FROM loan;
    CREATE MATERIALIZED VIEW kept AS SELECT id, named(age, amount, purpose) AS p FROM loan;
    CREATE FUNCTION inlined(age float8) RETURNS float8 LANGUAGE sql STABLE RETURN neural.predict('risk', age, 1200, 'car');
    CREATE FUNCTION in_plpgsql(age float8) RETURNS float8 LANGUAGE plpgsql AS
        $$BEGIN RETURN neural.predict('risk', age, 1200, 'car'); END$$;
    CREATE FUNCTION through_another(age float8) RETURNS float8 LANGUAGE sql AS 'SELECT in_plpgsql(age)';
    CREATE FUNCTION lent(age float8) RETURNS float8 LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        RETURN neural.predict('risk', age, 1200, 'car');
    CREATE FUNCTION lent_in_plpgsql(age float8) RETURNS float8 LANGUAGE plpgsql SECURITY DEFINER SET search_path = shop, pg_temp AS
        $$BEGIN RETURN in_plpgsql(age); END$$;
    CREATE FUNCTION lent_rows() RETURNS SETOF float8 LANGUAGE sql SECURITY DEFINER SET search_path = shop, public, pg_temp AS
        'SELECT p FROM plain';
    CREATE FUNCTION by_default(x float8 DEFAULT neural.predict('risk', 35, 1200, 'car')) RETURNS float8 LANGUAGE sql RETURN x;
    CREATE FUNCTION step(s float8, age float8) RETURNS float8 LANGUAGE sql RETURN s + neural.predict('risk', age, 1200, 'car');
    CREATE AGGREGATE total(float8) (SFUNC = step, STYPE = float8, INITCOND = '0');
    CREATE OPERATOR ~> (FUNCTION = step, LEFTARG = float8, RIGHTARG = float8);
    CREATE DOMAIN probable AS float8 CHECK (pinned(value, 1200, 'car') >= 0);
    CREATE TABLE generated (age float8, p float8 GENERATED ALWAYS AS (pinned(age, 1200, 'car')) STORED);
    CREATE TABLE checked (age float8 CHECK (pinned(age, 1200, 'car') >= 0));
    CREATE TABLE defaulted (x int, p float8 DEFAULT neural.predict('risk', 35, 1200, 'car'));
    CREATE TABLE indexed (age float8);
    CREATE INDEX ON indexed (pinned(age, 1200, 'car'));
    CREATE TABLE triggered (age float8, p float8);
    CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.p := neural.predict('risk', NEW.age, 1200, 'car'); RETURN NEW; END$$;
    CREATE TRIGGER fill BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION fill();
    CREATE TABLE triggered_lent (LIKE triggered);
    CREATE FUNCTION fill_lent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
        $$BEGIN NEW.p := neural.predict('risk', NEW.age, 1200, 'car'); RETURN NEW; END$$;
    CREATE TRIGGER fill BEFORE INSERT ON triggered_lent FOR EACH ROW EXECUTE FUNCTION fill_lent();
    CREATE TABLE ruled (age float8);
    CREATE RULE instead AS ON INSERT TO ruled DO INSTEAD SELECT neural.predict('risk', NEW.age, 1200, 'car');
    CREATE TABLE policed AS SELECT * FROM loan LIMIT 9;
    ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
    CREATE POLICY probable ON policed USING (neural.predict('risk', age, amount, purpose) >= 0);
    GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA shop TO PUBLIC;
    RESET search_path";

/// Statements that come to the model, and whether they do so with the rights of another than who runs
/// them.
#[rustfmt::skip]
const WAYS: &[(&str, bool)] = &[
    ("SELECT sum(p) FROM shop.plain", false),
    ("SELECT sum(p) FROM shop.barrier", false),
    ("SELECT sum(p) FROM shop.invoker", false),
    ("SELECT sum(p) FROM shop.kept", true),
    ("SELECT shop.named(35, 1200, 'car')", false),
    ("SELECT sum(shop.named(age, amount, purpose)) FROM loan", false),
    ("SELECT shop.pinned(35, 1200, 'car')", false),
    ("SELECT sum(shop.pinned(age, amount, purpose)) FROM loan", false),
    ("SELECT shop.classed(age, amount, purpose) FROM loan", false),
    ("SELECT shop.inlined(age) FROM loan", false),
    ("SELECT shop.in_plpgsql(35)", false),
    ("SET search_path = shop; SELECT shop.through_another(35)", false),
    ("SELECT shop.lent(35)", true),
    ("SELECT sum(shop.lent(age)) FROM loan", true),
    ("SELECT shop.lent_in_plpgsql(35)", true),
    ("SELECT sum(p) FROM shop.lent_rows() AS p", true),
    // What another's function returned gives no right afterwards, nor beside it.
    ("SELECT shop.lent(35), shop.inlined(35)", false),
    ("SELECT shop.inlined(shop.lent(35))", false),
    ("SELECT shop.by_default()", false),
    ("SELECT shop.total(age) FROM loan", false),
    ("SELECT age OPERATOR(shop.~>) age FROM loan", false),
    ("SELECT 35::shop.probable", false),
    ("INSERT INTO shop.generated VALUES (35)", false),
    ("INSERT INTO shop.checked VALUES (35)", false),
    ("INSERT INTO shop.defaulted VALUES (1)", false),
    ("INSERT INTO shop.indexed VALUES (35)", false),
    ("INSERT INTO shop.triggered VALUES (35)", false),
    ("INSERT INTO shop.triggered_lent VALUES (35)", true),
    ("INSERT INTO shop.ruled VALUES (35)", false),
    ("SELECT count(*) FROM shop.policed", false),
    ("COPY (SELECT neural.predict('risk', age, amount, purpose) FROM loan) TO STDOUT", false),
    ("CREATE TEMP TABLE t AS SELECT neural.predict('risk', age, amount, purpose) FROM loan", false),
    ("CREATE TEMP TABLE t AS SELECT * FROM loan; CREATE INDEX ON t (shop.pinned(age, amount, purpose))", false),
    ("CREATE MATERIALIZED VIEW shop.mine AS SELECT neural.predict('risk', age, amount, purpose) FROM loan", false),
    ("CREATE VIEW shop.mine AS SELECT p FROM shop.plain; SELECT sum(p) FROM shop.mine", false),
    ("CREATE FUNCTION shop.mine() RETURNS float8 LANGUAGE sql SECURITY DEFINER AS
        $$SELECT neural.predict('risk', 35, 1200, 'car')$$; SELECT shop.mine()", false),
    ("EXPLAIN ANALYZE SELECT neural.predict('risk', age, amount, purpose) FROM loan", false),
    ("DO $$BEGIN PERFORM neural.predict('risk', 35, 1200, 'car'); END$$", false),
    ("DECLARE c CURSOR FOR SELECT neural.predict('risk', age, amount, purpose) FROM loan; FETCH 1 FROM c", false),
    ("PREPARE p AS SELECT neural.predict('risk', $1::float8, 1200, 'car'); EXECUTE p (35)", false),
];

#[test]
fn the_callers_rights_count_on_every_way_to_a_model() {
    let cluster = cluster_with_roles();
    cluster
        .role("owner")
        .batch_execute(MADE)
        .expect("what the owner makes");
    let mut wrong = Vec::new();
    for (role, using) in [
        ("owner", true),
        ("grantee", true),
        ("stranger", false),
        (SUPERUSER, true),
    ] {
        let mut client = cluster.role(role);
        for (sql, lends) in WAYS {
            let came = outcome(&mut client, sql);
            let expected = (!using && !lends).then_some(SqlState::INSUFFICIENT_PRIVILEGE);
            if came != expected {
                wrong.push(format!("{role}: {sql}: {came:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A plan, a cursor or a call site that was made as one role and is used as another.
#[test]
fn a_role_taken_on_counts_for_what_was_made_before() {
    let cluster = cluster_with_roles();
    cluster
        .role("owner")
        .batch_execute(MADE)
        .expect("what the owner makes");
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    let uses = [
        "EXECUTE single (35)",
        "EXECUTE many",
        "EXECUTE pinned",
        "EXECUTE viewed",
        "SELECT shop.in_plpgsql(35)",
        "DO $$BEGIN PERFORM neural.predict('risk', 35, 1200, 'car'); END$$",
    ];
    for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
        let mut client = cluster.superuser();
        client
            .batch_execute(&format!(
                "SET plan_cache_mode = {mode}; SET ROLE grantee;
                 PREPARE single AS SELECT neural.predict('risk', $1::float8, 1200, 'car');
                 PREPARE many AS SELECT sum(neural.predict('risk', age, amount, purpose)) FROM loan;
                 PREPARE pinned AS SELECT sum(shop.pinned(age, amount, purpose)) FROM loan;
                 PREPARE viewed AS SELECT sum(p) FROM shop.plain"
            ))
            .expect("the statements");
        for (role, expected) in [
            ("grantee", None),
            ("stranger", denied.clone()),
            ("owner", None),
            ("stranger", denied.clone()),
            ("grantee", None),
            ("postgres", None),
        ] {
            for taking in ["SET ROLE", "SET SESSION AUTHORIZATION"] {
                client
                    .batch_execute(&format!("{taking} {role}"))
                    .expect("a role");
                for sql in uses {
                    // A generic plan is made after the fifth.
                    for _ in 0..if expected.is_none() { 7 } else { 1 } {
                        assert_eq!(
                            outcome(&mut client, sql),
                            expected,
                            "{mode}, {taking} {role}: {sql}"
                        );
                    }
                }
                client
                    .batch_execute("RESET SESSION AUTHORIZATION; RESET ROLE")
                    .expect("a role");
            }
        }
    }
    // A cursor needs the rights of who fetches, when it has begun as well: a call is a call of then.
    let cursor =
        "DECLARE c CURSOR FOR SELECT neural.predict('risk', age, amount, purpose) FROM loan";
    let mut client = cluster.superuser();
    for (made_by, begun, used_by, expected) in [
        ("grantee", true, "stranger", denied.clone()),
        ("grantee", false, "stranger", denied.clone()),
        ("stranger", false, "grantee", None),
    ] {
        let first = if begun { "FETCH 1 FROM c;" } else { "" };
        let sql = format!(
            "SET LOCAL ROLE {made_by}; {cursor}; {first} SET LOCAL ROLE {used_by}; FETCH 400 FROM c"
        );
        assert_eq!(outcome(&mut client, &sql), expected, "{sql}");
    }
}

/// A connection that keeps what the server told it.
fn with_notices(cluster: &Cluster, role: &str) -> (Client, Arc<Mutex<Vec<String>>>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&notices);
    let mut config = cluster.config(role, "postgres");
    config.notice_callback(move |notice| {
        sink.lock()
            .expect("the notices")
            .push(notice.message().to_owned());
    });
    (config.connect(NoTls).expect("a connection"), notices)
}

/// Queries of `{t}`, of whose rows every third is shown; `leak` tells the rows that it is called with.
#[rustfmt::skip]
const LEAKING: &[&str] = &[
    "SELECT count(*) FROM {t} WHERE leak(id)",
    "SELECT count(*) FROM {t} WHERE neural.predict('risk', age, amount, purpose) >= 0 AND leak(id)",
    "SELECT count(*) FROM {t} WHERE leak(id) AND neural.predict('risk', age, amount, purpose) >= 0",
    "SELECT count(*) FROM {t} WHERE leak(id) OR neural.predict('risk', age, amount, purpose) >= 0",
    "SELECT count(*) FROM {t} WHERE neural.predict('risk', leaked(id), amount, purpose) >= 0",
    "SELECT count(*) FROM {t} WHERE CASE WHEN leak(id) THEN neural.predict('risk', leaked(id), amount, purpose) END >= 0",
    "SELECT sum(neural.predict('risk', leaked(id), amount, purpose)) FROM {t}",
    "SELECT sum(neural.predict('risk', age, amount, purpose)) FILTER (WHERE leak(id)) FROM {t}",
    "SELECT count(*) FROM {t} WHERE 1 / (id - 7) < 9 AND neural.predict('risk', age, amount, purpose) >= 0",
    "SELECT count(*) FROM {t} WHERE neural.predict('risk', age, 1 / (id - 7), purpose) >= 0",
    "SELECT max(neural.predict('risk', age, 1 / (id - 7), purpose)) FROM {t} WHERE leak(id)",
    "SELECT count(*) FROM {t} AS a JOIN {t} AS b USING (id) WHERE neural.predict('risk', a.age, b.amount, a.purpose) >= 0 AND leak(id)",
    "SELECT count(*) FROM {t} AS a, LATERAL (SELECT neural.predict('risk', leaked(a.id), amount, purpose) AS p FROM {t} AS b WHERE b.id = a.id) AS s WHERE p >= 0",
    "SELECT count(*) FROM {t} WHERE id IN (SELECT id FROM {t} WHERE neural.predict('risk', leaked(id), amount, purpose) >= 0)",
    "SELECT count(*) FROM (SELECT neural.predict('risk', age, amount, purpose) AS p FROM {t} ORDER BY 1 LIMIT 5) AS s",
    "SELECT count(DISTINCT neural.predict('risk', leaked(id), amount, purpose)) FROM {t} GROUP BY leak(id)",
    "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY neural.predict('risk', leaked(id), amount, purpose)) FROM {t}) AS s",
    "WITH s AS MATERIALIZED (SELECT id, neural.predict('risk', age, amount, purpose) AS p FROM {t}) SELECT count(*) FROM s WHERE leak(id)",
];

#[test]
fn hidden_rows_are_neither_scored_nor_leaked() {
    let cluster = cluster_with_roles();
    let mut admin = cluster.superuser();
    admin
        .batch_execute(
            "CREATE ROLE teller LOGIN; CREATE ROLE clerk LOGIN;
             SELECT neural.grant_model('risk', role) FROM unnest(ARRAY['teller', 'clerk']::regrole[]) AS role;
             CREATE VIEW third WITH (security_barrier) AS SELECT * FROM loan WHERE id % 3 = 0;
             GRANT SELECT ON third TO clerk; REVOKE SELECT ON loan FROM PUBLIC;
             GRANT SELECT, UPDATE, DELETE ON loan TO teller;
             ALTER TABLE loan ENABLE ROW LEVEL SECURITY;
             CREATE POLICY third ON loan TO teller USING (id % 3 = 0);
             CREATE FUNCTION leak(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 0.0001 AS
                 $$BEGIN RAISE NOTICE '%', id; RETURN true; END$$;
             CREATE FUNCTION leaked(id int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 0.0001 AS
                 $$BEGIN RAISE NOTICE '%', id; RETURN id; END$$;
             ALTER TABLE loan SET (parallel_workers = 2); ANALYZE loan",
        )
        .expect("the hidden rows");
    let parallel = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0";
    for (role, source) in [("teller", "loan"), ("clerk", "third")] {
        let (mut client, notices) = with_notices(&cluster, role);
        client.batch_execute("LOAD 'pg_neural'").ok();
        let mut seen = 0;
        let mut run = |client: &mut Client, what: &str, sql: &str| {
            let answer = client.query_one(sql, &[]);
            let answer = answer.unwrap_or_else(|error| panic!("{role}, {what}: {sql}: {error}"));
            let rows = std::mem::take(&mut *notices.lock().expect("the notices"));
            for row in &rows {
                let id: i32 = row
                    .parse()
                    .unwrap_or_else(|_| panic!("{role}, {what}: {sql}: {row}"));
                assert_eq!(id % 3, 0, "{role}, {what}: {sql}: row {id} was seen");
            }
            seen += rows.len();
            answer
                .try_get::<_, i64>(0)
                .map(|count| count as f64)
                .or_else(|_| answer.try_get::<_, f64>(0))
                .expect("a number")
        };
        for sql in LEAKING {
            let sql = sql.replace("{t}", source);
            client
                .batch_execute("SET neural.batch_scoring = off")
                .expect("a setting");
            let expected = run(&mut client, "row by row", &sql);
            for (what, settings) in [
                ("in batches", ""),
                ("in batches of seven", "SET neural.batch_rows = 7"),
                ("by index", "SET enable_seqscan = off"),
                ("in parallel", parallel),
            ] {
                client
                    .batch_execute(&format!(
                        "RESET ALL; SET neural.batch_scoring = on; {settings}"
                    ))
                    .expect("a setting");
                let answer = run(&mut client, what, &sql);
                // Workers add in an order of their own.
                assert!(
                    (answer - expected).abs() < 1e-9,
                    "{role}, {what}: {sql}: {answer}, not {expected}"
                );
            }
            client.batch_execute("RESET ALL").expect("a setting");
        }
        assert!(seen > 1000, "{role}: only {seen} rows were told");
        // Of 300 rows a hundred go through the network.
        let plan = client
            .query(
                &format!("EXPLAIN (ANALYZE, TIMING off, COSTS off) SELECT sum(neural.predict('risk', age, amount, purpose)) FROM {source} WHERE leak(id)"),
                &[],
            )
            .expect("a plan");
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("100"), "{plan}");
        assert!(!plan.contains("300"), "{plan}");
    }
    // What is written goes by the same rows.
    let (mut teller, notices) = with_notices(&cluster, "teller");
    let sql = "UPDATE loan SET amount = amount WHERE neural.predict('risk', leaked(id), amount, purpose) >= 0 RETURNING id";
    let rows = teller.query(sql, &[]).expect("the update");
    assert_eq!(rows.len(), 100);
    let told = notices.lock().expect("the notices").clone();
    assert!(
        told.iter()
            .all(|row| row.parse::<i32>().is_ok_and(|id| id % 3 == 0)),
        "{told:?}"
    );
}

/// What everybody but their owner may do with the extension's objects.
const OPEN: &str = "
    SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
        SELECT o.name || ' ' || a.grantee::text || ' ' || a.privilege_type || ' ' || a.is_grantable
        FROM (SELECT oid::regprocedure::text AS name, coalesce(proacl, acldefault('f', proowner)) AS acl, proowner AS owner
              FROM pg_proc WHERE pronamespace::regnamespace::text IN ('neural', '_neural')
              UNION ALL
              SELECT oid::regclass::text, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner)), relowner
              FROM pg_class WHERE relnamespace::regnamespace::text IN ('neural', '_neural')
              UNION ALL
              SELECT oid::regtype::text, coalesce(typacl, acldefault('T', typowner)), typowner
              FROM pg_type WHERE typnamespace::regnamespace::text IN ('neural', '_neural')
              UNION ALL
              SELECT nspname, coalesce(nspacl, acldefault('n', nspowner)), nspowner
              FROM pg_namespace WHERE nspname IN ('neural', '_neural')) AS o, aclexplode(o.acl) AS a
        WHERE a.grantee <> o.owner) AS s (line)";

#[test]
fn default_privileges_neither_open_nor_close_anything() {
    let cluster = Cluster::with_extension(&[]);
    let mut admin = cluster.superuser();
    admin
        .batch_execute("CREATE ROLE stranger LOGIN")
        .expect("a role");
    for database in ["opened", "closed"] {
        let create = format!("CREATE DATABASE {database}");
        admin.batch_execute(&create).expect("a database");
    }
    let expected = text(&mut admin, OPEN);
    assert!(expected.contains("neural.predict("), "{expected}");
    let kinds = ["TABLES", "SEQUENCES", "FUNCTIONS", "TYPES", "SCHEMAS"];
    for (database, verb, preposition, option) in [
        ("opened", "GRANT", "TO", ""),
        ("opened", "GRANT", "TO", "WITH GRANT OPTION"),
        ("closed", "REVOKE", "FROM", ""),
    ] {
        let mut client = cluster.connect(SUPERUSER, database);
        for kind in kinds {
            for role in ["PUBLIC", "stranger"] {
                // PUBLIC gets no grant options.
                let option = if role == "PUBLIC" { "" } else { option };
                let sql = format!(
                    "ALTER DEFAULT PRIVILEGES {verb} ALL ON {kind} {preposition} {role} {option}"
                );
                client.batch_execute(&sql).expect("default privileges");
            }
        }
        client
            .batch_execute("DROP EXTENSION IF EXISTS pg_neural; CREATE EXTENSION pg_neural")
            .expect("the extension");
        assert_eq!(text(&mut client, OPEN), expected, "{verb} {option}");
        create_loans(&mut client, 300);
        train(&mut client, "risk", 1);
        score(&mut client, "risk");
        client
            .batch_execute("DROP TABLE loan; SELECT neural.drop_model('risk')")
            .expect("dropped");
        let mut stranger = cluster.connect("stranger", database);
        let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
        assert_eq!(outcome(&mut stranger, "TABLE _neural.chunk"), denied);
        assert_eq!(
            outcome(
                &mut stranger,
                "SELECT neural.train('m', 'SELECT 1 AS x', 'x')"
            ),
            denied
        );
        assert_eq!(
            outcome(&mut stranger, "SELECT count(*) FROM neural.models"),
            None
        );
    }
}

/// The hash of the deployed version, where a role may see it.
#[test]
fn a_hash_is_no_right() {
    let cluster = cluster_with_roles();
    let hash = sha256(&mut cluster.superuser(), "risk");
    let mut stranger = cluster.role("stranger");
    let sql = format!("SELECT neural.predict_pinned('\\x{hash}', 35, 1200, 'car')");
    let came = outcome(&mut stranger, &sql);
    assert_eq!(came, Some(SqlState::INSUFFICIENT_PRIVILEGE));
}

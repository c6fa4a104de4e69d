//! Who may do what with a model, and as whom a training's query runs.

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{LOANS, count, create_loans, outcome, score, text, train, training};
use crate::harness::{Cluster, error_of};

const ROLES: [&str; 6] = [
    "owner",
    "member",
    "reluctant",
    "grantee",
    "friend",
    "stranger",
];

/// What whoever may use a model can do.
fn uses(sha256: &str) -> Vec<String> {
    vec![
        "SELECT neural.predict('risk', 35, 1200, 'car')".into(),
        "SELECT neural.predict('risk@1', 35, 1200, 'car')".into(),
        "SELECT neural.predict_class('risk', 35, 1200, 'car')".into(),
        "SELECT neural.predict_proba('risk', 35, 1200, 'car')".into(),
        format!("SELECT neural.predict_pinned('\\x{sha256}', 35, 1200, 'car')"),
        format!("SELECT neural.predict_class_pinned('\\x{sha256}', 35, 1200, 'car')"),
        format!("SELECT neural.predict_proba_pinned('\\x{sha256}', 35, 1200, 'car')"),
        "SELECT neural.classes('risk')".into(),
        format!("SELECT neural.evaluate('risk', '{LOANS}')"),
        format!("SELECT neural.confusion_matrix('risk', '{LOANS}')"),
        "SELECT neural.create_function('pg_temp.predict_risk', 'risk')".into(),
    ]
}

/// What only its owner can do.
fn manages() -> Vec<String> {
    vec![
        "SELECT neural.deploy('risk', 1)".into(),
        "SELECT neural.deploy('risk', 1), neural.rollback('risk')".into(),
        "SELECT neural.export_model('risk')".into(),
        "SELECT neural.check('risk')".into(),
        "SELECT neural.rename_model('risk', 'other')".into(),
        "SELECT neural.grant_model('risk', 'stranger')".into(),
        "SELECT neural.revoke_model('risk', 'grantee')".into(),
        "SELECT neural.set_owner('risk', current_user::regrole)".into(),
        "SELECT neural.drop_model('risk', 1)".into(),
        "SELECT neural.drop_model('risk')".into(),
        training("risk", 3),
    ]
}

/// A table that all may read, and two versions of `risk`, of role `owner`: shared with `grantee`.
/// `member` inherits the owner's rights, `reluctant` does not, `friend` inherits the grantee's.
fn cluster_with_roles() -> Cluster {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    client
        .batch_execute(
            "CREATE ROLE owner LOGIN;
             CREATE ROLE grantee LOGIN;
             CREATE ROLE member LOGIN IN ROLE owner;
             CREATE ROLE reluctant LOGIN NOINHERIT IN ROLE owner;
             CREATE ROLE friend LOGIN IN ROLE grantee;
             CREATE ROLE stranger LOGIN;
             GRANT SELECT ON loan TO PUBLIC;
             GRANT EXECUTE ON FUNCTION neural.train TO PUBLIC",
        )
        .expect("the roles");
    let mut owner = cluster.role("owner");
    train(&mut owner, "risk", 1);
    train(&mut owner, "risk", 2);
    owner
        .batch_execute("SELECT neural.grant_model('risk', 'grantee')")
        .expect("the grant");
    cluster
}

/// Asserts what a role may do with `risk`.
fn may(client: &mut Client, who: &str, sha256: &str, using: bool, managing: bool) {
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    for sql in uses(sha256) {
        let expected = if using { None } else { denied.clone() };
        assert_eq!(outcome(client, &sql), expected, "{who}: {sql}");
    }
    for sql in manages() {
        let expected = if managing { None } else { denied.clone() };
        assert_eq!(outcome(client, &sql), expected, "{who}: {sql}");
    }
    let shown = i64::from(using);
    for view in ["models", "model_versions", "training_history"] {
        let rows = count(client, &format!("SELECT count(*) FROM neural.{view}"));
        assert_eq!(rows.min(1), shown, "{who}: {view}");
    }
    if using {
        let recorded = "SELECT count(query) + count(options) FROM neural.model_versions";
        assert_eq!(count(client, recorded) > 0, managing, "{who}");
        let fitted = "SELECT features::text FROM neural.models";
        assert_eq!(text(client, fitted).contains("house"), managing, "{who}");
    }
}

fn hash(cluster: &Cluster) -> String {
    crate::fixture::sha256(&mut cluster.superuser(), "risk")
}

#[test]
fn owners_members_and_superusers_manage_and_grantees_use() {
    let cluster = cluster_with_roles();
    let sha256 = hash(&cluster);
    for (role, using, managing) in [
        ("owner", true, true),
        ("postgres", true, true),
        ("member", true, true),
        ("reluctant", false, false),
        ("grantee", true, false),
        ("friend", true, false),
        ("stranger", false, false),
    ] {
        may(&mut cluster.role(role), role, &sha256, using, managing);
    }
    // The rights that a session takes on count at once, and end as they began.
    let mut reluctant = cluster.role("reluctant");
    reluctant.batch_execute("SET ROLE owner").unwrap();
    may(&mut reluctant, "reluctant as owner", &sha256, true, true);
    reluctant.batch_execute("RESET ROLE").unwrap();
    may(&mut reluctant, "reluctant", &sha256, false, false);
    let mut superuser = cluster.superuser();
    superuser.batch_execute("SET ROLE stranger").unwrap();
    may(
        &mut superuser,
        "postgres as stranger",
        &sha256,
        false,
        false,
    );
}

#[test]
fn sharing_with_all_and_taking_back_count_for_open_sessions() {
    let cluster = cluster_with_roles();
    let sha256 = hash(&cluster);
    let mut owner = cluster.role("owner");
    let mut stranger = cluster.role("stranger");
    let mut grantee = cluster.role("grantee");
    may(&mut stranger, "stranger", &sha256, false, false);
    owner
        .batch_execute("SELECT neural.grant_model('risk', '-')")
        .unwrap();
    may(&mut stranger, "all", &sha256, true, false);
    owner
        .batch_execute("SELECT neural.revoke_model('risk', '-')")
        .unwrap();
    may(&mut stranger, "stranger again", &sha256, false, false);
    may(&mut grantee, "grantee", &sha256, true, false);
    owner
        .batch_execute("SELECT neural.revoke_model('risk', 'grantee')")
        .unwrap();
    may(&mut grantee, "grantee no more", &sha256, false, false);
    // A membership that ends is a right that ends.
    let mut member = cluster.role("member");
    may(&mut member, "member", &sha256, true, true);
    cluster
        .superuser()
        .batch_execute("REVOKE owner FROM member")
        .unwrap();
    may(&mut member, "member no more", &sha256, false, false);
}

#[test]
fn a_right_taken_back_counts_for_prepared_statements() {
    let cluster = cluster_with_roles();
    let mut owner = cluster.role("owner");
    let mut grantee = cluster.role("grantee");
    let sql = "SELECT neural.predict('risk', $1::float8, 1200, 'car')";
    let statement = grantee.prepare(sql).unwrap();
    for _ in 0..7 {
        grantee.query_one(&statement, &[&35.0]).unwrap();
    }
    owner
        .batch_execute("SELECT neural.revoke_model('risk', 'grantee')")
        .unwrap();
    let error = grantee.query_one(&statement, &[&35.0]).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
}

#[test]
fn a_new_owner_manages_and_the_old_one_does_not() {
    let cluster = cluster_with_roles();
    let sha256 = hash(&cluster);
    // Giving to a role that the giver is no member of is refused, as for tables.
    let mut owner = cluster.role("owner");
    let (code, _) = error_of(&mut owner, "SELECT neural.set_owner('risk', 'stranger')");
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
    cluster
        .superuser()
        .batch_execute("SELECT neural.set_owner('risk', 'stranger')")
        .unwrap();
    may(
        &mut cluster.role("stranger"),
        "new owner",
        &sha256,
        true,
        true,
    );
    may(&mut owner, "old owner", &sha256, false, false);
}

#[test]
fn views_lend_no_right_and_security_definer_functions_do() {
    let cluster = cluster_with_roles();
    cluster
        .superuser()
        .batch_execute(
            "CREATE SCHEMA shop AUTHORIZATION owner; GRANT USAGE ON SCHEMA shop TO PUBLIC",
        )
        .unwrap();
    cluster
        .role("owner")
        .batch_execute(
            "CREATE VIEW shop.scored AS
                 SELECT id, neural.predict('risk', age, amount, purpose) AS p FROM loan;
             GRANT SELECT ON shop.scored TO PUBLIC;
             CREATE FUNCTION shop.lent(age float8) RETURNS float8 LANGUAGE sql STABLE
                 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
                 RETURN neural.predict('risk', age, 1200, 'car');
             CREATE FUNCTION shop.own(age float8) RETURNS float8 LANGUAGE sql STABLE
                 RETURN neural.predict('risk', age, 1200, 'car')",
        )
        .unwrap();
    let mut stranger = cluster.role("stranger");
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(
        outcome(&mut stranger, "SELECT sum(p) FROM shop.scored"),
        denied
    );
    assert_eq!(outcome(&mut stranger, "SELECT shop.own(35)"), denied);
    let lent: f64 = stranger
        .query_one("SELECT shop.lent(35)", &[])
        .unwrap()
        .get(0);
    assert_eq!(lent, score(&mut cluster.superuser(), "risk"));
    // Lent for the call alone, also to a call site that is used with both rights in turn.
    assert_eq!(
        outcome(
            &mut stranger,
            "SELECT shop.lent(35), neural.predict('risk', 35, 1200, 'car')"
        ),
        denied
    );
    let mut grantee = cluster.role("grantee");
    assert_eq!(
        outcome(&mut grantee, "SELECT sum(p) FROM shop.scored"),
        None
    );
}

#[test]
fn training_is_granted_and_reads_with_the_callers_rights() {
    let cluster = Cluster::with_extension(&[]);
    let mut superuser = cluster.superuser();
    create_loans(&mut superuser, 500);
    superuser
        .batch_execute("CREATE ROLE analyst LOGIN")
        .unwrap();
    let mut analyst = cluster.role("analyst");
    let denied = |client: &mut Client, sql: &str, what: &str| {
        let (code, message) = error_of(client, sql);
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        assert!(message.contains(what), "{message}");
    };
    denied(&mut analyst, &training("mine", 1), "function train");
    denied(
        &mut analyst,
        "SELECT neural.import_model('mine', '')",
        "function import_model",
    );
    superuser
        .batch_execute("GRANT EXECUTE ON FUNCTION neural.train TO analyst")
        .unwrap();
    denied(&mut analyst, &training("mine", 1), "table loan");
    // The closed tables stay closed in a query that the extension runs, and afterwards.
    let stolen =
        "SELECT neural.train('mine', 'SELECT number, length(bytes) AS y FROM _neural.chunk', 'y')";
    denied(&mut analyst, stolen, "schema _neural");
    superuser
        .batch_execute("GRANT SELECT (age, amount, purpose, bad) ON loan TO analyst")
        .unwrap();
    assert_eq!(train(&mut analyst, "mine", 1), 1);
    denied(
        &mut analyst,
        "SELECT neural.evaluate('mine', 'SELECT * FROM loan')",
        "table loan",
    );
    denied(
        &mut analyst,
        "SELECT count(*) FROM _neural.model",
        "schema _neural",
    );
    assert_eq!(
        text(&mut analyst, "SELECT owner::text FROM neural.models"),
        "analyst"
    );
    assert_eq!(text(&mut analyst, "SELECT current_user::text"), "analyst");
    assert_eq!(text(&mut analyst, "SHOW search_path"), "\"$user\", public");
}

#[test]
fn every_table_behind_the_models_is_closed() {
    let cluster = cluster_with_roles();
    let relations: Vec<String> = cluster
        .superuser()
        .query(
            "SELECT oid::regclass::text FROM pg_class
             WHERE relnamespace = '_neural'::regnamespace AND relkind = 'r'",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(relations.len() >= 7);
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    for role in ROLES {
        let mut client = cluster.role(role);
        for relation in &relations {
            for sql in [
                format!("TABLE {relation}"),
                format!("DELETE FROM {relation}"),
                format!("LOCK TABLE {relation}"),
                format!("COPY {relation} TO STDOUT"),
            ] {
                assert_eq!(outcome(&mut client, &sql), denied, "{role}: {sql}");
            }
        }
        let create = "CREATE TABLE neural.mine ()";
        assert_eq!(outcome(&mut client, create), denied, "{role}");
    }
}

#[test]
fn row_level_security_holds_in_training_and_judging() {
    let cluster = Cluster::with_extension(&[]);
    let mut superuser = cluster.superuser();
    create_loans(&mut superuser, 600);
    superuser
        .batch_execute(
            "CREATE ROLE analyst LOGIN;
             GRANT EXECUTE ON FUNCTION neural.train TO analyst;
             GRANT SELECT ON loan TO analyst;
             ALTER TABLE loan ENABLE ROW LEVEL SECURITY;
             CREATE POLICY third ON loan TO analyst USING (id % 3 = 0)",
        )
        .unwrap();
    // Members train on every row, and each row is also held out by one of them.
    let rows = "SELECT rows_trained FROM neural.model_versions WHERE model = ";
    let judged =
        format!("SELECT sum(count)::bigint FROM neural.confusion_matrix('mine', '{LOANS}')");
    let mut analyst = cluster.role("analyst");
    train(&mut analyst, "mine", 1);
    assert_eq!(count(&mut analyst, &format!("{rows} 'mine'")), 200);
    assert_eq!(count(&mut analyst, &judged), 200);
    // A superuser is bound by no policy.
    train(&mut superuser, "all", 1);
    assert_eq!(count(&mut superuser, &format!("{rows} 'all'")), 600);
    assert_eq!(count(&mut superuser, &judged), 600);
}

/// PostgreSQL's rights to read and write all data are not rights on models.
#[test]
fn reading_and_writing_all_data_reaches_no_model() {
    let cluster = cluster_with_roles();
    let mut superuser = cluster.superuser();
    superuser
        .batch_execute("GRANT pg_read_all_data, pg_write_all_data TO stranger")
        .unwrap();
    let mut stranger = cluster.role("stranger");
    for table in [
        "numbering",
        "model",
        "model_grant",
        "version",
        "chunk",
        "deployment",
        "epoch",
    ] {
        let all = count(
            &mut superuser,
            &format!("SELECT count(*) FROM _neural.{table}"),
        );
        assert!(all > 0, "{table}");
        let sql = format!("SELECT count(*) FROM _neural.{table}");
        assert_eq!(count(&mut stranger, &sql), 0, "{table}");
        let changed = stranger.execute(&format!("DELETE FROM _neural.{table}"), &[]);
        assert_eq!(changed.unwrap(), 0, "{table}");
    }
    let stolen = "INSERT INTO _neural.model_grant (model, grantee, granted_by)
                  VALUES (1, '-'::regrole::oid::_neural.role, 'stranger'::regrole::oid::_neural.role)";
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(outcome(&mut stranger, stolen), denied);
    score(&mut cluster.role("grantee"), "risk");
}

const GRANTEES: &str =
    "SELECT coalesce(string_agg(grantee, ',' ORDER BY grantee), 'none') FROM neural.model_grants";

#[test]
fn a_role_with_models_is_dropped_only_with_what_it_has() {
    let cluster = cluster_with_roles();
    let mut superuser = cluster.superuser();
    superuser
        .batch_execute("REVOKE ALL ON FUNCTION neural.train FROM PUBLIC")
        .unwrap();
    for role in ["owner", "grantee"] {
        let (code, _) = error_of(&mut superuser, &format!("DROP ROLE {role}"));
        assert_eq!(code, SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "{role}");
    }
    // What was given is taken by DROP OWNED, at once and for good.
    let mut grantee = cluster.role("grantee");
    score(&mut grantee, "risk");
    superuser.batch_execute("DROP OWNED BY grantee").unwrap();
    let call = "SELECT neural.predict('risk', 35, 1200, 'car')";
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(outcome(&mut grantee, call), denied);
    assert_eq!(text(&mut superuser, GRANTEES), "none");
    // It does not come back with the next grant.
    superuser
        .batch_execute("CREATE TABLE extra AS SELECT * FROM loan")
        .unwrap();
    train(&mut superuser, "other", 1);
    superuser
        .batch_execute("SELECT neural.grant_model('other', 'grantee')")
        .unwrap();
    assert_eq!(outcome(&mut grantee, call), denied);
    superuser
        .batch_execute("SELECT neural.revoke_model('other', 'grantee')")
        .unwrap();
    drop(grantee);
    // With the last right the dependency goes.
    superuser
        .batch_execute("DROP ROLE friend; DROP ROLE grantee")
        .unwrap();
    // A model given away lets its owner go.
    superuser
        .batch_execute(
            "DROP ROLE member; DROP ROLE reluctant;
             SELECT neural.set_owner('risk', 'stranger'); DROP ROLE owner",
        )
        .unwrap();
    assert_eq!(
        text(
            &mut superuser,
            "SELECT owner::text FROM neural.models WHERE name = 'risk'"
        ),
        "stranger"
    );
    // Where it is not, the model stays, and belongs to nobody.
    superuser
        .batch_execute("DROP OWNED BY stranger; DROP ROLE stranger")
        .unwrap();
    let lost = "SELECT count(*) FROM neural.models WHERE name = 'risk' AND owner IS NULL";
    assert_eq!(count(&mut superuser, lost), 1);
    score(&mut superuser, "risk");
}

#[test]
fn who_shared_what_with_whom_is_shown_to_those_concerned() {
    let cluster = cluster_with_roles();
    cluster
        .role("owner")
        .batch_execute("SELECT neural.grant_model('risk', 'member')")
        .unwrap();
    for (role, expected) in [
        ("owner", "grantee,member"),
        ("member", "grantee,member"),
        ("postgres", "grantee,member"),
        ("grantee", "grantee"),
        ("friend", "grantee"),
        ("stranger", "none"),
    ] {
        assert_eq!(text(&mut cluster.role(role), GRANTEES), expected, "{role}");
    }
    let by = "SELECT string_agg(DISTINCT granted_by, ',') FROM neural.model_grants WHERE granted_at <= now()";
    assert_eq!(text(&mut cluster.superuser(), by), "owner");
    let deployed =
        "SELECT coalesce(string_agg(version || ' ' || deployed_by, ',' ORDER BY version), 'none')
                    FROM neural.deployments";
    assert_eq!(
        text(&mut cluster.role("friend"), deployed),
        "1 owner,2 owner"
    );
    assert_eq!(text(&mut cluster.role("stranger"), deployed), "none");
}

/// Roles that get their first models at once do not get in each other's way.
#[test]
fn first_models_of_several_roles_are_made_at_once() {
    let cluster = cluster_with_roles();
    let roles = ["friend", "stranger", "member", "grantee"];
    for round in 0..3 {
        std::thread::scope(|scope| {
            for role in roles {
                let cluster = &cluster;
                scope.spawn(move || {
                    let mut client = cluster.role(role);
                    let model = format!("{role}{round}");
                    train(&mut client, &model, 1);
                    let drop = format!("SELECT neural.drop_model('{model}')");
                    client.batch_execute(&drop).expect("the model is dropped");
                });
            }
        });
    }
}

#[test]
fn a_superusers_limits_hold_before_the_library_is_loaded() {
    let cluster = cluster_with_roles();
    cluster
        .superuser()
        .batch_execute("ALTER DATABASE postgres SET neural.max_memory_limit = '2MB'")
        .unwrap();
    let mut stranger = cluster.role("stranger");
    // Unknown to PostgreSQL as yet, so taken; refused when the library is loaded.
    stranger
        .batch_execute("SET neural.max_memory_limit = '4GB'; SET neural.max_memory = '4GB'")
        .unwrap();
    let wide = "SELECT neural.train('wide', 'SELECT age, bad FROM loan', 'bad',
        architecture => '{\"layers\": [{\"type\": \"dense\", \"units\": 3000}, {\"type\": \"dense\", \"units\": 3000}]}')";
    let (code, message) = error_of(&mut stranger, wide);
    assert_eq!(code, SqlState::OUT_OF_MEMORY, "{message}");
    assert_eq!(text(&mut stranger, "SHOW neural.max_memory_limit"), "2MB");
}

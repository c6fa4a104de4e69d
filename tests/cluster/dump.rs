//! Models in a dump: what comes back is what was there.

use std::process::Command;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{count, create_loans, number, score, sha256, text, train};
use crate::harness::{Cluster, SUPERUSER, error_of, succeeds};

/// Predictions by every way of calling, to the last bit.
const FINGERPRINT: &str = "
    SELECT md5(string_agg(concat_ws(' ', neural.predict('risk', age, amount, purpose),
               neural.predict('risk@1', age, amount, purpose),
               predict_risk(age, amount, purpose), pinned_risk(age, amount, purpose),
               pinned_class(age, amount, purpose)), ',' ORDER BY id))
    FROM loan";

/// What is kept about models, without what tells databases apart.
const CATALOG: &str = "
    SELECT md5(string_agg(v::text, ',' ORDER BY model, version))
    FROM (SELECT model, version, deployed, created_at, query, options, seed, rows_trained, metrics,
                 sha256, train_loss FROM neural.model_versions) AS v";

/// A cluster with all that users keep: versions, grants, functions, an index over a model.
pub fn filled() -> Cluster {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    client
        .batch_execute(
            "CREATE ROLE owner LOGIN; CREATE ROLE grantee LOGIN; CREATE ROLE leaver LOGIN;
             GRANT SELECT ON loan TO PUBLIC;
             GRANT CREATE ON SCHEMA public TO owner;
             GRANT EXECUTE ON FUNCTION neural.train TO owner, leaver",
        )
        .unwrap();
    let mut owner = cluster.role("owner");
    for seed in 1..=3 {
        train(&mut owner, "risk", seed);
    }
    owner
        .batch_execute(
            "SELECT neural.drop_model('risk', 2);
             SELECT neural.deploy('risk', 1);
             SELECT neural.deploy('risk', 3);
             SELECT neural.grant_model('risk', 'grantee');
             SELECT neural.create_function('predict_risk', 'risk');
             SELECT neural.create_function('pinned_risk', 'risk', version => 1);
             SELECT neural.create_function('pinned_class', 'risk', 'class', 3)",
        )
        .unwrap();
    train(&mut owner, "given_up", 5);
    owner
        .batch_execute(
            "SELECT neural.rename_model('given_up', 'passed_through');
             SELECT neural.drop_model('passed_through')",
        )
        .unwrap();
    train(&mut cluster.role("leaver"), "left", 4);
    client
        .batch_execute(
            "CREATE INDEX loan_risk ON loan (pinned_risk(age, amount, purpose));
             CREATE VIEW risky AS SELECT id FROM loan WHERE predict_risk(age, amount, purpose) > 0.3",
        )
        .unwrap();
    cluster
}

/// What is there of [`filled`], to be compared with what was restored.
pub struct Kept {
    predictions: String,
    catalog: String,
    risky: i64,
    given_up: String,
}

impl Kept {
    /// What a database has.
    pub fn of(client: &mut Client) -> Self {
        let given_up = "SELECT string_agg(name || ' of ' || holder::text, ', ' ORDER BY name)
                        FROM _neural.numbering WHERE holder IS NOT NULL";
        Self {
            predictions: text(client, FINGERPRINT),
            catalog: text(client, CATALOG),
            risky: count(client, "SELECT count(*) FROM risky"),
            given_up: text(client, given_up),
        }
    }

    /// Checks that a database has the same, and that its models go on where they were, which
    /// changes it.
    pub fn goes_on_in(&self, after: &mut Client) {
        let there = Self::of(after);
        assert_eq!(there.predictions, self.predictions);
        assert_eq!(there.catalog, self.catalog);
        assert_eq!(there.risky, self.risky);
        // The index answers, and holds what is computed anew.
        after.batch_execute("SET enable_seqscan = off").unwrap();
        let plan = "EXPLAIN (COSTS off) SELECT id FROM loan
                    WHERE pinned_risk(age, amount, purpose) > 0.3";
        let plan: Vec<String> = after
            .query(plan, &[])
            .unwrap()
            .iter()
            .map(|r| r.get(0))
            .collect();
        assert!(plan.join("\n").contains("loan_risk"), "{plan:?}");
        let found = "SELECT count(*) FROM loan WHERE pinned_risk(age, amount, purpose) > 0.3";
        let computed =
            "SELECT count(*) FROM loan WHERE neural.predict('risk@1', age, amount, purpose) > 0.3";
        assert_eq!(count(after, found), count(after, computed));
        // Numbers and deployments go on where they were.
        assert_eq!(number(after, "SELECT neural.rollback('risk')"), 1);
        assert_eq!(train(after, "risk", 5), 4);
        assert_eq!(train(after, "new", 5), 1);
        assert_eq!(number(after, "SELECT neural.rollback('risk')"), 1);
        // So do names that models gave up.
        assert_eq!(there.given_up, "given_up of owner, passed_through of owner");
        assert_eq!(there.given_up, self.given_up);
    }
}

/// Checks that the grantee may what he might, and the owner, and others nothing.
pub fn rights_are_kept(cluster: &Cluster, database: &str) {
    let mut grantee = cluster.connect("grantee", database);
    score(&mut grantee, "risk");
    let (code, _) = error_of(&mut grantee, "SELECT neural.export_model('risk')");
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{database}");
    let mut leaver = cluster.connect("leaver", database);
    let call = "SELECT neural.predict('risk', 35, 1200, 'car')";
    assert_eq!(
        error_of(&mut leaver, call).0,
        SqlState::INSUFFICIENT_PRIVILEGE
    );
    score(&mut leaver, "left");
    let mut owner = cluster.connect("owner", database);
    assert_eq!(number(&mut owner, "SELECT neural.deploy('risk', 3)"), 3);
}

#[test]
fn a_dump_restores_models_functions_and_indexes() {
    let cluster = filled();
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "SELECT neural.train('aliased', 'SELECT age AS x, amount AS z, bad AS outcome FROM loan',
                 'outcome', epochs => 1, seed => 1)",
        )
        .unwrap();
    let file = cluster.dump("postgres", "dump.sql", &[]);
    client.batch_execute("CREATE DATABASE restored").unwrap();
    cluster.psql_file("restored", &file);
    let mut restored = cluster.connect(SUPERUSER, "restored");
    Kept::of(&mut client).goes_on_in(&mut restored);
    // The columns that a model was trained from are known by their names, whatever their OIDs are.
    restored
        .batch_execute("ALTER TABLE loan ADD x int, ADD z numeric")
        .unwrap();
    for column in ["bad", "age"] {
        let call = format!("CALL neural.score_table('aliased', 'loan', '{column}')");
        let (code, message) = error_of(&mut restored, &call);
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE, "{message}");
        assert!(message.contains("was made from"), "{message}");
    }
    rights_are_kept(&cluster, "restored");
}

/// Several jobs build an index as soon as its own table is loaded, whether or not the models are:
/// where one computes with a model, the sections are restored one after the other.
#[test]
fn a_parallel_restore_section_by_section_works_as_well() {
    let cluster = filled();
    let mut client = cluster.superuser();
    let file = cluster.dump("postgres", "dump.custom", &["--format=custom"]);
    client.batch_execute("CREATE DATABASE restored").unwrap();
    for section in ["pre-data", "data", "post-data"] {
        let mut restore: Command = cluster.program("pg_restore");
        restore.args(["--jobs=4", "--exit-on-error", "--dbname=restored"]);
        succeeds(restore.arg(format!("--section={section}")).arg(&file));
    }
    let mut restored = cluster.connect(SUPERUSER, "restored");
    Kept::of(&mut client).goes_on_in(&mut restored);
}

#[test]
fn where_the_roles_are_missing_models_come_back_and_belong_to_nobody() {
    let cluster = filled();
    let options = ["--no-owner", "--no-privileges"];
    let file = cluster.dump("postgres", "dump.sql", &options);
    let elsewhere = Cluster::start();
    let mut client = elsewhere.superuser();
    for sql in [
        "CREATE ROLE other LOGIN",
        "CREATE ROLE another LOGIN",
        "CREATE DATABASE restored",
    ] {
        client.batch_execute(sql).unwrap();
    }
    elsewhere.psql_file("restored", &file);
    let mut restored = elsewhere.connect(SUPERUSER, "restored");
    let owners = "SELECT count(owner) FROM neural.models";
    assert_eq!(count(&mut restored, owners), 0);
    assert_eq!(
        text(&mut cluster.superuser(), FINGERPRINT),
        text(&mut restored, FINGERPRINT)
    );
    // A role that comes later by the old name, or has the old number, gets no right by it.
    restored
        .batch_execute(
            "CREATE ROLE owner LOGIN; CREATE ROLE grantee LOGIN;
             GRANT EXECUTE ON FUNCTION neural.train TO owner",
        )
        .unwrap();
    for role in ["other", "another", "owner", "grantee"] {
        let mut client = elsewhere.connect(role, "restored");
        let (code, _) = error_of(
            &mut client,
            "SELECT neural.predict('risk', 35, 1200, 'car')",
        );
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{role}");
        assert_eq!(count(&mut client, "SELECT count(*) FROM neural.models"), 0);
    }
    let mut named_so = elsewhere.connect("owner", "restored");
    let (code, _) = error_of(
        &mut named_so,
        "SELECT neural.train('given_up', 'SELECT i AS x, i AS y FROM generate_series(1, 9) AS i', 'y')",
    );
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
    restored
        .batch_execute("SELECT neural.set_owner('risk', 'owner')")
        .unwrap();
    let mut owner = elsewhere.connect("owner", "restored");
    assert_eq!(number(&mut owner, "SELECT neural.deploy('risk', 1)"), 1);
}

#[test]
fn the_model_of_a_dropped_role_stays_and_gives_no_right() {
    let cluster = filled();
    let mut client = cluster.superuser();
    let hash = sha256(&mut client, "left");
    client
        .batch_execute(
            "DROP OWNED BY leaver; DROP ROLE leaver;
             CREATE ROLE newcomer LOGIN",
        )
        .unwrap();
    score(&mut client, "left");
    let file = cluster.dump("postgres", "dump.sql", &[]);
    client.batch_execute("CREATE DATABASE restored").unwrap();
    client.batch_execute("CREATE ROLE leaver LOGIN").unwrap();
    cluster.psql_file("restored", &file);
    for database in ["postgres", "restored"] {
        let mut client = cluster.connect(SUPERUSER, database);
        assert_eq!(sha256(&mut client, "left"), hash);
        let owner = "SELECT coalesce(owner::text, 'nobody') FROM neural.models WHERE name = 'left'";
        assert_eq!(text(&mut client, owner), "nobody");
        for role in ["newcomer", "leaver", "owner"] {
            let mut client = cluster.connect(role, database);
            let (code, _) = error_of(
                &mut client,
                "SELECT neural.predict('left', 35, 1200, 'car')",
            );
            assert_eq!(
                code,
                SqlState::INSUFFICIENT_PRIVILEGE,
                "{role} in {database}"
            );
        }
    }
}

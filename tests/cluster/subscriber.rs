//! Models by logical replication: trained on one server, called on others.

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{count, create_loans, number, score, text, train};
use crate::harness::{Cluster, SUPERUSER, error_of, wait_until};

/// The rights to use granted models, as docs/operations.md has it.
const GIVE_RIGHTS: &str = "
    DO $$
    DECLARE role text;
    BEGIN
        FOR role IN SELECT owner::text FROM _neural.model UNION SELECT grantee::text FROM _neural.model_grant
        LOOP
            IF role NOT IN ('none', 'public') THEN
                EXECUTE format('GRANT EXECUTE ON FUNCTION _neural.model_owner_or_grantee() TO %s', role);
            END IF;
        END LOOP;
    END $$";

/// Predictions for all rows of `loan`, to the last bit.
const PREDICTIONS: &str = "
    SELECT md5(string_agg(float8send(neural.predict('risk', age, amount, purpose)), '' ORDER BY id))
    FROM loan";

/// A model with grants and a past, a function pinned to it, and a table that is computed by that, in
/// a schema whose rows are copied before the models'.
fn fill(client: &mut Client) {
    client
        .batch_execute(
            "CREATE ROLE owner LOGIN; CREATE ROLE grantee LOGIN; CREATE ROLE other LOGIN;
             GRANT SELECT ON loan TO PUBLIC; GRANT CREATE ON SCHEMA public TO owner;
             GRANT EXECUTE ON FUNCTION neural.train TO owner; SET ROLE owner",
        )
        .expect("the roles");
    for seed in 1..=3 {
        train(client, "risk", seed);
    }
    client
        .batch_execute(
            "SELECT neural.deploy('risk', 1); SELECT neural.rollback('risk');
             SELECT neural.grant_model('risk', 'grantee'); SELECT neural.grant_model('risk', 'other');
             SELECT neural.create_function('pinned_risk', 'risk', version => 1);
             SELECT neural.create_function('predict_risk', 'risk');
             RESET ROLE;
             CREATE SCHEMA \"App\";
             CREATE TABLE \"App\".scored (id int PRIMARY KEY, age float8,
                 score float8 GENERATED ALWAYS AS (public.pinned_risk(age, 900, 'car')) STORED);
             INSERT INTO \"App\".scored SELECT id, age FROM loan",
        )
        .expect("the model");
}

/// Subscribes the database of that name in another cluster to the publication of that name.
fn subscribe(publisher: &Cluster, subscriber: &Cluster, publication: &str) {
    let directory = publisher.directory().display();
    let sql = format!(
        "CREATE SUBSCRIPTION {publication}
             CONNECTION 'host={directory} port=5432 user=replicator dbname=postgres'
             PUBLICATION {publication}"
    );
    let mut client = subscriber.connect(SUPERUSER, publication);
    client.batch_execute(&sql).expect("the subscription");
}

/// The same with `models`, whose pieces come last: until they are there, calls say so.
fn subscribe_slowly(publisher: &Cluster, subscriber: &Cluster, models: &mut Client) {
    let mut blocker = subscriber.connect(SUPERUSER, "models");
    blocker
        .batch_execute("BEGIN; LOCK TABLE _neural.chunk IN SHARE MODE")
        .expect("the lock");
    subscribe(publisher, subscriber, "models");
    wait_for_version(models, 3);
    let error = models
        .batch_execute("SELECT neural.predict('risk', 35, 1200, 'car')")
        .expect_err("no pieces");
    let error = error.as_db_error().expect("an error of the server's");
    let told = (error.code(), error.hint().unwrap_or_default());
    assert_eq!(*told.0, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(
        told.1.contains("Try again once that has ended"),
        "{}",
        told.1
    );
    blocker.batch_execute("COMMIT").expect("the lock's end");
}

/// Waits until the first copy is made.
fn wait_for_copy(client: &mut Client) {
    wait_until("the tables are copied", || {
        let left = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
        count(client, left) == 0
    });
}

/// Waits until another connection of the subscriber's sees that version deployed.
fn wait_for_version(client: &mut Client, version: i64) {
    wait_until("the version arrives", || {
        let sql = "SELECT coalesce(max(version), 0)::bigint FROM neural.models WHERE name = 'risk'";
        count(client, sql) == version
    });
}

#[test]
fn models_are_trained_on_the_publisher_and_called_on_subscribers() {
    let publisher = Cluster::with_extension(&["wal_level = logical"]);
    let mut source = publisher.superuser();
    create_loans(&mut source, 200);
    fill(&mut source);
    source
        .batch_execute(
            "CREATE PUBLICATION everything FOR ALL TABLES;
             CREATE PUBLICATION models FOR TABLES IN SCHEMA _neural;
             CREATE ROLE replicator LOGIN REPLICATION BYPASSRLS;
             GRANT pg_read_all_data TO replicator",
        )
        .expect("the publications");

    let subscriber = Cluster::with(&["wal_retrieve_retry_interval = '200ms'"]);
    subscriber
        .superuser()
        .batch_execute("CREATE ROLE owner LOGIN; CREATE ROLE grantee LOGIN; CREATE ROLE other")
        .expect("the roles");
    for name in ["everything", "models"] {
        let sql = format!("CREATE DATABASE {name}");
        subscriber
            .superuser()
            .batch_execute(&sql)
            .expect("a database");
    }
    // All of it: the schema by a dump, with functions and rights.
    let schema = publisher.dump(
        "postgres",
        "schema.sql",
        &["--schema-only", "--no-publications"],
    );
    subscriber.psql_file("everything", &schema);
    subscribe(&publisher, &subscriber, "everything");
    // The models alone.
    let mut models = subscriber.connect(SUPERUSER, "models");
    models
        .batch_execute("CREATE EXTENSION pg_neural")
        .expect("the extension");
    create_loans(&mut models, 200);
    subscribe_slowly(&publisher, &subscriber, &mut models);

    let mut all = subscriber.connect(SUPERUSER, "everything");
    for client in [&mut all, &mut models] {
        wait_for_copy(client);
        assert_eq!(text(client, PREDICTIONS), text(&mut source, PREDICTIONS));
    }
    let computed = "SELECT md5(string_agg(float8send(score), '' ORDER BY id)) FROM \"App\".scored";
    assert_eq!(text(&mut all, computed), text(&mut source, computed));

    rights(&subscriber, &mut models);
    sessions_follow(&mut source, [&mut all, &mut models], &subscriber);
    changes_follow(&mut source, &mut models);
    goes_on_alone(&mut models);
    drop((all, models));
}

/// Rights on models are rows and privileges; of these replication knows nothing.
fn rights(subscriber: &Cluster, models: &mut Client) {
    let call = "SELECT neural.predict('risk', 35, 1200, 'car')";
    let mut grantee = subscriber.connect("grantee", "everything");
    score(&mut grantee, "risk");
    let mut grantee = subscriber.connect("grantee", "models");
    assert_eq!(
        error_of(&mut grantee, call).0,
        SqlState::INSUFFICIENT_PRIVILEGE
    );
    score(&mut subscriber.connect("owner", "models"), "risk");
    models.batch_execute(GIVE_RIGHTS).expect("the rights");
    score(&mut grantee, "risk");
    let (code, _) = error_of(&mut grantee, "SELECT neural.export_model('risk')");
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
}

/// A session that has called a model calls the new version in its next statement, however it calls it.
fn sessions_follow(source: &mut Client, seen_by: [&mut Client; 2], subscriber: &Cluster) {
    let mut sessions: Vec<Client> = ["everything", "models"]
        .iter()
        .map(|database| subscriber.connect(SUPERUSER, database))
        .collect();
    for session in &mut sessions {
        session
            .batch_execute(
                "SET plan_cache_mode = force_generic_plan;
                 PREPARE called AS SELECT neural.predict('risk', 35, 1200, 'car');
                 CREATE FUNCTION pg_temp.called() RETURNS float8 LANGUAGE plpgsql AS
                     'BEGIN RETURN neural.predict(''risk'', 35, 1200, ''car''); END'",
            )
            .expect("ways of calling");
    }
    let ways = [
        "SELECT neural.predict('risk', 35, 1200, 'car')",
        "SELECT pg_temp.called()",
        "SELECT DISTINCT neural.predict('risk', 35, 1200, 'car') FROM loan",
    ];
    let follow = |sessions: &mut [Client], expected: f64| {
        for session in sessions {
            for sql in ways {
                let row = session.query_one(sql, &[]).expect("a row");
                assert_eq!(row.get::<_, f64>(0), expected, "{sql}");
            }
            let rows = session.simple_query("EXECUTE called").expect("a row");
            let found = rows.iter().find_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            assert_eq!(found.expect("a score").parse::<f64>(), Ok(expected));
        }
    };
    follow(&mut sessions, score(source, "risk@3"));
    let [all, models] = seen_by;
    for version in [4, 5, 2] {
        if version == 2 {
            number(source, "SELECT neural.deploy('risk', 2)");
        } else {
            assert_eq!(i64::from(train(source, "risk", version as u32)), version);
        }
        wait_for_version(all, version);
        wait_for_version(models, version);
        follow(&mut sessions, score(source, &format!("risk@{version}")));
    }
    let mut function = subscriber.connect(SUPERUSER, "everything");
    let called = "SELECT predict_risk(35, 1200, 'car') = neural.predict('risk@2', 35, 1200, 'car')";
    assert_eq!(
        text(&mut function, &format!("SELECT ({called})::text")),
        "true"
    );
}

/// What deletes rows on the publisher deletes them on the subscriber.
fn changes_follow(source: &mut Client, models: &mut Client) {
    let keyless = "SELECT count(*) FROM pg_class AS c
        WHERE relnamespace = '_neural'::regnamespace AND relkind = 'r' AND relreplident = 'd'
            AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)";
    assert_eq!(count(source, keyless), 0);
    train(source, "passing", 1);
    source
        .batch_execute(
            "SELECT neural.grant_model('passing', 'grantee');
             SELECT neural.revoke_model('risk', 'grantee');
             SELECT neural.revoke_model('risk', 'other');
             SELECT neural.rename_model('passing', 'passed');
             SELECT neural.drop_model('passed');
             SELECT neural.drop_model('risk', 4);
             SELECT neural.rollback('risk')",
        )
        .expect("changes");
    wait_for_version(models, 5);
    for table in [
        "model",
        "version",
        "chunk",
        "deployment",
        "model_grant",
        "epoch",
        "numbering",
    ] {
        let sql = format!(
            "SELECT coalesce(string_agg(t::text, '|' ORDER BY t::text), '') FROM _neural.{table} AS t"
        );
        assert_eq!(text(models, &sql), text(source, &sql), "{table}");
    }
}

/// Cut off from its publisher a subscriber goes on: sequences have stayed behind, ids have not.
fn goes_on_alone(models: &mut Client) {
    models
        .batch_execute("DROP SUBSCRIPTION models")
        .expect("cut off");
    let behind =
        "SELECT count(*) FROM pg_sequences WHERE schemaname = '_neural' AND last_value IS NOT NULL";
    assert_eq!(count(models, behind), 0);
    // Past 5 is what was deployed before it, also behind what is deployed now.
    assert_eq!(number(models, "SELECT neural.deploy('risk', 1)"), 1);
    assert_eq!(number(models, "SELECT neural.rollback('risk')"), 5);
    assert_eq!(train(models, "risk", 6), 6);
    assert_eq!(number(models, "SELECT neural.rollback('risk')"), 5);
    assert_eq!(number(models, "SELECT neural.rollback('risk')"), 3);
    assert_eq!(train(models, "passed", 6), 2);
    assert_eq!(train(models, "new", 6), 1);
}

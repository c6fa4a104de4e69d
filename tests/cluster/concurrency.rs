//! Sessions that train, deploy, drop and predict at once.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::fixture::{LOANS, count, create_loans, number, score, train, training};
use crate::harness::{Cluster, backend_pid, error_of, wait_until};

/// Two sessions and a model `risk` with versions 1 and 2, the second deployed.
fn two_versions(cluster: &Cluster) -> Client {
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    assert_eq!(train(&mut client, "risk", 1), 1);
    assert_eq!(train(&mut client, "risk", 2), 2);
    assert_ne!(score(&mut client, "risk@1"), score(&mut client, "risk@2"));
    client
}

/// Runs `sql` in a session of its own while `holder` keeps its transaction open; commits once the
/// session waits for it, and returns how the session fared.
fn meets(
    cluster: &Cluster,
    holder: &mut Client,
    sql: &str,
) -> Result<Option<i32>, (SqlState, String)> {
    let mut client = cluster.superuser();
    let pid = backend_pid(&mut client);
    thread::scope(|scope| {
        let session = scope.spawn(move || match client.query_one(sql, &[]) {
            Ok(row) => Ok(row.try_get(0).ok()),
            Err(error) => {
                let error = error.as_db_error().expect("an error of the server's");
                Err((error.code().clone(), error.message().to_owned()))
            }
        });
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        wait_until("the session waits for a lock", || {
            count(holder, &waits) == 1
        });
        holder.batch_execute("COMMIT").expect("the commit");
        session.join().expect("the session's thread")
    })
}

#[test]
fn two_sessions_training_one_name_make_versions_1_and_2() {
    let cluster = Cluster::with_extension(&[]);
    create_loans(&mut cluster.superuser(), 500);
    let start = Barrier::new(2);
    let session = |seed| {
        let mut client = cluster.superuser();
        start.wait();
        train(&mut client, "risk", seed)
    };
    let mut versions = thread::scope(|scope| {
        let other = scope.spawn(|| session(2));
        [session(1), other.join().expect("the other session")]
    });
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
    let deployed = "SELECT count(*) FROM neural.model_versions WHERE model = 'risk' AND deployed";
    assert_eq!(count(&mut cluster.superuser(), deployed), 1);
}

#[test]
fn a_training_waits_for_another_one_of_its_name_and_takes_the_next_number() {
    let cluster = Cluster::with_extension(&[]);
    let mut holder = cluster.superuser();
    create_loans(&mut holder, 500);
    holder.batch_execute("BEGIN").unwrap();
    assert_eq!(train(&mut holder, "risk", 1), 1);
    let met = meets(&cluster, &mut holder, &training("risk", 2));
    assert_eq!(met, Ok(Some(2)));
    // Another name waits for nobody.
    holder.batch_execute("BEGIN").unwrap();
    assert_eq!(train(&mut holder, "risk", 3), 3);
    assert_eq!(train(&mut cluster.superuser(), "other", 3), 1);
    holder.batch_execute("ROLLBACK").unwrap();
    assert_eq!(train(&mut cluster.superuser(), "risk", 3), 3);
}

#[test]
fn a_long_query_keeps_the_version_of_its_snapshot() {
    let cluster = Cluster::with_extension(&[]);
    let mut other = two_versions(&cluster);
    let (old, new) = (score(&mut other, "risk@2"), score(&mut other, "risk@1"));
    let mut reader = cluster.superuser();
    // 100 rows of 10 ms; the deployment falls in the middle.
    let sql = "SELECT DISTINCT neural.predict('risk', 35, 1200, CASE WHEN i > 0 THEN 'car' END)
               FROM (SELECT i, pg_sleep(0.01) FROM generate_series(1, 100) AS i OFFSET 0) AS s";
    let seen: Vec<f64> = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let rows = reader.query(sql, &[]).expect("the long query");
            rows.iter().map(|row| row.get(0)).collect()
        });
        thread::sleep(Duration::from_millis(300));
        assert!(!reading.is_finished());
        other
            .batch_execute("SELECT neural.deploy('risk', 1)")
            .unwrap();
        assert_eq!(score(&mut other, "risk"), new);
        assert!(!reading.is_finished());
        reading.join().expect("the reader")
    });
    assert_eq!(seen, [old]);
    assert_eq!(score(&mut reader, "risk"), new);
}

#[test]
fn statements_in_a_loop_see_each_deployment_once_it_is_committed() {
    let cluster = Cluster::with_extension(&[]);
    let mut other = two_versions(&cluster);
    let (first, second) = (score(&mut other, "risk@1"), score(&mut other, "risk@2"));
    let mut reader = cluster.superuser();
    // One call site in PL/pgSQL, whose simple expressions outlive their statement.
    reader
        .batch_execute(
            "CREATE FUNCTION watched(seconds float8) RETURNS SETOF float8 LANGUAGE plpgsql AS $$
             DECLARE
                 until timestamptz := clock_timestamp() + seconds * interval '1 s';
                 p float8;
                 last float8;
             BEGIN
                 WHILE clock_timestamp() < until LOOP
                     p := neural.predict('risk', 35, 1200, 'car');
                     IF p IS DISTINCT FROM last THEN
                         RETURN NEXT p;
                         last := p;
                     END IF;
                 END LOOP;
             END $$",
        )
        .unwrap();
    let seen: Vec<f64> = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let rows = reader.query("SELECT watched(2)", &[]).expect("the loop");
            rows.iter().map(|row| row.get(0)).collect()
        });
        thread::sleep(Duration::from_millis(300));
        other
            .batch_execute("SELECT neural.deploy('risk', 1)")
            .unwrap();
        thread::sleep(Duration::from_millis(200));
        other
            .batch_execute("SELECT neural.rollback('risk')")
            .unwrap();
        reading.join().expect("the reader")
    });
    assert_eq!(seen, [second, first, second]);
}

#[test]
fn repeatable_read_keeps_the_version_of_its_snapshot() {
    let cluster = Cluster::with_extension(&[]);
    let mut other = two_versions(&cluster);
    let (old, new) = (score(&mut other, "risk@2"), score(&mut other, "risk@1"));
    let mut reader = cluster.superuser();
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM loan")
        .unwrap();
    other
        .batch_execute("SELECT neural.deploy('risk', 1)")
        .unwrap();
    assert_eq!(score(&mut reader, "risk"), old);
    other
        .batch_execute("SELECT neural.drop_model('risk')")
        .unwrap();
    assert_eq!(score(&mut reader, "risk"), old);
    assert_eq!(score(&mut reader, "risk@1"), new);
    reader.batch_execute("COMMIT").unwrap();
    let (code, _) = error_of(
        &mut reader,
        "SELECT neural.predict('risk', 35, 1200, 'car')",
    );
    assert_eq!(code, SqlState::UNDEFINED_OBJECT);
}

#[test]
fn two_deployments_of_one_model_take_turns() {
    let cluster = Cluster::with_extension(&[]);
    let mut holder = two_versions(&cluster);
    holder
        .batch_execute("BEGIN; SELECT neural.deploy('risk', 1)")
        .unwrap();
    let met = meets(&cluster, &mut holder, "SELECT neural.deploy('risk', 2)");
    assert_eq!(met, Ok(Some(2)));
    assert_eq!(score(&mut holder, "risk"), score(&mut holder, "risk@2"));
    // Both are in the history: 2, 1, 2.
    for expected in [1, 2] {
        assert_eq!(
            number(&mut holder, "SELECT neural.rollback('risk')"),
            expected
        );
    }
}

#[test]
fn deployments_and_rollbacks_of_many_sessions_leave_one_version_deployed() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = two_versions(&cluster);
    thread::scope(|scope| {
        for session in 0..4 {
            let mut client = cluster.superuser();
            scope.spawn(move || {
                for round in 0..25 {
                    let version = 1 + (session + round) % 2;
                    let sql = format!("SELECT neural.deploy('risk', {version})");
                    assert_eq!(number(&mut client, &sql), version);
                    score(&mut client, "risk");
                }
            });
        }
    });
    let deployed = "SELECT count(*) FROM _neural.model m JOIN LATERAL (
                        SELECT version FROM _neural.deployment d WHERE d.model = m.id
                        ORDER BY id DESC LIMIT 1) last ON last.version = m.deployed";
    assert_eq!(count(&mut client, deployed), 1);
}

#[test]
fn a_deployment_that_waited_for_the_models_end_finds_no_model() {
    let cluster = Cluster::with_extension(&[]);
    let mut holder = two_versions(&cluster);
    holder
        .batch_execute("BEGIN; SELECT neural.drop_model('risk')")
        .unwrap();
    let met = meets(&cluster, &mut holder, "SELECT neural.deploy('risk', 1)");
    let (code, message) = met.unwrap_err();
    assert_eq!(code, SqlState::UNDEFINED_OBJECT);
    assert!(message.contains("\"risk\""), "{message}");
}

#[test]
fn a_version_deployed_meanwhile_is_not_dropped() {
    let cluster = Cluster::with_extension(&[]);
    let mut holder = two_versions(&cluster);
    holder
        .batch_execute("BEGIN; SELECT neural.deploy('risk', 1)")
        .unwrap();
    let drop = "SELECT neural.drop_model('risk', 1)::text";
    let (code, _) = meets(&cluster, &mut holder, drop).unwrap_err();
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    score(&mut holder, "risk");
}

#[test]
fn a_version_dropped_meanwhile_is_not_deployed() {
    let cluster = Cluster::with_extension(&[]);
    let mut holder = two_versions(&cluster);
    holder
        .batch_execute("BEGIN; SELECT neural.drop_model('risk', 1)")
        .unwrap();
    let met = meets(&cluster, &mut holder, "SELECT neural.deploy('risk', 1)");
    assert_eq!(met.unwrap_err().0, SqlState::UNDEFINED_OBJECT);
    score(&mut holder, "risk");
}

#[test]
fn dropping_a_model_takes_the_version_that_was_being_stored() {
    let cluster = Cluster::with_extension(&[]);
    let mut holder = two_versions(&cluster);
    holder.batch_execute("BEGIN").unwrap();
    train(&mut holder, "risk", 3);
    let drop = "SELECT neural.drop_model('risk')::text";
    assert_eq!(meets(&cluster, &mut holder, drop), Ok(None));
    let left =
        "SELECT (SELECT count(*) FROM _neural.model) + (SELECT count(*) FROM _neural.version)
                     + (SELECT count(*) FROM _neural.chunk) + (SELECT count(*) FROM _neural.epoch)
                     + (SELECT count(*) FROM _neural.deployment)";
    assert_eq!(count(&mut holder, left), 0);
    // The numbers go on: version 3 of this name was another one.
    assert_eq!(train(&mut holder, "risk", 4), 4);
}

#[test]
fn a_model_is_dropped_while_others_predict_without_an_error_in_their_statements() {
    let cluster = Cluster::with_extension(&[]);
    let mut other = two_versions(&cluster);
    let sql = "SELECT count(neural.predict('risk', age, amount, purpose)) FROM (
                   SELECT *, pg_sleep(0.002) FROM loan OFFSET 0) AS s";
    let mut reader = cluster
        .config(crate::harness::SUPERUSER, "postgres")
        .connect(NoTls)
        .unwrap();
    thread::scope(|scope| {
        let reading = scope.spawn(|| count(&mut reader, sql));
        thread::sleep(Duration::from_millis(300));
        for sql in [
            "SELECT neural.drop_model('risk')",
            "VACUUM _neural.chunk",
            "VACUUM _neural.version",
        ] {
            other.batch_execute(sql).unwrap();
        }
        assert_eq!(reading.join().expect("the reader"), 500);
    });
    let (code, _) = error_of(
        &mut reader,
        &format!("SELECT neural.evaluate('risk', '{LOANS}')"),
    );
    assert_eq!(code, SqlState::UNDEFINED_OBJECT);
}

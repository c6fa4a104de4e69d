//! Trainings that are undone or cut off leave nothing behind.

use std::thread;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{count, create_loans, score, sha256, stored_rows, train};
use crate::harness::{Cluster, backend_pid, error_of, wait_until};

/// Bytes of temporary files.
const TEMPORARY: &str = "SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_tmpdir()";

/// A training that goes through a temporary file and would take very long.
const LONG: &str = "SELECT neural.train('long',
    'SELECT sin(i) AS a, cos(i) AS b, sin(i * 0.7) AS c, i % 3 = 0 AS y
     FROM (SELECT generate_series(1, 300000) AS i) AS s',
    'y', epochs => 100000, options => '{\"verbose\": false}')";

#[test]
fn a_training_that_is_rolled_back_leaves_nothing() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    client.batch_execute("BEGIN").unwrap();
    assert_eq!(train(&mut client, "risk", 1), 1);
    score(&mut client, "risk");
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(stored_rows(&mut client), 0);
    let (code, _) = error_of(
        &mut client,
        "SELECT neural.predict('risk', 35, 1200, 'car')",
    );
    assert_eq!(code, SqlState::UNDEFINED_OBJECT);
    // The number was never given.
    assert_eq!(train(&mut client, "risk", 1), 1);
}

#[test]
fn a_savepoint_takes_back_the_version_and_its_deployment() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let first = score(&mut client, "risk");
    client.batch_execute("BEGIN; SAVEPOINT before").unwrap();
    train(&mut client, "risk", 2);
    assert_ne!(score(&mut client, "risk"), first);
    client.batch_execute("ROLLBACK TO before").unwrap();
    assert_eq!(score(&mut client, "risk"), first);
    // The same through an exception in PL/pgSQL.
    client
        .batch_execute(
            "DO $$
             DECLARE
                 before float8 := neural.predict('risk', 35, 1200, 'car');
             BEGIN
                 BEGIN
                     PERFORM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loan',
                         'bad', epochs => 1, seed => 3, options => '{\"verbose\": false}');
                     ASSERT before <> neural.predict('risk', 35, 1200, 'car');
                     RAISE division_by_zero;
                 EXCEPTION WHEN division_by_zero THEN
                     NULL;
                 END;
                 ASSERT before = neural.predict('risk', 35, 1200, 'car');
             END $$",
        )
        .unwrap();
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(score(&mut client, "risk"), first);
    assert_eq!(train(&mut client, "risk", 4), 2);
}

#[test]
fn dropping_renaming_and_deploying_roll_back() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    train(&mut client, "risk", 2);
    let (before, deployed) = (stored_rows(&mut client), sha256(&mut client, "risk"));
    client
        .batch_execute(
            "BEGIN;
             SELECT neural.deploy('risk', 1);
             SELECT neural.rename_model('risk', 'renamed');
             SELECT neural.drop_model('renamed');
             ROLLBACK",
        )
        .unwrap();
    assert_eq!(stored_rows(&mut client), before);
    assert_eq!(sha256(&mut client, "risk"), deployed);
    score(&mut client, "risk");
}

/// Starts [`LONG`] in a session of its own and returns once its workers compute over the
/// temporary file.
fn start_long(cluster: &Cluster, watcher: &mut Client) -> (i32, thread::JoinHandle<()>) {
    let mut client = cluster.superuser();
    client
        .batch_execute("SET neural.max_memory = '12MB'")
        .unwrap();
    let pid = backend_pid(&mut client);
    let running = thread::spawn(move || {
        client
            .batch_execute(LONG)
            .expect_err("it must not end well");
    });
    wait_until("the rows are in a temporary file", || {
        count(watcher, TEMPORARY) > 7_000_000
    });
    wait_until("workers compute", || {
        let threads = format!("/proc/{pid}/task");
        std::fs::read_dir(threads).is_ok_and(|threads| threads.count() > 1)
    });
    (pid, running)
}

#[test]
fn the_server_recovers_from_a_backend_killed_in_training() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let (before, answer) = (stored_rows(&mut client), score(&mut client, "risk"));
    let (pid, running) = start_long(&cluster, &mut client);
    cluster.kill_backend(pid);
    running.join().expect("the training's thread");
    let mut client = cluster.superuser();
    assert_eq!(stored_rows(&mut client), before);
    assert_eq!(score(&mut client, "risk"), answer);
    assert_eq!(count(&mut client, TEMPORARY), 0);
    assert_eq!(train(&mut client, "long", 1), 1);
}

#[test]
fn temporary_files_go_with_a_cancelled_training() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    let (pid, running) = start_long(&cluster, &mut client);
    client
        .batch_execute(&format!("SELECT pg_cancel_backend({pid})"))
        .unwrap();
    running.join().expect("the training's thread");
    assert_eq!(count(&mut client, TEMPORARY), 0);
    assert_eq!(stored_rows(&mut client), 0);
}

#[test]
fn a_full_temporary_space_is_an_error_that_leaves_nothing() {
    let cluster = Cluster::with_extension(&["temp_file_limit = '1MB'"]);
    let mut client = cluster.superuser();
    client
        .batch_execute("SET neural.max_memory = '12MB'")
        .unwrap();
    let (code, message) = error_of(&mut client, LONG);
    assert_eq!(code, SqlState::CONFIGURATION_LIMIT_EXCEEDED, "{message}");
    assert_eq!(count(&mut client, TEMPORARY), 0);
    assert_eq!(stored_rows(&mut client), 0);
    client.batch_execute("SELECT 1").unwrap();
}

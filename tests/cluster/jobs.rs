//! Trainings in the background: what others see of them, and how they end.

use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{LOANS, count, create_loans, sha256, text};
use crate::harness::{Cluster, SUPERUSER, error_of, wait_until};

/// How long after the request a job may end; see `cancel`.
const SOON: Duration = Duration::from_secs(1);

/// A job that would take hours.
pub fn endless(client: &mut Client, model: &str) -> i64 {
    let sql = format!(
        "SELECT neural.train_async('{model}', '{LOANS}', 'bad', epochs => 10000000, seed => 1,
             options => '{{\"threads\": 2}}')"
    );
    let job = count(client, &sql);
    wait_until("the job computes", || {
        let sql = format!("SELECT count(*) FROM neural.jobs WHERE job = {job} AND epoch >= 1");
        count(client, &sql) == 1
    });
    job
}

/// A job that takes no time.
pub fn short(client: &mut Client, model: &str) -> i64 {
    let sql =
        format!("SELECT neural.train_async('{model}', '{LOANS}', 'bad', epochs => 2, seed => 1)");
    count(client, &sql)
}

pub fn wait(client: &mut Client, job: i64) -> String {
    text(client, &format!("SELECT neural.wait_job({job}, '5 min')"))
}

/// Its state and SQLSTATE.
pub fn end_of(client: &mut Client, job: i64) -> String {
    let sql = format!("SELECT concat_ws(' ', state, sqlstate) FROM neural.jobs WHERE job = {job}");
    text(client, &sql)
}

/// The process of a job.
pub fn worker(client: &mut Client, job: i64) -> i32 {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity
         WHERE backend_type = 'pg_neural job' AND query LIKE 'neural.train job {job}:%'"
    );
    client.query_one(&sql, &[]).expect("the worker").get(0)
}

fn workers(client: &mut Client) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_neural job'";
    count(client, sql)
}

pub fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    // What waits for a job in vain fails the test.
    client
        .batch_execute("SET statement_timeout = '120s'")
        .unwrap();
    (cluster, client)
}

#[test]
fn a_job_that_computes_holds_up_nobody() {
    let (cluster, mut client) = cluster();
    let job = endless(&mut client, "endless");
    let seen = "SELECT concat_ws(', ', backend_xid, backend_xmin, xact_start,
                    query ~ '^neural.train job \\d+: epoch \\d+ of 10000000$', state)
                FROM pg_stat_activity WHERE backend_type = 'pg_neural job'";
    // Now and then a short transaction tells the progress.
    wait_until("it has no transaction", || {
        text(&mut client, seen) == "t, active"
    });

    let (mut vacuum, notices) = cluster.with_notices();
    vacuum
        .batch_execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i; DELETE FROM t")
        .unwrap();
    wait_until("VACUUM removes what was deleted", || {
        notices.lock().unwrap().clear();
        vacuum.batch_execute("VACUUM (VERBOSE) t").unwrap();
        let notices = notices.lock().unwrap().join("\n");
        notices.contains("1000 removed") && notices.contains("0 are dead but not yet removable")
    });
    for statement in ["CREATE DATABASE elsewhere", "DROP DATABASE elsewhere"] {
        client.batch_execute(statement).expect(statement);
    }

    let epoch = |client: &mut Client| {
        let sql = "SELECT epoch::bigint FROM neural.jobs
                   WHERE state = 'running' AND epochs = 10000000 AND rows_done = 500
                     AND train_loss > 0 AND validation_loss > 0 AND eta > interval '1 minute'";
        count(client, sql)
    };
    let before = epoch(&mut client);
    wait_until("the progress is told", || epoch(&mut client) > before);

    let asked = Instant::now();
    client
        .batch_execute(&format!("SELECT neural.cancel_job({job})"))
        .unwrap();
    assert_eq!(wait(&mut client, job), "cancelled");
    let took = asked.elapsed();
    println!("cancelled after {took:.0?}");
    assert!(took < SOON, "{took:?}");
    assert_eq!(end_of(&mut client, job), "cancelled 57014");
    wait_until("the worker ends", || workers(&mut client) == 0);
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.models"), 0);
}

#[test]
fn a_job_outlives_its_requester_and_takes_no_more_than_its_rights() {
    let (cluster, mut client) = cluster();
    client
        .batch_execute(
            "CREATE ROLE clerk LOGIN; GRANT SELECT ON loan TO clerk;
             GRANT EXECUTE ON FUNCTION neural.train_async TO clerk;
             ALTER TABLE loan ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON loan TO clerk
                 USING (id <= 200 AND current_setting('app.branch') = 'north')",
        )
        .unwrap();
    let mut clerk = cluster.role("clerk");
    clerk
        .batch_execute("SET app.branch = 'north'; SET TimeZone = 'Asia/Tokyo'")
        .unwrap();
    let job = short(&mut clerk, "theirs");
    drop(clerk);
    assert_eq!(wait(&mut client, job), "succeeded");
    let sql = format!("SELECT rows_total FROM neural.jobs WHERE job = {job}");
    assert_eq!(count(&mut client, &sql), 200);
    let owner = "SELECT owner::text FROM neural.models WHERE name = 'theirs'";
    assert_eq!(text(&mut client, owner), "clerk");

    let mut clerk = cluster.role("clerk");
    clerk.batch_execute("SET row_security = off").unwrap();
    let (code, _) = error_of(
        &mut clerk,
        &format!("SELECT neural.train_async('theirs', '{LOANS}', 'bad')"),
    );
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
    // A right that is taken meanwhile.
    clerk
        .batch_execute("RESET row_security; SET app.branch = 'north'; BEGIN")
        .unwrap();
    let job = short(&mut clerk, "theirs");
    client
        .batch_execute("REVOKE SELECT ON loan FROM clerk")
        .unwrap();
    clerk.batch_execute("COMMIT").unwrap();
    assert_eq!(wait(&mut client, job), "failed");
    assert_eq!(end_of(&mut client, job), "failed 42501");
}

#[test]
fn a_role_without_login() {
    let (_cluster, mut client) = cluster();
    client
        .batch_execute(
            "CREATE ROLE locked; GRANT SELECT ON loan TO locked;
             GRANT EXECUTE ON FUNCTION neural.train_async TO locked; SET ROLE locked",
        )
        .unwrap();
    let version = "SELECT current_setting('server_version_num')::bigint";
    if count(&mut client, version) < 170_000 {
        let sql = format!("SELECT neural.train_async('theirs', '{LOANS}', 'bad')");
        let (code, message) = error_of(&mut client, &sql);
        assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert!(message.contains("\"locked\""), "{message}");
    } else {
        let job = short(&mut client, "theirs");
        assert_eq!(wait(&mut client, job), "succeeded");
    }
}

#[test]
fn a_job_that_is_killed_shows_as_failed() {
    let (cluster, mut client) = cluster();
    let job = endless(&mut client, "killed");
    let pid = worker(&mut client, job);
    cluster.kill_backend(pid);
    let mut client = cluster.superuser();
    assert_eq!(end_of(&mut client, job), "failed 57P02");
    assert_eq!(wait(&mut client, job), "failed");
    let sql = format!("SELECT neural.cancel_job({job})::text");
    assert_eq!(text(&mut client, &sql), "false");

    let job = endless(&mut client, "stopped");
    cluster.restart("immediate");
    let mut client = cluster.superuser();
    assert_eq!(end_of(&mut client, job), "failed 57P02");
    assert_eq!(wait(&mut client, job), "failed");

    // These can still say why.
    let job = endless(&mut client, "terminated");
    let pid = worker(&mut client, job);
    client
        .batch_execute(&format!("SELECT pg_terminate_backend({pid})"))
        .unwrap();
    assert_eq!(wait(&mut client, job), "failed");
    assert_eq!(end_of(&mut client, job), "failed 57P01");
    let job = endless(&mut client, "shut_down");
    cluster.restart("fast");
    let mut client = cluster.superuser();
    assert_eq!(end_of(&mut client, job), "failed 57P01");
    let job = endless(&mut client, "signalled");
    let pid = worker(&mut client, job);
    client
        .batch_execute(&format!("SELECT pg_cancel_backend({pid})"))
        .unwrap();
    assert_eq!(wait(&mut client, job), "cancelled");
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.models"), 0);
    let job = short(&mut client, "after");
    assert_eq!(wait(&mut client, job), "succeeded");
}

#[test]
fn workers_are_counted_in_the_cluster() {
    let cluster = Cluster::with_extension(&[
        "max_worker_processes = 2",
        "max_logical_replication_workers = 0",
    ]);
    let mut client = cluster.superuser();
    client
        .batch_execute("SET neural.max_jobs = 2; SET statement_timeout = '120s'")
        .unwrap();
    create_loans(&mut client, 500);
    client.batch_execute("CREATE DATABASE other").unwrap();
    let mut other = cluster.connect(SUPERUSER, "other");
    other
        .batch_execute("CREATE EXTENSION pg_neural; SET neural.max_jobs = 2")
        .unwrap();
    create_loans(&mut other, 500);

    // The same number in two databases.
    let job = endless(&mut client, "endless");
    assert_eq!(endless(&mut other, "endless"), job);
    let third = format!("SELECT neural.train_async('third', '{LOANS}', 'bad', epochs => 1)");
    let (code, message) = error_of(&mut client, &third);
    assert_eq!(code, SqlState::TOO_MANY_CONNECTIONS);
    assert!(message.contains("neural.max_jobs"), "{message}");
    client.batch_execute("SET neural.max_jobs = 9").unwrap();
    let (code, message) = error_of(&mut client, &third);
    assert_eq!(code, SqlState::TOO_MANY_CONNECTIONS);
    assert!(message.contains("no background worker"), "{message}");
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.jobs"), 1);

    other
        .batch_execute(&format!("SELECT neural.cancel_job({job})"))
        .unwrap();
    assert_eq!(wait(&mut other, job), "cancelled");
    assert_eq!(end_of(&mut client, job), "running");
    wait_until("the place is free", || workers(&mut client) == 1);
    // The postmaster gives the worker's slot back a moment later.
    wait_until("a worker is free", || client.batch_execute(&third).is_ok());
    let third = "SELECT max(job) FROM neural.jobs WHERE model = 'third'";
    let third = count(&mut client, third);
    assert_eq!(wait(&mut client, third), "succeeded");
    client
        .batch_execute(&format!("SELECT neural.cancel_job({job})"))
        .unwrap();
    assert_eq!(wait(&mut client, job), "cancelled");
}

#[test]
fn rows_that_do_not_fit_in_memory_give_the_same_bits() {
    let (_cluster, mut client) = cluster();
    client
        .batch_execute(
            "CREATE TABLE wide AS
             SELECT sin(i) AS a, cos(i) AS b, sin(i * 0.7) AS c, cos(i * 0.3) AS d,
                    sin(i) + cos(i * 0.3) > 0 AS y
             FROM generate_series(1, 60000) AS i;
             SET neural.max_memory = '3MB'; SET neural.threads = 1",
        )
        .unwrap();
    let arguments = "'TABLE wide', 'y', epochs => 1, seed => 1, batch_size => 64,
        architecture => 'logistic', options => '{\"verbose\": false}'";
    let job = count(
        &mut client,
        &format!("SELECT neural.train_async('aside', {arguments})"),
    );
    assert_eq!(wait(&mut client, job), "succeeded");
    client
        .batch_execute(&format!("SELECT neural.train('here', {arguments})"))
        .unwrap();
    assert_eq!(sha256(&mut client, "aside"), sha256(&mut client, "here"));
}

/// A job that keeps how far it is after each epoch, and takes some seconds.
pub fn long(client: &mut Client, model: &str, epochs: u32) -> i64 {
    let sql = format!(
        "SELECT neural.train_async('{model}', 'SELECT * FROM loan ORDER BY id', 'bad', epochs => {epochs},
             seed => 1, features => '{{\"id\": \"ignore\"}}',
             options => '{{\"checkpoint\": 1, \"restore_best\": true}}')"
    );
    count(client, &sql)
}

/// Waits until something of the job is kept.
pub fn kept(client: &mut Client, job: i64) {
    let sql = format!("SELECT count(*) FROM _neural.checkpoint WHERE job = {job}");
    wait_until("a checkpoint is kept", || count(client, &sql) > 0);
}

pub fn resume(client: &mut Client, job: i64) {
    let sql = format!("SELECT neural.resume_job({job})");
    assert_eq!(count(client, &sql), job);
}

#[test]
fn a_resumed_job_has_the_bits_of_one_that_ran_through() {
    let cluster = Cluster::with_extension(&["session_preload_libraries = 'pg_neural'"]);
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "ALTER DATABASE postgres SET neural.checkpoint_interval = 0;
             SET statement_timeout = '120s'",
        )
        .unwrap();
    create_loans(&mut client, 500);
    let epochs = 300;
    let whole = long(&mut client, "whole", epochs);
    assert_eq!(wait(&mut client, whole), "succeeded");
    let pieces = "SELECT count(*) FROM _neural.checkpoint";
    assert_eq!(count(&mut client, pieces), 0);

    // Cancelled, then killed, and each time gone on with.
    let job = long(&mut client, "broken", epochs);
    kept(&mut client, job);
    client
        .batch_execute(&format!("SELECT neural.cancel_job({job})"))
        .unwrap();
    assert_eq!(wait(&mut client, job), "cancelled");
    resume(&mut client, job);
    wait_until("it goes on", || {
        let sql =
            format!("SELECT count(*) FROM neural.jobs WHERE job = {job} AND state <> 'queued'");
        count(&mut client, &sql) == 1
    });
    let pid = "SELECT coalesce(max(pid), 0)::bigint FROM pg_stat_activity WHERE backend_type = 'pg_neural job'";
    let pid = count(&mut client, pid);
    if pid > 0 {
        cluster.kill_backend(pid as i32);
    }
    let mut client = cluster.superuser();
    let state = wait(&mut client, job);
    if state != "succeeded" {
        assert_eq!(state, "failed");
        resume(&mut client, job);
        assert_eq!(wait(&mut client, job), "succeeded");
    }
    assert_eq!(sha256(&mut client, "whole"), sha256(&mut client, "broken"));
    let history = "SELECT count(*) FROM neural.training_history WHERE model = 'broken'";
    assert_eq!(count(&mut client, history), i64::from(epochs));
    assert_eq!(count(&mut client, pieces), 0);
    let (code, _) = error_of(&mut client, &format!("SELECT neural.resume_job({job})"));
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);

    // Other rows are told of.
    let job = long(&mut client, "changed", epochs);
    kept(&mut client, job);
    client
        .batch_execute(&format!("SELECT neural.cancel_job({job})"))
        .unwrap();
    assert_eq!(wait(&mut client, job), "cancelled");
    client
        .batch_execute("UPDATE loan SET amount = amount + 1 WHERE id = 7")
        .unwrap();
    resume(&mut client, job);
    assert_eq!(wait(&mut client, job), "failed");
    assert_eq!(end_of(&mut client, job), "failed 55000");
}

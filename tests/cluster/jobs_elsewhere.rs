//! Jobs where their worker is not: on a standby, in a restored database, when their role or model is gone;
//! and where no client is.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{LOANS, count, create_loans, number, sha256, text};
use crate::harness::{Cluster, SUPERUSER, error_of, wait_until};
use crate::jobs::{cluster, end_of, endless, kept, long, resume, short, wait};

/// SQLSTATE and HINT of what must fail.
fn hint_of(client: &mut Client, sql: &str) -> (SqlState, String) {
    let error = client.batch_execute(sql).expect_err("it must fail");
    let error = error.as_db_error().expect("an error of the server's");
    (
        error.code().clone(),
        error.hint().unwrap_or_default().into(),
    )
}

/// Lets no job keep anything until its transaction ends: a job that wants to waits, as long as is wanted.
const HOLD_UP: &str = "BEGIN; LOCK TABLE _neural.checkpoint IN SHARE MODE";

fn is_held_up(client: &mut Client) {
    let sql = "SELECT count(*) FROM pg_locks
               WHERE NOT granted AND relation = '_neural.checkpoint'::regclass";
    wait_until("the job waits", || count(client, sql) == 1);
}

fn cancelled(client: &mut Client, job: i64) {
    let sql = format!("SELECT neural.cancel_job({job})::text");
    assert_eq!(text(client, &sql), "true");
    assert_eq!(wait(client, job), "cancelled");
}

/// So that there is a checkpoint after every epoch.
const KEEPS_ALL: &str = "ALTER DATABASE postgres SET neural.checkpoint_interval = 0";

#[test]
fn a_standby_shows_jobs_and_once_promoted_goes_on_with_them() {
    const EPOCHS: u32 = 100;
    let primary = Cluster::with_extension(&["session_preload_libraries = 'pg_neural'"]);
    let mut client = primary.superuser();
    create_loans(&mut client, 500);
    client.batch_execute(KEEPS_ALL).unwrap();
    let mut client = primary.superuser();
    let whole = long(&mut client, "whole", EPOCHS);
    assert_eq!(wait(&mut client, whole), "succeeded");
    let bits = sha256(&mut client, "whole");
    let standby = primary.standby();
    let mut reader = standby.superuser();

    let broken = long(&mut client, "broken", EPOCHS);
    kept(&mut client, broken);
    let mut blocker = primary.superuser();
    blocker.batch_execute(HOLD_UP).unwrap();
    is_held_up(&mut client);
    primary.wait_for(&standby);
    assert_eq!(end_of(&mut client, broken), "running");
    assert_eq!(end_of(&mut reader, broken), "running");
    assert_eq!(end_of(&mut reader, whole), "succeeded");
    for sql in [
        format!("SELECT neural.train_async('other', '{LOANS}', 'bad')"),
        format!("SELECT neural.wait_job({broken}, '0')"),
        format!("SELECT neural.wait_job({whole})"),
        format!("SELECT neural.cancel_job({broken})"),
        format!("SELECT neural.resume_job({whole})"),
    ] {
        let (code, hint) = hint_of(&mut reader, &sql);
        assert_eq!(code, SqlState::READ_ONLY_SQL_TRANSACTION, "{sql}");
        assert!(hint.contains("primary"), "{sql}: {hint}");
    }

    // Nobody tells a standby that the worker is gone.
    drop(client);
    primary.halt("immediate");
    assert_eq!(end_of(&mut reader, broken), "running");
    assert_eq!(count(&mut reader, "SELECT pg_promote()::int::bigint"), 1);
    assert_eq!(end_of(&mut reader, broken), "failed 57P02");
    let mut promoted = standby.superuser();
    assert_eq!(wait(&mut promoted, broken), "failed");
    let cancel = format!("SELECT neural.cancel_job({broken})::text");
    assert_eq!(text(&mut promoted, &cancel), "false");
    assert_eq!(end_of(&mut promoted, whole), "succeeded");
    resume(&mut promoted, broken);
    assert_eq!(wait(&mut promoted, broken), "succeeded");
    assert_eq!(sha256(&mut promoted, "broken"), bits);
    assert!(short(&mut promoted, "new") > broken);
}

#[test]
fn a_dump_carries_jobs_as_history() {
    let cluster = Cluster::with_extension(&["session_preload_libraries = 'pg_neural'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    client
        .batch_execute(&format!(
            "{KEEPS_ALL};
             CREATE ROLE clerk LOGIN; GRANT SELECT ON loan TO clerk;
             GRANT EXECUTE ON FUNCTION neural.train_async, neural.resume_job TO clerk"
        ))
        .unwrap();
    let mut clerk = cluster.role("clerk");
    let done = short(&mut clerk, "theirs");
    assert_eq!(wait(&mut clerk, done), "succeeded");
    let mut client = cluster.superuser();
    let broken = long(&mut client, "broken", 100_000);
    kept(&mut client, broken);
    cancelled(&mut client, broken);
    let running = endless(&mut client, "running");
    let pieces = "SELECT count(*) FROM _neural.checkpoint";
    assert!(count(&mut client, pieces) > 0);

    let dump = cluster.dump("postgres", "jobs.sql", &[]);
    client.batch_execute("CREATE DATABASE restored").unwrap();
    cluster.psql_file("restored", &dump);
    let mut restored = cluster.connect(SUPERUSER, "restored");
    let shown = |client: &mut Client| {
        let sql = "SELECT string_agg(concat_ws(' ', job, model, state, sqlstate, version, requested_by), ', '
                       ORDER BY job) FROM neural.jobs";
        text(client, sql)
    };
    let ended =
        format!("{done} theirs succeeded 1 clerk, {broken} broken cancelled 57014 postgres");
    assert_eq!(
        shown(&mut client),
        format!("{ended}, {running} running running postgres")
    );
    assert_eq!(
        shown(&mut restored),
        format!("{ended}, {running} running failed 57P02 postgres")
    );
    // What was kept is of no use but beside the same rows.
    assert_eq!(count(&mut restored, pieces), 0);
    for job in [broken, running] {
        let (code, hint) = hint_of(&mut restored, &format!("SELECT neural.resume_job({job})"));
        assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert!(hint.contains("Begin anew"), "{hint}");
    }
    assert_eq!(wait(&mut restored, running), "failed");
    let cancel = format!("SELECT neural.cancel_job({running})::text");
    assert_eq!(text(&mut restored, &cancel), "false");
    // Whose a job was it is.
    let mut clerk = cluster.connect("clerk", "restored");
    assert_eq!(
        shown(&mut clerk),
        format!("{done} theirs succeeded 1 clerk")
    );
    // Numbers go on, and the same one in two databases is two jobs.
    let next = short(&mut clerk, "theirs");
    assert_eq!(next, running + 1);
    assert_eq!(wait(&mut clerk, next), "succeeded");
    assert_eq!(short(&mut client, "here"), next);
    assert_eq!(wait(&mut client, next), "succeeded");
    let versions = "SELECT max(version)::int FROM neural.model_versions WHERE model = 'theirs'";
    assert_eq!(number(&mut clerk, versions), 2);
    assert_eq!(end_of(&mut client, running), "running");
    cancelled(&mut client, running);
    assert_eq!(end_of(&mut restored, running), "failed 57P02");
}

/// A role that may train in the background.
fn create_trainer(client: &mut Client, role: &str) {
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT ON loan TO {role};
             GRANT EXECUTE ON FUNCTION neural.train, neural.train_async, neural.resume_job TO {role}"
        ))
        .unwrap();
}

/// What a role can do with the job of another: nothing.
fn is_closed_to(client: &mut Client, job: i64) {
    let sql = format!("SELECT count(*) FROM neural.jobs WHERE job = {job}");
    assert_eq!(count(client, &sql), 0);
    for function in ["wait_job", "cancel_job", "resume_job"] {
        let (code, _) = error_of(client, &format!("SELECT neural.{function}({job})"));
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{function}");
    }
}

#[test]
fn what_is_left_of_a_job_goes_to_nobody_else() {
    let cluster = Cluster::with_extension(&["session_preload_libraries = 'pg_neural'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    client.batch_execute(KEEPS_ALL).unwrap();
    create_trainer(&mut client, "clerk");
    create_trainer(&mut client, "other");
    let mut clerk = cluster.role("clerk");
    clerk
        .batch_execute("SET statement_timeout = '120s'")
        .unwrap();
    let done = short(&mut clerk, "theirs");
    assert_eq!(wait(&mut clerk, done), "succeeded");
    let broken = long(&mut clerk, "theirs", 100_000);
    kept(&mut client, broken);
    cancelled(&mut clerk, broken);

    // The model is dropped, and another role gets one of its name.
    clerk
        .batch_execute("SELECT neural.drop_model('theirs')")
        .unwrap();
    let made = short(&mut client, "theirs");
    assert_eq!(wait(&mut client, made), "succeeded");
    client
        .batch_execute("SELECT neural.set_owner('theirs', 'other')")
        .unwrap();
    let mut other = cluster.role("other");
    for job in [done, broken, made] {
        is_closed_to(&mut other, job);
    }
    let bits = sha256(&mut client, "theirs");
    resume(&mut clerk, broken);
    assert_eq!(wait(&mut clerk, broken), "failed");
    assert_eq!(end_of(&mut clerk, broken), "failed 42501");
    assert_eq!(sha256(&mut client, "theirs"), bits);

    // A role with jobs is not dropped unawares, though it has no model left.
    let (code, _) = error_of(&mut client, "DROP ROLE clerk");
    assert_eq!(code, SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    let running = endless(&mut clerk, "unending");
    let (code, _) = error_of(&mut client, "DROP ROLE clerk");
    assert_eq!(code, SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    drop(clerk);
    let oid = number(&mut client, "SELECT 'clerk'::regrole::oid::int");
    client
        .batch_execute(&format!(
            "DROP OWNED BY clerk; DROP ROLE clerk; CREATE ROLE heir LOGIN;
             UPDATE pg_authid SET oid = {oid} WHERE rolname = 'heir';
             GRANT SELECT ON loan TO heir;
             GRANT EXECUTE ON FUNCTION neural.train_async, neural.resume_job TO heir"
        ))
        .unwrap();
    // A later role of the same number is another one, before it has jobs of its own and after.
    let mut heir = cluster.role("heir");
    for job in [done, broken, running] {
        is_closed_to(&mut heir, job);
    }
    let own = short(&mut heir, "inherited");
    assert_eq!(wait(&mut heir, own), "succeeded");
    assert_eq!(count(&mut heir, "SELECT count(*) FROM neural.jobs"), 1);
    for job in [done, broken, running] {
        is_closed_to(&mut heir, job);
    }
    // Superusers see them, as nobody's, and can end what still runs.
    let whose = format!(
        "SELECT string_agg(DISTINCT coalesce(requested_by::text, 'nobody'), ', ') FROM neural.jobs
         WHERE job IN ({done}, {broken}, {running})"
    );
    assert_eq!(text(&mut client, &whose), "nobody");
    cancelled(&mut client, running);
    let (code, hint) = hint_of(&mut client, &format!("SELECT neural.resume_job({broken})"));
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(hint.contains("Begin anew"), "{hint}");
}

#[test]
fn the_role_of_a_running_job_is_dropped() {
    let (cluster, mut client) = cluster();
    create_trainer(&mut client, "clerk");
    let mut clerk = cluster.role("clerk");
    let mut blocker = cluster.superuser();
    blocker.batch_execute(HOLD_UP).unwrap();
    let job = long(&mut clerk, "theirs", 3);
    drop(clerk);
    is_held_up(&mut client);
    client
        .batch_execute("DROP OWNED BY clerk; DROP ROLE clerk")
        .unwrap();
    blocker.batch_execute("COMMIT").unwrap();
    assert_eq!(wait(&mut client, job), "failed");
    assert_eq!(end_of(&mut client, job), "failed 42704");
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.models"), 0);
}

/// Adds a line to postgresql.conf, for the next start.
fn append_setting(cluster: &Cluster, setting: &str) {
    let file = cluster.data().join("postgresql.conf");
    let file = OpenOptions::new().append(true).open(file);
    writeln!(file.expect("the configuration"), "{setting}").expect("a setting");
}

/// pg_cron calls through connections of its own, or in background workers.
#[test]
fn pg_cron_trains() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    let version = "SELECT current_setting('server_version_num')::int";
    if number(&mut client, version) >= 160_000 {
        println!("not tried: only for PostgreSQL 15 there is a package of pg_cron here");
        return;
    }
    create_loans(&mut client, 300);
    create_trainer(&mut client, "clerk");
    let directory = cluster.directory().display();
    for setting in [
        "shared_preload_libraries = 'pg_cron'".to_string(),
        "cron.database_name = 'postgres'".into(),
        format!("cron.host = '{directory}'"),
    ] {
        append_setting(&cluster, &setting);
    }
    drop(client);
    cluster.restart("fast");
    let mut client = cluster.superuser();
    client
        .batch_execute("CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO clerk")
        .expect("pg_cron, of the package postgresql-15-cron");
    let command =
        format!("SELECT neural.train_async('nightly', '{LOANS}', 'bad', epochs => 2, seed => 1)");
    cluster
        .role("clerk")
        .execute(
            "SELECT cron.schedule('nightly', '@reboot', $1)",
            &[&command],
        )
        .unwrap();
    drop(client);
    for (version, workers) in [(1, "off"), (2, "on")] {
        append_setting(
            &cluster,
            &format!("cron.use_background_workers = {workers}"),
        );
        cluster.restart("fast");
        let mut client = cluster.superuser();
        let begin = Instant::now();
        let sql = format!(
            "SELECT count(*) FROM neural.jobs j JOIN neural.model_versions v USING (model, version)
             WHERE model = 'nightly' AND requested_by = 'clerk' AND state = 'succeeded' AND version = {version}"
        );
        while count(&mut client, &sql) == 0 {
            let runs = "SELECT coalesce(string_agg(r::text, ', '), '') FROM cron.job_run_details r";
            let waited = begin.elapsed();
            assert!(
                waited < Duration::from_secs(120),
                "{}; {}",
                text(&mut client, runs),
                cluster.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

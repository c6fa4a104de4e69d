//! What PostgreSQL wants of a backend while its threads compute for a training that says nothing:
//! barriers, looks at its memory, a client that is gone, a transaction's time.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::fixture::{count, create_loans};
use crate::harness::{Cluster, backend_pid, wait_until};

/// A training that would take hours, on so many threads.
fn endless(threads: usize) -> String {
    format!(
        "SELECT neural.train('endless', 'SELECT age, amount, purpose, bad FROM loan', 'bad',
             epochs => 10000000, options => '{{\"verbose\": false, \"threads\": {threads}}}')"
    )
}

/// Runs an endless training in a session of its own while `work` is done, which gets its process,
/// and cancels it then.
fn beside_a_training(
    cluster: &Cluster,
    client: &mut Client,
    threads: usize,
    work: impl FnOnce(&mut Client, i32),
) {
    // No more threads are started than there are processors.
    let threads = threads.min(thread::available_parallelism().map_or(1, usize::from));
    let mut trainer = cluster.superuser();
    let pid = backend_pid(&mut trainer);
    let running = thread::spawn(move || trainer.batch_execute(&endless(threads)).unwrap_err());
    wait_until("workers compute", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        tasks.is_ok_and(|tasks| tasks.count() > threads)
    });
    thread::sleep(Duration::from_millis(100));
    work(client, pid);
    let active =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'");
    assert_eq!(count(client, &active), 1, "the training goes on");
    client
        .batch_execute(&format!("SELECT pg_cancel_backend({pid})"))
        .unwrap();
    let error = running.join().expect("the trainer's thread");
    assert_eq!(
        error.code(),
        Some(&postgres::error::SqlState::QUERY_CANCELED),
        "{error:?}"
    );
}

#[test]
fn a_silent_training_holds_up_nobody_else() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    // One that waits for the training is ended, and fails the test.
    client
        .batch_execute("SET statement_timeout = '60s'")
        .unwrap();
    for threads in [1, 2, 3] {
        beside_a_training(&cluster, &mut client, threads, |client, _| {
            for statement in ["CREATE DATABASE elsewhere", "DROP DATABASE elsewhere"] {
                client.batch_execute(statement).expect(statement);
            }
        });
    }
}

#[test]
fn the_memory_of_a_training_can_be_logged() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    beside_a_training(&cluster, &mut client, 2, |client, pid| {
        client
            .batch_execute(&format!("SELECT pg_log_backend_memory_contexts({pid})"))
            .unwrap();
        let logged = format!("logging memory contexts of PID {pid}");
        wait_until("its memory is logged", || cluster.log().contains(&logged));
    });
}

/// The process ends, without unwinding, while its threads pause.
#[test]
fn a_training_ends_with_its_client() {
    let cluster = Cluster::with_extension(&["client_connection_check_interval = '50ms'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    let mut lost = cluster.psql_command(&endless(2));
    let lost = lost.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lost = lost.spawn().expect("psql");
    let training = "SELECT count(*) FROM pg_stat_activity
                    WHERE query LIKE '%10000000%' AND pid <> pg_backend_pid()";
    wait_until("the training runs", || count(&mut client, training) == 1);
    thread::sleep(Duration::from_millis(500));
    lost.kill().expect("psql is killed");
    lost.wait().expect("psql has ended");
    wait_until("the training has ended", || {
        count(&mut client, training) == 0
    });
    let log = cluster.log();
    assert!(log.contains("connection to client lost"), "{log}");
    assert!(!log.contains("terminated by signal"), "{log}");
    let models = "SELECT count(*) FROM neural.models";
    assert_eq!(count(&mut client, models), 0);
}

#[test]
fn a_training_ends_with_its_transactions_time() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    if count(
        &mut client,
        "SELECT current_setting('server_version_num')::bigint",
    ) < 170_000
    {
        return;
    }
    create_loans(&mut client, 500);
    let mut trainer = cluster.superuser();
    trainer
        .batch_execute("SET transaction_timeout = '500ms'")
        .unwrap();
    trainer.batch_execute(&endless(2)).unwrap_err();
    assert!(trainer.is_closed() || trainer.batch_execute("SELECT 1").is_err());
    let log = cluster.log();
    assert!(
        log.contains("terminating connection due to transaction timeout"),
        "{log}"
    );
    assert!(!log.contains("terminated by signal"), "{log}");
}

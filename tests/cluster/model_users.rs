//! A version does not go while a function is being pinned to it, and the other way round.

use std::thread;

use postgres::error::SqlState;

use crate::fixture::{count, create_loans, train};
use crate::harness::{Cluster, backend_pid, error_of, wait_until};

/// A model of two versions, the second deployed.
fn cluster_with_two_versions() -> Cluster {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 300);
    train(&mut client, "risk", 1);
    train(&mut client, "risk", 2);
    cluster
}

fn waits(cluster: &Cluster, pid: i32) {
    let mut client = cluster.superuser();
    wait_until("the other waits", || {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'"
        );
        count(&mut client, &sql) == 1
    });
}

const PIN: &str = "SELECT neural.create_function('pinned', 'risk', version => 1)";
const DROP: &str = "SELECT neural.drop_model('risk', 1)";

#[test]
fn a_drop_waits_for_a_function_that_is_being_pinned() {
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        let cluster = cluster_with_two_versions();
        let mut pins = cluster.superuser();
        let mut drops = cluster.superuser();
        let pid = backend_pid(&mut drops);
        // The snapshot is taken before the function is there.
        drops
            .batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1"))
            .unwrap();
        pins.batch_execute("BEGIN").unwrap();
        pins.batch_execute(PIN).unwrap();
        let dropping = thread::spawn(move || error_of(&mut drops, DROP));
        waits(&cluster, pid);
        pins.batch_execute("COMMIT").unwrap();
        let (code, message) = dropping.join().unwrap();
        assert_eq!(code, SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "{message}");
    }
}

#[test]
fn a_function_is_not_pinned_to_a_version_that_is_being_dropped() {
    let cluster = cluster_with_two_versions();
    let mut pins = cluster.superuser();
    let mut drops = cluster.superuser();
    let pid = backend_pid(&mut pins);
    drops.batch_execute("BEGIN").unwrap();
    drops.batch_execute(DROP).unwrap();
    let pinning = thread::spawn(move || error_of(&mut pins, PIN));
    waits(&cluster, pid);
    drops.batch_execute("COMMIT").unwrap();
    let (code, message) = pinning.join().unwrap();
    assert_eq!(code, SqlState::UNDEFINED_OBJECT, "{message}");
}

#[test]
fn a_drop_that_is_rolled_back_lets_the_function_be_pinned() {
    let cluster = cluster_with_two_versions();
    let mut pins = cluster.superuser();
    let mut drops = cluster.superuser();
    let pid = backend_pid(&mut pins);
    drops.batch_execute("BEGIN").unwrap();
    drops.batch_execute(DROP).unwrap();
    let pinning = thread::spawn(move || pins.batch_execute(PIN));
    waits(&cluster, pid);
    drops.batch_execute("ROLLBACK").unwrap();
    pinning.join().unwrap().unwrap();
}

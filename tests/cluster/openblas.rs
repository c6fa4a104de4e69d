//! OpenBLAS, which trainings need and predictions do not.

use std::fs;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{create_loans, score, train};
use crate::harness::{Cluster, backend_pid};

/// Whether the connection's process has it.
fn has_openblas(client: &mut Client) -> bool {
    let maps = format!("/proc/{}/maps", backend_pid(client));
    let maps = fs::read_to_string(maps).expect("the process runs");
    maps.contains("openblas")
}

#[test]
fn is_loaded_by_the_first_training_of_a_connection_and_leaves_no_threads() {
    for settings in [&[][..], &["shared_preload_libraries = 'pg_neural'"]] {
        let cluster = Cluster::with_extension(settings);
        let mut client = cluster.superuser();
        create_loans(&mut client, 500);
        assert!(!has_openblas(&mut client));
        train(&mut client, "risk", 1);
        assert!(has_openblas(&mut client));
        let threads = format!("/proc/{}/task", backend_pid(&mut client));
        assert_eq!(fs::read_dir(threads).expect("the process runs").count(), 1);
        let mut other = cluster.superuser();
        score(&mut other, "risk");
        assert!(!has_openblas(&mut other));
    }
}

#[test]
fn a_server_without_it_predicts_and_says_what_a_training_wants() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let expected = score(&mut client, "risk");
    drop(client);
    // Found first, and no libraries.
    for name in ["libopenblas.so.0", "libopenblas.so"] {
        let path = cluster.directory().join(name);
        fs::write(&path, "no library").expect("a file");
        cluster.own(&path);
    }
    cluster.restart_with(&[("LD_LIBRARY_PATH", cluster.directory().as_os_str())]);
    let mut client = cluster.superuser();
    assert_eq!(score(&mut client, "risk").to_bits(), expected.to_bits());
    // Before the rows are read: the query would fail.
    let error = client
        .batch_execute("SELECT neural.train('other', 'SELECT 1 / 0 AS x, true AS y', 'y')")
        .expect_err("no OpenBLAS");
    let error = error.as_db_error().expect("an error of the server's");
    assert_eq!(error.code(), &SqlState::UNDEFINED_FILE);
    assert!(error.message().contains("libopenblas.so.0"), "{error}");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("libopenblas0-pthread"), "{hint}");
    assert_eq!(score(&mut client, "risk").to_bits(), expected.to_bits());
}

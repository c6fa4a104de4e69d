//! OpenBLAS, which trainings need and predictions do not.

use std::fs;
use std::process::Command;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{LOANS, create_loans, score, sha256, train};
use crate::harness::{Cluster, backend_pid, succeeds};

/// Whether the connection's process has a library of this name.
fn has(client: &mut Client, library: &str) -> bool {
    let maps = format!("/proc/{}/maps", backend_pid(client));
    let maps = fs::read_to_string(maps).expect("the process runs");
    maps.contains(library)
}

fn has_openblas(client: &mut Client) -> bool {
    has(client, "openblas")
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
    // Found first, and no library.
    let path = cluster.directory().join("libopenblas.so.0");
    fs::write(&path, "no library").expect("a file");
    cluster.own(&path);
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

/// What everybody in a process would call, were it asked for by name alone, as where PL/R has opened
/// its BLAS: each ends the process.
const FALSE: &str = "
    void cblas_sgemm(void) { __builtin_trap(); }
    void sgemm_(void) { __builtin_trap(); }
    void openblas_set_num_threads(void) { __builtin_trap(); }
    void openblas_get_parallel(void) { __builtin_trap(); }
    void blas_memory_alloc(void) { __builtin_trap(); }
    void blas_memory_free(void) { __builtin_trap(); }
    void blas_thread_shutdown_(void) { __builtin_trap(); }
";

#[test]
fn another_blas_in_the_process_is_not_called() {
    let cluster = Cluster::with_extension(&[]);
    create_loans(&mut cluster.superuser(), 500);
    // Wide enough for products by OpenBLAS.
    let layers = r#"{"layers": [{"type": "dense", "units": 300, "activation": "relu"},
                                {"type": "dense", "units": 300, "activation": "relu"}]}"#;
    let train = |client: &mut Client, model: &str| {
        let sql = format!(
            "SELECT neural.train('{model}', '{LOANS}', 'bad', architecture => '{layers}',
                 epochs => 2, seed => 1, options => '{{\"verbose\": false}}')"
        );
        client.batch_execute(&sql).expect("the training");
        sha256(client, model)
    };
    let expected = train(&mut cluster.superuser(), "alone");
    let source = cluster.directory().join("false.c");
    let library = cluster.directory().join("false.so");
    fs::write(&source, FALSE).expect("a file");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]);
    succeeds(compiler.arg(&library).arg(&source));
    cluster.own(&library);
    cluster.restart_with(&[("LD_PRELOAD", library.as_os_str())]);
    let mut client = cluster.superuser();
    assert_eq!(train(&mut client, "beside"), expected);
    assert!(has(&mut client, "false.so") && has_openblas(&mut client));
}

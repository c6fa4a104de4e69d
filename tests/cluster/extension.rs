//! The extension as a whole: created, dropped, refused, and surviving a crash.

use std::ffi::OsStr;

use postgres::error::SqlState;

use crate::fixture::{count, create_loans, score, train};
use crate::harness::{Cluster, backend_pid, error_of};

/// Objects that a DROP EXTENSION would leave behind, or the script forgot to make its own.
const STRAYS: &str = "
    SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname IN ('neural', '_neural')
    UNION ALL SELECT count(*) FROM pg_catalog.pg_proc WHERE probin LIKE '%pg_neural%'
    UNION ALL SELECT count(*) FROM pg_catalog.pg_extension WHERE extname = 'pg_neural'";

#[test]
fn is_created_and_dropped_without_a_trace() {
    let cluster = Cluster::start();
    let mut client = cluster.superuser();
    for _ in 0..2 {
        client
            .batch_execute("CREATE EXTENSION pg_neural; DROP EXTENSION pg_neural")
            .unwrap();
        for row in client.query(STRAYS, &[]).unwrap() {
            assert_eq!(row.get::<_, i64>(0), 0);
        }
    }
}

#[test]
fn creating_it_rolls_back() {
    let cluster = Cluster::start();
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    for end in ["ROLLBACK", "COMMIT; DROP EXTENSION pg_neural"] {
        // A model is trained and called in between, so that whatever is made for one is there.
        client
            .batch_execute("BEGIN; CREATE EXTENSION pg_neural")
            .unwrap();
        assert_eq!(train(&mut client, "risk", 1), 1);
        score(&mut client, "risk");
        client.batch_execute(end).unwrap();
        for row in client.query(STRAYS, &[]).unwrap() {
            assert_eq!(row.get::<_, i64>(0), 0, "{end}");
        }
        let types = "SELECT count(*) FROM pg_catalog.pg_type AS t
                     LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
                     WHERE n.oid IS NULL OR n.nspname LIKE '%neural%'";
        assert_eq!(count(&mut client, types), 0, "{end}");
    }
    client.batch_execute("CREATE EXTENSION pg_neural").unwrap();
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.models"), 0);
    assert_eq!(train(&mut client, "risk", 1), 1);
}

#[test]
fn refuses_a_schema_that_somebody_made_before() {
    let cluster = Cluster::start();
    let mut client = cluster.superuser();
    client.batch_execute("CREATE ROLE somebody").unwrap();
    for schema in ["neural", "_neural"] {
        let create = format!("CREATE SCHEMA {schema} AUTHORIZATION somebody");
        client.batch_execute(&create).unwrap();
        for sql in [
            "CREATE EXTENSION pg_neural",
            &format!("CREATE EXTENSION pg_neural SCHEMA {schema}"),
        ] {
            let (code, _) = error_of(&mut client, sql);
            assert_eq!(code, SqlState::DUPLICATE_SCHEMA, "{sql}");
        }
        let drop = format!("DROP SCHEMA {schema}");
        client.batch_execute(&drop).unwrap();
    }
    client.batch_execute("CREATE EXTENSION pg_neural").unwrap();
}

#[test]
fn needs_a_superuser() {
    let cluster = Cluster::start();
    cluster
        .superuser()
        .batch_execute("CREATE ROLE owner LOGIN; GRANT CREATE ON DATABASE postgres TO owner")
        .unwrap();
    let (code, _) = error_of(&mut cluster.role("owner"), "CREATE EXTENSION pg_neural");
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn does_not_move_to_another_schema() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    client.batch_execute("CREATE SCHEMA elsewhere").unwrap();
    let (code, _) = error_of(
        &mut client,
        "ALTER EXTENSION pg_neural SET SCHEMA elsewhere",
    );
    assert_eq!(code, SqlState::FEATURE_NOT_SUPPORTED);
}

#[test]
fn loads_with_the_postmaster_or_without() {
    for settings in [
        &[][..],
        &["shared_preload_libraries = 'pg_neural'"],
        &["session_preload_libraries = 'pg_neural'"],
    ] {
        let cluster = Cluster::with_extension(settings);
        let mut client = cluster.superuser();
        create_loans(&mut client, 500);
        assert_eq!(train(&mut client, "risk", 1), 1, "{settings:?}");
        let answer = score(&mut client, "risk");
        // Several processes and a restart, since threads and settings do not survive a fork alike.
        cluster.restart("fast");
        let mut client = cluster.superuser();
        assert_eq!(score(&mut client, "risk"), answer, "{settings:?}");
        assert_eq!(train(&mut client, "risk", 1), 2, "{settings:?}");
        assert_eq!(score(&mut client, "risk"), answer, "{settings:?}");
    }
}

/// A name of a source file in an error's detail tells the client how the server was built.
#[test]
fn errors_carry_no_backtrace_whatever_the_environment() {
    let preloaded: &[&str] = &["shared_preload_libraries = 'pg_neural'"];
    for settings in [preloaded, &[]] {
        let cluster = Cluster::with_extension(settings);
        cluster.restart_with(&[("RUST_BACKTRACE", OsStr::new("1"))]);
        let mut client = cluster.superuser();
        for sql in [
            "SELECT neural.predict('none', 1)",
            "SELECT neural.train('m', 'SELECT 1 / 0 AS x, 1 AS y', 'y')",
            "SELECT neural.deploy('none', 1)",
        ] {
            let error = client.batch_execute(sql).unwrap_err();
            let error = error.as_db_error().expect("an error of the server's");
            assert_eq!(error.detail(), None, "{sql}");
        }
    }
}

#[test]
fn the_server_recovers_from_a_killed_backend() {
    let cluster = Cluster::with_extension(&["shared_preload_libraries = 'pg_neural'"]);
    let mut victim = cluster.superuser();
    victim.batch_execute("LOAD 'pg_neural'").unwrap();
    let pid = backend_pid(&mut victim);
    cluster.kill_backend(pid);
    let row = cluster
        .superuser()
        .query_one(
            "SELECT count(*) FROM pg_extension WHERE extname = 'pg_neural'",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

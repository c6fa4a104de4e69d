//! `neural.max_memory` is kept, and what is learnt does not depend on it.

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::sha256;
use crate::harness::{Cluster, backend_pid, error_of};
use crate::process_memory::{peak_memory, reset_peak_memory, resident_memory};

const MEGABYTE: u64 = 1024 * 1024;

/// Three million rows of 20 float8 and a bool.
const ROWS: &str = "CREATE UNLOGGED TABLE measured AS
    SELECT sin(i) AS x0, sin(i * 1.1) AS x1, sin(i * 1.2) AS x2, sin(i * 1.3) AS x3,
           sin(i * 1.4) AS x4, sin(i * 1.5) AS x5, sin(i * 1.6) AS x6, sin(i * 1.7) AS x7,
           sin(i * 1.8) AS x8, sin(i * 1.9) AS x9, cos(i) AS x10, cos(i * 1.1) AS x11,
           cos(i * 1.2) AS x12, cos(i * 1.3) AS x13, cos(i * 1.4) AS x14, cos(i * 1.5) AS x15,
           cos(i * 1.6) AS x16, cos(i * 1.7) AS x17, cos(i * 1.8) AS x18, cos(i * 1.9) AS x19,
           sin(i) + cos(i * 1.4) > 0.3 AS y
    FROM (SELECT generate_series(1, 3000000) AS i) AS s";

fn train(client: &mut Client, model: &str, table: &str, validation: &str) {
    let sql = format!(
        "SELECT neural.train('{model}', '{table}', 'y',
             architecture => '{{\"layers\": [
                 {{\"type\": \"dense\", \"units\": 64, \"activation\": \"relu\"}},
                 {{\"type\": \"dense\", \"units\": 64, \"activation\": \"relu\"}}]}}',
             epochs => 1, batch_size => 1024, seed => 1, validation => {validation},
             options => '{{\"verbose\": false, \"threads\": 2}}')"
    );
    client.batch_execute(&sql).expect("the training");
}

/// Memory that a backend takes at the most while it trains with this limit, over what it had.
fn peak_of_training(cluster: &Cluster, model: &str, limit: &str, validation: &str) -> u64 {
    let mut client = cluster.superuser();
    // Code and the catalog's caches become resident with the first training of a session, some
    // 6 MB of them; they are not what the limit is about.
    client
        .batch_execute(&format!(
            "SET neural.max_memory = '{limit}';
             CREATE TEMPORARY TABLE few AS SELECT * FROM measured LIMIT 5000"
        ))
        .expect("a first look");
    train(&mut client, "first", "few", validation);
    client
        .batch_execute("SELECT neural.drop_model('first'); DROP TABLE few")
        .expect("dropping");
    let pid = backend_pid(&mut client);
    reset_peak_memory(pid);
    let before = resident_memory(pid);
    train(&mut client, model, "measured", validation);
    let peak = peak_memory(pid).saturating_sub(before);
    println!(
        "limit {limit}, validation {validation}: {:.1} MB over the {:.1} MB of the idle backend",
        peak as f64 / MEGABYTE as f64,
        before as f64 / MEGABYTE as f64
    );
    peak
}

#[test]
fn three_million_rows_are_trained_within_32_mb_with_the_bits_of_a_training_in_memory() {
    let cluster = Cluster::with_extension(&["shared_buffers = '2MB'", "fsync = off"]);
    let mut client = cluster.superuser();
    client.batch_execute(ROWS).expect("the table");
    // The memory of PostgreSQL's own for the query and its snapshot is outside the limit.
    let limit = (32 + 2) * MEGABYTE;
    // Held-out rows, and none: then the metrics are those of all rows.
    for (validation, name) in [("NULL", "held_out"), ("0", "all")] {
        let small = format!("{name}_small");
        let peak = peak_of_training(&cluster, &small, "32MB", validation);
        assert!(peak <= limit, "{peak} bytes for a limit of {limit}");
    }
    let large = peak_of_training(&cluster, "held_out_large", "2GB", "NULL");
    assert!(
        large > 500 * MEGABYTE,
        "{large} bytes: not trained in memory"
    );
    assert_eq!(
        sha256(&mut client, "held_out_small"),
        sha256(&mut client, "held_out_large")
    );
}

#[test]
fn a_network_that_cannot_fit_is_an_error_before_it_is_made() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    let pid = backend_pid(&mut client);
    client
        .batch_execute("LOAD 'pg_neural'; SET neural.max_memory = '32MB'")
        .unwrap();
    reset_peak_memory(pid);
    let before = resident_memory(pid);
    let (code, message) = error_of(
        &mut client,
        "SELECT neural.train('huge', 'SELECT i * 0.5 AS x, i * 0.7 AS y FROM generate_series(1, 99) AS i',
             'y', architecture => '{\"layers\": [{\"type\": \"dense\", \"units\": 100000},
                                               {\"type\": \"dense\", \"units\": 100000}]}')",
    );
    assert_eq!(code, SqlState::OUT_OF_MEMORY, "{message}");
    let peak = peak_memory(pid).saturating_sub(before);
    assert!(peak < 32 * MEGABYTE, "{peak} bytes");
}

#[test]
fn a_long_session_does_not_grow() {
    let cluster = Cluster::with_extension(&["shared_buffers = '2MB'"]);
    let mut client = cluster.superuser();
    crate::fixture::create_loans(&mut client, 500);
    let pid = backend_pid(&mut client);
    let round = |client: &mut Client| {
        for seed in 1..=5 {
            crate::fixture::train(client, "risk", seed);
            client
                .batch_execute(
                    "SELECT count(neural.predict('risk', age, amount, purpose)) FROM loan;
                     SELECT count(neural.predict_proba('risk', l)) FROM loan l;
                     SELECT * FROM neural.evaluate('risk', 'loan');
                     SELECT length(neural.export_model('risk'));
                     DO $$ BEGIN PERFORM neural.predict('nobody', 1); EXCEPTION
                        WHEN undefined_object THEN NULL; END $$;
                     SELECT neural.drop_model('risk')",
                )
                .expect("calls");
        }
    };
    for _ in 0..3 {
        round(&mut client);
    }
    let before = resident_memory(pid);
    for _ in 0..10 {
        round(&mut client);
    }
    let grown = resident_memory(pid).saturating_sub(before);
    println!("grown by {} kB over 50 trainings", grown / 1024);
    assert!(grown < 4 * MEGABYTE, "{grown} bytes");
}

#[test]
fn auc_of_millions_of_rows_keeps_to_the_limit_with_workers_too() {
    let cluster = Cluster::with_extension(&["shared_buffers = '2MB'", "fsync = off"]);
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "CREATE UNLOGGED TABLE scored AS
             SELECT sin(i) AS score, sin(i) + cos(i * 1.4) > 0.3 AS label, i % 50 AS part
             FROM (SELECT generate_series(1, 3000000) AS i) AS s;
             ALTER TABLE scored SET (parallel_workers = 2);
             ANALYZE scored",
        )
        .expect("the table");
    let one = "SELECT neural.auc(score, label)::text FROM scored";
    let groups = "SELECT sum(a)::text FROM (SELECT neural.auc(score, label) AS a FROM scored
                  GROUP BY part ORDER BY part) AS g";
    let mut answers = Vec::new();
    for limit in ["1GB", "4MB"] {
        for workers in [0, 2] {
            let mut session = cluster.superuser();
            session
                .batch_execute(&format!(
                    "SET neural.max_memory = '{limit}';
                     SET max_parallel_workers_per_gather = {workers};
                     SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
                     SELECT neural.auc(i, i % 3 = 0) FROM generate_series(1, 1000) AS i"
                ))
                .expect("settings");
            for sql in [one, groups] {
                let pid = backend_pid(&mut session);
                reset_peak_memory(pid);
                let before = resident_memory(pid);
                let answer: String = session.query_one(sql, &[]).expect("an answer").get(0);
                let peak = peak_memory(pid).saturating_sub(before);
                println!(
                    "limit {limit}, {workers} workers: {:.1} MB",
                    peak as f64 / MEGABYTE as f64
                );
                answers.push((sql, answer));
                // What PostgreSQL takes for a parallel query, and the file's caches, come on top.
                assert!(
                    limit != "4MB" || peak <= (4 + 4) * MEGABYTE,
                    "{peak} bytes with {workers} workers"
                );
            }
        }
    }
    for sql in [one, groups] {
        let mut of_sql = answers.iter().filter(|(asked, _)| *asked == sql);
        let first = of_sql.next();
        assert!(of_sql.all(|answer| Some(answer) == first), "{answers:?}");
    }
    let left = "SELECT count(*)::text FROM pg_ls_dir('base/pgsql_tmp') AS name WHERE name LIKE '%.fileset'";
    let left: String = client.query_one(left, &[]).expect("a count").get(0);
    assert_eq!(left, "0");
}

#[test]
fn a_model_goes_out_and_in_with_one_copy_of_it() {
    let cluster = Cluster::with_extension(&["shared_buffers = '2MB'", "fsync = off"]);
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "SET neural.max_memory = '1GB';
             SELECT neural.train('small', 'SELECT i * 0.5 AS a, i * 0.7 AS y FROM generate_series(1, 99) AS i',
                'y', epochs => 1, options => '{\"verbose\": false}');
             SELECT neural.train('wide',
                'SELECT sin(i) AS a, cos(i) AS b, sin(i) + cos(i * 0.3) AS y
                 FROM generate_series(1, 64) AS i', 'y',
                architecture => '{\"layers\": [{\"type\": \"dense\", \"units\": 3000, \"activation\": \"relu\"},
                                             {\"type\": \"dense\", \"units\": 3000, \"activation\": \"relu\"}]}',
                epochs => 1, batch_size => 64, optimizer => 'sgd', learning_rate => 0.001, seed => 1,
                options => '{\"verbose\": false}');
             CREATE TABLE file AS SELECT neural.export_model('wide') AS bytes;
             SELECT neural.export_model('wide') IS NULL",
        )
        .expect("a model");
    let size: i32 = client
        .query_one("SELECT length(bytes) FROM file", &[])
        .expect("its size")
        .get(0);
    let size = size as u64;
    assert!(size > 30 * MEGABYTE, "{size}");
    for (what, copies, sql) in [
        ("export", 1, "SELECT length(neural.export_model('wide'))"),
        ("import", 1, "SELECT neural.import_model('copy', bytes) FROM file"),
        (
            "import of weights",
            2,
            "SELECT neural.import_weights('weights', bytes, '{\"layers\": [
                 {\"type\": \"dense\", \"name\": \"dense1\", \"units\": 3000, \"activation\": \"relu\"},
                 {\"type\": \"dense\", \"name\": \"dense2\", \"units\": 3000, \"activation\": \"relu\"}]}',
                 'regression', '[{\"name\": \"a\", \"type\": \"numeric\"}, {\"name\": \"b\", \"type\": \"numeric\"}]')
             FROM file",
        ),
    ] {
        let mut session = cluster.superuser();
        session
            .batch_execute(
                "SET neural.max_memory = '1GB';
                 SELECT neural.export_model('small');
                 SELECT neural.import_model('other', neural.export_model('small'))",
            )
            .expect("a first look");
        let pid = backend_pid(&mut session);
        reset_peak_memory(pid);
        let before = resident_memory(pid);
        session.batch_execute(sql).expect(what);
        let peak = peak_memory(pid).saturating_sub(before);
        println!(
            "{what}: {:.1} MB for {:.1} MB",
            peak as f64 / MEGABYTE as f64,
            size as f64 / MEGABYTE as f64
        );
        assert!(
            peak < copies * size + 12 * MEGABYTE,
            "{what} took {peak} bytes for {size}"
        );
    }
}

//! What may go wrong while a query scores rows in batches: models that go, errors, cancels,
//! updates by others, little memory.
//!
//! A portal of the extended protocol, fetched a few rows at a time, stands still in the middle of
//! a scan; unlike a cursor it runs the plan with batches.

use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{PREDICT, count, create_loans, train};
use crate::harness::{Cluster, backend_pid, cancel_after, error_of, wait_until};
use crate::process_memory::{peak_memory, reset_peak_memory, resident_memory};

const PRELOADED: &str = "session_preload_libraries = 'pg_neural'";
const MEGABYTE: u64 = 1024 * 1024;

/// The rows of `loan` with their scores, as a text.
fn scores(client: &mut Client, batches: &str) -> Vec<(i32, f64)> {
    client
        .batch_execute(&format!("SET neural.batch_scoring = {batches}"))
        .unwrap();
    let rows = client
        .query(
            &format!("SELECT id, {PREDICT} FROM loan ORDER BY id + 0"),
            &[],
        )
        .expect("the scores");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Whether the plan of a query scores in batches.
fn has_batches(client: &mut Client, query: &str) -> bool {
    let rows = client
        .query(&format!("EXPLAIN {query}"), &[])
        .expect("the plan");
    rows.iter()
        .any(|row| row.get::<_, &str>(0).contains("NeuralScore"))
}

#[test]
fn a_scan_ends_with_the_model_it_began_with_whatever_becomes_of_it() {
    let cluster = Cluster::with_extension(&[PRELOADED]);
    let mut other = cluster.superuser();
    create_loans(&mut other, 2000);
    let query = format!("SELECT id, {PREDICT} FROM loan");
    let fates = [
        ("dropped", "SELECT neural.drop_model('risk')"),
        ("replaced", ""),
        ("renamed", "SELECT neural.rename_model('risk', 'was_risk')"),
        (
            "damaged",
            "UPDATE _neural.chunk SET bytes = set_byte(bytes, length(bytes) / 2, 0)",
        ),
    ];
    for (fate, sql) in fates {
        train(&mut other, "risk", 1);
        let mut client = cluster.superuser();
        assert!(has_batches(&mut client, &query));
        let expected = scores(&mut client, "off");
        client.batch_execute("RESET neural.batch_scoring").unwrap();
        let mut transaction = client.transaction().unwrap();
        let portal = transaction.bind(&query, &[]).unwrap();
        let mut given: Vec<(i32, f64)> = Vec::new();
        let mut steps = 0;
        loop {
            let rows = transaction.query_portal(&portal, 100).unwrap();
            given.extend(rows.iter().map(|row| (row.get(0), row.get::<_, f64>(1))));
            if rows.len() < 100 {
                break;
            }
            steps += 1;
            if steps == 3 {
                if sql.is_empty() {
                    train(&mut other, "risk", 2);
                } else {
                    other.batch_execute(sql).unwrap();
                }
            }
        }
        drop(portal);
        transaction.commit().unwrap();
        given.sort_by_key(|(id, _)| *id);
        assert_eq!(given, expected, "{fate}");
        // Another session meets what is there now, with batches as without.
        let mut late = cluster.superuser();
        let first = late.query(&query, &[]).map(|rows| rows.len());
        late.batch_execute("SET neural.batch_scoring = off")
            .unwrap();
        let second = late.query(&query, &[]).map(|rows| rows.len());
        let code = |error: &postgres::Error| error.code().cloned();
        match fate {
            "replaced" => assert_eq!((first.unwrap(), second.unwrap()), (2000, 2000)),
            "damaged" => {
                assert_eq!(code(&first.unwrap_err()), Some(SqlState::DATA_CORRUPTED));
                assert_eq!(code(&second.unwrap_err()), Some(SqlState::DATA_CORRUPTED));
            }
            _ => {
                assert_eq!(code(&first.unwrap_err()), Some(SqlState::UNDEFINED_OBJECT));
                assert_eq!(code(&second.unwrap_err()), Some(SqlState::UNDEFINED_OBJECT));
            }
        }
        let _ = other.batch_execute("SELECT neural.drop_model('risk')");
        let _ = other.batch_execute("SELECT neural.drop_model('was_risk')");
        other.batch_execute("TRUNCATE _neural.chunk").unwrap();
    }
}

#[test]
fn errors_in_the_middle_of_batches_leave_nothing_behind() {
    let cluster = Cluster::with_extension(&[PRELOADED]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 1000);
    train(&mut client, "risk", 1);
    client
        .batch_execute(
            "SELECT neural.train('numbers', 'SELECT age, amount::float8, bad FROM loan', 'bad',
                 epochs => 1, seed => 1, options => '{\"verbose\": false}')",
        )
        .expect("a model of numbers");
    let failing = [
        // Of an argument, of a conversion, of an array that the network cannot take, of the plan
        // below, of what is above, and of the model.
        (
            "neural.predict('risk', age, 100 / (id - 777), purpose)",
            SqlState::DIVISION_BY_ZERO,
        ),
        (
            "neural.predict('risk', (CASE id WHEN 777 THEN 'x' ELSE '1' END)::float8, 1, purpose)",
            SqlState::INVALID_TEXT_REPRESENTATION,
        ),
        (
            "neural.predict('numbers', VARIADIC array_fill(1.0::float8, ARRAY[2 + (id = 777)::int]))",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "neural.predict('risk', age, amount, purpose) / (id - 777)",
            SqlState::DIVISION_BY_ZERO,
        ),
        (
            "neural.predict('nobody', age, amount, purpose)",
            SqlState::UNDEFINED_OBJECT,
        ),
    ];
    for (expression, expected) in &failing {
        let query = format!("SELECT {expression} FROM loan");
        assert!(has_batches(&mut client, &query), "{query}");
        let (code, message) = error_of(&mut client, &query);
        client
            .batch_execute("SET neural.batch_scoring = off")
            .unwrap();
        let (row_code, row_message) = error_of(&mut client, &query);
        client.batch_execute("RESET neural.batch_scoring").unwrap();
        assert_eq!((&code, &message), (&row_code, &row_message), "{query}");
        assert_eq!(code, *expected, "{query}: {message}");
    }
    let pid = backend_pid(&mut client);
    let mut sizes = Vec::new();
    for round in 0..4 {
        for (expression, _) in &failing {
            client
                .batch_execute(&format!(
                    "DO $do$ BEGIN FOR i IN 1..200 LOOP
                         BEGIN PERFORM {expression} FROM loan;
                         EXCEPTION WHEN OTHERS THEN NULL; END;
                     END LOOP; END $do$"
                ))
                .expect("errors that are caught");
        }
        for _ in 0..50 {
            error_of(&mut client, &format!("SELECT {} FROM loan", failing[0].0));
        }
        sizes.push(resident_memory(pid));
        println!(
            "round {round}: {:.1} MB",
            sizes[round] as f64 / MEGABYTE as f64
        );
    }
    // The first round fills caches.
    assert!(
        sizes[3] < sizes[1] + 2 * MEGABYTE,
        "memory grows with errors: {sizes:?}"
    );
    let contexts = count(
        &mut client,
        "SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'NeuralScore batch'",
    );
    assert_eq!(contexts, 0);
    assert_eq!(scores(&mut client, "on"), scores(&mut client, "off"));
}

#[test]
fn a_cancel_in_the_middle_of_a_batch_is_heard_soon() {
    let cluster = Cluster::with_extension(&[PRELOADED]);
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "CREATE TABLE points AS SELECT sin(i) AS a, cos(i) AS b, sin(i) * 2 AS y
             FROM generate_series(1, 400000) AS i;
             SELECT neural.train('wide', 'SELECT * FROM points LIMIT 64', 'y', epochs => 1, seed => 1,
                 architecture => '{\"layers\": [{\"type\": \"dense\", \"units\": 1000, \"activation\": \"relu\"},
                     {\"type\": \"dense\", \"units\": 1000, \"activation\": \"relu\"}]}',
                 options => '{\"verbose\": false}');
             SET neural.batch_rows = 65536; SET max_parallel_workers_per_gather = 0",
        )
        .expect("a wide model");
    let query = "SELECT sum(neural.predict('wide', a, b)) FROM points";
    assert!(has_batches(&mut client, query));
    for delay in [300, 500, 700, 1100] {
        let canceller = cancel_after(&client, Duration::from_millis(delay));
        let error = client.batch_execute(query).expect_err("a cancelled query");
        let ended = Instant::now();
        let sent = canceller.join().expect("the canceller");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
        let took = ended.saturating_duration_since(sent);
        println!("{took:?} after the request");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    client
        .batch_execute("SET statement_timeout = '200ms'")
        .unwrap();
    let (code, _) = error_of(&mut client, query);
    assert_eq!(code, SqlState::QUERY_CANCELED);
}

#[test]
fn rows_that_others_change_meanwhile_are_scored_as_they_became() {
    let cluster = Cluster::with_extension(&[PRELOADED]);
    let mut other = cluster.superuser();
    create_loans(&mut other, 500);
    train(&mut other, "risk", 1);
    other
        .batch_execute("ALTER TABLE loan ADD score float8, ADD level text")
        .unwrap();
    let update = format!(
        "UPDATE loan SET score = {PREDICT}, level = neural.predict_class('risk', age, amount, purpose)
         WHERE {PREDICT} < 2 AND amount >= 0"
    );
    for batches in ["on", "off"] {
        other
            .batch_execute("UPDATE loan SET score = NULL, level = NULL")
            .unwrap();
        other
            .batch_execute(
                "BEGIN; UPDATE loan SET age = age + 30, amount = amount - 400 WHERE id % 100 = 7",
            )
            .unwrap();
        let mut waiting = cluster.superuser();
        waiting
            .batch_execute(&format!("SET neural.batch_scoring = {batches}"))
            .unwrap();
        assert_eq!(has_batches(&mut waiting, &update), batches == "on");
        let pid = backend_pid(&mut waiting);
        std::thread::scope(|scope| {
            let updating = scope.spawn(|| waiting.batch_execute(&update).expect("the update"));
            let mut watcher = cluster.superuser();
            wait_until("the update waits for the row", || {
                count(
                    &mut watcher,
                    &format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted"),
                ) > 0
            });
            other.batch_execute("COMMIT").unwrap();
            updating.join().expect("the update");
        });
        let wrong = count(
            &mut other,
            &format!(
                "SELECT count(*) FROM loan WHERE score IS DISTINCT FROM
                     CASE WHEN {PREDICT} < 2 AND amount >= 0 THEN {PREDICT} END"
            ),
        );
        assert_eq!(wrong, 0, "with batches {batches}");
    }
}

#[test]
fn of_serializable_transactions_that_score_what_the_other_writes_one_fails() {
    let cluster = Cluster::with_extension(&[PRELOADED]);
    let (mut one, mut other) = (cluster.superuser(), cluster.superuser());
    create_loans(&mut one, 2000);
    train(&mut one, "risk", 1);
    for batches in ["on", "off"] {
        let begin = |client: &mut Client, id: i32| {
            let score = format!("SELECT avg({PREDICT}) FROM loan");
            client
                .batch_execute(&format!(
                    "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL neural.batch_scoring = {batches}"
                ))
                .unwrap();
            assert_eq!(has_batches(client, &score), batches == "on");
            client
                .batch_execute(&format!(
                    "{score}; UPDATE loan SET age = age + 1 WHERE id = {id}"
                ))
                .unwrap();
        };
        begin(&mut one, 7);
        // This one's scan meets the row of the other, and does not see it.
        begin(&mut other, 1999);
        one.batch_execute("COMMIT").unwrap();
        let error = other.batch_execute("COMMIT").unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
    }
}

#[test]
fn a_standby_scores_in_batches_with_the_same_bits() {
    let primary = Cluster::with_extension(&[PRELOADED, "wal_level = replica"]);
    let mut client = primary.superuser();
    create_loans(&mut client, 1000);
    train(&mut client, "risk", 1);
    let standby = primary.standby();
    primary.wait_for(&standby);
    let mut reader = standby.superuser();
    assert!(has_batches(
        &mut reader,
        &format!("SELECT {PREDICT} FROM loan")
    ));
    assert_eq!(scores(&mut reader, "on"), scores(&mut client, "off"));
}

#[test]
fn the_memory_of_scoring_does_not_grow_with_the_rows() {
    let cluster = Cluster::with_extension(&[PRELOADED, "shared_buffers = '2MB'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 1000);
    train(&mut client, "risk", 1);
    let query = |rows: u32| {
        format!(
            "SELECT sum({PREDICT}), max(neural.predict_class('risk', age, amount, purpose)),
                 max((neural.predict_proba('risk', age, amount, purpose))[1]), min(length(note))
             FROM (SELECT 20 + i % 50 AS age, i % 1000 AS amount, 'car' AS purpose,
                       repeat('x', 500) || i AS note
                   FROM generate_series(1, {rows}) AS i OFFSET 0) AS s"
        )
    };
    client
        .batch_execute(
            "SET max_parallel_workers_per_gather = 0; SET jit = off; SET work_mem = '1MB'",
        )
        .unwrap();
    let pid = backend_pid(&mut client);
    assert!(has_batches(&mut client, &query(1000)));
    client.batch_execute(&query(1000)).unwrap();
    let before = resident_memory(pid);
    let peak = |client: &mut Client, rows: u32| {
        reset_peak_memory(pid);
        client.batch_execute(&query(rows)).unwrap();
        peak_memory(pid).saturating_sub(before)
    };
    let (few, many) = (peak(&mut client, 20_000), peak(&mut client, 400_000));
    println!(
        "{:.1} MB for 20,000 rows, {:.1} MB for 400,000",
        few as f64 / MEGABYTE as f64,
        many as f64 / MEGABYTE as f64
    );
    assert!(many < few + 4 * MEGABYTE && many < 16 * MEGABYTE);
}

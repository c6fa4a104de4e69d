//! `neural.score_table` beside sessions that change the same rows, cut off, and gone on with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{count, create_loans, number, sha256, train};
use crate::harness::{Cluster, backend_pid, cancel_after, error_of, wait_until};

/// Rows of the table that is scored, and the largest id.
const ROWS: u32 = 20_000;
const LAST: u32 = ROWS / 2 * 3;

/// Creates model `risk` and a table of `ROWS` rows with a column `score`, in pages of which many
/// have room, so that a changed row moves to any of them.
fn create_table(client: &mut Client) {
    create_loans(client, 2000);
    train(client, "risk", 1);
    client
        .batch_execute(&format!(
            "CREATE TABLE target (id int PRIMARY KEY, born float8, age float8, amount int,
                                  purpose text, filling text, score float8)
                 WITH (autovacuum_enabled = off);
             INSERT INTO target
             SELECT id, 20, 20, 500 + id % 2500, 'car', repeat('x', 300)
             FROM generate_series(1, {LAST}) AS id;
             DELETE FROM target WHERE id % 3 = 0"
        ))
        .expect("the table");
    client.batch_execute("VACUUM ANALYZE target").expect("room");
    let rows = count(client, "SELECT count(*) FROM target");
    assert_eq!(rows, i64::from(ROWS));
}

/// A statement by which a row grows a year older, and moves.
fn birthday(id: u64) -> String {
    format!("UPDATE target SET age = age + 1 WHERE id = {id}")
}

/// A number below `below`, from a generator's state.
fn draw(state: &mut u64, below: u64) -> u64 {
    // Knuth's MMIX.
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Rows whose score is none of those that `predict` gives for an age they have had.
fn wrong_rows(client: &mut Client) -> i64 {
    count(
        client,
        "SELECT count(*) FROM target WHERE NOT EXISTS (
             SELECT FROM generate_series(born::int, age::int) AS year
             WHERE neural.predict('risk@1', year::float8, amount, purpose) = score)",
    )
}

/// Runs `work` while sessions run `change`, each with a generator of its own, and returns how many
/// changes they made.
fn beside(
    cluster: &Cluster,
    sessions: u64,
    change: impl Fn(&mut Client, &mut u64) + Sync,
    work: impl FnOnce(),
) -> u64 {
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for session in 0..sessions {
            let (stop, changes, change) = (&stop, &changes, &change);
            scope.spawn(move || {
                let mut client = cluster.superuser();
                let mut state = session + 1;
                while !stop.load(Ordering::Relaxed) {
                    change(&mut client, &mut state);
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("changes are made", || changes.load(Ordering::Relaxed) > 3);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    changes.into_inner()
}

#[test]
fn every_row_is_scored_while_others_move_rows() {
    let cluster = Cluster::with_extension(&["synchronous_commit = off"]);
    let (mut client, notices) = cluster.with_notices();
    create_table(&mut client);
    for call in [
        "CALL neural.score_table('risk', 'target', 'score', 500)",
        "CALL neural.score_table('risk', 'target', 'score', 500, true)",
    ] {
        client
            .batch_execute("UPDATE target SET score = NULL, born = age")
            .unwrap();
        client.batch_execute("VACUUM target").unwrap();
        let change = |client: &mut Client, state: &mut u64| {
            let id = 1 + draw(state, u64::from(LAST));
            client.batch_execute(&birthday(id)).expect("a change");
        };
        let changes = beside(&cluster, 3, change, || {
            client.batch_execute(call).expect("the call");
        });
        let told = notices.lock().unwrap().last().cloned().unwrap_or_default();
        println!("{changes} changes: {told}");
        assert!(told.contains("changed or came meanwhile"), "{told}");
        let missing = "SELECT count(*) FROM target WHERE score IS NULL";
        assert_eq!(count(&mut client, missing), 0);
        assert_eq!(wrong_rows(&mut client), 0);
    }
}

#[test]
fn two_calls_for_two_columns_get_done_side_by_side() {
    let cluster = Cluster::with_extension(&[]);
    let (mut client, notices) = cluster.with_notices();
    create_table(&mut client);
    client
        .batch_execute("ALTER TABLE target ADD COLUMN class text")
        .unwrap();
    let mut other = cluster.superuser();
    let running = thread::spawn(move || {
        other.batch_execute("CALL neural.score_table('risk', 'target', 'class', 300)")
    });
    client
        .batch_execute("CALL neural.score_table('risk', 'target', 'score', 300)")
        .expect("the call");
    running.join().unwrap().expect("the other call");
    println!("{:?}", notices.lock().unwrap());
    assert_eq!(wrong_rows(&mut client), 0);
    let wrong = "SELECT count(*) FROM target
                 WHERE class IS DISTINCT FROM neural.predict_class('risk', age, amount, purpose)";
    assert_eq!(count(&mut client, wrong), 0);
}

#[test]
fn rows_that_come_and_go_meanwhile_harm_nothing() {
    let cluster = Cluster::with_extension(&["synchronous_commit = off"]);
    let mut client = cluster.superuser();
    create_table(&mut client);
    let change = |client: &mut Client, state: &mut u64| {
        let id = 1 + draw(state, u64::from(LAST));
        let sql = format!(
            "WITH gone AS (DELETE FROM target WHERE id = {id} RETURNING *)
             INSERT INTO target SELECT id + 1000000, born, age, amount, purpose, filling, NULL
             FROM gone"
        );
        client.batch_execute(&sql).expect("a change");
    };
    beside(&cluster, 2, change, || {
        client
            .batch_execute("CALL neural.score_table('risk', 'target', 'score', 1000)")
            .expect("the call");
    });
    // Those that stayed all the time have their score, and so have most that came.
    let missing = "SELECT count(*) FROM target WHERE score IS NULL AND id <= 1000000";
    assert_eq!(count(&mut client, missing), 0);
    client
        .batch_execute("CALL neural.score_table('risk', 'target', 'score', only_missing => true)")
        .expect("the call");
    assert_eq!(wrong_rows(&mut client), 0);
}

#[test]
fn a_deadlock_does_not_end_it() {
    let cluster = Cluster::with_extension(&["deadlock_timeout = '20ms'"]);
    let (mut client, _) = cluster.with_notices();
    create_table(&mut client);
    // Against the order in which batches lock: the last row first, then the first one.
    let change = |client: &mut Client, _: &mut u64| {
        let backwards = format!(
            "BEGIN; {}; SELECT pg_sleep(0.02); {}; COMMIT",
            birthday(u64::from(LAST) - 1),
            birthday(1)
        );
        if let Err(error) = client.batch_execute(&backwards) {
            assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED));
            client.batch_execute("ROLLBACK").expect("a rollback");
        }
    };
    for _ in 0..3 {
        beside(&cluster, 2, change, || {
            client
                .batch_execute("CALL neural.score_table('risk', 'target', 'score', 1000000)")
                .expect("the call");
        });
        assert_eq!(wrong_rows(&mut client), 0);
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'";
    wait_until("the deadlocks are counted", || {
        count(&mut client, deadlocks) > 0
    });
}

#[test]
fn a_lock_that_does_not_come_in_time_is_tried_for_again() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_table(&mut client);
    let mut holder = cluster.superuser();
    holder
        .batch_execute(&format!("BEGIN; {}", birthday(1)))
        .unwrap();
    client.batch_execute("SET lock_timeout = '50ms'").unwrap();
    let held = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        holder.batch_execute("COMMIT").unwrap();
    });
    client
        .batch_execute("CALL neural.score_table('risk', 'target', 'score')")
        .expect("the call");
    held.join().unwrap();
    assert_eq!(wrong_rows(&mut client), 0);
    // One that never comes is an error, and the session goes on.
    let mut holder = cluster.superuser();
    holder
        .batch_execute(&format!("BEGIN; {}", birthday(1)))
        .unwrap();
    let call = "CALL neural.score_table('risk', 'target', 'score')";
    let (code, _) = error_of(&mut client, call);
    assert_eq!(code, SqlState::LOCK_NOT_AVAILABLE);
    assert_eq!(count(&mut client, "SELECT count(*) FROM loan"), 2000);
}

#[test]
fn a_table_written_anew_meanwhile_is_walked_again() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_table(&mut client);
    let rewrites = [
        "VACUUM FULL target",
        "CLUSTER target USING target_pkey",
        "ALTER TABLE target ALTER COLUMN amount TYPE int USING amount + 0",
    ];
    // Hardly a batch gets through between two of them: after some walks the call does without.
    let change = |client: &mut Client, state: &mut u64| {
        let rewrite = rewrites[draw(state, 3) as usize];
        client.batch_execute(rewrite).expect("a rewrite");
    };
    beside(&cluster, 1, change, || {
        for _ in 0..3 {
            client
                .batch_execute("UPDATE target SET score = NULL")
                .unwrap();
            client
                .batch_execute("CALL neural.score_table('risk', 'target', 'score', 1000)")
                .expect("the call");
            let missing = "SELECT count(*) FROM target WHERE score IS NULL";
            assert_eq!(count(&mut client, missing), 0);
        }
    });
    assert_eq!(wrong_rows(&mut client), 0);
}

#[test]
fn a_deployment_meanwhile_does_not_mix_versions() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_table(&mut client);
    assert_eq!(train(&mut client, "risk", 2), 2);
    let first = number(&mut client, "SELECT neural.deploy('risk', 1)");
    assert_eq!(first, 1);
    let change = |client: &mut Client, state: &mut u64| {
        let sql = format!("SELECT neural.deploy('risk', {})", 1 + draw(state, 2));
        client.batch_execute(&sql).expect("a deployment");
    };
    beside(&cluster, 1, change, || {
        client
            .batch_execute("CALL neural.score_table('risk', 'target', 'score', 500)")
            .expect("the call");
    });
    let of = |client: &mut Client, version: u32| {
        let sql = format!(
            "SELECT count(*) FROM target
             WHERE score = neural.predict('risk@{version}', age, amount, purpose)"
        );
        count(client, &sql)
    };
    let (one, two) = (of(&mut client, 1), of(&mut client, 2));
    assert_eq!(one + two, i64::from(ROWS), "{one} {two}");
    assert!(one == 0 || two == 0, "{one} {two}");
}

/// Makes each row of `target` take a tenth of a millisecond to be written.
fn slow_down(client: &mut Client) {
    client
        .batch_execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(0.0001); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .expect("the trigger");
}

#[test]
fn a_cancelled_call_keeps_its_batches_and_is_gone_on_with() {
    let cluster = Cluster::with_extension(&[]);
    let (mut client, notices) = cluster.with_notices();
    create_table(&mut client);
    slow_down(&mut client);
    let canceller = cancel_after(&client, Duration::from_millis(700));
    let call = "CALL neural.score_table('risk', 'target', 'score', 1000)";
    let (code, _) = error_of(&mut client, call);
    canceller.join().unwrap();
    assert_eq!(code, SqlState::QUERY_CANCELED);
    let told = notices.lock().unwrap().last().cloned().unwrap_or_default();
    let scored = "SELECT count(score) FROM target";
    let before = count(&mut client, scored);
    assert!(0 < before && before < i64::from(ROWS), "{before}");
    let stopped = format!("stopped, with {before} rows scored and committed");
    assert_eq!(told, stopped);

    client
        .batch_execute(
            "DROP TRIGGER slow ON target;
             CREATE TABLE early AS SELECT id, ctid AS place FROM target WHERE score IS NOT NULL",
        )
        .unwrap();
    client
        .batch_execute("CALL neural.score_table('risk', 'target', 'score', 1000, true)")
        .expect("the call that goes on");
    let told = notices.lock().unwrap().last().cloned().unwrap_or_default();
    let rest = i64::from(ROWS) - before;
    assert_eq!(told, format!("{rest} rows scored"));
    assert_eq!(wrong_rows(&mut client), 0);
    // What had its score was not written again.
    let moved = "SELECT count(*) FROM early JOIN target USING (id) WHERE place <> target.ctid";
    assert_eq!(count(&mut client, moved), 0);
}

#[test]
fn a_terminated_call_keeps_its_batches() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_table(&mut client);
    slow_down(&mut client);
    let mut victim = cluster.superuser();
    let pid = backend_pid(&mut victim);
    let running = thread::spawn(move || {
        victim.batch_execute("CALL neural.score_table('risk', 'target', 'score', 1000)")
    });
    let scored = "SELECT count(score) FROM target";
    wait_until("a batch is committed", || count(&mut client, scored) > 0);
    client
        .batch_execute(&format!("SELECT pg_terminate_backend({pid})"))
        .unwrap();
    assert!(running.join().unwrap().is_err());
    let before = count(&mut client, scored);
    assert!(before < i64::from(ROWS), "{before}");
    client
        .batch_execute("CALL neural.score_table('risk', 'target', 'score', 5000, true)")
        .expect("the call that goes on");
    assert_eq!(wrong_rows(&mut client), 0);
}

#[test]
fn rows_are_not_scored_twice_where_free_space_lies_ahead() {
    let cluster = Cluster::with_extension(&[]);
    let (mut client, notices) = cluster.with_notices();
    create_table(&mut client);
    for _ in 0..3 {
        client.batch_execute("VACUUM target").unwrap();
        client
            .batch_execute("CALL neural.score_table('risk', 'target', 'score', 500)")
            .unwrap();
        let told = notices.lock().unwrap().last().cloned().unwrap_or_default();
        assert_eq!(told, format!("{ROWS} rows scored"));
    }
}

#[test]
fn dropping_what_is_scored_ends_the_call_with_an_error() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    for (drop, expected) in [
        (
            "SELECT neural.drop_model('risk')",
            SqlState::UNDEFINED_OBJECT,
        ),
        ("DROP TABLE target", SqlState::UNDEFINED_TABLE),
        (
            "ALTER TABLE target DROP COLUMN amount",
            SqlState::UNDEFINED_COLUMN,
        ),
        (
            "ALTER TABLE target RENAME COLUMN score TO old",
            SqlState::UNDEFINED_COLUMN,
        ),
    ] {
        client
            .batch_execute(
                "DROP TABLE IF EXISTS target, loan;
                 DROP FUNCTION IF EXISTS slow;
                 DROP EXTENSION pg_neural; CREATE EXTENSION pg_neural",
            )
            .unwrap();
        create_table(&mut client);
        slow_down(&mut client);
        let mut other = cluster.superuser();
        let running = thread::spawn(move || {
            let call = "CALL neural.score_table('risk', 'target', 'score', 500)";
            error_of(&mut other, call)
        });
        let scored = "SELECT count(score) FROM target";
        wait_until("a batch is committed", || count(&mut client, scored) > 0);
        client.batch_execute(drop).expect("the drop");
        let (code, message) = running.join().unwrap();
        println!("{drop}: {message}");
        assert_eq!(code, expected, "{drop}: {message}");
    }
}

#[test]
fn a_standby_refuses() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_table(&mut client);
    let standby = cluster.standby();
    cluster.wait_for(&standby);
    let mut reader = standby.superuser();
    assert_eq!(sha256(&mut reader, "risk"), sha256(&mut client, "risk"));
    let call = "CALL neural.score_table('risk', 'target', 'score')";
    let (code, _) = error_of(&mut reader, call);
    assert_eq!(code, SqlState::READ_ONLY_SQL_TRANSACTION);
}

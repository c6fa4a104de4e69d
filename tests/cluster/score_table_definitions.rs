//! `neural.score_table` while others change what its tables are: nothing is written but into the column
//! that was named.

use std::thread;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::count;
use crate::harness::{Cluster, backend_pid, error_of, wait_until};

/// Creates model `risk`, trained on table `known`, whose target was column `score`; and tables
/// `single`, `parted` and `parent`, each with a column `score` to write and one `truth`.
fn create_tables(client: &mut Client) {
    let columns = "id int, age float8, amount float8, filling text, truth float8, score float8";
    let rows = |from: u32| {
        format!(
            "SELECT id, 20 + id % 50, 1000 + id, repeat('x', 300), id, NULL
             FROM generate_series({from} + 1, {from} + 1500) AS id"
        )
    };
    client
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS known, single, parted, parted_2, parent, heir, heir_2;
             CREATE TABLE known ({columns}); INSERT INTO known {};
             UPDATE known SET score = sin(id);
             CREATE TABLE single ({columns}); INSERT INTO single {};
             CREATE TABLE parted ({columns}) PARTITION BY RANGE (id);
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (3001) TO (6001);
             CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (6001) TO (9001);
             INSERT INTO parted {}; INSERT INTO parted {};
             CREATE TABLE parent ({columns});
             CREATE TABLE heir () INHERITS (parent); INSERT INTO heir {};",
            rows(0),
            rows(3000),
            rows(3000),
            rows(6000),
            rows(3000)
        ))
        .expect("the tables");
}

fn train(client: &mut Client) {
    client
        .batch_execute(
            "SELECT neural.train('risk', 'SELECT age, amount, score AS bad FROM known', 'bad',
                 epochs => 1, seed => 1, options => '{\"verbose\": false}')",
        )
        .expect("the training");
}

/// Runs `meanwhile` between two batches of a call that scores a table, or while one writes where the
/// change does not wait for it; what the call ends with.
fn change_between_batches(
    cluster: &Cluster,
    table: &str,
    meanwhile: &str,
) -> Result<(), (SqlState, String)> {
    let (mut client, mut holder) = (cluster.superuser(), cluster.superuser());
    let (mut caller, mut changer) = (cluster.superuser(), cluster.superuser());
    let (calls, changes) = (backend_pid(&mut caller), backend_pid(&mut changer));
    let mut waits = |pid: i32| {
        let sql = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        count(&mut client, &sql) > 0
    };
    // A batch in the middle waits for this row.
    let of_row = format!("BEGIN; SELECT FROM {table} WHERE id = 3700 FOR UPDATE");
    holder.batch_execute(&of_row).expect("the row");
    let call = format!("CALL neural.score_table('risk', '{table}', 'score', 300)");
    let calling = thread::spawn(move || caller.batch_execute(&call));
    wait_until("a batch waits", || waits(calls));
    let meanwhile = meanwhile.to_owned();
    let changing = thread::spawn(move || changer.batch_execute(&meanwhile));
    // Then it comes next: what waits for a table gets it before the next batch does.
    wait_until("the change waits, or is made", || {
        changing.is_finished() || waits(changes)
    });
    holder.batch_execute("COMMIT").expect("the row is let go");
    changing.join().unwrap().expect("the change");
    calling.join().unwrap().map_err(|error| {
        let error = error.as_db_error().expect("an error of the server's");
        assert!(error.hint().is_some(), "{error}");
        (error.code().clone(), error.message().to_owned())
    })
}

/// Rows whose truth, under whichever of these names it is now, is not what it was.
fn lost(client: &mut Client, table: &str, column: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table} WHERE {column} IS DISTINCT FROM id");
    count(client, &sql)
}

#[test]
fn another_column_of_the_name_is_not_written() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_tables(&mut client);
    train(&mut client);
    for (change, code, says, truth) in [
        (
            "ALTER TABLE single RENAME score TO old; ALTER TABLE single RENAME truth TO score",
            SqlState::INVALID_PARAMETER_VALUE,
            "is another one than when the call began: that was renamed to \"old\" meanwhile",
            "score",
        ),
        (
            "ALTER TABLE single DROP score; ALTER TABLE single RENAME truth TO score",
            SqlState::INVALID_PARAMETER_VALUE,
            "is another one than when the call began: that was dropped meanwhile",
            "score",
        ),
        (
            "ALTER TABLE single DROP score; ALTER TABLE single ADD score float8",
            SqlState::INVALID_PARAMETER_VALUE,
            "is another one than when the call began: that was dropped meanwhile",
            "truth",
        ),
        (
            "ALTER TABLE single RENAME score TO old",
            SqlState::UNDEFINED_COLUMN,
            "was renamed to \"old\" during the call",
            "truth",
        ),
        (
            "ALTER TABLE single DROP score",
            SqlState::UNDEFINED_COLUMN,
            "was dropped during the call",
            "truth",
        ),
        (
            "ALTER TABLE single ALTER score TYPE text",
            SqlState::INVALID_PARAMETER_VALUE,
            "was of type double precision when the call began, and is of type text now",
            "truth",
        ),
    ] {
        create_tables(&mut client);
        let (found, message) = change_between_batches(&cluster, "single", change).unwrap_err();
        assert_eq!(found, code, "{change}: {message}");
        let what = format!("column \"score\" of table public.single {says}");
        assert!(message.starts_with(&what), "{change}: {message}");
        assert_eq!(lost(&mut client, "single", truth), 0, "{change}");
    }
    // What was scored before stays.
    create_tables(&mut client);
    let rename = "ALTER TABLE single RENAME score TO old; ALTER TABLE single RENAME truth TO score";
    change_between_batches(&cluster, "single", rename).unwrap_err();
    let scored = count(&mut client, "SELECT count(old) FROM single");
    assert!(0 < scored && scored < 1500, "{scored}");
}

#[test]
fn truth_that_comes_into_the_table_is_not_written() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_tables(&mut client);
    train(&mut client);
    for (table, change) in [
        (
            "parted",
            "ALTER TABLE parted ATTACH PARTITION known FOR VALUES FROM (1) TO (3001)",
        ),
        ("parent", "ALTER TABLE known INHERIT parent"),
        ("single", "ALTER TABLE known INHERIT single"),
        // Beside it, below a new table.
        (
            "parted",
            "CREATE TABLE above (LIKE parted) PARTITION BY RANGE (id);
             ALTER TABLE above ATTACH PARTITION known FOR VALUES FROM (1) TO (3001);
             ALTER TABLE above ATTACH PARTITION parted FOR VALUES FROM (3001) TO (9001)",
        ),
    ] {
        client.batch_execute("DROP TABLE IF EXISTS above").unwrap();
        create_tables(&mut client);
        let (code, message) = change_between_batches(&cluster, table, change).unwrap_err();
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE, "{message}");
        let says = "is what column \"bad\", the target of model \"risk\", was made from";
        assert!(message.contains(says), "{change}: {message}");
        let lost = "SELECT count(*) FROM known WHERE score IS DISTINCT FROM sin(id)";
        assert_eq!(count(&mut client, lost), 0, "{change}");
    }
    // A partition comes back with another column under the name.
    create_tables(&mut client);
    let swapped = "ALTER TABLE parted DETACH PARTITION parted_2;
         ALTER TABLE parted_2 RENAME score TO old; ALTER TABLE parted_2 RENAME truth TO score;
         ALTER TABLE parted_2 RENAME old TO truth;
         ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (6001) TO (9001)";
    let (code, message) = change_between_batches(&cluster, "parted", swapped).unwrap_err();
    assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE, "{message}");
    let says =
        "column \"score\" of table public.parted_2, a part of table public.parted, is another";
    assert!(message.starts_with(says), "{message}");
    assert_eq!(lost(&mut client, "parted_2", "score"), 0);
}

#[test]
fn other_changes_do_not_end_it() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_tables(&mut client);
    train(&mut client);
    for (table, change) in [
        ("single", "ALTER TABLE single ADD more text DEFAULT 'x'"),
        ("single", "ALTER TABLE single DROP truth"),
        ("single", "ALTER TABLE single RENAME truth TO outcome"),
        (
            "parted",
            "CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (9001) TO (9999);
             INSERT INTO parted VALUES (9001, 30, 1500, NULL, 1)",
        ),
        ("parted", "ALTER TABLE parted DETACH PARTITION parted_2"),
        ("parent", "CREATE TABLE heir_2 () INHERITS (parent)"),
    ] {
        create_tables(&mut client);
        change_between_batches(&cluster, table, change).unwrap_or_else(|error| {
            panic!("{change}: {error:?}");
        });
        let missing = format!("SELECT count(*) FROM {table} WHERE score IS NULL");
        assert_eq!(count(&mut client, &missing), 0, "{change}");
    }
    // A schema is renamed under a lock on its table, and another gets its name.
    create_tables(&mut client);
    client
        .batch_execute(
            "CREATE SCHEMA live; CREATE TABLE live.single AS TABLE single;
             CREATE SCHEMA staged; CREATE TABLE staged.single AS TABLE single",
        )
        .unwrap();
    let swap = "ALTER SCHEMA live RENAME TO old; ALTER SCHEMA staged RENAME TO live";
    change_between_batches(&cluster, "live.single", swap).expect("the call");
    let scored = "SELECT count(*) FROM old.single WHERE score IS NULL";
    assert_eq!(count(&mut client, scored), 0);
    let scored = "SELECT count(*) FROM live.single WHERE score IS NOT NULL";
    assert_eq!(count(&mut client, scored), 0);
    // The next call looks anew.
    create_tables(&mut client);
    let rename = "ALTER TABLE single RENAME score TO old; ALTER TABLE single ADD score float8";
    change_between_batches(&cluster, "single", rename).unwrap_err();
    client
        .batch_execute("CALL neural.score_table('risk', 'single', 'score')")
        .expect("the call");
    let truth = "CALL neural.score_table('risk', 'known', 'score')";
    assert_eq!(
        error_of(&mut client, truth).0,
        SqlState::INVALID_PARAMETER_VALUE
    );
}

//! What `neural.stat_models` shows after crashes.

use std::fs;
use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::fixture::{PREDICT, create_loans, text, train};
use crate::harness::{Cluster, backend_pid};

const ROWS: u32 = 400;

/// What is counted of model `risk`, and what else its row says may be.
fn counted(client: &mut Client) -> (i64, i64) {
    let sql = "SELECT calls, rows, seconds >= 0 AND seconds < 3600 AND (seconds > 0) = (rows > 0)
                   AND coalesce(last_call BETWEEN now() - interval '1 hour' AND clock_timestamp(), calls = 0),
                   seconds, last_call::text
               FROM neural.stat_models WHERE model = 'risk'";
    let row = client.query_one(sql, &[]).expect("the model's row");
    let sane: bool = row.get(2);
    let (seconds, last): (f64, Option<String>) = (row.get(3), row.get(4));
    assert!(sane, "{seconds} seconds, last called {last:?}");
    (row.get(0), row.get(1))
}

fn scores() -> String {
    format!("SELECT count({PREDICT}) FROM loan")
}

#[test]
fn crashes_lose_at_most_what_had_not_ended() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, ROWS);
    train(&mut client, "risk", 1);
    assert_eq!(counted(&mut client), (0, 0));
    client.batch_execute(&scores()).expect("scores");
    let (mut calls, mut rows) = (1, i64::from(ROWS));
    assert_eq!(counted(&mut client), (calls, rows));

    // A backend is killed at some moment of its statements.
    for round in 0..8_u64 {
        let mut victim = cluster.superuser();
        let pid = backend_pid(&mut victim);
        let scoring = thread::spawn(move || {
            let mut done = 0_i64;
            while victim.batch_execute(&scores()).is_ok() {
                done += 1;
            }
            done
        });
        thread::sleep(Duration::from_micros(20_000 + 3_700 * round));
        cluster.kill_backend(pid);
        let done = scoring.join().expect("a count");
        client = cluster.superuser();
        let (now_calls, now_rows) = counted(&mut client);
        // The last may have been counted, and its answer not have come.
        assert!(
            (calls + done..=calls + done + 1).contains(&now_calls),
            "{now_calls} calls after {calls} and {done}"
        );
        assert_eq!(now_rows - rows, i64::from(ROWS) * (now_calls - calls));
        (calls, rows) = (now_calls, now_rows);
    }
    // So are all at once, and what was not added within an open transaction is lost.
    let mut open = cluster.superuser();
    open.batch_execute(&format!("BEGIN; {}", scores()))
        .expect("scores");
    drop(client);
    cluster.restart("immediate");
    let mut client = cluster.superuser();
    assert_eq!(counted(&mut client), (calls, rows));
    // They go on from there.
    client.batch_execute(&scores()).expect("scores");
    assert_eq!(counted(&mut client), (calls + 1, rows + i64::from(ROWS)));

    // A file that a crash of the machine left without its room, or that is gone, begins anew.
    let file = text(
        &mut client,
        "SELECT 'pg_stat/pg_neural.1.' || oid FROM pg_database WHERE datname = current_database()",
    );
    let path = cluster.data().join(file);
    drop(client);
    for is_there in [true, false] {
        cluster.stop();
        if is_there {
            fs::write(&path, "").expect("an empty file");
        } else {
            fs::remove_file(&path).expect("the file is removed");
        }
        cluster.launch();
        let mut client = cluster.superuser();
        assert_eq!(counted(&mut client), (0, 0));
        client.batch_execute(&scores()).expect("scores");
        assert_eq!(counted(&mut client), (1, i64::from(ROWS)));
    }
}

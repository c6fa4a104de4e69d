//! Memory that the system refuses a backend ends a statement by 53200: never the server, the
//! connection or the wait.
//!
//! A run is one statement in a connection of its own, whose process may take so much more of the
//! address space than it has. The runs are the same each time; `PGN_REFUSED_RUNS` says how many.

#![expect(unsafe_code, reason = "ends a process of the test's server")]

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::fixture::{create_loans, train};
use crate::harness::{Cluster, SUPERUSER, backend_pid, wait_until};

/// PostgreSQL's own compiler would be refused memory with an error of its own.
const SETTINGS: &[&str] = &[
    "shared_preload_libraries = 'pg_neural'",
    "max_parallel_workers_per_gather = 0",
    "neural.max_memory = '1GB'",
    "jit = off",
];
/// Runs of the ordinary test.
const RUNS: usize = 60;
/// What a statement may take before it counts as one that hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The least and the most that a process is given.
const LEAST: f64 = 64.0 * 1024.0;
const MOST: f64 = 640.0 * 1024.0 * 1024.0;

/// A kind of statement, and the statement.
struct Statement {
    kind: &'static str,
    sql: String,
}

fn statements() -> Vec<Statement> {
    let train = |rows: &str, target: &str, options: &str, more: &str| {
        format!(
            "SELECT neural.train('new', '{rows}', '{target}', epochs => 2, seed => 1{more},
                 options => '{{\"verbose\": false{options}}}')"
        )
    };
    let loans = "SELECT age, amount, purpose, bad FROM loan";
    let wide = ", architecture => '{\"layers\": [
        {\"type\": \"dense\", \"units\": 1500, \"activation\": \"relu\"},
        {\"type\": \"dense\", \"units\": 1000, \"activation\": \"relu\"}]}', batch_size => 64";
    let statement = |kind, sql: &str| Statement {
        kind,
        sql: sql.to_owned(),
    };
    let import = "SELECT neural.import_weights('new', bytes,
        '{\"layers\": [{\"type\": \"dense\", \"name\": \"fc\", \"units\": 1000}]}', 'regression',
        '[{\"name\": \"x\", \"type\": \"vector\", \"length\": 9000, \"mean\": 0, \"std\": 1}]',
        options => '{\"outputs\": 1000}') FROM file WHERE name = 'weights'";
    let row = "(SELECT array_agg(i::float8) FROM generate_series(1, 9000) AS i)";
    vec![
        statement("train, default", &train(loans, "bad", "", "")),
        statement(
            "train, 1 thread",
            &train(loans, "bad", ", \"threads\": 1", ""),
        ),
        statement(
            "train, 2 threads, wide",
            &train(
                "SELECT age, amount, purpose, bad FROM loan LIMIT 256",
                "bad",
                ", \"threads\": 2",
                wide,
            ),
        ),
        statement(
            "train, gru_64",
            &train(
                "SELECT id % 50 AS s, id, age, amount, id % 2 = 0 AS y FROM loan WHERE id <= 1000",
                "y",
                ", \"threads\": 2, \"sequence_by\": \"s\", \"order_by\": \"id\"",
                ", architecture => 'gru_64'",
            ),
        ),
        statement(
            "predict, a row",
            &format!("SELECT (neural.predict_proba('large', {row}))[7]"),
        ),
        statement(
            "predict, batches",
            "SELECT sum(neural.predict('risk', age, amount, purpose)) FROM loan",
        ),
        statement(
            "predict, large batches",
            "SELECT sum((neural.predict_proba('large', x))[1]) FROM vectors",
        ),
        statement("evaluate", "SELECT * FROM neural.evaluate('risk', 'loan')"),
        statement(
            "import_model",
            "SELECT neural.import_model('new', bytes) FROM file WHERE name = 'model'",
        ),
        statement("import_weights", import),
        statement(
            "export_model",
            "SELECT length(neural.export_model('large'))",
        ),
        statement(
            "score_table",
            "CALL neural.score_table('risk', 'scored', 'score', 1000)",
        ),
        statement(
            "aggregates",
            "SELECT neural.auc(sin(i), i % 3 = 0), neural.log_loss(0.5, i % 3 = 0)
             FROM generate_series(1, 300000) AS i",
        ),
        statement(
            "long values",
            "SELECT neural.predict('risk', 1.0, 2, repeat('word', 2000000)),
                 neural.predict_proba('risk', 1.0, 2, repeat('x', 20000000))",
        ),
        statement(
            "long arrays",
            "SELECT neural.predict_proba('large', (SELECT array_agg(i::float8)
                 FROM generate_series(1, 1000000) AS i))",
        ),
    ]
}

/// A safetensors file of a dense layer of 9000 inputs and 1000 outputs.
fn weights() -> Vec<u8> {
    const INPUTS: usize = 9000;
    const OUTPUTS: usize = 1000;
    let (weight, bias) = (4 * INPUTS * OUTPUTS, 4 * OUTPUTS);
    let mut header = format!(
        "{{\"fc.weight\":{{\"dtype\":\"F32\",\"shape\":[{OUTPUTS},{INPUTS}],\"data_offsets\":[0,{weight}]}},\
         \"fc.bias\":{{\"dtype\":\"F32\",\"shape\":[{OUTPUTS}],\"data_offsets\":[{weight},{}]}}}}",
        weight + bias
    );
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    let values = (0..(INPUTS + 1) * OUTPUTS).map(|i| ((i % 101) as f32 - 50.0) / 5000.0);
    file.extend(values.flat_map(f32::to_le_bytes));
    file
}

fn prepare(client: &mut Client) {
    create_loans(client, 3000);
    train(client, "risk", 1);
    client
        .batch_execute(
            "CREATE TABLE file (name text, bytes bytea);
             ALTER TABLE file ALTER bytes SET STORAGE EXTERNAL;
             CREATE TABLE vectors AS SELECT ARRAY(SELECT (i * j % 7)::float8
                 FROM generate_series(1, 9000) AS j) AS x FROM generate_series(1, 40) AS i;
             CREATE TABLE scored AS SELECT *, NULL::float8 AS score FROM loan",
        )
        .expect("the tables");
    client
        .execute("INSERT INTO file VALUES ('weights', $1)", &[&weights()])
        .expect("the file");
    client
        .batch_execute(
            "SET neural.max_memory = '1GB';
             SELECT neural.import_weights('large', bytes,
                 '{\"layers\": [{\"type\": \"dense\", \"name\": \"fc\", \"units\": 1000}]}',
                 'regression',
                 '[{\"name\": \"x\", \"type\": \"vector\", \"length\": 9000, \"mean\": 0, \"std\": 1}]',
                 options => '{\"outputs\": 1000}') FROM file WHERE name = 'weights';
             INSERT INTO file SELECT 'model', neural.export_model('large')",
        )
        .expect("a large model");
}

/// Bytes of the process's address space.
fn address_space(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    size.and_then(|size| size.parse::<u64>().ok())
        .expect("VmSize")
        * 1024
}

/// Lets a process have so much address space and no more, or as much as it may without a limit.
fn limit(cluster: &Cluster, pid: i32, bytes: Option<u64>) {
    let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let mut command = cluster.server_user_program("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--as={bytes}:")]);
    let output = command.output().expect("prlimit runs");
    assert!(output.status.success(), "{output:?}");
}

/// What came of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Well,
    Refused,
    OtherError,
    ConnectionLost,
    Hung,
}

/// Runs a statement and kills its process if it takes too long.
fn outcome(client: &mut Client, pid: i32, sql: &str) -> (Outcome, String) {
    let hung = AtomicBool::new(false);
    let (done, waiting) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        let hung = &hung;
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                hung.store(true, Ordering::Relaxed);
                // SAFETY: ends a process of the test's server.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        let result = client.simple_query(sql);
        let _ = done.send(());
        drop(done);
        result
    });
    if hung.load(Ordering::Relaxed) {
        return (Outcome::Hung, String::new());
    }
    match result {
        Ok(_) => (Outcome::Well, String::new()),
        Err(error) => {
            let outcome = match error.as_db_error() {
                Some(error) if error.severity() == "FATAL" => Outcome::ConnectionLost,
                Some(error) if *error.code() == SqlState::OUT_OF_MEMORY => Outcome::Refused,
                Some(_) => Outcome::OtherError,
                None => Outcome::ConnectionLost,
            };
            let text = match error.as_db_error() {
                Some(error) => format!(
                    "{} {} {}",
                    error.severity(),
                    error.code().code(),
                    error.message()
                ),
                None => error.to_string(),
            };
            (outcome, text)
        }
    }
}

/// A connection, though the server may be about to restart.
fn connection(cluster: &Cluster) -> Client {
    let mut client = None;
    wait_until("the server takes connections", || {
        client = cluster.config(SUPERUSER, "postgres").connect(NoTls).ok();
        client.is_some()
    });
    client.expect("a connection")
}

/// How much more a process may take in the run of this number: most are spread evenly over the orders
/// of magnitude, some over all that there is to give, and some over the least megabytes.
fn allowance(run: usize) -> u64 {
    let share = (run as f64 * 0.618_033_988_749_895).fract();
    match run % 4 {
        1 => (share * MOST) as u64,
        3 => (share * 8.0 * 1024.0 * 1024.0) as u64,
        _ => (LEAST * (MOST / LEAST).powf(share)) as u64,
    }
}

#[test]
fn refused_memory_is_an_error_and_the_server_goes_on() {
    let runs = match env::var("PGN_REFUSED_RUNS") {
        Ok(runs) => runs.parse().expect("a number of runs"),
        Err(_) => RUNS,
    };
    let cluster = Cluster::with_extension(SETTINGS);
    prepare(&mut cluster.superuser());
    let mut witness = cluster.superuser();
    let statements = statements();
    let mut counts: BTreeMap<(&str, Outcome), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for run in 0..runs {
        let statement = &statements[run % statements.len()];
        let round = run / statements.len();
        let more = allowance(round + 7 * (run % statements.len()));
        let mut client = connection(&cluster);
        client
            .batch_execute("SET statement_timeout = '40s'; BEGIN; ROLLBACK")
            .expect("a setting");
        // Procedures commit; of all else nothing is to stay.
        let in_transaction = !statement.sql.starts_with("CALL");
        let pid = backend_pid(&mut client);
        if in_transaction {
            client.batch_execute("BEGIN").expect("a transaction");
        }
        limit(&cluster, pid, Some(address_space(pid) + more));
        let (came, text) = outcome(&mut client, pid, &statement.sql);
        *counts.entry((statement.kind, came)).or_default() += 1;
        let told = format!(
            "run {run}, {}, {more} bytes: {came:?} {text}",
            statement.kind
        );
        match came {
            Outcome::Well | Outcome::Refused => {
                limit(&cluster, pid, None);
                if in_transaction {
                    client
                        .batch_execute("ROLLBACK; BEGIN")
                        .expect("a transaction");
                }
                // As it would have been.
                let (then, text) = outcome(&mut client, pid, &statement.sql);
                let expected = match statement.kind {
                    "long arrays" => Outcome::OtherError,
                    _ => Outcome::Well,
                };
                if then != expected {
                    wrong.push(format!("{told}, without a limit {then:?} {text}"));
                }
            }
            Outcome::OtherError if statement.kind == "long arrays" => {}
            _ => wrong.push(told),
        }
        if witness.simple_query("SELECT 1").is_err() {
            wrong.push(format!(
                "run {run}, {}: the server restarted",
                statement.kind
            ));
            witness = connection(&cluster);
        }
    }
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((kind, outcome), count) in &counts {
        let told = kinds.entry(kind).or_default();
        told.push(format!("{count} {outcome:?}"));
    }
    for (kind, told) in kinds {
        println!("{kind}: {}", told.join(", "));
    }
    let log = cluster.log();
    let fallen = log.lines().filter(|line| {
        line.contains("terminated by signal") || line.contains("memory allocation of")
    });
    wrong.extend(fallen.map(str::to_owned));
    assert!(wrong.is_empty(), "of {runs} runs:\n{}", wrong.join("\n"));
}

#[test]
fn connections_of_a_server_with_a_limit_outlive_what_it_refuses() {
    let cluster = Cluster::with_extension(SETTINGS);
    prepare(&mut cluster.superuser());
    let file = fs::read_to_string(cluster.data().join("postmaster.pid")).expect("the server runs");
    let server: i32 = file
        .lines()
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a pid");
    let megabyte = 1 << 20;
    for more in [12, 90, 250, 400] {
        // What it starts from here on has the limit, as under `ulimit -v`.
        let bytes = address_space(server) + more * megabyte;
        limit(&cluster, server, Some(bytes));
        let mut client = cluster.superuser();
        let pid = backend_pid(&mut client);
        for round in 0..2 {
            for statement in statements() {
                let in_transaction = !statement.sql.starts_with("CALL");
                if in_transaction {
                    client.batch_execute("BEGIN").expect("a transaction");
                }
                let (came, text) = outcome(&mut client, pid, &statement.sql);
                let told = format!("{more} MB, round {round}, {}: {text}", statement.kind);
                let fine = matches!(came, Outcome::Well | Outcome::Refused)
                    || came == Outcome::OtherError && statement.kind == "long arrays";
                assert!(fine, "{told}");
                if in_transaction {
                    client.batch_execute("ROLLBACK").expect("a transaction");
                }
            }
        }
    }
}

/// What comes of a statement in connections that may take so many megabytes more, on a server with this
/// environment.
fn outcomes(
    environment: &[(&str, &OsStr)],
    sql: &str,
    megabytes: impl Iterator<Item = u64>,
) -> Vec<Outcome> {
    let cluster = Cluster::with_extension(SETTINGS);
    if !environment.is_empty() {
        cluster.restart_with(environment);
    }
    let mut witness = cluster.superuser();
    create_loans(&mut witness, 100);
    witness
        .batch_execute("CREATE TABLE named AS SELECT ARRAY[repeat('x', 40000000)] AS classes")
        .expect("a table");
    let mut met = Vec::new();
    for more in megabytes {
        let mut client = cluster.superuser();
        let pid = backend_pid(&mut client);
        let bytes = address_space(pid) + (more << 20);
        limit(&cluster, pid, Some(bytes));
        let (came, text) = outcome(&mut client, pid, sql);
        println!("{more} MB: {came:?} {text}");
        met.push(came);
        witness
            .simple_query("SELECT 1")
            .expect("the server goes on");
    }
    let log = cluster.log();
    assert!(!log.contains("terminated by signal"), "{log}");
    met
}

#[test]
fn what_loading_openblas_takes_is_there_before_it_is_loaded() {
    let sql = "SELECT neural.train('new', 'SELECT age, amount, bad FROM loan', 'bad', epochs => 1, seed => 1,
                   options => '{\"verbose\": false, \"threads\": 1, \"members\": 1}')";
    // A buffer for each of them, were it loaded with so many.
    let threads = [("OPENBLAS_NUM_THREADS", OsStr::new("8"))];
    let met = outcomes(&threads, sql, (40..600).step_by(40));
    let expected = [Outcome::Refused, Outcome::Well];
    assert!(met.iter().all(|outcome| expected.contains(outcome)));
    assert!(expected.iter().all(|outcome| met.contains(outcome)));
}

#[test]
fn options_too_long_to_be_read_are_refused() {
    let sql = "SELECT neural.train('new', 'loan', 'bad', options => jsonb_object_agg('k' || i, i))
               FROM generate_series(1, 300000) AS i";
    let met = outcomes(&[], sql, (20..240).step_by(5));
    // There is no such option.
    let expected = [Outcome::Refused, Outcome::OtherError];
    assert!(met.iter().all(|outcome| expected.contains(outcome)));
    assert!(expected.iter().all(|outcome| met.contains(outcome)));
}

#[test]
fn what_nothing_provides_for_ends_the_connection_and_not_the_server() {
    // The names of classes are read before there is any work.
    let sql = "SELECT neural.import_weights('new', '', 'linear', 'classification', '[]',
                   classes => classes) FROM named";
    let met = outcomes(&[], sql, (10..120).step_by(5));
    let expected = [
        Outcome::Refused,
        Outcome::ConnectionLost,
        Outcome::OtherError,
    ];
    assert!(met.iter().all(|outcome| expected.contains(outcome)));
    assert!(expected.iter().all(|outcome| met.contains(outcome)));
}

//! Many sessions call models while these are trained, deployed, rolled back, dropped, renamed and shared,
//! and while the server is made to crash; every answer must be one that held while its statement ran.

use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use super::readers::{NAMES, Record, read};
use super::timeline::Timeline;
use super::writers::{self, Shared};
use super::{draw, left};
use crate::fixture::{count, create_loans, score, train};
use crate::harness::{Cluster, SUPERUSER, backend_pid, succeeds, wait_until};
use crate::process_memory::{private_memory, proportional_memory};

/// How many sessions for how long.
struct Plan {
    readers: u64,
    /// Nothing but calls.
    quiet: Duration,
    /// Deployments beside them.
    deploys: Duration,
    /// Everything beside them, and faults at the end of each span.
    spans: u64,
    span: Duration,
}

/// A few seconds, or as many as `PGN_STORM_SECONDS` says with 200 sessions.
fn plan() -> Plan {
    let seconds = env::var("PGN_STORM_SECONDS").ok();
    match seconds.map(|seconds| seconds.parse::<u64>().expect("a number of seconds")) {
        Some(seconds) => Plan {
            readers: 200,
            quiet: Duration::from_secs(20),
            deploys: Duration::from_secs(40),
            spans: seconds.saturating_sub(60).max(20) / 5,
            span: Duration::from_secs(4),
        },
        None => Plan {
            readers: 16,
            quiet: Duration::from_secs(1),
            deploys: Duration::from_secs(1),
            spans: 4,
            span: Duration::from_millis(700),
        },
    }
}

fn prepare(admin: &mut Client) {
    create_loans(admin, 300);
    for seed in 1..=3 {
        train(admin, "risk", seed);
    }
    train(admin, "hop", 4);
    train(admin, "lent", 5);
    // Large enough for a file that sessions share.
    for seed in 0..2 {
        admin
            .batch_execute(&format!(
                "SET neural.max_memory = '1GB';
                 SELECT neural.train('wide{seed}', 'SELECT age, amount, purpose, bad FROM loan LIMIT 64', 'bad',
                     epochs => 1, validation => 0, seed => {seed},
                     architecture => '{{\"layers\": [{{\"type\": \"dense\", \"units\": 600, \"activation\": \"relu\"}},
                         {{\"type\": \"dense\", \"units\": 600, \"activation\": \"relu\"}}]}}',
                     options => '{{\"verbose\": false, \"members\": 1}}')"
            ))
            .expect("a large model");
    }
    admin
        .batch_execute(
            "CREATE TABLE artifact AS SELECT n AS number, neural.export_model('wide' || n) AS bytes FROM generate_series(0, 1) AS n;
             SELECT neural.drop_model('wide0'), neural.drop_model('wide1');
             SELECT neural.import_model('gone', bytes) FROM artifact WHERE number = 0;
             CREATE ROLE reader LOGIN; GRANT SELECT ON loan TO reader;
             SELECT neural.grant_model(name, 'reader') FROM neural.models;
             CREATE FUNCTION in_plpgsql(model text) RETURNS float8 LANGUAGE plpgsql AS
                 $$BEGIN RETURN neural.predict(model, 35, 1200, 'car'); END$$;
             SELECT neural.create_function('call_' || name, name) FROM neural.models;
             -- Of a model that is not there yet.
             CREATE FUNCTION call_hop2(age float8, amount int, purpose text) RETURNS float8 LANGUAGE sql STABLE
                 RETURN neural.predict('hop2', age, amount, purpose)",
        )
        .expect("the models");
}

/// Kinds of faults.
const FAULTS: [&str; 4] = ["scoring", "training", "deploying", "immediate stop"];

/// Kills a backend that does what `kind` says, at some moment; the server has recovered then.
fn fault(kind: usize, shared: &Shared<'_>, state: &mut u64) {
    let cluster = shared.cluster;
    if kind == 3 {
        cluster.restart("immediate");
        return;
    }
    if kind == 2 {
        let mut witness = cluster.superuser();
        wait_until("the deployer is there", || {
            let pid = shared.deploying.load(Ordering::Relaxed);
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
            count(&mut witness, &sql) == 1
        });
        thread::sleep(Duration::from_millis(draw(state, 50)));
        cluster.fells_the_server(|| kill(shared.deploying.load(Ordering::Relaxed)));
        return;
    }
    let mut victim = cluster.superuser();
    let pid = backend_pid(&mut victim);
    let (sql, most) = match kind {
        0 => (
            "SET neural.batch_rows = 64;
             SELECT sum(neural.predict('risk', age + i, amount, purpose)) FROM loan, generate_series(1, 3000) AS i",
            200,
        ),
        _ => (
            "SET neural.max_memory = '12MB';
             SELECT neural.train('risk', 'SELECT sin(i) AS age, i % 7 AS amount, ''car'' AS purpose, i % 3 = 0 AS bad
                 FROM generate_series(1, 300000) AS i', 'bad', epochs => 1000, options => '{\"verbose\": false}')",
            1200,
        ),
    };
    thread::scope(|scope| {
        scope.spawn(move || victim.batch_execute(sql).expect_err("it must not end well"));
        thread::sleep(Duration::from_millis(20 + draw(state, most)));
        cluster.fells_the_server(|| kill(pid));
    });
}

fn kill(pid: i32) {
    assert!(pid > 0, "no process to be killed");
    succeeds(Command::new("kill").args(["-KILL", &pid.to_string()]));
}

/// Ends the threads whatever ends the test, or it would wait for them for ever.
struct Stops<'a>([&'a AtomicBool; 2]);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0
            .iter()
            .for_each(|stop| stop.store(true, Ordering::Relaxed));
    }
}

/// Predictions a second for a while.
fn rate(answered: &AtomicU64, time: Duration) -> f64 {
    let (before, begin) = (answered.load(Ordering::Relaxed), Instant::now());
    thread::sleep(time);
    let more = answered.load(Ordering::Relaxed) - before;
    more as f64 / begin.elapsed().as_secs_f64()
}

#[test]
fn every_answer_is_one_that_held_whatever_happens() {
    let plan = plan();
    let seed = env::var("PGN_STORM_SEED").ok();
    let seed: u64 = seed.map_or(1, |seed| seed.parse().expect("a number"));
    let cluster = Cluster::with_extension(&[
        "max_connections = 260",
        "shared_buffers = '64MB'",
        "autovacuum_naptime = 1",
        "max_parallel_workers_per_gather = 0",
    ]);
    prepare(&mut cluster.superuser());
    let shared = Shared {
        cluster: &cluster,
        since: Instant::now(),
        timelines: NAMES.map(|_| Mutex::new(Timeline::default())),
        versions: Mutex::new(Vec::new()),
        deploying: AtomicI32::new(0),
        all: AtomicBool::new(false),
        stop: AtomicBool::new(false),
    };
    let (answered, stop_reading) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut faults = Vec::new();
    let mut counts = [0; FAULTS.len()];
    let (records, changes, rates) = thread::scope(|scope| {
        let (shared, cluster, answered, stop_reading) =
            (&shared, &cluster, &answered, &stop_reading);
        let _stops = Stops([stop_reading, &shared.stop]);
        let pause = Duration::from_millis(30);
        let others = [
            scope.spawn(move || writers::rename(shared, pause)),
            scope.spawn(move || writers::drop_and_make(shared, pause)),
            scope.spawn(move || writers::share(shared, pause)),
        ];
        let readers: Vec<_> = (0..plan.readers)
            .map(|reader| scope.spawn(move || read(cluster, seed + reader, answered, stop_reading)))
            .collect();
        wait_until("readers read", || {
            answered.load(Ordering::Relaxed) > plan.readers * 10
        });
        let quiet = rate(answered, plan.quiet);
        let deployer =
            scope.spawn(move || writers::deploy(shared, seed, Duration::from_millis(10)));
        let changes = || shared.timelines[0].lock().expect("a timeline").len();
        let before = changes();
        let deploys = rate(answered, plan.deploys);
        let a_second = (changes() - before) as f64 / plan.deploys.as_secs_f64();
        shared.all.store(true, Ordering::Relaxed);
        let mut state = seed;
        let mut all = 0.0;
        for span in 0..plan.spans {
            all += rate(answered, plan.span) / plan.spans as f64;
            let kind = (span as usize + seed as usize) % FAULTS.len();
            let sent = Instant::now();
            fault(kind, shared, &mut state);
            wait_until("the server recovers", || {
                cluster.config(SUPERUSER, "postgres").connect(NoTls).is_ok()
            });
            faults.push((sent, Instant::now()));
            counts[kind] += 1;
        }
        thread::sleep(plan.span);
        shared.stop.store(true, Ordering::Relaxed);
        let mut changes: Vec<usize> = vec![deployer.join().expect("the deployer")];
        changes.extend(others.map(|other| other.join().expect("a writer")));
        stop_reading.store(true, Ordering::Relaxed);
        let records: Vec<Record> = readers
            .into_iter()
            .flat_map(|reader| reader.join().expect("a reader"))
            .collect();
        (records, changes, [quiet, deploys, a_second, all])
    });
    let timelines = shared
        .timelines
        .map(|timeline| timeline.into_inner().expect("a timeline"));
    let versions = shared.versions.into_inner().expect("the versions");
    let wrong: Vec<String> = records
        .iter()
        .filter_map(|record| record.wrong(&timelines, &versions, &faults))
        .collect();
    let lost = records.iter().filter(|record| record.is_lost()).count();
    let [quiet, deploys, a_second, all] = rates;
    println!(
        "storm: {} sessions, {} answers, {} wrong; {} faults ({}), {lost} connections lost; changes: {} of risk, {} renamings, {} drops and imports, {} grants and revocations; {} versions",
        plan.readers,
        records.iter().filter(|record| record.is_answer()).count(),
        wrong.len(),
        faults.len(),
        FAULTS
            .iter()
            .zip(counts)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect::<Vec<_>>()
            .join(", "),
        changes[0],
        changes[1],
        changes[2],
        changes[3],
        versions.len(),
    );
    println!(
        "storm: {quiet:.0} predictions a second on the quiet server, {deploys:.0} beside {a_second:.0} deployments a second ({:.2} times), {all:.0} while all goes on ({:.2} times)",
        deploys / quiet,
        all / quiet
    );
    let first: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} wrong: {first:#?}", wrong.len());
    assert!(
        timelines.iter().all(|timeline| timeline.len() > 2),
        "nothing changed"
    );
    let mut admin = cluster.superuser();
    left::nothing(&cluster, &mut admin);
    train(&mut admin, "risk", 1);
    score(&mut admin, "risk");
}

/// What a connection that has loaded the library has more than one that has not: printed, for the
/// machine decides.
#[test]
fn the_memory_of_an_idle_connection() {
    let cluster = Cluster::with_extension(&[]);
    let mut admin = cluster.superuser();
    create_loans(&mut admin, 300);
    train(&mut admin, "risk", 1);
    drop(admin);
    let mut sizes = Vec::new();
    for (what, sql) in [
        ("nothing", "SELECT 1"),
        ("the library", "LOAD 'pg_neural'"),
        (
            "called a model",
            "SELECT neural.predict('risk', 35, 1200, 'car')",
        ),
    ] {
        // Several, so that what they share counts little with each.
        let mut clients: Vec<Client> = (0..5).map(|_| cluster.superuser()).collect();
        for client in &mut clients {
            client.batch_execute(sql).expect("a statement");
        }
        let pids: Vec<i32> = clients.iter_mut().map(backend_pid).collect();
        let mean = |size: fn(i32) -> u64| {
            pids.iter().map(|pid| size(*pid)).sum::<u64>() as f64 / 5.0 / 1e6
        };
        sizes.push((what, mean(private_memory), mean(proportional_memory)));
    }
    let (_, private, proportional) = sizes[0];
    for (what, own, share) in &sizes[1..] {
        println!(
            "idle connection that {}: {:.2} MB of its own more ({own:.2}), {:.2} MB in proportion more",
            if what.starts_with("called") {
                "has called a model"
            } else {
                "has loaded the library"
            },
            own - private,
            share - proportional
        );
    }
}

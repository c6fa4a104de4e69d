//! How long after a request to cancel the work ends, in each of its phases: measured at random points, not
//! tested. `bash scripts/test cancel-15` prints the table; `PGN_CANCELS` is how many requests a phase gets
//! (50), `PGN_CANCEL_ONLY` a part of what is measured, `PGN_CANCEL_SEED` picks other points.

mod measure;

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;

use self::measure::{Phase, Session, Table, cancelled};
use crate::fixture::{count, create_loans, text, train};
use crate::harness::Cluster;

/// Rows of numbers and levels that tell when the last of them is read.
fn rows(count: u32) -> String {
    format!(
        "SELECT sin(i) AS a, cos(i) AS b, sin(i * 0.7) AS c, i % 7 AS d, ''level '' || i % 40 AS e,
             CASE WHEN i = {count} THEN tell(''rows are read'') ELSE sin(i) + cos(i * 0.3) > 0.2 END AS y
         FROM (SELECT generate_series(1, {count}) AS i) AS s"
    )
}

/// A training of `y` from a query, and what else it is given.
fn training(query: &str, arguments: &str) -> String {
    format!("SELECT neural.train('measured', '{query}', 'y', seed => 1, {arguments})")
}

fn layers(layers: &str) -> String {
    format!("architecture => '{{\"layers\": [{layers}]}}'")
}

/// What the server has to be like.
fn prepare(cluster: &Cluster) {
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    client
        .batch_execute(
            "CREATE FUNCTION tell(what text) RETURNS bool LANGUAGE plpgsql AS
                 'BEGIN RAISE NOTICE ''%'', what; RETURN true; END';
             CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN RAISE NOTICE ''the model is stored''; RETURN NULL; END';
             CREATE TRIGGER told BEFORE INSERT ON _neural.numbering EXECUTE FUNCTION public.tell();
             CREATE TABLE pictures AS
                 SELECT ARRAY(SELECT ARRAY(SELECT sin(i * (y + x / 28.0))::real
                                           FROM generate_series(1, 28) AS x)
                              FROM generate_series(1, 28) AS y) AS pixels, i % 10 AS y
                 FROM generate_series(1, 600) AS i;
             CREATE TABLE many AS
                 SELECT l.id, l.age + sin(i) AS age, l.amount, l.purpose, l.bad, NULL::float8 AS score
                 FROM loan AS l, generate_series(1, 400) AS i;
             CREATE TABLE few AS SELECT i::float8 AS a, i::float8 AS b FROM generate_series(1, 1000) AS i;
             CREATE TABLE scored AS SELECT sin(i) AS score, i % 3 = 0 AS label
                 FROM generate_series(1, 1000000) AS i;
             ANALYZE",
        )
        .expect("the tables");
}

#[test]
#[ignore = "takes half an hour, and is a measurement"]
fn cancel_times() {
    let cluster = Cluster::with_extension(&["neural.max_memory = '3GB'", "max_wal_size = '4GB'"]);
    prepare(&cluster);
    let mut table = Table::new();
    let mut session = Session::new(&cluster);
    trainings(&mut table, &mut session);
    large(&mut table, &mut session, &cluster);
    scoring(&mut table, &mut session);
    jobs(&mut table, &mut cluster.superuser());
    println!("\n| what | phase | lasts, ms | cancels | median, ms | most, ms | over 200 ms |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    println!("{}", table.lines.join("\n"));
}

fn trainings(table: &mut Table, session: &mut Session) {
    let dense = layers(r#"{"type": "dense", "units": 16, "activation": "relu"}"#);
    let million = training(
        &rows(200_000),
        &format!("{dense}, epochs => 1, batch_size => 1024"),
    );
    table.measure(session, "200,000 rows", &million);
    session
        .client
        .batch_execute("SET neural.max_memory = '16MB'")
        .unwrap();
    table.measure(session, "200,000 rows from a file", &million);
    session
        .client
        .batch_execute("RESET neural.max_memory")
        .unwrap();
    let default = training(&rows(5_000), "epochs => 2");
    table.measure(session, "the default network", &default);
    let several = training(&rows(30_000), "architecture => 'tabular', epochs => 3");
    table.measure(session, "tabular", &several);
    let pictures = |kind: &str, network: &str| {
        let arguments = format!(
            r#"{}, features => '{{"pixels": {{"type": "{kind}"}}}}', epochs => 3, batch_size => 64"#,
            layers(network)
        );
        training("SELECT pixels, y FROM pictures", &arguments)
    };
    for (what, kind, network) in [
        (
            "convolution",
            "image",
            r#"{"type": "conv2d", "filters": 32, "kernel_size": 3, "activation": "relu"},
               {"type": "batch_norm"}, {"type": "max_pool2d"}, {"type": "flatten"}"#,
        ),
        (
            "recurrent",
            "sequence",
            r#"{"type": "lstm", "units": 128, "return_sequences": true}, {"type": "gru", "units": 128}"#,
        ),
        (
            "transformer",
            "sequence",
            r#"{"type": "transformer_encoder", "num_heads": 4}, {"type": "global_avg_pool"}"#,
        ),
    ] {
        table.measure(session, what, &pictures(kind, network));
    }
}

/// A model of 25 million parameters, 100 MB.
fn large(table: &mut Table, session: &mut Session, cluster: &Cluster) {
    let wide = "SELECT neural.train('wide',
        'SELECT sin(i) AS a, cos(i) AS b, sin(i) + cos(i * 0.3) AS y FROM generate_series(1, 64) AS i', 'y',
        architecture => '{\"layers\": [{\"type\": \"dense\", \"units\": 5000, \"activation\": \"relu\"},
                                     {\"type\": \"dense\", \"units\": 5000, \"activation\": \"relu\"}]}',
        epochs => 1, batch_size => 64, optimizer => 'sgd', learning_rate => 0.001, seed => 1)";
    table.measure(session, "100 MB trained", wide);
    session.client.batch_execute(wide).expect("the wide model");
    for (what, sql) in [
        (
            "100 MB exported, imported",
            "SELECT neural.import_model('copy', neural.export_model('wide'))",
        ),
        ("100 MB checked", "SELECT * FROM neural.check('wide')"),
        (
            "wide network, scored",
            "SELECT sum(neural.predict('wide', a, b)) FROM few",
        ),
    ] {
        table.measure(session, what, sql);
    }
    if !table.wants("100 MB loaded") {
        return;
    }
    // The first call of a session loads and decodes.
    let first = "SET neural.shared_models = 0; SELECT neural.predict('wide', 1, 1)";
    let mut lasts = Duration::ZERO;
    let mut took = Vec::new();
    for number in 0..3 * table.cancels {
        if took.len() >= table.cancels {
            break;
        }
        let mut session = Session::new(cluster);
        session.client.batch_execute("LOAD 'pg_neural'").unwrap();
        if number == 0 {
            let began = Instant::now();
            session.client.batch_execute(first).expect("a call");
            lasts = began.elapsed();
            continue;
        }
        let all = Phase {
            name: "all",
            begins: None,
            lasts,
        };
        let delay = table.within(lasts);
        let cancelled = cancelled(&mut session, first, &all, delay);
        took.extend(cancelled.map(|(sent, ended)| ended.saturating_duration_since(sent)));
    }
    table.add("100 MB loaded", "all", lasts, took);
}

fn scoring(table: &mut Table, session: &mut Session) {
    let query = "SELECT age, amount, purpose, bad FROM many";
    for (what, sql) in [
        (
            "scored in batches",
            "SELECT sum(neural.predict('risk', age, amount, purpose)) FROM many",
        ),
        (
            "scored by rows",
            "SELECT sum(neural.predict('risk', many)) FROM many",
        ),
        (
            "ranked",
            "SELECT neural.auc(neural.predict('risk', age, amount, purpose), bad) FROM many",
        ),
        (
            "score_table",
            "CALL neural.score_table('risk', 'many', 'score')",
        ),
    ] {
        table.measure(session, what, sql);
    }
    let evaluate = format!("SELECT * FROM neural.evaluate('risk', '{query}')");
    table.measure(session, "evaluate", &evaluate);
    session
        .client
        .batch_execute("SET neural.max_memory = '2MB'; SET max_parallel_workers_per_gather = 0")
        .unwrap();
    table.measure(
        session,
        "ranked from files",
        "SELECT neural.auc(score, label) FROM scored",
    );
}

/// Of a job, what it says of itself tells the phase, and its row when it had ended.
fn jobs(table: &mut Table, client: &mut Client) {
    if !table.wants("job") {
        return;
    }
    let dense = layers(r#"{"type": "dense", "units": 16, "activation": "relu"}"#);
    let order = training(
        &rows(200_000),
        &format!("{dense}, epochs => 2, batch_size => 1024"),
    )
    .replace("neural.train(", "neural.train_async(");
    let lasted = |job: i64| {
        format!(
            "SELECT (1e6 * extract(epoch FROM finished_at - started_at))::bigint
             FROM neural.jobs WHERE job = {job}"
        )
    };
    let job = count(client, &order);
    text(client, &format!("SELECT neural.wait_job({job})"));
    let whole = Duration::from_micros(count(client, &lasted(job)) as u64);
    let mut took: Vec<(String, Vec<Duration>)> = Vec::new();
    for _ in 0..4 * table.cancels {
        let job = count(client, &order);
        thread::sleep(table.within(whole));
        let doing = text(
            client,
            "SELECT coalesce((SELECT substring(query FROM ': ([a-z]+)') FROM pg_stat_activity
                              WHERE backend_type = 'pg_neural job'), 'nothing')",
        );
        // The clock is read before the job is told.
        let sent = "SELECT (1e6 * extract(epoch FROM clock_timestamp()))::bigint";
        let sent = count(client, sent);
        let cancel = format!("SELECT neural.cancel_job({job})");
        client.batch_execute(&cancel).expect("the request");
        if text(client, &format!("SELECT neural.wait_job({job})")) != "cancelled" {
            continue;
        }
        let ended =
            "SELECT (1e6 * extract(epoch FROM finished_at))::bigint FROM neural.jobs WHERE job = ";
        let ended = count(client, &format!("{ended}{job}"));
        let span = Duration::from_micros(u64::try_from(ended - sent).unwrap_or(0));
        match took.iter_mut().find(|(known, _)| *known == doing) {
            Some((_, spans)) => spans.push(span),
            None => took.push((doing, vec![span])),
        }
    }
    for (doing, spans) in took {
        table.add("a job", &doing, whole, spans);
    }
}

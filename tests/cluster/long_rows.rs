//! A single row of very many steps, a wide layer, a file of very many tensors: a request to end comes
//! through in the midst of them, as [`crate::cancel`] wants it.

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use crate::cancel::{SOON, cancelled_anywhere, terminate};
use crate::harness::{Cluster, backend_pid};

/// How many moments of each statement it is cancelled at.
fn points() -> u32 {
    // To measure, ask for more.
    let asked = std::env::var("PGN_CANCEL_POINTS").ok();
    asked.and_then(|points| points.parse().ok()).unwrap_or(2)
}

/// A safetensors file of tensors that hold small numbers.
fn tensors(named: &[(String, Vec<usize>)]) -> Vec<u8> {
    let mut header = String::from("{");
    let mut data: Vec<u8> = Vec::new();
    for (i, (name, shape)) in named.iter().enumerate() {
        let begin = data.len();
        let count: usize = shape.iter().product();
        let value = |i: usize| ((i * 37 % 23) as f32 / 11.0 - 1.0) / 8.0;
        data.extend((0..count).flat_map(|i| value(i).to_le_bytes()));
        let comma = if i > 0 { "," } else { "" };
        let end = data.len();
        header += &format!(
            "{comma}\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{begin},{end}]}}"
        );
    }
    header.push('}');
    let length = header.len().next_multiple_of(8);
    let mut file = (length as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(8 + length, b' ');
    file.extend(data);
    file
}

/// Stores a regression of sequences that comes from elsewhere.
fn import(
    client: &mut Client,
    model: &str,
    layers: &str,
    features: &str,
    named: &[(&str, &[usize])],
) {
    let named: Vec<(String, Vec<usize>)> = named
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()))
        .collect();
    let sql = format!(
        "SELECT neural.import_weights('{model}', $1, '{{\"layers\": [{layers}]}}', 'regression',
             '{features}')"
    );
    client
        .execute(&sql, &[&tensors(&named)])
        .expect("the import");
}

/// A model of attention, `long`, and one of a stack of lstm in both directions, `states`, with tables
/// of long rows for them.
fn prepare(client: &mut Client) {
    import(
        client,
        "long",
        r#"{"type": "multi_head_attention", "name": "a", "num_heads": 2},
           {"type": "global_avg_pool"}, {"type": "output", "name": "out"}"#,
        r#"[{"name": "s", "type": "sequence", "length": 24000, "features": 16}]"#,
        &[
            ("a.in_proj_weight", &[48, 16]),
            ("a.in_proj_bias", &[48]),
            ("a.out_proj.weight", &[16, 16]),
            ("a.out_proj.bias", &[16]),
            ("out.weight", &[1, 16]),
            ("out.bias", &[1]),
        ],
    );
    let units = 256;
    let names: Vec<(String, [usize; 2])> = (0..2)
        .flat_map(|layer| {
            ["", "_reverse"].into_iter().flat_map(move |direction| {
                let inputs = if layer == 0 { 16 } else { 2 * units };
                [
                    (
                        format!("r.weight_ih_l{layer}{direction}"),
                        [4 * units, inputs],
                    ),
                    (
                        format!("r.weight_hh_l{layer}{direction}"),
                        [4 * units, units],
                    ),
                ]
            })
        })
        .collect();
    let mut named: Vec<(&str, &[usize])> = names
        .iter()
        .map(|(name, shape)| (name.as_str(), &shape[..]))
        .collect();
    named.push(("out.weight", &[1, 512]));
    named.push(("out.bias", &[1]));
    import(
        client,
        "states",
        r#"{"type": "lstm", "name": "r", "units": 256, "num_layers": 2, "bidirectional": true,
            "use_bias": false},
           {"type": "output", "name": "out"}"#,
        r#"[{"name": "s", "type": "sequence", "length": 12000, "features": 16}]"#,
        &named,
    );
    for (table, steps) in [("attended", 24_000), ("gone", 12_000)] {
        client
            .batch_execute(&format!(
                "CREATE TABLE {table} AS
                 SELECT id, (SELECT array_agg(ARRAY(SELECT sin(id + i * k)::real
                                                    FROM generate_series(1, 16) AS k) ORDER BY i)
                             FROM generate_series(1, {steps}) AS i) AS s, 1.5::float8 AS y,
                        NULL::float8 AS score
                 FROM generate_series(1, 2) AS id;
                 ALTER TABLE {table} ADD PRIMARY KEY (id);
                 ANALYZE {table}"
            ))
            .expect("a table of long rows");
    }
}

#[test]
fn one_long_row_is_cancelled_on_every_way() {
    let cluster = Cluster::with_extension(&["neural.max_memory = '1GB'"]);
    let mut client = cluster.superuser();
    prepare(&mut client);
    for (model, table) in [("long", "attended"), ("states", "gone")] {
        for (what, sql) in [
            (
                "by batches",
                format!("SELECT neural.predict('{model}', s) FROM {table}"),
            ),
            (
                "by itself",
                format!("SELECT neural.predict('{model}', (SELECT s FROM {table} WHERE id = 1))"),
            ),
            (
                "evaluated",
                format!(
                    "SELECT * FROM neural.evaluate('{model}', 'SELECT s, y FROM {table}', 'y')"
                ),
            ),
        ] {
            cancelled_anywhere(&mut client, &format!("{model} {what}"), &sql, points());
        }
    }
    // A procedure that commits has no place in a block.
    let pid = backend_pid(&mut client);
    let mut other = cluster.superuser();
    for _ in 0..points() {
        let canceller = thread::spawn(move || {
            thread::sleep(Duration::from_millis(500));
            other
                .batch_execute(&format!("SELECT pg_cancel_backend({pid})"))
                .expect("the request to cancel");
            (other, Instant::now())
        });
        let error = client
            .batch_execute("CALL neural.score_table('long', 'attended', 'score')")
            .expect_err("it is cancelled");
        let ended = Instant::now();
        let (back, sent) = canceller.join().expect("the canceller");
        other = back;
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
        let took = ended.saturating_duration_since(sent);
        println!("score_table: ended after {took:.0?}");
        assert!(took < SOON, "{took:?}");
    }
    client
        .batch_execute("SELECT 1")
        .expect("the session goes on");
}

#[test]
fn one_long_row_ends_at_a_timeout_and_with_its_backend() {
    let cluster = Cluster::with_extension(&["neural.max_memory = '1GB'"]);
    let mut client = cluster.superuser();
    prepare(&mut client);
    // Where the session goes on, so do its call sites: what a row leaves half done harms none after.
    client
        .batch_execute(
            "CREATE FUNCTION tried(x real[]) RETURNS float8 LANGUAGE plpgsql AS $$
             BEGIN
                 RETURN neural.predict('long', x);
             EXCEPTION WHEN query_canceled THEN
                 RETURN NULL;
             END $$",
        )
        .expect("the function");
    let short = "SELECT tried(s[1:100]) FROM attended WHERE id = 1";
    let answer = |client: &mut Client| -> Option<f64> {
        client.query_one(short, &[]).expect("a row").get(0)
    };
    let expected = answer(&mut client);
    assert!(expected.is_some());
    client
        .batch_execute("SET statement_timeout = '500ms'")
        .unwrap();
    let begin = Instant::now();
    let sql = "SELECT tried(s) FROM attended WHERE id = 1";
    let none: Option<f64> = client.query_one(sql, &[]).expect("a row").get(0);
    let took = begin.elapsed().saturating_sub(Duration::from_millis(500));
    println!("one row: ended {took:.0?} after its time");
    assert_eq!(none, None);
    assert!(took < SOON, "{took:?}");
    client.batch_execute("RESET statement_timeout").unwrap();
    assert_eq!(answer(&mut client), expected);
    for (model, table) in [("long", "attended"), ("states", "gone")] {
        let mut victim = cluster.superuser();
        let pid = backend_pid(&mut victim);
        let sql = format!("SELECT neural.predict('{model}', s) FROM {table}");
        let running = thread::spawn(move || victim.batch_execute(&sql).unwrap_err());
        terminate(&mut client, pid, Duration::from_millis(500), running);
    }
    assert_eq!(answer(&mut client), expected);
}

#[test]
fn trainings_on_long_rows_and_wide_layers_are_cancelled() {
    let cluster = Cluster::with_extension(&["neural.max_memory = '1GB'"]);
    let mut client = cluster.superuser();
    for (what, layers, steps, rows) in [
        ("transformer", r#""transformer_small""#, 6_000, 3),
        (
            "lstm",
            r#"{"layers": [{"type": "lstm", "units": 512, "num_layers": 2, "bidirectional": true}]}"#,
            300,
            3,
        ),
    ] {
        let architecture = layers.trim_matches('"');
        let sql = format!(
            "SELECT neural.train('{what}',
                 'SELECT id AS row, (SELECT array_agg(ARRAY(SELECT sin(id + i * k)::real
                      FROM generate_series(1, 8) AS k) ORDER BY i)
                      FROM generate_series(1, {steps}) AS i) AS s, id * 0.5 AS y
                  FROM generate_series(1, {rows}) AS id', 'y',
                 architecture => '{architecture}', features => '{{\"s\": {{\"type\": \"sequence\", \"length\": {steps}}},
                     \"row\": {{\"type\": \"ignore\"}}}}',
                 epochs => 1, batch_size => 2, seed => 1, options => '{{\"verbose\": false}}')"
        );
        cancelled_anywhere(&mut client, what, &sql, points());
    }
}

#[test]
fn imports_of_many_tensors_are_cancelled() {
    let cluster = Cluster::with_extension(&["neural.max_memory = '1GB'"]);
    let mut client = cluster.superuser();
    let empty: Vec<(String, Vec<usize>)> = (0..300_000)
        .map(|i| (format!("t{i}.weight"), vec![0]))
        .collect();
    client
        .batch_execute("CREATE TABLE file (bytes bytea)")
        .unwrap();
    client
        .execute("INSERT INTO file VALUES ($1)", &[&tensors(&empty)])
        .expect("the file");
    for (what, call) in [
        ("import_model", "neural.import_model('many', bytes)"),
        (
            "import_weights",
            r#"neural.import_weights('many', bytes, '{"layers": [{"type": "output", "name": "out"}]}',
                   'regression', '[{"name": "x", "type": "number"}]')"#,
        ),
    ] {
        // It is no model in the end: that it is said takes as long.
        let sql = format!(
            "DO $do$ BEGIN PERFORM {call} FROM file;
             EXCEPTION WHEN invalid_parameter_value THEN NULL; END $do$"
        );
        cancelled_anywhere(&mut client, what, &sql, points());
    }
}

//! Inputs made to do harm, through SQL: exports, weight files, architectures, features, options, images
//! and arguments, each mutated from sound ones. None may end the backend, be an internal error, take
//! twice the memory allowed or go on long after its statement's time.
//!
//! `PGN_HOSTILE_INPUTS` is the number of inputs (350), `PGN_HOSTILE_SEED` the first one's seed: an
//! input depends on its seed alone.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::harness::{Cluster, backend_pid};
use crate::process_memory::{peak_memory, reset_peak_memory, resident_memory};

const MEGABYTE: u64 = 1024 * 1024;
/// `neural.max_memory` while it lasts.
const MEMORY: u64 = 64 * MEGABYTE;
/// A statement's time, and what it may take until it has ended: generous, as other tests run beside.
const TIMEOUT: Duration = Duration::from_secs(2);
const LATEST: Duration = Duration::from_secs(10);

const KINDS: [&str; 7] = [
    "exports",
    "weights",
    "architectures",
    "features",
    "options",
    "images",
    "arguments",
];

#[test]
fn no_input_harms_the_server() {
    let number = |name: &str, default: u64| {
        env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let cluster = Cluster::with_extension(&["shared_buffers = '8MB'"]);
    let mut client = cluster.superuser();
    set_up(&mut client);
    let corpus = Corpus::read(&mut client);
    let first = number("PGN_HOSTILE_SEED", 1);
    let mut tally: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut session = Session::new(&cluster);
    for seed in first..first + number("PGN_HOSTILE_INPUTS", 350) {
        let kind = KINDS[(seed % KINDS.len() as u64) as usize];
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let statements = corpus.input(kind, &mut random);
        let tally = tally.entry(kind).or_default();
        session.run(seed, &statements, &mut random, tally);
        // Caches of a session stay; their growth is another test's.
        if seed % 200 == 0 {
            session = Session::new(&cluster);
        }
    }
    for (kind, tally) in tally {
        println!("{kind}: {tally:?}");
    }
    assert!(
        !cluster.log().contains("terminated by signal"),
        "a backend was ended"
    );
}

/// What came of the inputs of a kind.
#[derive(Debug, Default)]
struct Tally {
    inputs: u64,
    statements: u64,
    errors: BTreeMap<String, u64>,
    slowest: Duration,
    /// Bytes over what the idle backend had.
    most_memory: u64,
}

/// A connection on which nothing that an input does stays.
struct Session {
    client: Client,
    pid: i32,
}

impl Session {
    fn new(cluster: &Cluster) -> Session {
        let mut client = cluster.superuser();
        let timeout = TIMEOUT.as_millis();
        client
            .batch_execute(&format!(
                "SET statement_timeout = {timeout}; SET neural.max_memory = '{MEMORY}B';
                 SET client_min_messages = error;
                 SELECT neural.predict('table', 1, 2, 'a', true), neural.evaluate('table', 'SELECT * FROM rows LIMIT 5')"
            ))
            .expect("settings");
        let pid = backend_pid(&mut client);
        Session { client, pid }
    }

    fn run(
        &mut self,
        seed: u64,
        statements: &[String],
        random: &mut ChaCha8Rng,
        tally: &mut Tally,
    ) {
        self.client.batch_execute("BEGIN").expect("a transaction");
        tally.inputs += 1;
        let mut sound = true;
        for sql in statements {
            sound &= self.statement(seed, sql, tally);
        }
        if sound {
            for sql in self.uses(random) {
                self.statement(seed, &sql, tally);
            }
        }
        self.client.batch_execute("ROLLBACK").expect("a rollback");
    }

    /// What is done with a model `h`, if the input made one.
    fn uses(&mut self, random: &mut ChaCha8Rng) -> Vec<String> {
        let rows = self
            .client
            .query(
                "SELECT coalesce(jsonb_array_length(m.features), 0) FROM neural.models AS m WHERE m.name = 'h'",
                &[],
            )
            .expect("the model");
        let Some(row) = rows.first() else {
            return Vec::new();
        };
        let features: i32 = row.get(0);
        let arguments: Vec<&str> = (0..features.min(90)).map(|_| odd_value(random)).collect();
        let list = arguments.join(", ");
        let list = if list.is_empty() {
            list
        } else {
            format!(", {list}")
        };
        let function = *["predict", "predict_class", "predict_proba"]
            .choose(random)
            .expect("one");
        vec![
            format!("SELECT neural.{function}('h'{list})"),
            "SELECT neural.predict('h', r) FROM rows AS r LIMIT 300".into(),
            "SELECT neural.evaluate('h', 'SELECT * FROM rows LIMIT 50')".into(),
            "SELECT neural.create_function('f_h', 'h')".into(),
            "SELECT length(neural.export_model('h'))".into(),
            "SELECT * FROM neural.model_versions WHERE model = 'h'".into(),
        ]
    }

    /// Whether it ended without an error.
    fn statement(&mut self, seed: u64, sql: &str, tally: &mut Tally) -> bool {
        let shown = || {
            let end = sql.char_indices().nth(4000).map_or(sql.len(), |(at, _)| at);
            format!("seed {seed}: {}", &sql[..end])
        };
        self.client
            .batch_execute("SAVEPOINT s")
            .expect("a savepoint");
        reset_peak_memory(self.pid);
        let before = resident_memory(self.pid);
        let begin = Instant::now();
        let outcome = self.client.simple_query(sql);
        let took = begin.elapsed();
        tally.statements += 1;
        tally.slowest = tally.slowest.max(took);
        if let Err(error) = &outcome {
            let error = error
                .as_db_error()
                .unwrap_or_else(|| panic!("the backend ended: {error}: {}", shown()));
            // What is stored must be sound, whatever it was made of.
            assert!(
                ![SqlState::INTERNAL_ERROR, SqlState::DATA_CORRUPTED].contains(error.code()),
                "{}: {}",
                error.message(),
                shown()
            );
            *tally
                .errors
                .entry(error.code().code().to_owned())
                .or_default() += 1;
            self.client
                .batch_execute("ROLLBACK TO s")
                .expect("the savepoint");
        }
        let memory = peak_memory(self.pid).saturating_sub(before);
        tally.most_memory = tally.most_memory.max(memory);
        // What comes over the wire, and the text of a statement, are PostgreSQL's.
        assert!(
            memory < 2 * MEMORY + 8 * sql.len() as u64,
            "{memory} bytes: {}",
            shown()
        );
        assert!(took < LATEST, "{took:?}: {}", shown());
        outcome.is_ok()
    }
}

fn set_up(client: &mut Client) {
    client
        .batch_execute(
            "SET client_min_messages = error;
             CREATE TABLE rows AS SELECT i * 0.5 AS a, i % 9 AS b, (ARRAY['a', 'b', 'c'])[1 + i % 3] AS c,
                 i % 2 = 0 AS d, ARRAY[i, i * 0.5, 1]::float8[] AS v, (i / 4) % 5 > 1 AS y,
                 timestamp '2026-01-01' + i * interval '1 hour' AS t, i / 4 AS g, i * 0.1 AS z
             FROM generate_series(1, 120) AS i;
             SELECT neural.train('table', 'SELECT a, b, c, d, y FROM rows', 'y', epochs => 1, seed => 1);
             SELECT neural.train('steps', 'SELECT a, b, g, t, y FROM rows', 'y', epochs => 1, seed => 1,
                 options => '{\"sequence_by\": \"g\", \"order_by\": \"t\", \"sequence_length\": 5}');
             SELECT neural.train('members', 'SELECT a, c, z FROM rows', 'z', epochs => 1, seed => 1,
                 options => '{\"members\": 3}');
             SELECT neural.train('vectors', 'SELECT v, b, z FROM rows', 'z', epochs => 1, seed => 1);",
        )
        .expect("tables and models");
}

/// Sound inputs, of which hostile ones are made.
struct Corpus {
    exports: Vec<Vec<u8>>,
    weights: Vec<Vec<u8>>,
    architectures: Vec<Value>,
    features: Vec<Value>,
    options: Vec<Value>,
    images: Vec<Vec<u8>>,
    /// Name and argument types of each function.
    functions: Vec<(String, Vec<String>)>,
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a file"))
        .filter(|bytes| bytes.len() < 100_000)
        .collect()
}

fn jsons(folder: &str) -> Vec<Value> {
    files(folder)
        .iter()
        .filter_map(|bytes| serde_json::from_slice(bytes).ok())
        .collect()
}

impl Corpus {
    fn read(client: &mut Client) -> Corpus {
        let mut exports = files("tests/data/stored_by_0_1");
        for model in ["table", "steps", "members", "vectors"] {
            let row = client
                .query_one("SELECT neural.export_model($1)", &[&model])
                .expect("an export");
            exports.push(row.get(0));
        }
        let functions = client
            .query(
                "SELECT p.proname::text, array(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t)
                 FROM pg_proc AS p WHERE pronamespace = 'neural'::regnamespace AND prokind IN ('f', 'a')
                 ORDER BY 1, 2",
                &[],
            )
            .expect("functions")
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        Corpus {
            exports,
            weights: files("fuzz/corpus/weights"),
            architectures: jsons("fuzz/corpus/architecture")
                .into_iter()
                .chain(jsons("models"))
                .collect(),
            features: vec![
                json!({"a": {"type": "numeric", "scale": "robust", "missing": "mean"}, "b": "categorical", "v": "vector"}),
                json!({"v": {"type": "sequence", "length": 3}, "c": {"type": "categorical", "levels": 2}, "t": "ignore"}),
                json!({"a": "ignore", "b": {"type": "numeric", "scale": "minmax"}, "t": "numeric", "d": "categorical"}),
                json!({"v": {"type": "vector", "scale": "none"}, "g": {"type": "numeric", "scale": "standard"}}),
            ],
            options: vec![
                json!({"dropout": 0.1, "weight_decay": 0.01, "schedule": "cosine", "warmup": 2, "early_stopping": 1}),
                json!({"members": 2, "class_weights": "balanced", "label_smoothing": 0.1, "gradient_clip": 1.0}),
                json!({"sequence_by": "g", "order_by": ["t"], "sequence_length": 4, "validation_split": "last"}),
                json!({"schedule": "step", "gamma": 0.5, "step_size": 1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}),
                json!({"sample_weight": "b", "validation_group": "g", "threshold": 0.4, "positive_class": "true"}),
                json!({"l1": 0.001, "l2": 0.001, "restore_best": true, "early_stopping": 2, "threads": 2, "max_levels": 5}),
                json!({"warm_start": true, "deploy": "if_better", "shuffle": false, "momentum": 0.5, "nesterov": true}),
                json!({"loss": "quantile", "quantiles": [0.1, 0.5, 0.9], "target_scale": "none"}),
                json!({"loss": "poisson", "exposure": "b"}),
                json!({"loss": "tweedie", "tweedie_variance_power": 1.5, "exposure": "g"}),
                json!({"loss": "ordinal", "levels": ["a", "b", "c"]}),
                json!({"loss": "huber", "delta": 1.0, "initializer": "he_normal", "bias_initializer": 0.1}),
            ],
            images: files("tests/data/images"),
            functions,
        }
    }

    /// The statements of an input of that kind.
    fn input(&self, kind: &str, random: &mut ChaCha8Rng) -> Vec<String> {
        match kind {
            "exports" => {
                let export = self.exports.choose(random).expect("one");
                let bytes = mutated_file(export, random);
                vec![format!(
                    "SELECT neural.import_model('h', '\\x{}')",
                    hex(&bytes)
                )]
            }
            "weights" => {
                let file = self.weights.choose(random).expect("one");
                let line = file.iter().position(|&byte| byte == b'\n').expect("a line");
                let mut arguments: Value =
                    serde_json::from_slice(&file[..line]).expect("arguments");
                if random.random_bool(0.5) {
                    mutate(&mut arguments, random);
                }
                let weights = match random.random_bool(0.6) {
                    true => mutated_file(&file[line + 1..], random),
                    false => file[line + 1..].to_vec(),
                };
                let text = |value: &Value| match value {
                    Value::Null => "NULL".to_owned(),
                    Value::String(text) => literal(text),
                    other => literal(&other.to_string()),
                };
                let classes = match arguments["classes"].as_array() {
                    Some(classes) => {
                        let classes: Vec<String> = classes.iter().map(text).collect();
                        format!("ARRAY[{}]::text[]", classes.join(", "))
                    }
                    None => "NULL".into(),
                };
                vec![format!(
                    "SELECT neural.import_weights('h', '\\x{}', {}, {}, {}, {classes}, {})",
                    hex(&weights),
                    text(&arguments["architecture"]),
                    text(&arguments["task"]),
                    text(&arguments["features"]),
                    match &arguments["options"] {
                        Value::Null => "'{}'".to_owned(),
                        options => text(options),
                    },
                )]
            }
            "architectures" => {
                let mut architecture = self.architectures.choose(random).expect("one").clone();
                for _ in 0..=random.random_range(0..3) {
                    mutate(&mut architecture, random);
                }
                let columns = *["a, b, y", "a, b, c, z AS y", "v, y", "a, v, t, y"]
                    .choose(random)
                    .expect("one");
                vec![train(columns, &architecture, &Value::Null, &json!({}))]
            }
            "features" => {
                let mut features = self.features.choose(random).expect("one").clone();
                for _ in 0..=random.random_range(0..3) {
                    mutate(&mut features, random);
                }
                vec![train("*", &Value::Null, &features, &json!({}))]
            }
            "options" => {
                let mut options = self.options.choose(random).expect("one").clone();
                for _ in 0..=random.random_range(0..2) {
                    mutate(&mut options, random);
                }
                vec![train("*", &Value::Null, &Value::Null, &options)]
            }
            "images" => {
                let image = self.images.choose(random).expect("one");
                let bytes = mutated(image, random);
                vec![
                    "SAVEPOINT import".into(),
                    format!(
                        "CREATE TEMPORARY TABLE pictures ON COMMIT DROP AS SELECT '\\x{}'::bytea AS picture, i % 2 = 0 AS y
                         FROM generate_series(1, 40) AS i",
                        hex(&bytes)
                    ),
                    "SELECT neural.train('h', 'pictures', 'y', epochs => 1, architecture => '{\"layers\": [{\"type\": \"flatten\"}]}',
                         features => '{\"picture\": {\"type\": \"image\", \"resize\": [6, 5]}}')"
                        .into(),
                    "SELECT neural.predict('h', picture) FROM pictures LIMIT 1".into(),
                ]
            }
            _ => {
                let (name, types) = self.functions.choose(random).expect("one");
                let mut arguments: Vec<String> = types
                    .iter()
                    .map(|name| odd_argument(name, random))
                    .collect();
                if types.last().is_some_and(|name| name == "\"any\"") {
                    for _ in 0..random.random_range(0..6) {
                        arguments.push(odd_value(random).to_owned());
                    }
                }
                let list = arguments.join(", ");
                if name == "score_table" {
                    return vec![format!("CALL neural.{name}({list})")];
                }
                vec![format!("SELECT neural.{name}({list})")]
            }
        }
    }
}

fn train(columns: &str, architecture: &Value, features: &Value, options: &Value) -> String {
    let argument = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        value => literal(&value.to_string()),
    };
    format!(
        "SELECT neural.train('h', 'SELECT {columns} FROM rows', 'y', epochs => 2, architecture => {}, features => {}, options => {})",
        argument(architecture),
        argument(features),
        argument(options)
    )
}

/// A text constant; a NUL, which no text has, is left out.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An argument of that type, mostly a sound one.
fn odd_argument(name: &str, random: &mut ChaCha8Rng) -> String {
    let pool: &[&str] = match name {
        "text" => &[
            "'table'",
            "'table@1'",
            "'steps'",
            "'members'",
            "'vectors@99999999999'",
            "''",
            "NULL",
            "'@'",
            "'nobody'",
            "'rows'",
            "'SELECT * FROM rows'",
            "'SELECT 1; SELECT 2'",
            "'y'",
            "repeat('x', 100000)",
            "'classification'",
            "U&'\\0001'",
            "'table@-1'",
            "'TABLE'",
            "'pg_catalog.pg_class'",
            "'z'",
            "'a'",
            "'mlp_small'",
        ],
        "jsonb" => &[
            "'{}'",
            "NULL",
            "'[]'",
            "'null'",
            "'1'",
            "'{\"a\": null}'",
            "'{\"verbose\": 1e300}'",
            "('{\"x\": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb",
        ],
        "integer" | "bigint" | "smallint" => {
            &["0", "1", "-1", "NULL", "2147483647", "-2147483648", "32767"]
        }
        "double precision" | "real" | "numeric" => &[
            "0",
            "1",
            "-1",
            "NULL",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "1e308",
            "1e-308",
            "0.5",
        ],
        "boolean" => &["true", "false", "NULL"],
        "bytea" => &[
            "''",
            "NULL",
            "'\\x00'",
            "decode(repeat('ff', 1000), 'hex')",
            "neural.export_model('table')",
            "sha256('')",
            "substr(neural.export_model('steps'), 1, 5000)",
        ],
        "text[]" => &[
            "NULL",
            "'{}'",
            "'{a,NULL}'",
            "array_fill('x'::text, ARRAY[5000])",
            "'{{a,b},{c,d}}'",
            "'{y}'",
        ],
        "double precision[]" | "real[]" => &[
            "NULL",
            "'{}'",
            "'{NaN}'",
            "'{1,NULL}'",
            "'{{1,2},{3,4}}'",
            "array_fill(1e308::float8, ARRAY[3000])",
        ],
        "regclass" => &[
            "'rows'",
            "NULL",
            "'pg_class'",
            "0",
            "'neural.models'",
            "99999999",
        ],
        "name" => &["'z'", "'y'", "NULL", "''", "'ctid'"],
        "oid" | "regprocedure" | "regproc" | "regrole" => &["0", "NULL", "99999999"],
        "internal" => &["NULL"],
        _ => return odd_value(random).to_owned(),
    };
    (*pool.choose(random).expect("one")).to_owned()
}

/// A value of any type.
fn odd_value(random: &mut ChaCha8Rng) -> &'static str {
    const VALUES: [&str; 36] = [
        "1",
        "0",
        "-1",
        "NULL",
        "'a'",
        "'NaN'",
        "NULL::float8",
        "'NaN'::float8",
        "'Infinity'::float8",
        "1e308::float8",
        "1e400::numeric",
        "'1e-400'::numeric",
        "9223372036854775807",
        "true",
        "''::text",
        "repeat('x', 50000)",
        "'2026-01-01'::date",
        "'infinity'::timestamptz",
        "'-infinity'::date",
        "'{}'::float8[]",
        "'{1,2,NULL}'::float8[]",
        "array_fill(0::float8, ARRAY[20000])",
        "'{{1,2},{3,4}}'::int[]",
        "ARRAY[NULL]::text[]",
        "'\\x'::bytea",
        "'\\x89504e470d0a1a0a'::bytea",
        "ROW()",
        "ROW(1, 'a', NULL)",
        "NULL::rows",
        "(SELECT r FROM rows AS r LIMIT 1)",
        "'[1,2]'::int4range",
        "'{}'::jsonb",
        "'00000000-0000-0000-0000-000000000000'::uuid",
        "'1 day'::interval",
        "'192.168.0.1'::inet",
        "B'101'",
    ];
    VALUES.choose(random).expect("one")
}

/// A tensor file whose header, the JSON in it, or whose bytes are changed; lengths are those of the
/// new header, so that reading goes on past it.
fn mutated_file(file: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let header = || -> Option<(Map<String, Value>, &[u8])> {
        let length = u64::from_le_bytes(file.get(..8)?.try_into().ok()?) as usize;
        let header = serde_json::from_slice(file.get(8..8 + length)?).ok()?;
        Some((header, &file[8 + length..]))
    };
    let Some((mut header, tensors)) = header().filter(|_| random.random_bool(0.85)) else {
        return mutated(file, random);
    };
    let inner = header
        .get("__metadata__")
        .and_then(|metadata| metadata["pg_neural"].as_str())
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    match inner.filter(|_| random.random_bool(0.8)) {
        Some(mut inner) => {
            for _ in 0..=random.random_range(0..3) {
                mutate(&mut inner, random);
            }
            header["__metadata__"]["pg_neural"] = inner.to_string().into();
        }
        None => {
            let mut value = Value::Object(header);
            mutate(&mut value, random);
            match value {
                Value::Object(changed) => header = changed,
                other => return other.to_string().into_bytes(),
            }
        }
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    match random.random_bool(0.9) {
        true => bytes.extend(tensors),
        false => bytes.extend(mutated(tensors, random)),
    }
    bytes
}

/// Bytes with some of them changed, left out, repeated or cut off.
fn mutated(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.random_range(0..4) {
        let at = random.random_range(0..=bytes.len());
        let end = bytes.len().min(at + random.random_range(1..40));
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let word: [u8; 4] = *[[0; 4], [255; 4], [0, 0, 0, 128], [127; 4]]
                    .choose(random)
                    .expect("one");
                bytes.splice(at..end, word);
            }
        }
    }
    bytes
}

/// Changes one value somewhere in a document.
fn mutate(value: &mut Value, random: &mut ChaCha8Rng) {
    let depth = random.random_range(0..6);
    descend(value, depth, random);
}

fn descend(value: &mut Value, depth: u32, random: &mut ChaCha8Rng) {
    if depth > 0 {
        let inner = match value {
            Value::Array(items) if !items.is_empty() => {
                let at = random.random_range(0..items.len());
                items.get_mut(at)
            }
            Value::Object(fields) if !fields.is_empty() => {
                let at = random.random_range(0..fields.len());
                fields.values_mut().nth(at)
            }
            _ => None,
        };
        if let Some(inner) = inner {
            return descend(inner, depth - 1, random);
        }
    }
    match value {
        Value::Object(fields) if random.random_bool(0.6) && !fields.is_empty() => {
            let at = random.random_range(0..fields.len());
            let name = fields.keys().nth(at).expect("a name").clone();
            match random.random_range(0..3) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let field = fields[&name].clone();
                    fields.insert(format!("{name}x"), field);
                }
                _ => drop(fields.insert(name, odd_json(random))),
            }
        }
        Value::Array(items) if random.random_bool(0.7) && !items.is_empty() => {
            let at = random.random_range(0..items.len());
            match random.random_range(0..4) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                2 => {
                    let item = items[at].clone();
                    items.extend(std::iter::repeat_n(item, 300));
                }
                _ => items[at] = odd_json(random),
            }
        }
        Value::Number(number) if random.random_bool(0.6) => {
            let old = number.as_f64().unwrap_or(1.0);
            let factor = *[-1.0, 0.0, 2.0, 0.5, 1000.0, 1e9, 1e18, 1e-9]
                .choose(random)
                .expect("one");
            let new = old * factor;
            *value = match new.fract() == 0.0 && new.abs() < 9e18 {
                true => json!(new as i64),
                false => json!(new),
            };
        }
        other => *other = odd_json(random),
    }
}

fn odd_json(random: &mut ChaCha8Rng) -> Value {
    let long = "x".repeat(70_000);
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(65536),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(-0.5),
        json!(1e308),
        json!(1e-308),
        json!(""),
        json!("a"),
        json!("y"),
        json!("relu"),
        json!("float8"),
        json!("numeric"),
        json!("standard"),
        json!([]),
        json!({}),
        json!([1, 2, 3]),
        json!({"type": "dense", "units": 3}),
        json!({"type": "sequence", "length": 100_000_000}),
        json!([[[]]]),
        json!("dense1"),
        json!("é\u{0}"),
        deep,
        json!(long),
        json!({"type": "lstm", "units": 4000}),
        json!({"type": "embedding", "vocabulary": 1_000_000_000, "units": 9}),
    ];
    values.choose(random).expect("one").clone()
}

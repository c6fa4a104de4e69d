//! What a model is made of is not told to who may only call it, whatever is asked and however it is
//! answered: rows, plans, errors with all their fields, notices.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use postgres::{Client, NoTls, SimpleQueryMessage};

use crate::fixture::{count, create_loans, text};
use crate::harness::Cluster;

/// A weight, and how its bytes and its number would look.
const WEIGHT: f32 = 0.713_171_9;
/// What else is the owner's, each in no other place: a level, a mean, the training's query.
const SECRETS: [&str; 3] = ["zanzibar", "1234.5678", "topsecret"];

/// Two models that `grantee` may use: `made` with known weights, level and mean, and `trained` by a
/// query that has a secret in it.
fn cluster_with_secrets() -> Cluster {
    let cluster = Cluster::with_extension(&[]);
    let mut admin = cluster.superuser();
    create_loans(&mut admin, 300);
    admin
        .batch_execute(
            "CREATE ROLE owner LOGIN; CREATE ROLE grantee LOGIN; GRANT SELECT ON loan TO PUBLIC;
             GRANT EXECUTE ON FUNCTION neural.train, neural.import_model, neural.import_weights TO PUBLIC;
             GRANT EXECUTE ON PROCEDURE neural.score_table TO PUBLIC;
             GRANT CREATE ON SCHEMA public TO PUBLIC;
             CREATE TABLE secret (age float8, amount int, purpose text, bad bool);
             INSERT INTO secret SELECT age, amount, CASE WHEN id % 5 = 0 THEN 'zanzibar' ELSE purpose END, bad FROM loan;
             GRANT SELECT ON secret TO owner",
        )
        .expect("the roles");
    let mut owner = cluster.role("owner");
    owner
        .query(
            "SELECT neural.import_weights('made', $1,
                 '{\"layers\": [{\"type\": \"output\", \"name\": \"fc\"}]}', 'classification',
                 '[{\"name\": \"age\", \"type\": \"numeric\", \"mean\": 1234.5678, \"std\": 2},
                   {\"name\": \"amount\", \"type\": \"numeric\"},
                   {\"name\": \"purpose\", \"type\": \"categorical\", \"levels\": [\"car\", \"house\", \"zanzibar\"]}]',
                 '{false,true}')",
            &[&weights()],
        )
        .expect("the weights");
    owner
        .batch_execute(
            "SELECT neural.train('trained', 'SELECT age, amount, purpose, bad FROM secret WHERE ''topsecret'' <> ''''',
                 'bad', epochs => 1, options => '{\"verbose\": false}');
             SELECT neural.grant_model('made', 'grantee'), neural.grant_model('trained', 'grantee')",
        )
        .expect("the models");
    admin.batch_execute("ANALYZE").expect("statistics");
    cluster
}

/// Tensors of a dense layer named `fc` from the loans' five inputs to one output, as safetensors.
fn weights() -> Vec<u8> {
    let header = r#"{"fc.weight":{"dtype":"F32","shape":[1,5],"data_offsets":[0,20]},"fc.bias":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    for _ in 0..6 {
        bytes.extend_from_slice(&WEIGHT.to_le_bytes());
    }
    bytes
}

/// Everything that the server says to a script: rows, notices, errors with all their fields.
fn said(client: &mut Client, notices: &Mutex<String>, sql: &str) -> String {
    let mut told = String::new();
    match client.simple_query(sql) {
        Ok(messages) => {
            for message in messages {
                if let SimpleQueryMessage::Row(row) = message {
                    for column in 0..row.len() {
                        writeln!(told, "{}", row.get(column).unwrap_or("")).expect("a text");
                    }
                }
            }
        }
        Err(error) => {
            let error = error
                .as_db_error()
                .unwrap_or_else(|| panic!("{sql}: {error:?}"));
            for field in [
                Some(error.message()),
                error.detail(),
                error.hint(),
                error.where_(),
            ] {
                writeln!(told, "{}", field.unwrap_or("")).expect("a text");
            }
        }
    }
    client.batch_execute("ROLLBACK").expect("a rollback");
    told.push_str(&std::mem::take(&mut *notices.lock().expect("the notices")));
    told
}

/// What a grantee may try; `{m}` is a model, `{f}` a call of it without its name's parenthesis.
#[rustfmt::skip]
const TRIES: &[&str] = &[
    "SELECT v FROM neural.models AS v", "SELECT v FROM neural.model_versions AS v", "SELECT v FROM neural.training_history AS v",
    "SELECT v FROM neural.deployments AS v", "SELECT v FROM neural.model_grants AS v", "SELECT v FROM neural.model_users AS v",
    "SELECT v FROM neural.architectures AS v", "SELECT to_jsonb(v) FROM neural.models AS v",
    "SELECT * FROM neural.model_versions WHERE query ~ 'topsecret' OR options::text ~ '.'",
    "SELECT neural.predict('{m}', 35, 1200, 'car'), v FROM neural.model_cache_info() AS v",
    "SELECT neural.export_model('{m}')", "SELECT neural.export_model('{m}@1', lineage => false)",
    "SELECT neural.import_model('mine', neural.export_model('{m}'))",
    "SELECT neural.train('{m}', 'SELECT age, amount, purpose, bad FROM loan', 'bad', options => '{\"warm_start\": true, \"deploy\": false}')",
    "SELECT neural.train('mine', 'TABLE _neural.chunk', 'bytes')", "SELECT neural.set_threshold('{m}', 0.1)",
    "SELECT neural.evaluate('{m}', 'SELECT age, amount, purpose, bad FROM loan')",
    "SELECT neural.evaluate('{m}', 'SELECT age, amount, purpose, ''zan'' || ''zi'' AS bad FROM loan')",
    "SELECT neural.evaluate('{m}', 'SELECT age FROM loan')", "SELECT neural.evaluate('{m}', 'SELECT 1')",
    "SELECT neural.confusion_matrix('{m}', 'SELECT age, amount, purpose, bad FROM loan')",
    "SELECT neural.predict('{m}')", "SELECT neural.predict('{m}', 1)", "SELECT neural.predict('{m}', 'a', 'b', 'c')",
    "SELECT neural.predict('{m}', 'NaN'::float8, NULL, 'unheard of')", "SELECT neural.predict('{m}', 1, 2, 3, 4, 5)",
    "SELECT neural.predict('{m}', loan) FROM loan", "SELECT neural.predict('{m}', ROW(1, 2))", "SELECT neural.predict('{m}', ARRAY[1, 2])",
    "SELECT neural.predict('{m}', s) FROM (SELECT 1 AS age, 'x'::text AS other) AS s", "SELECT neural.predict('{m}@7', 35, 1200, 'car')",
    "SELECT neural.predict('{m}s', 35, 1200, 'car')", "SELECT neural.predict_class('{m}', '2020-01-01'::date, 1, 'car')",
    "SELECT neural.predict_proba('{m}', 35, 1200, 'car'), neural.classes('{m}')",
    "SELECT neural.predict('{m}', purpose, amount, age) FROM loan",
    "EXPLAIN (ANALYZE, VERBOSE, BUFFERS, SETTINGS, WAL) SELECT sum(neural.predict('{m}', age, amount, purpose)) FROM loan",
    "EXPLAIN (ANALYZE, VERBOSE, FORMAT json) SELECT * FROM loan WHERE neural.predict('{m}', age, amount, purpose) > 0.5",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM neural.models", "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM neural.model_versions",
    "BEGIN; SET LOCAL client_min_messages = debug5; SET LOCAL debug_print_plan = on; SET LOCAL debug_print_rewritten = on;
     SET LOCAL debug_print_parse = on; SELECT neural.predict('{m}', age, amount, purpose) FROM loan LIMIT 1",
    "BEGIN; SELECT neural.create_function('mine', '{m}'), neural.create_function('pinned', '{m}', version => 1);
     SELECT pg_get_functiondef(oid) || coalesce(obj_description(oid, 'pg_proc'), '') || p FROM pg_proc AS p WHERE proname IN ('mine', 'pinned')",
    "BEGIN; CREATE TABLE mine AS SELECT *, NULL::float8 AS score FROM loan; SELECT neural.predict('{m}', age, amount, purpose) FROM mine;
     CREATE STATISTICS s ON (neural.predict('{m}', age, amount, purpose)) FROM mine; ANALYZE mine; SELECT s FROM pg_stats_ext_exprs AS s",
    "CALL neural.score_table('{m}', 'loan', 'age')", "CALL neural.score_table('{m}', '_neural.chunk', 'bytes')",
    "TABLE _neural.chunk", "SELECT c FROM _neural.chunk AS c", "SELECT ctid, xmin FROM _neural.version", "COPY _neural.chunk TO STDOUT",
    "COPY (TABLE _neural.chunk) TO STDOUT", "LOCK _neural.chunk", "CREATE VIEW mine AS TABLE _neural.chunk",
    "CREATE TABLE mine (LIKE _neural.chunk)", "CREATE TABLE mine (x _neural.role)", "CREATE TABLE mine (v bigint REFERENCES _neural.version)",
    "CREATE PUBLICATION mine FOR TABLE _neural.chunk", "ALTER EXTENSION pg_neural DROP TABLE _neural.chunk", "DROP EXTENSION pg_neural",
    "CREATE TRIGGER t BEFORE INSERT ON _neural.chunk FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "SELECT s FROM pg_stats AS s", "SELECT s FROM pg_stats_ext AS s", "SELECT s FROM pg_statistic AS s", "SELECT s FROM pg_statistic_ext_data AS s",
    "SELECT a FROM pg_stat_activity AS a", "SELECT s FROM pg_stat_all_tables AS s", "SELECT s FROM pg_settings AS s WHERE name LIKE 'neural%'",
    "SELECT s FROM pg_prepared_statements AS s", "SELECT s FROM pg_cursors AS s", "SELECT d FROM pg_seclabel AS d",
    "SELECT pg_describe_object(classid, objid, objsubid), d FROM pg_depend AS d WHERE objid >= 16384", "SELECT d FROM pg_description AS d WHERE objoid >= 16384",
    "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND oid >= 16384", "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef",
    "SELECT l FROM pg_largeobject AS l", "SELECT l FROM pg_largeobject_metadata AS l", "SELECT lo_get(oid) FROM pg_largeobject_metadata",
    "SELECT pg_ls_tmpdir()", "SELECT pg_ls_dir('base/pgsql_tmp')", "SELECT pg_read_binary_file(pg_relation_filepath(oid)) FROM pg_class WHERE relname = 'chunk'",
    "SELECT pg_read_file('log')", "SELECT lo_import('base/pgsql_tmp')", "COPY loan FROM PROGRAM 'cat'", "SELECT pg_current_logfile()",
    "SELECT query_to_xml('TABLE _neural.chunk', true, true, '')", "SELECT database_to_xml(true, true, '')", "SELECT schema_to_xml('neural', true, true, '')",
    "SELECT ts_stat('SELECT query::tsvector FROM neural.model_versions')", "SELECT c FROM pg_toast.pg_toast_2618 AS c LIMIT 1",
    "SELECT pg_get_backend_memory_contexts()", "SELECT c FROM pg_backend_memory_contexts AS c", "SELECT pg_log_backend_memory_contexts(pg_backend_pid())",
    "DO $$BEGIN EXECUTE 'SELECT * FROM ' || (SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'chunk' AND relnamespace::regnamespace::text = '_neural'); END$$",
];

fn refuse_secrets(sql: &str, told: &str, wrong: &mut Vec<String>) {
    let digits: String = WEIGHT
        .to_le_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let number = WEIGHT.to_string();
    let secrets = SECRETS
        .iter()
        .copied()
        .chain([digits.as_str(), number.as_str()]);
    for secret in secrets {
        // What the statement says itself is no secret.
        if told.contains(secret) && !sql.contains(secret) {
            let place = told.find(secret).unwrap_or(0);
            let line = told[..place].rfind('\n').map_or(0, |end| end + 1);
            let line = told[line..].lines().next().unwrap_or("");
            wrong.push(format!("{secret}: {sql}: {}", &line[..line.len().min(500)]));
        }
    }
}

#[test]
fn a_grantee_learns_neither_weights_nor_rows() {
    let cluster = cluster_with_secrets();
    let notices = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&notices);
    let mut config = cluster.config("grantee", "postgres");
    config.notice_callback(move |notice| {
        let mut told = sink.lock().expect("the notices");
        let fields = [
            Some(notice.message()),
            notice.detail(),
            notice.hint(),
            notice.where_(),
        ];
        for field in fields.into_iter().flatten() {
            writeln!(told, "{field}").expect("a text");
        }
    });
    let mut grantee = config.connect(NoTls).expect("a connection");
    let mut wrong = Vec::new();
    let mut bytes = 0;
    for sql in TRIES {
        for model in ["made", "trained"] {
            let sql = sql.replace("{m}", model);
            let told = said(&mut grantee, &notices, &sql);
            bytes += told.len();
            refuse_secrets(&sql, &told, &mut wrong);
            if !sql.contains(model) {
                break;
            }
        }
    }
    println!("{bytes} bytes were said");
    assert!(
        wrong.is_empty(),
        "{} secrets:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // The test knows a secret when it sees one.
    let mut owner = cluster.role("owner");
    let told = said(
        &mut owner,
        &Mutex::new(String::new()),
        "SELECT v FROM neural.models AS v; SELECT v FROM neural.model_versions AS v; SELECT neural.export_model('made')",
    );
    refuse_secrets("", &told, &mut wrong);
    assert_eq!(wrong.len(), SECRETS.len() + 1, "{wrong:?}");
}

/// The rights to read all data reach PostgreSQL's own catalogs, statistics among them, past the
/// policies that keep our tables.
#[test]
fn statistics_and_toast_tables_tell_nothing_of_models() {
    let cluster = cluster_with_secrets();
    let mut admin = cluster.superuser();
    admin
        .batch_execute("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data; ANALYZE")
        .expect("a role");
    let mut reader = cluster.role("reader");
    assert!(count(&mut reader, "SELECT count(*) FROM pg_statistic") > 0);
    let told = said(
        &mut reader,
        &Mutex::new(String::new()),
        "SELECT s FROM pg_statistic AS s WHERE starelid NOT IN ('loan'::regclass, 'secret'::regclass)",
    );
    let mut wrong = Vec::new();
    refuse_secrets("", &told, &mut wrong);
    assert!(wrong.is_empty(), "{wrong:?}");
    // Nor is there a weight in a TOAST table.
    let toast =
        "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = '_neural.chunk'::regclass";
    let toast = text(&mut admin, toast);
    if toast != "-" {
        assert_eq!(
            count(&mut reader, &format!("SELECT count(*) FROM {toast}")),
            0
        );
    }
}

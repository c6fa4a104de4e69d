//! Encryption at rest: what is on disk says nothing, the same bits come back, keys rotate.

use std::fs;
use std::path::PathBuf;
use std::thread;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::fixture::{LOANS, count, create_loans, number, score, sha256, text, train};
use crate::harness::{Cluster, error_of, wait_until};

const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const TWO: &str = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The file that the key command prints.
fn key_file(cluster: &Cluster) -> PathBuf {
    cluster.data().join("keys")
}

fn set_keys(cluster: &Cluster, keys: &str) {
    fs::write(key_file(cluster), keys).expect("the keys");
    cluster.own(&key_file(cluster));
}

/// A server without keys, and two models.
fn start_plain() -> (Cluster, Client) {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "plain", 1);
    // More than a megabyte: without keys, connections would share it by a file.
    let wide = r#"{"layers": [{"type": "dense", "units": 600}, {"type": "dense", "units": 500}]}"#;
    client
        .batch_execute(&format!(
            "SELECT neural.train('wide', '{LOANS}', 'bad', epochs => 1, seed => 1,
                 architecture => '{wide}')"
        ))
        .expect("a training");
    (cluster, client)
}

fn encrypt_from_now_on(cluster: &Cluster) {
    set_keys(cluster, ONE);
    let settings = cluster.data().join("postgresql.auto.conf");
    let text =
        "shared_preload_libraries = 'pg_neural'\nneural.encryption_key_command = 'cat keys'\n";
    fs::write(settings, text).expect("the settings");
    cluster.restart("fast");
}

/// The same after it was given keys.
fn start() -> (Cluster, Client) {
    let (cluster, client) = start_plain();
    drop(client);
    encrypt_from_now_on(&cluster);
    let client = cluster.superuser();
    (cluster, client)
}

/// Whether any file of the database holds these bytes.
fn on_disk(cluster: &Cluster, client: &mut Client, bytes: &[u8]) -> bool {
    client.batch_execute("CHECKPOINT").expect("a checkpoint");
    let tables = "SELECT pg_relation_filepath(c.oid) FROM pg_class c
                  WHERE relkind IN ('r', 't', 'i') AND (relnamespace = '_neural'::regnamespace
                     OR oid IN (SELECT reltoastrelid FROM pg_class
                                WHERE relnamespace = '_neural'::regnamespace))";
    client
        .query(tables, &[])
        .expect("the files")
        .iter()
        .any(|row| {
            let path = cluster.data().join(row.get::<_, String>(0));
            let file = fs::read(path).expect("the file");
            file.windows(bytes.len()).any(|window| window == bytes)
        })
}

fn shared_files(cluster: &Cluster) -> usize {
    let directory = fs::read_dir(cluster.data().join("base/pgsql_tmp"));
    directory.map_or(0, |files| {
        let names = files.map(|file| file.expect("a file").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("pgsql_tmp_neural"))
            .count()
    })
}

const FITTED: &str = "SELECT coalesce(bool_and(f ? 'fitted'), false)::text
    FROM neural.models, jsonb_array_elements(features) AS f";

#[test]
fn what_is_stored_says_nothing_and_gives_the_same_bits() {
    let (cluster, mut client) = start();
    let answer = score(&mut client, "plain");
    let hash = sha256(&mut client, "plain");
    // The word is a level of a feature, and in the header of the artifact.
    client
        .batch_execute(
            "CREATE TABLE named AS
             SELECT age, amount, replace(purpose, 'other', 'xylophone') AS purpose, bad FROM loan;
             SELECT neural.train('named', 'SELECT * FROM named', 'bad', epochs => 1, seed => 1)",
        )
        .unwrap();
    assert!(!on_disk(&cluster, &mut client, b"xylophone"));
    client
        .batch_execute("SELECT neural.drop_model('named')")
        .unwrap();
    train(&mut client, "risk", 1);
    // What was trained without keys and with them is one artifact, and says the same.
    assert_eq!(sha256(&mut client, "risk"), hash);
    assert_eq!(score(&mut client, "risk").to_bits(), answer.to_bits());
    let same =
        "SELECT (SELECT features::text || classes::text FROM neural.models WHERE name = 'risk')
              = (SELECT features::text || classes::text FROM neural.models WHERE name = 'plain')";
    let same: bool = client.query_one(same, &[]).unwrap().get(0);
    assert!(same);
    assert_eq!(text(&mut client, FITTED), "true");
    // The stored rows themselves hold neither levels nor classes.
    let shown = "SELECT count(*) FROM _neural.version v JOIN _neural.model m ON m.id = v.model
                 WHERE m.name = 'risk' AND (classes IS NOT NULL OR features::text LIKE '%fitted%'
                     OR features::text LIKE '%profile%' OR encryption_key IS NULL)";
    assert_eq!(count(&mut client, shown), 0);
    // A grantee sees what grantees see.
    client
        .batch_execute(
            "CREATE ROLE guest LOGIN; GRANT SELECT ON loan TO guest;
             SELECT neural.grant_model('risk', 'guest')",
        )
        .unwrap();
    let mut guest = cluster.role("guest");
    assert_eq!(score(&mut guest, "risk").to_bits(), answer.to_bits());
    assert_eq!(text(&mut guest, FITTED), "false");
    let classes = "SELECT classes::text FROM neural.models WHERE name = 'risk'";
    assert_eq!(text(&mut guest, classes), "{false,true}");
    // An export is what it would be without: whoever may have it may read it.
    let exports = "SELECT neural.export_model('risk', lineage => false)
                       = neural.export_model('plain', lineage => false)";
    let equal: bool = client.query_one(exports, &[]).unwrap().get(0);
    assert!(equal);
    // Going on needs what is kept of the rows.
    let warm = format!(
        "SELECT neural.train('risk', '{LOANS}', 'bad', epochs => 1, seed => 3,
             options => '{{\"warm_start\": true}}')"
    );
    client.batch_execute(&warm).unwrap();
    // No mapped files, neither of an encrypted version nor of a plain one.
    client
        .batch_execute("SELECT neural.predict('wide', 35, 1200, 'car')")
        .unwrap();
    assert_eq!(shared_files(&cluster), 0);
}

/// What stands in the server's temporary files.
fn temporary_bytes(cluster: &Cluster) -> Vec<u8> {
    let Ok(files) = fs::read_dir(cluster.data().join("base/pgsql_tmp")) else {
        return Vec::new();
    };
    files
        // One may be gone by now.
        .flat_map(|file| fs::read(file.expect("a file").path()).unwrap_or_default())
        .collect()
}

/// Trains on rows that do not fit into memory, looks whether its temporary file holds this number, and
/// ends it.
fn spills(cluster: &Cluster, number: f64) -> bool {
    let mut client = cluster.superuser();
    let token = client.cancel_token();
    let training = thread::spawn(move || {
        client.batch_execute(
            "SET neural.max_memory = '3MB';
             SELECT neural.train('never', 'SELECT * FROM many', 'y', epochs => 100000, seed => 1)",
        )
    });
    let mut bytes = Vec::new();
    wait_until("the rows are in a temporary file", || {
        bytes = temporary_bytes(cluster);
        bytes.len() > 2_000_000
    });
    token.cancel_query(NoTls).expect("the request to cancel");
    let error = training.join().expect("the thread").expect_err("cancelled");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
    bytes
        .windows(8)
        .any(|window| window == number.to_ne_bytes())
}

#[test]
fn temporary_files_are_encrypted_and_change_nothing() {
    let (cluster, mut client) = start_plain();
    client
        .batch_execute(
            "CREATE TABLE many AS
             SELECT i AS y, sin(i) AS a, 1234.56789::float8 + i % 2 AS b, i % 7 AS c,
                    ARRAY[i, i % 3]::float8[] AS d
             FROM generate_series(1, 60000) AS i;
             CREATE TABLE scored AS
             SELECT i % 3 = 0 AS y, sin(i * 1.7)::float8 AS s FROM generate_series(1, 300000) AS i",
        )
        .unwrap();
    let results = |client: &mut Client| {
        let training = "SELECT version FROM neural.train('spilled', 'SELECT * FROM many', 'y',
                            epochs => 1, seed => 1, architecture => 'mlp_10_10')";
        client
            .batch_execute("SET neural.max_memory = '3MB'")
            .unwrap();
        number(client, training);
        let hash = sha256(client, "spilled");
        client
            .batch_execute(
                "SET neural.max_memory = '1MB'; SET min_parallel_table_scan_size = 0;
                 SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0",
            )
            .unwrap();
        (
            hash,
            text(client, "SELECT neural.auc(s, y)::text FROM scored"),
        )
    };
    let before = results(&mut client);
    assert!(spills(&cluster, 1234.56789));
    drop(client);
    encrypt_from_now_on(&cluster);
    let mut client = cluster.superuser();
    assert_eq!(results(&mut client), before);
    assert!(!spills(&cluster, 1234.56789));
}

#[test]
fn keys_are_rotated_and_wrong_ones_are_told() {
    let (cluster, mut client) = start();
    train(&mut client, "risk", 1);
    let answer = score(&mut client, "risk");
    // What was stored before there were keys is brought under them.
    assert_eq!(count(&mut client, "SELECT neural.reencrypt()"), 2);
    assert_eq!(count(&mut client, "SELECT neural.reencrypt()"), 0);
    for table in ["version", "chunk"] {
        let vacuum = format!("VACUUM FULL _neural.{table}");
        client.batch_execute(&vacuum).unwrap();
    }
    assert!(!on_disk(&cluster, &mut client, b"\"house\""));
    assert_eq!(score(&mut client, "plain").to_bits(), answer.to_bits());

    set_keys(&cluster, &format!("{TWO}\n{ONE}\n"));
    cluster.restart("fast");
    let mut client = cluster.superuser();
    assert_eq!(score(&mut client, "risk").to_bits(), answer.to_bits());
    assert_eq!(count(&mut client, "SELECT neural.reencrypt()"), 3);

    // The first key is not needed any more; and it opens nothing.
    set_keys(&cluster, ONE);
    cluster.restart("fast");
    let mut client = cluster.superuser();
    let sql = "SELECT neural.predict('risk', 35, 1200, 'car')";
    let (code, message) = error_of(&mut client, sql);
    assert_eq!(
        code,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "{message}"
    );
    assert!(
        message.contains("version 1 of model \"risk\" is encrypted"),
        "{message}"
    );
    assert!(!message.contains(&TWO[..16]), "{message}");
    assert_eq!(error_of(&mut client, "SELECT neural.reencrypt()").0, code);
    // The views go on showing what is not encrypted.
    let shown = "SELECT count(*) FROM neural.models WHERE classes IS NULL";
    assert_eq!(count(&mut client, shown), 3);
    set_keys(&cluster, TWO);
    cluster.restart("fast");
    let mut client = cluster.superuser();
    assert_eq!(score(&mut client, "risk").to_bits(), answer.to_bits());

    // A changed byte, and a chunk of another version in its place.
    for damage in [
        "UPDATE _neural.chunk SET bytes = set_byte(bytes, 100, get_byte(bytes, 100) # 1)",
        "UPDATE _neural.chunk c SET bytes = (SELECT o.bytes FROM _neural.chunk o
             WHERE o.version <> c.version AND length(o.bytes) > 1000 LIMIT 1)",
    ] {
        // A connection that has not read the model.
        let mut client = cluster.superuser();
        let mut change = client.transaction().unwrap();
        change.batch_execute(damage).unwrap();
        let problems = "SELECT count(*) FROM neural.check('risk')";
        assert!(change.query_one(problems, &[]).unwrap().get::<_, i64>(0) > 0);
        let error = change.batch_execute(sql).expect_err("damaged");
        assert_eq!(error.code(), Some(&SqlState::DATA_CORRUPTED), "{error}");
    }
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.check()"), 0);
    client.batch_execute("CREATE ROLE somebody LOGIN").unwrap();
    let mut somebody = cluster.role("somebody");
    let (code, _) = error_of(&mut somebody, "SELECT neural.reencrypt()");
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
    let (code, _) = error_of(&mut somebody, "SHOW neural.encryption_key_command");
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn a_server_without_its_keys_does_not_start_or_says_so() {
    let (cluster, client) = start();
    drop(client);
    for (keys, problem) in [
        ("", "it printed no key"),
        ("0123", "line 1 is not 64 hexadecimal digits"),
    ] {
        set_keys(&cluster, keys);
        let log = cluster.fails_to_restart();
        assert!(
            log.contains(&format!("neural.encryption_key_command: {problem}")),
            "{log}"
        );
        assert!(!log.contains("0123"), "{log}");
        set_keys(&cluster, ONE);
        cluster.start_again();
    }
    fs::remove_file(key_file(&cluster)).unwrap();
    let log = cluster.fails_to_restart();
    assert!(
        log.contains("neural.encryption_key_command: the command failed"),
        "{log}"
    );
    set_keys(&cluster, ONE);
    cluster.start_again();

    // Not preloaded: the command never ran, and nothing is stored in the clear by mistake.
    let cluster = Cluster::with_extension(&["neural.encryption_key_command = 'echo never'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    let training = format!("SELECT neural.train('risk', '{LOANS}', 'bad', epochs => 1)");
    let (code, message) = error_of(&mut client, &training);
    assert_eq!(
        code,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "{message}"
    );
    let (code, _) = error_of(&mut client, "SET neural.encryption_key_command = ''");
    assert_eq!(code, SqlState::CANT_CHANGE_RUNTIME_PARAM);
}

//! Databases whose encoding is not UTF-8.

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{count, text};
use crate::harness::{Cluster, SUPERUSER, error_of};

/// A database of that encoding.
fn database(cluster: &Cluster, encoding: &str) -> Client {
    let name = encoding.to_lowercase();
    cluster
        .superuser()
        .batch_execute(&format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        ))
        .unwrap();
    cluster.connect(SUPERUSER, &name)
}

#[test]
fn other_encodings_are_refused_before_anything_is_made() {
    let cluster = Cluster::start();
    for encoding in ["LATIN1", "EUC_JP", "WIN1252"] {
        let mut client = database(&cluster, encoding);
        let error = client
            .batch_execute("CREATE EXTENSION pg_neural")
            .unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::FEATURE_NOT_SUPPORTED);
        assert!(error.message().contains(encoding), "{}", error.message());
        assert!(error.hint().unwrap().contains("UTF8"));
        let made = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%neural'";
        assert_eq!(count(&mut client, made), 0);
    }
}

/// Bytes that are no UTF-8, as a text of that database, and bytes that are.
const WRONG: &str = "convert_from('\\xe9', 'SQL_ASCII')";
const RIGHT: &str = "convert_from('\\xc3a9', 'SQL_ASCII')";

#[test]
fn sql_ascii_takes_utf8_and_nothing_else() {
    let cluster = Cluster::start();
    let mut client = database(&cluster, "SQL_ASCII");
    client
        .batch_execute("CREATE EXTENSION pg_neural; SET client_encoding = 'SQL_ASCII'")
        .unwrap();
    let train = |model: &str, class: &str| {
        format!(
            "SELECT version FROM neural.train({model},
                 'SELECT sin(i) AS x, CASE WHEN i % 2 = 0 THEN {} ELSE ''b'' END AS y FROM generate_series(1, 300) AS i',
                 'y', epochs => 1, seed => 1, options => '{{\"verbose\": false}}')",
            class.replace('\'', "''")
        )
    };
    client.batch_execute(&train("'m'", RIGHT)).unwrap();
    assert_eq!(
        text(
            &mut client,
            "SELECT encode((neural.classes('m'))[2]::bytea, 'hex')"
        ),
        "c3a9"
    );
    let before = count(&mut client, "SELECT count(*) FROM _neural.version");
    for sql in [
        train(WRONG, RIGHT),
        train("'n'", WRONG),
        format!("SELECT neural.rename_model('m', {WRONG})"),
        format!("SELECT neural.predict({WRONG}, 1)"),
        format!("SELECT neural.create_function({WRONG}, 'm')"),
        format!(
            "SELECT neural.evaluate('m', 'SELECT 1 AS x, {} AS y')",
            WRONG.replace('\'', "''")
        ),
    ] {
        let error = client.batch_execute(&sql).expect_err(&sql);
        let error = error.as_db_error().unwrap();
        assert_eq!(
            error.code(),
            &SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "{sql}: {}",
            error.message()
        );
        assert!(error.hint().is_some(), "{sql}: {}", error.message());
    }
    assert_eq!(
        count(&mut client, "SELECT count(*) FROM _neural.version"),
        before
    );
    let (code, _) = error_of(&mut client, "SELECT neural.predict('nn', 1)");
    assert_eq!(code, SqlState::UNDEFINED_OBJECT);
}

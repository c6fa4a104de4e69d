//! Databases whose encoding is not UTF-8.

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::count;
use crate::harness::{Cluster, SUPERUSER};

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

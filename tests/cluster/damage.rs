//! Models that are not what they were, and bytes that never were one.

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{create_loans, score, train, training};
use crate::harness::{Cluster, error_of};

/// Everything that reads the stored bytes of `risk`.
fn readers() -> Vec<String> {
    vec![
        "SELECT neural.predict('risk', 35, 1200, 'car')".into(),
        "SELECT neural.predict_class('risk@1', 35, 1200, 'car')".into(),
        "SELECT neural.predict_pinned(sha256, 35, 1200, 'car') FROM neural.model_versions".into(),
        "SELECT neural.evaluate('risk', 'SELECT age, amount, purpose, bad FROM loan')".into(),
        "SELECT neural.export_model('risk')".into(),
        training("risk", 2),
    ]
}

fn is_damaged(cluster: &Cluster, what: &str, readers: &[String]) {
    for sql in readers {
        let (code, message) = error_of(&mut cluster.superuser(), sql);
        assert_eq!(code, SqlState::DATA_CORRUPTED, "{what}: {sql}: {message}");
        assert!(message.contains("\"risk\""), "{message}");
    }
}

#[test]
fn a_damaged_model_is_an_error_and_never_a_wrong_answer() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let answer = score(&mut client, "risk");
    client
        .batch_execute("CREATE TABLE spare AS SELECT * FROM _neural.chunk")
        .unwrap();
    let middle = "overlay(bytes PLACING '\\xff' FROM length(bytes) / 2)";
    for (what, damage) in [
        (
            "a changed byte",
            format!("UPDATE _neural.chunk SET bytes = {middle}"),
        ),
        (
            "a changed header",
            "UPDATE _neural.chunk SET bytes = set_byte(bytes, 9, 0)".into(),
        ),
        (
            "a cut end",
            "UPDATE _neural.chunk SET bytes = substr(bytes, 1, length(bytes) - 1)".into(),
        ),
        (
            "more than there was",
            "UPDATE _neural.chunk SET bytes = bytes || '\\x00'".into(),
        ),
        (
            "an empty piece",
            "UPDATE _neural.chunk SET bytes = ''".into(),
        ),
        ("a lost piece", "DELETE FROM _neural.chunk".into()),
        (
            "a misplaced piece",
            "UPDATE _neural.chunk SET number = number + 1000".into(),
        ),
    ] {
        client.batch_execute(&damage).unwrap();
        is_damaged(&cluster, what, &readers());
        client
            .batch_execute("TRUNCATE _neural.chunk; INSERT INTO _neural.chunk SELECT * FROM spare")
            .unwrap();
        assert_eq!(score(&mut cluster.superuser(), "risk"), answer, "{what}");
    }
    // Bytes whose hash is right and that are no model.
    client
        .batch_execute(
            "UPDATE _neural.chunk SET bytes = 'nonsense';
             UPDATE _neural.version SET sha256 = sha256('nonsense'), size_bytes = 8",
        )
        .unwrap();
    let mut decoding = readers();
    decoding.retain(|sql| !sql.contains("export_model"));
    is_damaged(&cluster, "nonsense", &decoding);
    assert!(!cluster.log().contains("terminated by signal"));
}

/// Tries to import bytes, and returns the SQLSTATE of the refusal.
fn refusal(client: &mut Client, bytes: &[u8]) -> Option<SqlState> {
    match client.query_one("SELECT neural.import_model('copy', $1)", &[&bytes]) {
        Ok(_) => None,
        Err(error) => {
            let error = error
                .as_db_error()
                .expect("an error of the server's, alive");
            assert!(error.hint().is_some(), "{}", error.message());
            Some(error.code().clone())
        }
    }
}

#[test]
fn importing_bytes_that_are_no_model_is_a_clear_error() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let whole: Vec<u8> = client
        .query_one("SELECT neural.export_model('risk')", &[])
        .unwrap()
        .get(0);
    // A fixed sequence (Knuth's linear congruential generator), so that a failure repeats.
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for length in [0, 1, 7, 8, 9, 100, 10_000] {
        let bytes: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        let refused = refusal(&mut client, &bytes);
        assert_eq!(refused, Some(SqlState::INVALID_PARAMETER_VALUE), "{length}");
    }
    for cut in (0..40).map(|_| random() % whole.len()).collect::<Vec<_>>() {
        let refused = refusal(&mut client, &whole[..cut]);
        assert_eq!(refused, Some(SqlState::INVALID_PARAMETER_VALUE), "{cut}");
    }
    // A changed byte may leave a model, another one; what it may not do is anything else.
    for _ in 0..200 {
        let mut bytes = whole.clone();
        let place = if random() % 2 == 0 {
            random() % bytes.len()
        } else {
            random() % 4000.min(bytes.len())
        };
        bytes[place] = random() as u8;
        let refused = refusal(&mut client, &bytes);
        let expected = refused
            .as_ref()
            .is_none_or(|code| *code == SqlState::INVALID_PARAMETER_VALUE);
        assert!(expected, "byte {place}: {refused:?}");
        if refused.is_none() {
            client
                .batch_execute("SELECT neural.predict('copy', 35, 1200, 'car')")
                .or_else(|error| match error.as_db_error() {
                    Some(_) => Ok(()),
                    None => Err(error),
                })
                .expect("the server lives");
            client
                .batch_execute("SELECT neural.drop_model('copy')")
                .unwrap();
        }
    }
    assert!(!cluster.log().contains("terminated by signal"));
    assert_eq!(refusal(&mut client, &whole), None);
    assert_eq!(score(&mut client, "copy"), score(&mut client, "risk"));
}

//! Models that are not what they were, and bytes that never were one.

use std::fs;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{LOANS, count, create_loans, score, text, train, training};
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

/// Each reader is told that `risk` is damaged and what to do, and so is whoever looks for damage.
fn is_damaged(cluster: &Cluster, what: &str, readers: &[String]) {
    for sql in readers {
        let error = cluster.superuser().batch_execute(sql).expect_err(what);
        let error = error.as_db_error().expect("an error of the server's");
        let (code, message) = (error.code(), error.message());
        assert_eq!(*code, SqlState::DATA_CORRUPTED, "{what}: {sql}: {message}");
        assert!(message.contains("\"risk\""), "{message}");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("Restore the tables"), "{message}: {hint}");
    }
    let found = "SELECT count(*) FROM neural.check() WHERE model = 'risk' AND version = 1";
    assert!(count(&mut cluster.superuser(), found) > 0, "{what}");
}

/// Each reader is told that something of `risk` is not there, which may have other reasons than damage, and
/// whoever looks for damage that it is missing.
fn is_missing(cluster: &Cluster, what: &str, readers: &[String]) {
    for sql in readers {
        let error = cluster.superuser().batch_execute(sql).expect_err(what);
        let error = error.as_db_error().expect("an error of the server's");
        let (code, message) = (error.code(), error.message());
        let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
        assert_eq!(*code, state, "{what}: {sql}: {message}");
        assert!(message.contains("\"risk\""), "{message}");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("Try again once"), "{message}: {hint}");
        assert!(hint.contains("restore the tables"), "{message}: {hint}");
    }
    let found = "SELECT count(*) FROM neural.check() WHERE model = 'risk'";
    assert!(count(&mut cluster.superuser(), found) > 0, "{what}");
}

#[test]
fn a_damaged_model_is_an_error_and_never_a_wrong_answer() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let answer = score(&mut client, "risk");
    client
        .batch_execute(
            "CREATE TABLE spare AS SELECT * FROM _neural.chunk;
             CREATE TABLE spare_version AS SELECT * FROM _neural.version",
        )
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
        (
            "a misplaced piece",
            "UPDATE _neural.chunk SET number = number + 1000".into(),
        ),
        (
            "a number before the first",
            "UPDATE _neural.chunk SET number = -1 WHERE number = 0".into(),
        ),
        (
            "another hash",
            "UPDATE _neural.version SET sha256 = set_byte(sha256, 0, get_byte(sha256, 0) # 1)"
                .into(),
        ),
        (
            "half a hash",
            "UPDATE _neural.version SET sha256 = substr(sha256, 1, 16)".into(),
        ),
        (
            "a size too small",
            "UPDATE _neural.version SET size_bytes = size_bytes - 1".into(),
        ),
        (
            "a size too large",
            "UPDATE _neural.version SET size_bytes = size_bytes + 1".into(),
        ),
        (
            "no size",
            "UPDATE _neural.version SET size_bytes = -1".into(),
        ),
    ] {
        client.batch_execute(&damage).unwrap();
        let mut readers = readers();
        // By another hash nothing is found.
        readers.retain(|sql| !what.contains("hash") || !sql.contains("pinned"));
        is_damaged(&cluster, what, &readers);
        client
            .batch_execute(
                "TRUNCATE _neural.chunk; INSERT INTO _neural.chunk SELECT * FROM spare;
                 UPDATE _neural.version v SET sha256 = s.sha256, size_bytes = s.size_bytes
                 FROM spare_version s WHERE s.id = v.id",
            )
            .unwrap();
        assert_eq!(score(&mut cluster.superuser(), "risk"), answer, "{what}");
    }
    // As while a restore has brought the one table and not the other.
    client.batch_execute("DELETE FROM _neural.chunk").unwrap();
    is_missing(&cluster, "all pieces lost", &readers());
    client
        .batch_execute("INSERT INTO _neural.chunk SELECT * FROM spare; DELETE FROM _neural.version")
        .unwrap();
    let mut deployed = readers();
    deployed.retain(|sql| {
        !["@1", "pinned", "train("]
            .iter()
            .any(|other| sql.contains(other))
    });
    is_missing(&cluster, "the version lost", &deployed);
    client
        .batch_execute("INSERT INTO _neural.version SELECT * FROM spare_version")
        .unwrap();
    assert_eq!(score(&mut cluster.superuser(), "risk"), answer);
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

/// Of every byte of a version, one after the other: `neural.check` tells of it, and `export_model`,
/// which reads the bytes each time, raises the error of damage. What remains is the version as it was.
#[test]
fn every_changed_byte_is_found() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 200);
    client
        .batch_execute(&format!(
            "SELECT neural.train('risk', '{LOANS}', 'bad', epochs => 1, seed => 1,
                 architecture => '{{\"layers\": [{{\"type\": \"dense\", \"units\": 2}}]}}',
                 options => '{{\"verbose\": false, \"members\": 1}}')"
        ))
        .unwrap();
    let flipped = "
        DO $$
        DECLARE
            whole CONSTANT bytea := (SELECT bytes FROM _neural.chunk);
            bit int;
        BEGIN
            FOR place IN 0 .. length(whole) - 1 LOOP
                bit := 1 << place % 8;
                UPDATE _neural.chunk
                SET bytes = set_byte(whole, place, get_byte(whole, place) # bit);
                IF (SELECT count(*) FROM neural.check('risk')) <> 1 THEN
                    RAISE 'byte % is not told of', place;
                END IF;
                IF place % 50 = 0 THEN
                    BEGIN
                        PERFORM neural.export_model('risk');
                        RAISE 'byte % is not seen', place;
                    EXCEPTION WHEN data_corrupted THEN
                        NULL;
                    END;
                END IF;
                IF place % 100 = 0 THEN
                    COMMIT;
                END IF;
            END LOOP;
            UPDATE _neural.chunk SET bytes = whole;
        END $$";
    client.batch_execute(flipped).unwrap();
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.check()"), 0);
    assert!(score(&mut cluster.superuser(), "risk").is_finite());
}

/// What is kept beside the model's bytes, and goes into answers or into what is stored: damage to it is
/// an error, too, and never taken for nothing.
#[test]
fn damage_beside_the_bytes_is_an_error() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 200);
    train(&mut client, "risk", 1);
    client
        .batch_execute(
            "ALTER TABLE loan ADD COLUMN score float8;
             CREATE TABLE spare AS SELECT * FROM _neural.version",
        )
        .unwrap();
    let warm = format!(
        "SELECT neural.train('risk', '{LOANS}', 'bad', epochs => 1, options => '{{\"warm_start\": true}}')"
    );
    let receiver = "CALL neural.score_table('risk', 'loan', 'score')".to_owned();
    let again = "SELECT * FROM neural.reproduce('risk')".to_owned();
    for (what, damage, reader) in [
        (
            "seen cut off",
            "seen = substr(seen, 1, length(seen) - 1)",
            &warm,
        ),
        ("seen emptied", "seen = ''", &warm),
        (
            "a side of seen changed",
            "seen = set_byte(seen, length(seen) - 1, get_byte(seen, length(seen) - 1) # 1)",
            &warm,
        ),
        ("seen of another kind", "seen = set_byte(seen, 4, 0)", &warm),
        ("origins lost their names", "origins = '[{}]'", &receiver),
        ("origins of another kind", "origins = '7'", &receiver),
        (
            "settings that are none",
            "settings = '{\"role\": \"other\"}'",
            &again,
        ),
    ] {
        let damage = format!("UPDATE _neural.version SET {damage}");
        client.batch_execute(&damage).unwrap();
        is_damaged(&cluster, what, std::slice::from_ref(reader));
        client
            .batch_execute(
                "UPDATE _neural.version v SET seen = s.seen, origins = s.origins, settings = s.settings
                 FROM spare s WHERE s.id = v.id",
            )
            .unwrap();
        assert_eq!(count(&mut client, "SELECT count(*) FROM neural.check()"), 0);
    }
    client
        .batch_execute("UPDATE _neural.model SET origins = '{}'")
        .unwrap();
    let (code, message) = error_of(&mut client, &receiver);
    assert_eq!(code, SqlState::DATA_CORRUPTED, "{message}");
    client
        .batch_execute("UPDATE _neural.model SET origins = NULL")
        .unwrap();
    for sql in [&receiver, &warm] {
        client.batch_execute(sql).unwrap();
    }
}

/// A model of several pieces: any of them lost, in another's place, or another version's.
#[test]
fn pieces_of_a_large_model_are_told_apart() {
    let primary = Cluster::with_extension(&[]);
    let mut client = primary.superuser();
    create_loans(&mut client, 64);
    for seed in [1, 2] {
        client
            .batch_execute(&format!(
                "SELECT neural.train('risk', '{LOANS}', 'bad', epochs => 1, validation => 0,
                     seed => {seed}, options => '{{\"verbose\": false, \"members\": 1}}',
                     architecture => '{{\"layers\": [{{\"type\": \"dense\", \"units\": 800}},
                                                    {{\"type\": \"dense\", \"units\": 800}}]}}')"
            ))
            .unwrap();
    }
    let pieces =
        "SELECT count(*) FROM _neural.chunk WHERE version = (SELECT min(id) FROM _neural.version)";
    assert!(count(&mut client, pieces) >= 3);
    let answers = (score(&mut client, "risk@1"), score(&mut client, "risk@2"));
    client
        .batch_execute("CREATE TABLE spare AS SELECT * FROM _neural.chunk")
        .unwrap();
    let first = "version = (SELECT min(id) FROM _neural.version)";
    for (what, damage) in [
        (
            "the first lost",
            format!("DELETE FROM _neural.chunk WHERE {first} AND number = 0"),
        ),
        (
            "one between lost",
            format!("DELETE FROM _neural.chunk WHERE {first} AND number = 1"),
        ),
        (
            "the last lost",
            format!(
                "DELETE FROM _neural.chunk WHERE {first}
                 AND number = (SELECT max(number) FROM _neural.chunk WHERE {first})"
            ),
        ),
        (
            "two in each other's place",
            format!(
                "UPDATE _neural.chunk c SET bytes = s.bytes FROM spare s
                 WHERE c.{first} AND s.{first} AND c.number < 2 AND s.number = 1 - c.number"
            ),
        ),
        (
            "one of another version",
            format!(
                "UPDATE _neural.chunk c SET bytes = s.bytes FROM spare s
                 WHERE c.{first} AND NOT s.{first} AND c.number = 1 AND s.number = 1"
            ),
        ),
    ] {
        client.batch_execute(&damage).unwrap();
        // The files that connections share are of the versions as they were.
        let unshared = "SET neural.shared_models = 0;";
        let readers = [
            format!("{unshared} SELECT neural.predict('risk@1', 35, 1200, 'car')"),
            "SELECT neural.export_model('risk@1')".to_owned(),
        ];
        is_damaged(&primary, what, &readers);
        let others = "SELECT count(*) FROM neural.check() WHERE version IS DISTINCT FROM 1";
        assert_eq!(count(&mut client, others), 0, "{what}");
        client
            .batch_execute("TRUNCATE _neural.chunk; INSERT INTO _neural.chunk SELECT * FROM spare")
            .unwrap();
    }
    let mut other = primary.superuser();
    assert_eq!(
        (score(&mut other, "risk@1"), score(&mut other, "risk@2")),
        answers
    );

    // A file that connections share: whichever byte of it is changed.
    let shared = text(
        &mut other,
        "SELECT shared_file FROM neural.model_cache_info() WHERE version = 1",
    );
    let path = primary.data().join(shared);
    let whole = fs::read(&path).unwrap();
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.check()"), 0);
    for place in [0, 20, 50, 130, 140, 5000, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        fs::write(&path, &bytes).unwrap();
        for sql in ["neural.check()", "neural.check('risk')"] {
            let problem = text(&mut client, &format!("SELECT problem FROM {sql}"));
            assert!(
                problem.contains("pgsql_tmp_neural"),
                "byte {place}: {problem}"
            );
        }
    }
    fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.check()"), 1);
    // Whoever needs it makes it anew.
    assert_eq!(score(&mut primary.superuser(), "risk@1"), answers.0);
    assert_eq!(count(&mut client, "SELECT count(*) FROM neural.check()"), 0);

    // A standby looks for itself, at what came by replication.
    client
        .batch_execute("DELETE FROM _neural.chunk WHERE number = 1; INSERT INTO _neural.chunk VALUES (-1, 0, '')")
        .unwrap();
    let standby = primary.standby();
    primary.wait_for(&standby);
    let found =
        "SELECT string_agg(concat_ws(' ', model, version, problem), ', ') FROM neural.check()";
    let there = text(&mut standby.superuser(), found);
    assert_eq!(there, text(&mut client, found));
    assert!(
        there.contains("risk 2 piece 1 of its bytes is missing"),
        "{there}"
    );
    let again = "SELECT data_agrees AND weights_agree FROM neural.reproduce('risk', 2)";
    let (code, message) = error_of(&mut standby.superuser(), again);
    assert_eq!(code, SqlState::DATA_CORRUPTED, "{message}");
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

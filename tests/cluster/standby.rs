//! Models on a hot standby.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use postgres::Client;
use postgres::error::SqlState;

use crate::fixture::{PREDICT, count, create_loans, number, score, text, train, training};
use crate::harness::{Cluster, error_of, wait_until};
use crate::weights_shared::{files, held, train_wide};

#[test]
fn a_standby_predicts_with_the_bits_of_its_primary_and_follows_its_deployments() {
    let primary = Cluster::with_extension(&[]);
    let mut client = primary.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let standby = primary.standby();
    let mut reader = standby.superuser();
    assert_eq!(
        count(&mut reader, "SELECT pg_is_in_recovery()::int::bigint"),
        1
    );
    let scores = format!(
        "SELECT md5(string_agg(p::text, ' ' ORDER BY id))
         FROM (SELECT id, {PREDICT} AS p FROM loan) AS s"
    );
    for seed in 2..=4 {
        primary.wait_for(&standby);
        assert_eq!(text(&mut reader, &scores), text(&mut client, &scores));
        assert_eq!(
            text(&mut standby.superuser(), &scores),
            text(&mut client, &scores)
        );
        train(&mut client, "risk", seed);
    }
    client
        .batch_execute("SELECT neural.rollback('risk')")
        .unwrap();
    primary.wait_for(&standby);
    assert_eq!(score(&mut reader, "risk"), score(&mut client, "risk@3"));
    let metrics = "SELECT count(value) FROM neural.evaluate('risk',
                       'SELECT age, amount, purpose, bad FROM loan')";
    assert_eq!(count(&mut reader, metrics), count(&mut client, metrics));
    for sql in [
        training("risk", 9),
        "SELECT neural.deploy('risk', 1)".into(),
    ] {
        let (code, _) = error_of(&mut reader, &sql);
        assert_eq!(code, SqlState::READ_ONLY_SQL_TRANSACTION, "{sql}");
    }
}

/// What a statement says of both models at once: `risk` by rows and by batches, and `wide`, which is
/// mapped from a file.
fn answers(risk: &str, wide: &str) -> String {
    format!(
        "SELECT concat_ws(' ',
             (SELECT md5(string_agg(float8send(neural.predict('{risk}', age, amount, purpose)), ''
                         ORDER BY id)) FROM loan),
             neural.predict('{risk}', 35, 1200, 'car'), neural.predict('{wide}', 35, 1200, 'car'))"
    )
}

/// What the versions of both models answer that are deployed together, by their number.
fn known(client: &mut Client, versions: i32) -> BTreeMap<String, i32> {
    (1..=versions)
        .map(|version| {
            let sql = answers(&format!("risk@{version}"), &format!("wide@{version}"));
            (text(client, &sql), version)
        })
        .collect()
}

/// Deploys the versions round and round, those of both models in one transaction, until told.
fn deploy_until(client: &mut Client, versions: i32, stop: &AtomicBool) {
    let mut version = 1;
    while !stop.load(Ordering::Relaxed) {
        version = version % versions + 1;
        let sql = format!(
            "BEGIN; SELECT neural.deploy('risk', {version}); SELECT neural.deploy('wide', {version}); COMMIT"
        );
        client.batch_execute(&sql).expect("deployed");
    }
}

/// Asks until every version has answered, and that so often; each answer must be a version's.
fn read(client: &mut Client, known: &BTreeMap<String, i32>, least: usize) {
    let sql = client.prepare(&answers("risk", "wide")).expect("prepared");
    let (mut seen, mut asked) = (BTreeSet::new(), 0);
    wait_until("every version answers", || {
        let answer: String = client.query_one(&sql, &[]).expect("a row").get(0);
        let version = known.get(&answer);
        seen.insert(*version.unwrap_or_else(|| panic!("no version's answer: {answer}")));
        asked += 1;
        asked >= least && seen.len() == known.len()
    });
}

#[test]
fn a_standby_answers_with_one_version_at_a_time_and_trains_once_it_is_promoted() {
    const VERSIONS: i32 = 3;
    let primary = Cluster::with_extension(&[]);
    let mut client = primary.superuser();
    create_loans(&mut client, 300);
    for version in 1..=VERSIONS {
        train(&mut client, "risk", version as u32);
        train_wide(&mut client, "wide", 600 + version as usize);
    }
    let known = known(&mut client, VERSIONS);
    assert_eq!(known.len(), VERSIONS as usize);
    let standby = primary.standby();
    primary.wait_for(&standby);

    let stop = AtomicBool::new(false);
    let mut readers: Vec<Client> = (0..2).map(|_| standby.superuser()).collect();
    thread::scope(|scope| {
        scope.spawn(|| deploy_until(&mut client, VERSIONS, &stop));
        let reading: Vec<_> = readers
            .iter_mut()
            .map(|reader| scope.spawn(|| read(reader, &known, 60)))
            .collect();
        let ended: Vec<_> = reading.into_iter().map(|thread| thread.join()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a reader failed");
    });
    assert!(held(&mut readers[0]).1 > 0, "the wide model is mapped");
    assert_eq!(files(&standby).len(), VERSIONS as usize);

    // A transaction keeps the versions of its snapshot; the next statement of others has the new ones.
    let mut client = primary.superuser();
    let deploy = |client: &mut Client, version: i32| {
        for model in ["risk", "wide"] {
            let sql = format!("SELECT neural.deploy('{model}', {version})");
            assert_eq!(number(client, &sql), version);
        }
    };
    let asked = answers("risk", "wide");
    // While it stays open the primary clears away nothing that the transaction below still sees: to
    // replay that would end it.
    let mut open = primary.superuser();
    open.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        .expect("a snapshot");
    deploy(&mut client, 1);
    primary.wait_for(&standby);
    let mut keeper = standby.superuser();
    keeper
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .expect("a transaction");
    assert_eq!(known[&text(&mut keeper, &asked)], 1);
    for version in [2, 3] {
        deploy(&mut client, version);
        primary.wait_for(&standby);
        for reader in &mut readers {
            assert_eq!(known[&text(reader, &asked)], version);
        }
        assert_eq!(known[&text(&mut keeper, &asked)], 1);
    }
    keeper.batch_execute("COMMIT").expect("the end");
    assert_eq!(known[&text(&mut keeper, &asked)], 3);

    // The primary is gone.
    drop((client, open));
    primary.halt("immediate");
    let mut promoted = standby.superuser();
    assert_eq!(count(&mut promoted, "SELECT pg_promote()::int::bigint"), 1);
    for reader in &mut readers {
        assert_eq!(known[&text(reader, &asked)], 3);
    }
    assert_eq!(train(&mut promoted, "risk", 9), VERSIONS + 1);
    let new = score(&mut promoted, "risk@4");
    assert_ne!(new, score(&mut promoted, "risk@3"));
    for client in readers.iter_mut().chain([&mut keeper]) {
        assert_eq!(score(client, "risk"), new);
    }
    // Deployments go back as far as those of the primary.
    for version in [3, 2, 1] {
        let sql = "SELECT neural.rollback('risk')";
        assert_eq!(number(&mut keeper, sql), version);
        let other = format!("risk@{version}");
        assert_eq!(score(&mut readers[0], "risk"), score(&mut promoted, &other));
    }
    train_wide(&mut keeper, "wide", 610);
    assert_eq!(
        score(&mut readers[0], "wide"),
        score(&mut promoted, "wide@4")
    );
    assert_eq!(train(&mut keeper, "new", 1), 1);
    promoted
        .batch_execute("SELECT neural.drop_model('wide')")
        .expect("dropped");
    assert!(files(&standby).is_empty());
}

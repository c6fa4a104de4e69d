//! Models on a hot standby.

use postgres::error::SqlState;

use crate::fixture::{PREDICT, count, create_loans, score, text, train, training};
use crate::harness::{Cluster, error_of};

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

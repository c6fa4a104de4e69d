//! The first call of a connection, wherever it stands.

use crate::fixture::{PREDICT, create_loans, text, train};
use crate::harness::{Cluster, SUPERUSER};

use postgres::{Client, NoTls};

/// A new connection with settings of its own, whose first statement is the caller's.
fn fresh(cluster: &Cluster, options: &str) -> Client {
    cluster
        .config(SUPERUSER, "postgres")
        .options(options)
        .connect(NoTls)
        .expect("a connection")
}

/// Every prediction, to the last bit.
fn scores() -> String {
    format!(
        "SELECT md5(string_agg(p::text, ' ' ORDER BY id)) FROM (SELECT id, {PREDICT} AS p FROM loan) AS s"
    )
}

#[test]
fn is_right_in_a_parallel_plan() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 20_000);
    train(&mut client, "risk", 1);
    let serial = text(
        &mut fresh(&cluster, "-c max_parallel_workers_per_gather=0"),
        &scores(),
    );
    let parallel = "-c parallel_setup_cost=0 -c parallel_tuple_cost=0 \
                    -c min_parallel_table_scan_size=0 -c max_parallel_workers_per_gather=2";
    assert_eq!(text(&mut fresh(&cluster, parallel), &scores()), serial);
    // The plan is parallel, and the workers are what calls the model.
    let mut client = fresh(
        &cluster,
        &format!("{parallel} -c parallel_leader_participation=off"),
    );
    assert_eq!(text(&mut client, &scores()), serial);
    let explain = format!(
        "EXPLAIN (ANALYZE, VERBOSE, COSTS off) SELECT count(*) FROM loan WHERE {PREDICT} > 0.2"
    );
    let plan: Vec<String> = client
        .query(&explain, &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Workers Launched: 2"), "{plan}");
    assert!(plan.contains("Parallel Seq Scan"), "{plan}");
}

#[test]
fn works_in_a_read_only_transaction_and_takes_no_transaction_id() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let expected = text(&mut client, &scores());
    let mut client = fresh(&cluster, "-c default_transaction_read_only=on");
    assert_eq!(text(&mut client, &scores()), expected);
    let metrics = "SELECT count(*)::text FROM neural.evaluate('risk',
                       'SELECT age, amount, purpose, bad FROM loan')";
    assert_ne!(text(&mut client, metrics), "0");
    let mut client = fresh(&cluster, "");
    client.batch_execute("BEGIN").unwrap();
    assert_eq!(text(&mut client, &scores()), expected);
    let xid = "SELECT coalesce(pg_current_xact_id_if_assigned()::text, 'none')";
    assert_eq!(text(&mut client, xid), "none");
    client.batch_execute("COMMIT").unwrap();
}

#[test]
fn works_at_every_isolation_level_and_in_functions() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    train(&mut client, "risk", 1);
    let expected = text(&mut client, &scores());
    client
        .batch_execute(&format!(
            "CREATE VIEW scored AS SELECT id, {PREDICT} AS p FROM loan;
             CREATE FUNCTION scored(l loan) RETURNS float8 STABLE LANGUAGE plpgsql AS $$
             BEGIN RETURN neural.predict('risk', l); END $$;
             CREATE TABLE kept AS SELECT id, {PREDICT} AS p FROM loan LIMIT 0;
             INSERT INTO kept SELECT id, {PREDICT} FROM loan"
        ))
        .unwrap();
    for (options, from) in [
        (
            "-c default_transaction_isolation=serializable",
            "(SELECT * FROM scored)",
        ),
        (
            "-c default_transaction_isolation=repeatable\\ read",
            "(TABLE kept)",
        ),
        (
            "-c jit_above_cost=0",
            "(SELECT id, scored(loan) AS p FROM loan)",
        ),
        (
            "-c plan_cache_mode=force_generic_plan",
            "(SELECT id, neural.predict('risk', loan) AS p FROM loan)",
        ),
    ] {
        let sql = format!("SELECT md5(string_agg(p::text, ' ' ORDER BY id)) FROM {from} AS s");
        assert_eq!(
            text(&mut fresh(&cluster, options), &sql),
            expected,
            "{options}"
        );
    }
}

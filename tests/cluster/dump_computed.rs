//! Tables that are computed by a model while a dump is loaded: none loses a row.

use std::fs;

use postgres::Client;

use crate::fixture::{create_loans, text, train};
use crate::harness::{Cluster, SUPERUSER, succeeds};
use crate::restoring::{database, pg_restore};

/// A generated column, a CHECK, a domain's CHECK, a partition key and a materialised view over pinned
/// functions, in a schema of that name.
fn fill(client: &mut Client, schema: &str) {
    let sql = format!(
        "CREATE SCHEMA {schema};
         SET search_path = {schema}, public;
         SELECT neural.create_function('risk_v1', 'risk', version => 1);
         SELECT neural.create_function('class_v1', 'risk', 'class', version => 1);
         CREATE TABLE generated (age float8, score float8 GENERATED ALWAYS AS (risk_v1(age, 900, 'car')) STORED,
                                 class text GENERATED ALWAYS AS (class_v1(age, 900, 'car')) STORED);
         CREATE TABLE checked (age float8 CHECK (risk_v1(age, 900, 'car') < 2));
         CREATE DOMAIN scorable AS float8 CHECK (risk_v1(VALUE, 900, 'car') < 2);
         CREATE TABLE of_domain (age scorable, ages scorable[]);
         CREATE TABLE parted (age float8) PARTITION BY RANGE (risk_v1(age, 900, 'car'));
         CREATE TABLE low PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (0.4);
         CREATE TABLE high PARTITION OF parted FOR VALUES FROM (0.4) TO (MAXVALUE);
         INSERT INTO generated SELECT age FROM loan;
         INSERT INTO checked SELECT age FROM loan;
         INSERT INTO of_domain SELECT age, ARRAY[age, age + 1] FROM loan;
         INSERT INTO parted SELECT age FROM loan;
         CREATE MATERIALIZED VIEW kept AS SELECT sum(score) AS s FROM generated;
         CREATE INDEX ON checked (risk_v1(age, 900, 'house'));
         RESET search_path"
    );
    client.batch_execute(&sql).expect("the tables");
}

/// What is in these tables.
fn sums(client: &mut Client, schema: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' ', (SELECT concat(count(*), '/', sum(score), '/', count(class)) FROM {schema}.generated),
                (SELECT concat(count(*), '/', sum(age)) FROM {schema}.checked),
                (SELECT concat(count(*), '/', sum(ages[2])) FROM {schema}.of_domain),
                (SELECT count(*) FROM {schema}.low), (SELECT count(*) FROM {schema}.high),
                (SELECT s FROM {schema}.kept))"
    );
    text(client, &sql)
}

fn filled(schema: &str) -> Cluster {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 400);
    train(&mut client, "risk", 1);
    fill(&mut client, schema);
    assert!(sums(&mut client, schema).starts_with("400/"));
    cluster
}

fn same(cluster: &Cluster, schema: &str, restored: &str) {
    assert_eq!(
        sums(&mut cluster.superuser(), schema),
        sums(&mut cluster.connect(SUPERUSER, restored), schema),
        "{restored}"
    );
}

#[test]
fn plain_custom_and_directory_dumps_restore_in_one_step() {
    let cluster = filled("app");
    let plain = cluster.dump("postgres", "plain.sql", &[]);
    cluster.psql_file(database(&cluster, "plain"), &plain);
    same(&cluster, "app", "plain");

    let inserts = cluster.dump("postgres", "inserts.sql", &["--inserts"]);
    cluster.psql_file(database(&cluster, "inserts"), &inserts);
    same(&cluster, "app", "inserts");

    let custom = cluster.dump("postgres", "custom", &["--format=custom"]);
    pg_restore(&cluster, database(&cluster, "custom"), &[], &custom);
    same(&cluster, "app", "custom");

    let directory = cluster.dump("postgres", "directory", &["--format=directory", "--jobs=2"]);
    pg_restore(&cluster, database(&cluster, "directory"), &[], &directory);
    same(&cluster, "app", "directory");
}

#[test]
fn a_whole_cluster_is_restored_from_pg_dumpall() {
    let cluster = filled("app");
    let file = cluster.directory().join("all.sql");
    let dump = succeeds(&mut cluster.program("pg_dumpall"));
    // The superuser is there already.
    let script = String::from_utf8(dump.stdout).unwrap();
    fs::write(&file, script.replace("CREATE ROLE postgres;", "")).unwrap();
    let elsewhere = Cluster::start();
    elsewhere.psql_file("postgres", &file);
    assert_eq!(
        sums(&mut cluster.superuser(), "app"),
        sums(&mut elsewhere.superuser(), "app")
    );
}

/// Schemas whose names sort before `_neural`, and several jobs, take the models first.
#[test]
fn models_first_restores_what_sorts_before_them() {
    for schema in ["\"App\"", "\"2026\""] {
        let cluster = filled(schema);
        let file = cluster.dump("postgres", "custom", &["--format=custom"]);
        for (database_name, jobs) in [("one", "--jobs=1"), ("many", "--jobs=4")] {
            let name = database(&cluster, database_name);
            pg_restore(&cluster, name, &["--section=pre-data"], &file);
            pg_restore(
                &cluster,
                name,
                &["--section=data", "--schema=_neural", jobs],
                &file,
            );
            pg_restore(
                &cluster,
                name,
                &["--section=data", "--exclude-schema=_neural", jobs],
                &file,
            );
            pg_restore(&cluster, name, &["--section=post-data", jobs], &file);
            same(&cluster, schema, name);
        }
    }
}

//! Ways of dumping and moving beside those of `dump`: after each, the models are the same and go on.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use postgres::Client;

use crate::dump::{Kept, filled, rights_are_kept};
use crate::fixture::{number, score, text, train};
use crate::harness::{Cluster, SUPERUSER, succeeds};
use crate::restoring::{database, pg_restore};

/// A table that is computed by a pinned function and a view that keeps what one gives, in a schema
/// of their own.
pub fn add_computed(client: &mut Client) {
    client
        .batch_execute(
            "CREATE SCHEMA app;
             CREATE TABLE app.scored (age float8,
                 score float8 GENERATED ALWAYS AS (pinned_risk(age, 900, 'car')) STORED);
             INSERT INTO app.scored SELECT age FROM loan;
             CREATE MATERIALIZED VIEW app.kept AS
                 SELECT pinned_risk(age, 1000, 'house') AS score FROM app.scored",
        )
        .expect("the schema");
}

/// The bytes of all that is in the schema.
pub fn computed(client: &mut Client) -> String {
    text(
        client,
        "SELECT concat_ws(' ',
             (SELECT md5(string_agg(float8send(score), '' ORDER BY age, score)) FROM app.scored),
             (SELECT md5(string_agg(float8send(score), '' ORDER BY score)) FROM app.kept))",
    )
}

/// What was there before, and the cluster that has it.
struct Original {
    cluster: Cluster,
    kept: Kept,
    computed: String,
}

impl Original {
    fn new() -> Self {
        let cluster = filled();
        let mut client = cluster.superuser();
        add_computed(&mut client);
        Self {
            kept: Kept::of(&mut client),
            computed: computed(&mut client),
            cluster,
        }
    }

    fn is_in(&self, cluster: &Cluster, database: &str) {
        let mut client = cluster.connect(SUPERUSER, database);
        assert_eq!(computed(&mut client), self.computed, "{database}");
        self.kept.goes_on_in(&mut client);
        rights_are_kept(cluster, database);
    }

    fn dump(&self, file: &str, options: &[&str]) -> std::path::PathBuf {
        self.cluster.dump("postgres", file, options)
    }
}

#[test]
fn every_way_of_restoring_gives_the_models_back_and_they_go_on() {
    let original = Original::new();
    let cluster = &original.cluster;
    let elsewhere = all_of_it(&original);
    halves(&original);
    directory_by_jobs(&original);
    over_what_is_there(&original);
    drop(elsewhere);
    single_schema_and_model(cluster);
}

/// pg_dumpall, into another cluster.
fn all_of_it(original: &Original) -> Cluster {
    let script = succeeds(&mut original.cluster.program("pg_dumpall")).stdout;
    // The superuser is there already.
    let script = String::from_utf8(script).expect("UTF-8");
    let file = original.cluster.directory().join("all.sql");
    fs::write(&file, script.replace("CREATE ROLE postgres;", "")).expect("the file");
    let elsewhere = Cluster::start();
    elsewhere.psql_file("postgres", &file);
    original.is_in(&elsewhere, "postgres");
    elsewhere
}

/// The schema first, and then the data: plain, and by several jobs, which take the models first.
fn halves(original: &Original) {
    let cluster = &original.cluster;
    let schema = original.dump("schema.sql", &["--schema-only"]);
    let data = original.dump("data.sql", &["--data-only"]);
    let both = original.dump("both", &["--format=custom"]);

    let plain = database(cluster, "plain_halves");
    cluster.psql_file(plain, &schema);
    cluster.psql_file(plain, &data);

    let jobs = database(cluster, "jobs_halves");
    pg_restore(cluster, jobs, &["--schema-only"], &both);
    for part in ["--schema=_neural", "--exclude-schema=_neural"] {
        pg_restore(cluster, jobs, &["--data-only", "--jobs=4", part], &both);
    }
    for name in [plain, jobs] {
        // Neither half fills materialised views.
        let mut client = cluster.connect(SUPERUSER, name);
        client
            .batch_execute("REFRESH MATERIALIZED VIEW app.kept")
            .expect("the view");
        original.is_in(cluster, name);
    }
}

fn directory_by_jobs(original: &Original) {
    let cluster = &original.cluster;
    let directory = original.dump("directory", &["--format=directory", "--jobs=3"]);
    let name = database(cluster, "directory");
    let steps: [&[&str]; 4] = [
        &["--section=pre-data"],
        &["--section=data", "--schema=_neural"],
        &["--section=data", "--exclude-schema=_neural"],
        &["--section=post-data"],
    ];
    for step in steps {
        pg_restore(cluster, name, &[step, &["--jobs=3"]].concat(), &directory);
    }
    original.is_in(cluster, name);
}

/// A dump that drops what is there, over what an earlier one restored and was changed since.
fn over_what_is_there(original: &Original) {
    let cluster = &original.cluster;
    let options = ["--clean", "--if-exists"];
    let script = original.dump("clean.sql", &options);
    let custom = original.dump("clean.custom", &["--format=custom"]);
    let name = database(cluster, "over");
    let ways: [&dyn Fn(); 3] = [
        // Nothing is there yet.
        &|| cluster.psql_file(name, &script),
        &|| cluster.psql_file(name, &script),
        &|| pg_restore(cluster, name, &options, &custom),
    ];
    for restore in ways {
        // After the first time the models have gone on, by what is checked.
        restore();
        original.is_in(cluster, name);
    }
}

/// A schema by itself has neither the extension nor its models: they go by export and import.
fn single_schema_and_model(cluster: &Cluster) {
    let file = cluster.dump("postgres", "app", &["--format=custom", "--schema=app"]);
    let name = database(cluster, "single");
    let mut from = cluster.superuser();
    let mut to = cluster.connect(SUPERUSER, name);
    to.batch_execute("CREATE EXTENSION pg_neural; CREATE TABLE arrived (artifact bytea)")
        .expect("the extension");
    let before = score(&mut from, "risk@1").to_bits();
    copy(&mut from, "risk@1", &mut to, "arrived");
    let import = "SELECT neural.import_model('risk', artifact) FROM arrived";
    assert_eq!(number(&mut to, import), 1);
    assert_eq!(score(&mut to, "risk").to_bits(), before);
    to.batch_execute("SELECT neural.create_function('pinned_risk', 'risk', version => 1)")
        .expect("the function");
    for options in [&[][..], &["--clean"]] {
        pg_restore(cluster, name, options, Path::new(&file));
        assert_eq!(computed(&mut to), computed(&mut from));
    }
    // A second version the same way, and one that is trained.
    to.batch_execute("TRUNCATE arrived").expect("emptied");
    copy(&mut from, "risk@3", &mut to, "arrived");
    assert_eq!(number(&mut to, import), 2);
    assert_eq!(
        score(&mut to, "risk").to_bits(),
        score(&mut from, "risk@3").to_bits()
    );
    crate::fixture::create_loans(&mut to, 100);
    assert_eq!(train(&mut to, "risk", 8), 3);
    assert_eq!(number(&mut to, "SELECT neural.rollback('risk')"), 2);
}

/// Copies an exported version from one database into a table of another, as psql's \copy does.
fn copy(from: &mut Client, version: &str, to: &mut Client, table: &str) {
    let out = format!("COPY (SELECT neural.export_model('{version}')) TO STDOUT (FORMAT binary)");
    let mut bytes = Vec::new();
    from.copy_out(&out)
        .expect("COPY starts")
        .read_to_end(&mut bytes)
        .expect("COPY gives the version");
    let input = format!("COPY {table} FROM STDIN (FORMAT binary)");
    let mut writer = to.copy_in(&input).expect("COPY starts");
    writer.write_all(&bytes).expect("COPY takes the version");
    writer.finish().expect("COPY ends");
}

//! Dumps by roles that are no superusers, and tables whose owner is not their model's.

use std::process::Output;

use crate::dump::{Kept, filled, rights_are_kept};
use crate::fixture::{count, text};
use crate::harness::{Cluster, SUPERUSER};
use crate::restoring::{database, pg_restore};

/// Runs a program as a role.
fn run(cluster: &Cluster, program: &str, role: &str, arguments: &[&str]) -> Output {
    let mut command = cluster.program(program);
    command.args(arguments).args(["--username", role]);
    command.output().expect("the program runs")
}

/// What it said as it failed.
fn refused(output: Output) -> String {
    assert!(!output.status.success(), "it must fail");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_database_owner_dumps_models_when_he_may_read_all_and_a_superuser_restores_them() {
    let cluster = filled();
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "CREATE ROLE keeper LOGIN;
             ALTER DATABASE postgres OWNER TO keeper",
        )
        .expect("his database");
    client
        .batch_execute("CREATE DATABASE his OWNER keeper")
        .expect("his other database");
    let path = cluster.directory().join("dump").display().to_string();
    let all = ["--format=custom", "--file", &path, "postgres"];

    let message = refused(run(&cluster, "pg_dump", "keeper", &all));
    // From 18 on sequences are read first.
    let told = [
        "permission denied for schema _neural",
        "user may lack SELECT privilege",
    ];
    assert!(told.iter().any(|told| message.contains(told)), "{message}");
    // All but the models he can dump as he is.
    let rest = run(
        &cluster,
        "pg_dump",
        "keeper",
        &["--exclude-schema=_neural", "postgres"],
    );
    let rest = String::from_utf8(rest.stdout).expect("UTF-8");
    assert!(rest.contains("COPY public.loan") && !rest.contains("COPY _neural"));

    client
        .batch_execute("GRANT pg_read_all_data TO keeper")
        .expect("the right");
    let message = refused(run(&cluster, "pg_dump", "keeper", &all));
    assert!(message.contains("row-level security"), "{message}");
    client
        .batch_execute("ALTER ROLE keeper BYPASSRLS")
        .expect("the right");
    let output = run(&cluster, "pg_dump", "keeper", &all);
    assert!(output.status.success(), "{output:?}");

    // With or without the extension he cannot restore the models, and gets none by trying.
    for step in ["without", "with"] {
        let restored = run(&cluster, "pg_restore", "keeper", &["--dbname=his", &path]);
        let message = refused(restored);
        let why = match step {
            "without" => "permission denied to create extension",
            _ => "permission denied for table chunk",
        };
        assert!(message.contains(why), "{message}");
        let mut his = cluster.connect(SUPERUSER, "his");
        if step == "without" {
            his.batch_execute("DROP TABLE IF EXISTS loan CASCADE; CREATE EXTENSION pg_neural")
                .expect("the extension");
        }
        assert_eq!(count(&mut his, "SELECT count(*) FROM _neural.version"), 0);
    }
    let restored = database(&cluster, "restored");
    pg_restore(&cluster, restored, &[], path.as_ref());
    let mut there = cluster.connect(SUPERUSER, restored);
    Kept::of(&mut client).goes_on_in(&mut there);
    rights_are_kept(&cluster, restored);
}

/// An index is built with the rights of its table's owner, and a restore in one step gives rights last.
#[test]
fn an_index_over_a_model_that_was_granted_wants_the_sections_one_after_the_other() {
    let cluster = filled();
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "CREATE TABLE offer AS SELECT * FROM loan;
             ALTER TABLE offer OWNER TO grantee;
             CREATE INDEX offer_risk ON offer (pinned_risk(age, amount, purpose))",
        )
        .expect("the table");
    let answers = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM offer
                   WHERE pinned_risk(age, amount, purpose) > 0.3";
    let before = text(&mut client, answers);
    let file = cluster.dump("postgres", "custom", &["--format=custom"]);

    let once = database(&cluster, "once");
    let path = file.display().to_string();
    let at_once = run(
        &cluster,
        "pg_restore",
        SUPERUSER,
        &["--dbname", once, &path],
    );
    let message = refused(at_once);
    assert!(
        message.contains("permission denied for the model"),
        "{message}"
    );
    assert!(
        message.contains("errors ignored on restore: 1"),
        "{message}"
    );
    // Nothing but the index is missing.
    let mut there = cluster.connect(SUPERUSER, once);
    assert_eq!(text(&mut there, answers), before);
    there
        .batch_execute("CREATE INDEX offer_risk ON offer (pinned_risk(age, amount, purpose))")
        .expect("the index");

    let sections = database(&cluster, "sections");
    for section in [
        "--section=pre-data",
        "--section=data",
        "--section=post-data",
    ] {
        pg_restore(&cluster, sections, &[section], &file);
    }
    let mut there = cluster.connect(SUPERUSER, sections);
    assert_eq!(text(&mut there, answers), before);
    let index =
        "SELECT count(*) FROM pg_index WHERE indexrelid = 'offer_risk'::regclass AND indisvalid";
    assert_eq!(count(&mut there, index), 1);
}

//! pg_upgrade with models in place: the newer server is that of `PGN_NEWER_PG_CONFIG`.

use std::env;
use std::path::Path;

use crate::dump::{Kept, filled, rights_are_kept};
use crate::dump_ways::{add_computed, computed};
use crate::fixture::{count, text};
use crate::harness::SUPERUSER;

#[test]
#[ignore = "wants a newer server beside: scripts/test upgrade-18"]
fn pg_upgrade_takes_models_functions_and_indexes_along() {
    let newer = env::var_os("PGN_NEWER_PG_CONFIG").expect("PGN_NEWER_PG_CONFIG names a pg_config");
    let cluster = filled();
    let mut client = cluster.superuser();
    add_computed(&mut client);
    let kept = Kept::of(&mut client);
    let values = computed(&mut client);
    let rows = "SELECT string_agg(r::text, ' ' ORDER BY r::text) FROM (
                    SELECT v.id, c.number, sha256(c.bytes) FROM _neural.version AS v
                    JOIN _neural.chunk AS c ON c.version = v.id) AS r";
    let stored = text(&mut client, rows);
    // A role that is dropped leaves numbers in the tables.
    client
        .batch_execute(
            "CREATE ROLE passing; SELECT neural.grant_model('left', 'passing');
             DROP OWNED BY passing; DROP ROLE passing",
        )
        .expect("the role");
    drop(client);

    let upgraded = cluster.upgraded(Path::new(&newer));
    let mut client = upgraded.superuser();
    let version = "SELECT current_setting('server_version_num')::bigint / 10000";
    println!("upgraded to {}", count(&mut client, version));
    assert!(count(&mut client, version) > 15);
    assert_eq!(text(&mut client, rows), stored);
    assert_eq!(computed(&mut client), values);
    // What was computed before is what is computed now.
    client
        .batch_execute(
            "UPDATE app.scored SET age = age; REFRESH MATERIALIZED VIEW app.kept;
             REINDEX TABLE loan",
        )
        .expect("computed anew");
    assert_eq!(computed(&mut client), values);
    kept.goes_on_in(&mut client);
    rights_are_kept(&upgraded, "postgres");
    // And on from there by a dump.
    let file = upgraded.dump("postgres", "dump.sql", &[]);
    client
        .batch_execute("CREATE DATABASE restored")
        .expect("a database");
    upgraded.psql_file("restored", &file);
    let mut restored = upgraded.connect(SUPERUSER, "restored");
    assert_eq!(computed(&mut restored), values);
    let predictions = "SELECT md5(string_agg(float8send(predict_risk(age, amount, purpose)), ''
                           ORDER BY id)) FROM loan";
    assert_eq!(
        text(&mut restored, predictions),
        text(&mut client, predictions)
    );
}

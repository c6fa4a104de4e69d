//! The same training gives the same bytes, however many threads compute it.

use postgres::Client;

use crate::fixture::{create_loans, sha256};
use crate::harness::Cluster;

const TARGETS: [(&str, &str); 3] = [
    ("binary", "SELECT age, amount, purpose, bad AS y FROM loan"),
    ("classes", "SELECT age, amount, bad, purpose AS y FROM loan"),
    (
        "regression",
        "SELECT age, purpose, bad, amount AS y FROM loan",
    ),
];

fn trained(client: &mut Client, model: &str, query: &str, options: &str) -> String {
    let sql = format!(
        "SELECT neural.train('{model}', '{query}', 'y', epochs => 3, batch_size => 300, seed => 7,
             options => '{{\"verbose\": false, {options}}}')"
    );
    client.batch_execute(&sql).expect("the training");
    sha256(client, model)
}

#[test]
fn one_two_and_eight_threads_give_the_same_bytes() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 5000);
    for (model, query) in TARGETS {
        for options in [
            "\"dropout\": 0.2",
            "\"restore_best\": true, \"early_stopping\": 2",
        ] {
            let one = trained(
                &mut client,
                model,
                query,
                &format!("\"threads\": 1, {options}"),
            );
            for threads in [2, 8] {
                let options = format!("\"threads\": {threads}, {options}");
                let other = trained(&mut client, model, query, &options);
                assert_eq!(one, other, "{model}, {options}");
            }
            // The setting in place of the option.
            client.batch_execute("SET neural.threads = 2").unwrap();
            assert_eq!(one, trained(&mut client, model, query, options), "{model}");
            client.batch_execute("RESET neural.threads").unwrap();
        }
    }
}

#[test]
fn another_session_after_a_restart_repeats_a_recorded_training() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 5000);
    // A seed nobody gave is recorded.
    client
        .batch_execute(
            "SELECT neural.train('risk', 'SELECT age, amount, purpose, bad FROM loan', 'bad',
                 epochs => 2, options => '{\"verbose\": false}')",
        )
        .unwrap();
    let first = sha256(&mut client, "risk");
    cluster.restart("fast");
    let mut client = cluster.superuser();
    client
        .batch_execute(
            "SELECT neural.train('risk', query, target, epochs => (options ->> 'epochs')::int,
                                 seed => seed, options => options - 'epochs')
             FROM (SELECT query, seed, options, 'bad' AS target FROM neural.model_versions
                   WHERE model = 'risk') AS v",
        )
        .unwrap();
    assert_eq!(sha256(&mut client, "risk"), first);
}

#[test]
fn another_seed_gives_other_bytes() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 500);
    crate::fixture::train(&mut client, "risk", 1);
    let first = sha256(&mut client, "risk");
    crate::fixture::train(&mut client, "risk", 2);
    assert_ne!(sha256(&mut client, "risk"), first);
}

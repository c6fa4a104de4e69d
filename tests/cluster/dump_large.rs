//! A model as large as `PGN_LARGE_UNITS` says, in a dump: `make test-long` asks for 1.5 GB.

use std::env;
use std::fs;
use std::path::Path;

use crate::fixture::{count, create_loans, number, score, sha256};
use crate::harness::{Cluster, SUPERUSER};
use crate::restoring::{database, pg_restore};

/// Units of the model's two layers: their squares are four bytes each. 19400 make 1.5 GB.
fn units() -> u64 {
    let asked = env::var("PGN_LARGE_UNITS").ok();
    asked.and_then(|units| units.parse().ok()).unwrap_or(2750)
}

/// Bytes of a file, or of all in a directory.
fn size(path: &Path) -> u64 {
    let metadata = fs::metadata(path).expect("the dump");
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).expect("the directory");
    entries
        .map(|entry| size(&entry.expect("an entry").path()))
        .sum()
}

#[test]
fn a_large_model_comes_back_from_a_dump_of_hardly_more_than_its_size() {
    let units = units();
    let cluster = Cluster::with_extension(&["shared_buffers = '64MB'", "max_wal_size = '8GB'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 200);
    client
        .batch_execute(&format!(
            "SET neural.max_memory = '16GB';
             SELECT neural.train('wide', 'SELECT age, amount, purpose, bad FROM loan LIMIT 64', 'bad',
                 epochs => 1, validation => 0, seed => 1, optimizer => 'sgd',
                 architecture => '{{\"layers\": [
                     {{\"type\": \"dense\", \"units\": {units}, \"activation\": \"relu\"}},
                     {{\"type\": \"dense\", \"units\": {units}, \"activation\": \"relu\"}}]}}',
                 options => '{{\"verbose\": false, \"momentum\": 0}}')"
        ))
        .expect("the training");
    let bytes = count(&mut client, "SELECT size_bytes FROM neural.models") as u64;
    assert!(bytes > units * units * 4);
    let expected = score_of(&cluster, "postgres");
    let hash = sha256(&mut client, "wide");

    let custom = cluster.dump("postgres", "custom", &["--format=custom"]);
    let directory = cluster.dump(
        "postgres",
        "directory",
        &["--format=directory", "--jobs=2", "--compress=1"],
    );
    for (name, dump, most) in [("custom", &custom, 1.08), ("directory", &directory, 1.14)] {
        let ratio = size(dump) as f64 / bytes as f64;
        println!("a model of {bytes} bytes: {ratio:.3} times that in the {name} dump");
        assert!(ratio <= most, "{name}: {ratio}");
        pg_restore(&cluster, database(&cluster, name), &["--jobs=2"], dump);
        let mut restored = cluster.connect(SUPERUSER, name);
        assert_eq!(sha256(&mut restored, "wide"), hash);
        assert_eq!(score_of(&cluster, name), expected, "{name}");
        restored
            .batch_execute("SET neural.max_memory = '16GB'")
            .expect("the setting");
        let next = "SELECT neural.set_threshold('wide', 0.3)";
        assert_eq!(number(&mut restored, next), 2);
        drop(restored);
        client
            .batch_execute(&format!("DROP DATABASE {name}"))
            .expect("dropped");
    }
}

/// The bits of a score, in a connection of its own that reads the model from the tables.
fn score_of(cluster: &Cluster, database: &str) -> u64 {
    let mut client = cluster.connect(SUPERUSER, database);
    client
        .batch_execute("SET neural.max_memory = '16GB'; SET neural.shared_models = 0")
        .expect("the settings");
    score(&mut client, "wide").to_bits()
}

//! Large models, mapped from files that connections share.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use postgres::Client;

use crate::fixture::{count, create_loans, score, sha256, text};
use crate::harness::{Cluster, SUPERUSER, backend_pid, wait_until};
use crate::process_memory::{anonymous_memory, proportional_memory};

/// A model of two dense layers so wide, trained for an epoch.
pub fn train_wide(client: &mut Client, model: &str, units: usize) {
    let sql = format!(
        "SET neural.max_memory = '1GB';
         SELECT neural.train('{model}', 'SELECT age, amount, purpose, bad FROM loan LIMIT 64',
             'bad', epochs => 1, validation => 0, seed => {units},
             architecture => '{{\"layers\": [
                 {{\"type\": \"dense\", \"units\": {units}, \"activation\": \"relu\"}},
                 {{\"type\": \"dense\", \"units\": {units}, \"activation\": \"relu\"}}]}}',
             options => '{{\"verbose\": false}}')"
    );
    client.batch_execute(&sql).expect("the training");
}

fn start(units: usize) -> (Cluster, Client) {
    let cluster = Cluster::with_extension(&["shared_buffers = '4MB'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 200);
    train_wide(&mut client, "wide", units);
    (cluster, client)
}

/// The files through which the server's connections share models.
pub fn files(cluster: &Cluster) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cluster.data().join("base/pgsql_tmp")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("pgsql_tmp_neural."))
        })
        .collect()
}

/// Bytes of the cached models that are the connection's own, and that it shares.
pub fn held(client: &mut Client) -> (i64, i64) {
    let sql = "SELECT sum(private_bytes)::bigint, sum(shared_bytes)::bigint
               FROM neural.model_cache_info()";
    let row = client.query_one(sql, &[]).expect("the cache");
    (row.get(0), row.get(1))
}

/// The score of a connection that shares nothing.
fn own_score(cluster: &Cluster) -> f64 {
    let mut client = cluster.superuser();
    client
        .batch_execute("SET neural.shared_models = 0")
        .expect("the setting");
    let score = score(&mut client, "wide");
    let (private, shared) = held(&mut client);
    assert!(private > 1 << 20 && shared == 0, "{private}, {shared}");
    score
}

#[test]
fn connections_share_a_large_model_and_give_the_bits_of_one_that_does_not() {
    let (cluster, mut client) = start(600);
    let expected = own_score(&cluster);
    assert_eq!(files(&cluster), Vec::<PathBuf>::new());
    let others: Vec<Client> = (0..2).map(|_| cluster.superuser()).collect();
    for mut client in others {
        assert_eq!(score(&mut client, "wide").to_bits(), expected.to_bits());
        let (private, shared) = held(&mut client);
        assert!(shared > 600 * 600 * 4, "{shared} bytes");
        assert!(private < 100_000, "{private} bytes");
    }
    let file = match &files(&cluster)[..] {
        [file] => file.clone(),
        several => panic!("{several:?}"),
    };
    let name = file.file_name().and_then(|name| name.to_str());
    let hash = sha256(&mut client, "wide");
    assert!(name.is_some_and(|name| name.contains(&hash)));
    let inode = fs::metadata(&file).expect("the file").ino();

    // Another database has the same artifact.
    client
        .batch_execute("CREATE DATABASE other")
        .expect("a database");
    let artifact: Vec<u8> = client
        .query_one("SELECT neural.export_model('wide')", &[])
        .expect("the artifact")
        .get(0);
    let mut other = cluster.connect(SUPERUSER, "other");
    other
        .batch_execute("CREATE EXTENSION pg_neural")
        .expect("the extension");
    other
        .execute("SELECT neural.import_model('wide', $1)", &[&artifact])
        .expect("the model");
    assert_eq!(score(&mut other, "wide").to_bits(), expected.to_bits());
    assert!(held(&mut other).1 > 0);
    assert_eq!(fs::metadata(&file).expect("the file").ino(), inode);

    // A transaction that may not write maps it, and in parallel workers it is mapped as well.
    client
        .batch_execute(
            "BEGIN READ ONLY;
             SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
             SET LOCAL min_parallel_table_scan_size = 0",
        )
        .expect("a transaction");
    let sql = "SELECT count(DISTINCT neural.predict('wide', 35, 1200, 'car')::text || id * 0)
               FROM loan";
    assert_eq!(count(&mut client, sql), 1);
    assert!(held(&mut client).1 > 0);
}

#[test]
fn many_connections_hold_one_copy() {
    const CONNECTIONS: usize = 12;
    let (cluster, mut client) = start(4700);
    train_wide(&mut client, "small", 8);
    let pid = backend_pid(&mut client);
    drop(client);
    wait_until("the training's connection ends", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
    let total = |clients: &mut [Client]| -> u64 {
        let pids = clients.iter_mut().map(backend_pid);
        pids.map(proportional_memory).sum()
    };
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| cluster.superuser()).collect();
    for client in &mut clients {
        // What calling a model takes beside the model.
        score(client, "small");
    }
    let before = total(&mut clients);
    let start = Barrier::new(CONNECTIONS);
    let scores: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                scope.spawn(|| {
                    start.wait();
                    score(client, "wide").to_bits()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a score"))
            .collect()
    });
    assert!(scores.iter().all(|score| *score == scores[0]));
    assert_eq!(files(&cluster).len(), 1);
    let more = total(&mut clients).saturating_sub(before);
    let weights = held(&mut clients[0]).1 as u64;
    println!(
        "{CONNECTIONS} connections hold {:.2} copies",
        more as f64 / weights as f64
    );
    assert!(
        more < weights * 12 / 10,
        "{more} bytes for weights of {weights}"
    );
}

#[test]
fn files_go_with_the_server_and_with_the_model_and_come_back() {
    let (cluster, mut client) = start(600);
    let expected = score(&mut client, "wide").to_bits();
    for mode in ["fast", "immediate"] {
        fs::write(
            cluster.data().join("base/pgsql_tmp/pgsql_tmp_neural.left"),
            "by an older release",
        )
        .expect("a file");
        assert_eq!(files(&cluster).len(), 2);
        cluster.restart(mode);
        assert_eq!(files(&cluster), Vec::<PathBuf>::new(), "{mode}");
        client = cluster.superuser();
        assert_eq!(score(&mut client, "wide").to_bits(), expected);
        assert_eq!(files(&cluster).len(), 1, "{mode}");
    }
    client
        .batch_execute("BEGIN; SELECT neural.drop_model('wide'); ROLLBACK")
        .expect("nothing");
    assert_eq!(files(&cluster).len(), 1);
    // As long as another version has the same bytes it stays.
    client
        .batch_execute(
            "SELECT neural.import_model('same', neural.export_model('wide'));
             SELECT neural.drop_model('same')",
        )
        .expect("another");
    assert_eq!(files(&cluster).len(), 1);
    train_wide(&mut client, "wide", 610);
    score(&mut client, "wide");
    assert_eq!(files(&cluster).len(), 2);
    client
        .batch_execute("SELECT neural.drop_model('wide', 1)")
        .expect("dropped");
    assert_eq!(files(&cluster).len(), 1);
    client
        .batch_execute("SELECT neural.drop_model('wide')")
        .expect("dropped");
    assert_eq!(files(&cluster), Vec::<PathBuf>::new());
}

#[test]
fn files_that_are_damaged_or_cannot_be_made_cost_memory_and_nothing_else() {
    let (cluster, mut client) = start(600);
    let expected = score(&mut client, "wide").to_bits();
    let file = files(&cluster).remove(0);
    let bytes = fs::read(&file).expect("the file");
    for (what, damage) in [
        ("a cut end", bytes[..bytes.len() - 4096].to_vec()),
        ("a changed weight", {
            let mut bytes = bytes.clone();
            bytes[1_000_000] ^= 0x10;
            bytes
        }),
        ("a changed header", {
            let mut bytes = bytes.clone();
            bytes[200] ^= 1;
            bytes
        }),
        ("no bytes", Vec::new()),
    ] {
        // Another file under the name: one that is mapped is never cut.
        let spare = file.with_extension("spare");
        fs::write(&spare, damage).expect("a file");
        fs::set_permissions(&spare, fs::metadata(&file).expect("it").permissions())
            .expect("its mode");
        cluster.own(&spare);
        fs::rename(&spare, &file).expect("renamed");
        let mut fresh = cluster.superuser();
        assert_eq!(score(&mut fresh, "wide").to_bits(), expected, "{what}");
        assert!(held(&mut fresh).1 > 0, "{what}");
        assert!(cluster.log().contains("could not use"), "{what}");
        assert_eq!(fs::read(&file).expect("the file"), bytes, "{what}");
        // Who mapped the one before still has it.
        assert_eq!(score(&mut client, "wide").to_bits(), expected, "{what}");
    }
    // Where the directory should be is something else.
    let directory = cluster.data().join("base/pgsql_tmp");
    fs::remove_dir_all(&directory).expect("removed");
    fs::write(&directory, "").expect("a file");
    let mut fresh = cluster.superuser();
    assert_eq!(score(&mut fresh, "wide").to_bits(), expected);
    assert_eq!(held(&mut fresh).1, 0);
    assert!(cluster.log().contains("could not"));
    fs::remove_file(&directory).expect("removed");
    let mut fresh = cluster.superuser();
    assert_eq!(score(&mut fresh, "wide").to_bits(), expected);
    assert!(held(&mut fresh).1 > 0);
}

#[test]
fn a_standby_shares_with_its_own_connections() {
    let (primary, mut client) = start(600);
    let expected = score(&mut client, "wide").to_bits();
    assert_eq!(files(&primary).len(), 1);
    let standby = primary.standby();
    assert_eq!(files(&standby), Vec::<PathBuf>::new());
    for _ in 0..2 {
        let mut reader = standby.superuser();
        assert_eq!(score(&mut reader, "wide").to_bits(), expected);
        assert!(held(&mut reader).1 > 0);
    }
    assert_eq!(files(&standby).len(), 1);
}

#[test]
fn the_cache_does_not_tell_the_names_of_models_that_one_may_not_use() {
    let (_cluster, mut client) = start(600);
    client.batch_execute("CREATE ROLE guest").expect("a role");
    score(&mut client, "wide");
    let shown =
        "SELECT concat_ws('|', model, version, encode(sha256, 'hex') = '', shared_bytes > 0,
                     shared_file LIKE 'base/pgsql\\_tmp/pgsql\\_tmp\\_neural.%', last_used <= now())
                 FROM neural.model_cache_info()";
    assert_eq!(text(&mut client, shown), "wide|1|f|t|t|t");
    client.batch_execute("SET ROLE guest").expect("the role");
    assert_eq!(text(&mut client, shown), "t|t");
    client
        .batch_execute("RESET ROLE; SELECT neural.grant_model('wide', 'guest'); SET ROLE guest")
        .expect("the right");
    assert_eq!(text(&mut client, shown), "wide|1|f|t|t|t");
    client
        .batch_execute("RESET ROLE; SELECT neural.drop_model('wide')")
        .expect("dropped");
    assert_eq!(text(&mut client, shown), "t|t");
}

#[test]
fn a_connection_has_little_of_its_own_of_a_large_model() {
    let (cluster, mut client) = start(3000);
    train_wide(&mut client, "narrow", 8);
    let own = |model: &str| {
        let mut client = cluster.superuser();
        score(&mut client, model);
        let pid = backend_pid(&mut client);
        // What the statement had is given back by the end of its transaction.
        anonymous_memory(pid)
    };
    let made = own("wide");
    let (narrow, wide) = (own("narrow"), own("wide"));
    println!(
        "of its own: {} kB with the small model, {} kB with the large one, {} kB after making its file",
        narrow / 1024,
        wide / 1024,
        made / 1024
    );
    assert!(wide < narrow + 200_000, "{wide} and {narrow} bytes");
    assert!(made < narrow + 500_000, "{made} and {narrow} bytes");
}

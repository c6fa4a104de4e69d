//! A disk that is full: an error of the statement, or at worst of the server, and nothing that was
//! stored is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::Client;
use postgres::error::SqlState;

use super::left;
use crate::fixture::{count, create_loans, score, stored_rows, train};
use crate::harness::{Cluster, SUPERUSER, error_of, succeeds, wait_until};

/// A small disk in memory, gone on drop.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one of so many megabytes; nothing where this is refused, as in most containers.
    fn mount(cluster: &Cluster, place: &Path, megabytes: usize) -> Option<Self> {
        fs::create_dir_all(place).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "pgn"]);
        let output = mount.arg(place).output();
        let refused = match output {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = refused {
            println!("SKIPPED: a full disk is not tested here, mounting is refused: {why}");
            return None;
        }
        let disk = Self(place.to_owned());
        cluster.own(place);
        fs::set_permissions(place, fs::Permissions::from_mode(0o700)).expect("chmod");
        Some(disk)
    }

    fn resize(&self, megabytes: usize) {
        let options = format!("remount,size={megabytes}m");
        succeeds(Command::new("mount").args(["-o", &options]).arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The server may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A model whose artifact has some megabytes.
fn train_wide(client: &mut Client, model: &str, units: usize) -> Result<(), SqlState> {
    let sql = format!(
        "SET neural.max_memory = '1GB';
         SELECT neural.train('{model}', 'SELECT age, amount, purpose, bad FROM loan LIMIT 64', 'bad',
             epochs => 1, validation => 0, seed => 1, architecture => '{{\"layers\": [
                 {{\"type\": \"dense\", \"units\": {units}}}, {{\"type\": \"dense\", \"units\": {units}}}]}}',
             options => '{{\"verbose\": false, \"members\": 1}}')"
    );
    let result = client.batch_execute(&sql);
    result.map_err(|error| match error.as_db_error() {
        Some(error) => error.code().clone(),
        None => SqlState::CONNECTION_FAILURE,
    })
}

#[test]
fn no_room_for_temporary_files() {
    let cluster = Cluster::with_extension(&[]);
    let Some(disk) = Disk::mount(&cluster, &cluster.data().join("base/pgsql_tmp"), 4) else {
        return;
    };
    let mut client = cluster.superuser();
    create_loans(&mut client, 300);
    train(&mut client, "risk", 1);
    train_wide(&mut client, "wide", 600).expect("a large model");
    let (rows, risk) = (stored_rows(&mut client), score(&mut client, "risk"));
    let mut fresh = cluster.superuser();
    fresh
        .batch_execute("SET neural.shared_models = 0")
        .expect("a setting");
    let wide = score(&mut fresh, "wide");
    let (code, message) = error_of(
        &mut client,
        "SET neural.max_memory = '12MB';
         SELECT neural.train('long', 'SELECT sin(i) AS a, cos(i) AS b, sin(i * 0.7) AS c, i % 3 = 0 AS y
             FROM generate_series(1, 600000) AS i', 'y', epochs => 1, options => '{\"verbose\": false}')",
    );
    assert_eq!(code, SqlState::DISK_FULL, "{message}");
    // The error is told before the transaction has ended.
    assert_eq!(stored_rows(&mut client), rows);
    assert_eq!(left::files(&cluster), Vec::<String>::new());
    // Where no file can be shared, each connection has the model for itself.
    fs::write(disk.0.join("filler"), vec![1; 5 << 20]).expect_err("the disk is full");
    for _ in 0..2 {
        let mut client = cluster.superuser();
        assert_eq!(score(&mut client, "wide").to_bits(), wide.to_bits());
        let shared = "SELECT sum(shared_bytes)::bigint FROM neural.model_cache_info()";
        assert_eq!(count(&mut client, shared), 0);
    }
    fs::remove_file(disk.0.join("filler")).expect("room");
    drop(client);
    let mut client = cluster.superuser();
    assert_eq!(score(&mut client, "wide").to_bits(), wide.to_bits());
    assert_eq!(left::files(&cluster).len(), 1);
    assert_eq!(score(&mut client, "risk").to_bits(), risk.to_bits());
    assert_eq!(stored_rows(&mut client), rows);
    drop(fresh);
    left::nothing(&cluster, &mut client);
    drop(disk);
}

#[test]
fn no_room_for_models() {
    let cluster = Cluster::with_extension(&[]);
    let place = cluster.directory().join("small");
    let Some(disk) = Disk::mount(&cluster, &place, 40) else {
        return;
    };
    let mut admin = cluster.superuser();
    let create = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    admin.batch_execute(&create).expect("a tablespace");
    admin
        .batch_execute("CREATE DATABASE small TABLESPACE small")
        .expect("a database");
    drop(admin);
    // What an administrator would delete first: VACUUM itself takes a little room.
    let reserve = place.join("reserve");
    fs::write(&reserve, vec![1; 1 << 20]).expect("a reserve");
    let mut client = cluster.connect(SUPERUSER, "small");
    // The template came with the extension or without.
    client
        .batch_execute("CREATE EXTENSION IF NOT EXISTS pg_neural")
        .expect("the extension");
    create_loans(&mut client, 300);
    train(&mut client, "risk", 1);
    let mut answers = vec![("risk".to_owned(), score(&mut client, "risk"))];
    let failed = (0..20).find_map(|number| {
        let model = format!("wide{number}");
        match train_wide(&mut client, &model, 900 + number) {
            Ok(()) => {
                answers.push((model.clone(), score(&mut client, &model)));
                None
            }
            Err(code) => Some((model, code)),
        }
    });
    let (failed, code) = failed.expect("a disk of 40 MB does not hold 20 models of 3 MB");
    assert_eq!(code, SqlState::DISK_FULL);
    assert!(answers.len() > 2, "only {answers:?}");
    let (code, _) = error_of(
        &mut client,
        &format!("SELECT neural.predict('{failed}', 1, 2, 'car')"),
    );
    assert_eq!(code, SqlState::UNDEFINED_OBJECT);
    let check = |client: &mut Client, answers: &[(String, f64)]| {
        for (model, answer) in answers {
            assert_eq!(score(client, model).to_bits(), answer.to_bits(), "{model}");
        }
    };
    check(&mut client, &answers);
    // Calling and dropping take no room, and what is dropped makes some.
    let (model, _) = answers.pop().expect("a model");
    client
        .batch_execute(&format!("SELECT neural.drop_model('{model}')"))
        .expect("dropped");
    fs::remove_file(reserve).expect("the reserve");
    client.batch_execute("VACUUM _neural.chunk").expect("room");
    train_wide(&mut client, &failed, 800).expect("there is room again");
    check(&mut client, &answers);
    check(&mut cluster.connect(SUPERUSER, "small"), &answers);
    left::nothing(&cluster, &mut client);
    drop(client);
    cluster.stop();
    drop(disk);
}

#[test]
fn no_room_for_the_log_fells_the_server_and_loses_nothing() {
    let cluster = Cluster::with_extension(&["min_wal_size = '32MB'", "max_wal_size = '32MB'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 300);
    train(&mut client, "risk", 1);
    let mut answers = vec![("risk".to_owned(), score(&mut client, "risk"))];
    drop(client);
    cluster.stop();
    let (here, there) = (
        cluster.data().join("pg_wal"),
        cluster.directory().join("wal"),
    );
    let Some(disk) = Disk::mount(&cluster, &there, 80) else {
        return;
    };
    let mut copy = cluster.server_user_program("cp");
    succeeds(copy.arg("-a").arg(here.join(".")).arg(&there));
    fs::remove_dir_all(&here).expect("removed");
    std::os::unix::fs::symlink(&there, &here).expect("a link");
    cluster.launch();
    let mut client = cluster.superuser();
    // Segments that nobody fetches stay.
    client
        .batch_execute("SELECT pg_create_physical_replication_slot('nobody', true)")
        .expect("a slot");
    for number in 0..40 {
        let model = format!("wide{number}");
        if let Err(code) = train_wide(&mut client, &model, 900 + number) {
            let expected = [SqlState::DISK_FULL, SqlState::CONNECTION_FAILURE];
            assert!(expected.contains(&code), "{code:?}");
            break;
        }
        let answer = client.query_one(
            &format!("SELECT neural.predict('{model}', 35, 1200, 'car')"),
            &[],
        );
        match answer {
            Ok(row) => answers.push((model, row.get(0))),
            Err(_) => break,
        }
    }
    assert!(answers.len() > 2, "only {answers:?}");
    wait_until("the server falls", || {
        cluster.log().contains("No space left on device")
    });
    drop(client);
    disk.resize(400);
    cluster.revive();
    let mut client = cluster.superuser();
    for (model, answer) in &answers {
        assert_eq!(
            score(&mut client, model).to_bits(),
            answer.to_bits(),
            "{model}"
        );
    }
    train(&mut client, "risk", 2);
    left::nothing(&cluster, &mut client);
    drop(client);
    cluster.stop();
    drop(disk);
}

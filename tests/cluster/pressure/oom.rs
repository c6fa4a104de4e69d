//! The system's memory is used up, and it ends a process of the server's.

use std::fs;
use std::path::{Path, PathBuf};

use super::left;
use crate::fixture::{create_loans, score, stored_rows, train};
use crate::harness::Cluster;

/// A group of processes with a limit to their memory, gone on drop.
struct Group(PathBuf);

impl Group {
    /// Makes one; nothing where this is refused, as in most containers.
    fn with_limit(megabytes: u64) -> Option<Self> {
        let first = Path::new("/sys/fs/cgroup/memory");
        let name = format!("pgn-{}", std::process::id());
        let (place, file) = if first.is_dir() {
            (first.join(name), "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup").join(name), "memory.max")
        };
        let made = fs::create_dir(&place)
            .and_then(|()| fs::write(place.join(file), (megabytes << 20).to_string()));
        match made {
            Ok(()) => Some(Self(place)),
            Err(error) => {
                println!("SKIPPED: used up memory is not tested here, no group is made: {error}");
                let _ = fs::remove_dir(&place);
                None
            }
        }
    }

    fn add(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a process joins");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_training_that_the_system_ends_takes_nothing_with_it() {
    let Some(group) = Group::with_limit(250) else {
        return;
    };
    let cluster = Cluster::with_extension(&["shared_buffers = '16MB'"]);
    let mut client = cluster.superuser();
    create_loans(&mut client, 300);
    train(&mut client, "risk", 1);
    // The numbers of a name outlive the model.
    train(&mut client, "other", 1);
    client
        .batch_execute("SELECT neural.drop_model('other')")
        .expect("dropped");
    let (rows, answer) = (stored_rows(&mut client), score(&mut client, "risk"));
    drop(client);
    // What it starts from here on is in the group as well.
    group.add(cluster.postmaster());
    for round in 0..2 {
        let mut victim = cluster.superuser();
        cluster.fells_the_server(|| {
            victim
                .batch_execute(
                    "SET neural.max_memory = '8GB';
                     SELECT neural.train('large', 'SELECT age, amount, purpose, bad FROM loan', 'bad', epochs => 1,
                         architecture => '{\"layers\": [{\"type\": \"dense\", \"units\": 8000}, {\"type\": \"dense\", \"units\": 8000}]}',
                         options => '{\"verbose\": false, \"members\": 1}')",
                )
                .expect_err("250 MB are not enough");
        });
        let mut client = cluster.superuser();
        assert_eq!(score(&mut client, "risk").to_bits(), answer.to_bits());
        assert_eq!(stored_rows(&mut client), rows);
        train(&mut client, "other", round);
        client
            .batch_execute("SELECT neural.drop_model('other')")
            .expect("dropped");
        drop(victim);
        left::nothing(&cluster, &mut client);
    }
    assert!(cluster.log().contains("terminated by signal 9"));
    drop(cluster);
}

//! What is left behind, of which there should be nothing.

use std::fs;

use postgres::Client;

use crate::fixture::text;
use crate::harness::{Cluster, wait_until};

/// Rows that belong to nothing.
const ORPHANS: &str = "
    SELECT concat_ws(', ',
        'chunks ' || nullif((SELECT count(*) FROM _neural.chunk c WHERE NOT EXISTS (SELECT FROM _neural.version v WHERE v.id = c.version)), 0),
        'epochs ' || nullif((SELECT count(*) FROM _neural.epoch e WHERE NOT EXISTS (SELECT FROM _neural.version v WHERE v.id = e.version)), 0),
        'deployments ' || nullif((SELECT count(*) FROM _neural.deployment d WHERE NOT EXISTS (SELECT FROM _neural.version v WHERE v.id = d.version)), 0),
        'versions ' || nullif((SELECT count(*) FROM _neural.version v WHERE NOT EXISTS (SELECT FROM _neural.model m WHERE m.id = v.model)), 0),
        'grants ' || nullif((SELECT count(*) FROM _neural.model_grant g WHERE NOT EXISTS (SELECT FROM _neural.model m WHERE m.id = g.model)), 0),
        'deployed nothing ' || nullif((SELECT count(*) FROM _neural.model m WHERE NOT EXISTS
            (SELECT FROM _neural.version v WHERE v.id = m.deployed AND v.model = m.id)), 0),
        'deployed otherwise ' || nullif((SELECT count(*) FROM _neural.model m WHERE m.deployed IS DISTINCT FROM
            (SELECT d.version FROM _neural.deployment d WHERE d.model = m.id ORDER BY d.id DESC LIMIT 1)), 0),
        'numbers ' || nullif((SELECT count(*) FROM _neural.model m JOIN _neural.version v ON v.model = m.id
            LEFT JOIN _neural.numbering n ON n.name = m.name WHERE coalesce(n.last, 0) < v.number), 0),
        'sizes ' || nullif((SELECT count(*) FROM _neural.version v WHERE v.size_bytes IS DISTINCT FROM
            (SELECT sum(length(c.bytes)) FROM _neural.chunk c WHERE c.version = v.id)), 0),
        'hashes ' || nullif((SELECT count(*) FROM _neural.version v WHERE v.sha256 IS DISTINCT FROM
            (SELECT sha256(string_agg(c.bytes, '' ORDER BY c.number)) FROM _neural.chunk c WHERE c.version = v.id)), 0),
        'locks ' || nullif((SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype <> 'virtualxid'), 0),
        'sessions ' || nullif((SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type NOT IN
            ('autovacuum launcher', 'autovacuum worker', 'logical replication launcher', 'background writer', 'checkpointer',
             'walwriter', 'io worker')), 0))";

/// Names of temporary files.
pub(super) fn files(cluster: &Cluster) -> Vec<String> {
    let Ok(entries) = fs::read_dir(cluster.data().join("base/pgsql_tmp")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Processes that the server started.
fn processes(cluster: &Cluster) -> usize {
    let parent = format!(" {} ", cluster.postmaster());
    let entries = fs::read_dir("/proc").expect("the processes");
    let stats =
        entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    // The command's name, in parentheses, may hold anything; state and parent are behind it.
    stats
        .filter(|stat| {
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest[2..].starts_with(&parent))
        })
        .count()
}

/// Asserts that once all other connections are closed nothing is left but what the models need.
pub(super) fn nothing(cluster: &Cluster, client: &mut Client) {
    wait_until("the other connections end", || {
        let activity = "SELECT (count(*) FILTER (WHERE backend_type = 'client backend') = 1)::text FROM pg_stat_activity";
        text(client, activity) == "true"
    });
    let mut seen = String::new();
    let clean = std::iter::repeat_with(|| text(client, ORPHANS))
        .take(50)
        .any(|told| {
            // The lock of an autovacuum, say.
            let clean = told.is_empty();
            seen = told;
            if !clean {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            clean
        });
    assert!(clean, "left behind: {seen}");
    let hashes = text(
        client,
        "SELECT coalesce(string_agg(encode(sha256, 'hex'), ' '), '') FROM neural.model_versions",
    );
    let strange: Vec<String> = files(cluster)
        .into_iter()
        .filter(|name| {
            !name
                .strip_prefix("pgsql_tmp_neural.")
                .is_some_and(|rest| hashes.contains(&rest[..64]))
        })
        .collect();
    assert!(strange.is_empty(), "files left behind: {strange:?}");
    wait_until("no process is left behind", || {
        let known = "SELECT count(*)::text FROM pg_stat_activity";
        text(client, known).parse::<usize>().expect("a number") >= processes(cluster)
    });
}

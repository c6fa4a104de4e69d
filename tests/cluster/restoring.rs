//! Databases to restore dumps into.

use std::path::Path;
use std::process::Command;

use crate::harness::{Cluster, succeeds};

/// A database to restore into.
pub fn database<'a>(cluster: &Cluster, name: &'a str) -> &'a str {
    cluster
        .superuser()
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .unwrap();
    name
}

/// Runs pg_restore as the superuser, up to the first error.
pub fn pg_restore(cluster: &Cluster, database: &str, options: &[&str], file: &Path) {
    let mut restore: Command = cluster.program("pg_restore");
    restore.args(["--exit-on-error", "--dbname", database]);
    succeeds(restore.args(options).arg(file));
}

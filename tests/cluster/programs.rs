//! Where the server's programs are, and who runs them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the server's programs are.
pub fn programs() -> PathBuf {
    let pg_config = env::var_os("PGN_PG_CONFIG")
        .expect("PGN_PG_CONFIG must name the pg_config of a server with the extension installed");
    programs_of(Path::new(&pg_config))
}

pub fn programs_of(pg_config: &Path) -> PathBuf {
    let output = succeeds(Command::new(pg_config).arg("--bindir"));
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim_end())
}

/// The user and group to run the server as: `postgres` for root, otherwise nobody else.
pub fn server_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = succeeds(Command::new("id").args(arguments));
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse::<u32>()
            .expect("a number from id")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

/// Runs a program that must succeed.
pub fn succeeds(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

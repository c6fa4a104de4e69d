//! Private clusters for tests: started with the settings a test asks for, gone when it ends.
//!
//! `make test` builds and installs the extension first. By hand, with it installed already:
//!
//! ```text
//! PGN_PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config \
//!     cargo test --no-default-features --features cluster-tests --test cluster
//! ```
//!
//! `PGN_PG_CONFIG` names the server, `PGN_DIRECTORY` where the clusters go (`/tmp`; short, since
//! socket paths end at 107 bytes, and open to the server's user), `PGN_PSQL` another psql. Whoever names
//! the directory removes what is left in it: the files that clusters are copies of.

// Each test file uses its part of the harness.
#![allow(dead_code)]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::mem;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

pub use crate::programs::succeeds;
use crate::programs::{programs, programs_of, server_user};

/// How long anything that should be quick may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user that creates the cluster.
pub const SUPERUSER: &str = "postgres";

/// A running server with a data directory and a socket of its own, stopped and removed on drop.
pub struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
}

impl Cluster {
    /// Starts a cluster with the server's defaults.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a cluster whose postgresql.conf ends with these settings, as in
    /// `Cluster::with(&["shared_preload_libraries = 'pg_neural'"])`.
    ///
    /// `fsync` is off unless a setting turns it on: after a crash of the server, though not of the
    /// machine, nothing is lost.
    pub fn with(settings: &[&str]) -> Self {
        let cluster = Self::place(programs());
        cluster.init(&[]);
        cluster.configure(settings);
        cluster.launch();
        cluster
    }

    /// Starts a cluster and creates the extension in its database `postgres`.
    ///
    /// Where the tests have a directory of their own it is a copy of the first such cluster, with the same
    /// system identifier: `initdb` and `CREATE EXTENSION` take longer. One that is to be another server
    /// comes from [`Cluster::with`].
    pub fn with_extension(settings: &[&str]) -> Self {
        static FIRST: OnceLock<PathBuf> = OnceLock::new();
        if env::var_os("PGN_DIRECTORY").is_none() {
            let cluster = Self::with(settings);
            cluster.create_extension();
            return cluster;
        }
        let first = FIRST.get_or_init(|| {
            let cluster = Self::start();
            cluster.create_extension();
            cluster.stop();
            let data = cluster.data();
            mem::forget(cluster);
            data
        });
        let cluster = Self::place(programs());
        let mut copy = cluster.server_user_program("cp");
        succeeds(copy.arg("-a").arg(first).arg(cluster.data()));
        cluster.configure(settings);
        cluster.launch();
        cluster
    }

    fn create_extension(&self) {
        self.superuser()
            .batch_execute("CREATE EXTENSION pg_neural")
            .expect("the extension");
    }

    fn init(&self, options: &[&str]) {
        let mut initdb = self.server_program("initdb");
        initdb.arg("--pgdata").arg(self.data());
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        succeeds(initdb.args(["--locale=C.UTF-8", "--no-sync"]).args(options));
    }

    /// A directory for a cluster; from here on dropping it cleans up, whatever fails later.
    fn place(programs: PathBuf) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = env::var_os("PGN_DIRECTORY").map_or_else(|| "/tmp".into(), PathBuf::from);
        let cluster = Self {
            directory: parent.join(format!("pgn-{}-{number}", std::process::id())),
            programs,
            owner: server_user(),
        };
        fs::create_dir(&cluster.directory).expect("a fresh directory for the cluster");
        fs::set_permissions(&cluster.directory, fs::Permissions::from_mode(0o755)).expect("chmod");
        if let Some((user, group)) = cluster.owner {
            chown(&cluster.directory, Some(user), Some(group)).expect("chown");
        }
        cluster
    }

    fn configure(&self, settings: &[&str]) {
        let mut configuration = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\n",
            self.directory.display()
        );
        for setting in settings {
            configuration.push_str(setting);
            configuration.push('\n');
        }
        append(&self.data().join("postgresql.conf"), &configuration);
    }

    /// Starts a hot standby of this cluster, which must be dropped before it.
    pub fn standby(&self) -> Self {
        let cluster = Self::place(programs());
        let mut backup = cluster.server_program("pg_basebackup");
        self.address(&mut backup);
        backup.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        succeeds(backup.arg("--pgdata").arg(cluster.data()));
        cluster.configure(&[]);
        cluster.launch();
        cluster
    }

    /// Stops this cluster and starts one of another server that pg_upgrade has made of it.
    pub fn upgraded(&self, pg_config: &Path) -> Self {
        let cluster = Self::place(programs_of(pg_config));
        // Newer servers have checksums unless they are told, and both must agree.
        cluster.init(&["--no-data-checksums"]);
        self.halt("fast");
        let mut upgrade = cluster.server_program("pg_upgrade");
        upgrade.current_dir(&cluster.directory);
        upgrade.arg("--old-bindir").arg(&self.programs);
        upgrade.arg("--new-bindir").arg(&cluster.programs);
        upgrade.arg("--old-datadir").arg(self.data());
        upgrade.arg("--new-datadir").arg(cluster.data());
        upgrade.arg("--socketdir").arg(&cluster.directory);
        succeeds(upgrade.args(["--username=postgres", "--jobs=2", "--no-sync"]));
        cluster.configure(&[]);
        cluster.launch();
        cluster
    }

    /// Waits until the standby shows what this cluster has committed.
    pub fn wait_for(&self, standby: &Self) {
        let row = self
            .superuser()
            .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
            .expect("the position");
        let position: String = row.get(0);
        let mut client = standby.superuser();
        wait_until("the standby catches up", || {
            let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
            let row = client.query_one(&sql, &[]).expect("the position");
            row.get::<_, Option<bool>>(0) == Some(true)
        });
    }

    /// Connects to the database `postgres` as its superuser.
    pub fn superuser(&self) -> Client {
        self.connect(SUPERUSER, "postgres")
    }

    /// Connects to the database `postgres` as this role, which must exist and have LOGIN.
    pub fn role(&self, role: &str) -> Client {
        self.connect(role, "postgres")
    }

    /// Connects as a role to a database.
    pub fn connect(&self, role: &str, database: &str) -> Client {
        self.config(role, database)
            .connect(NoTls)
            .expect("a connection")
    }

    /// Connects as the superuser, and gathers the notices the server sends.
    pub fn with_notices(&self) -> (Client, Arc<Mutex<Vec<String>>>) {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notices);
        let client = self
            .config(SUPERUSER, "postgres")
            .notice_callback(move |notice| {
                sink.lock()
                    .expect("the notices")
                    .push(notice.message().to_owned());
            })
            .connect(NoTls)
            .expect("a connection");
        (client, notices)
    }

    /// The parameters of a connection, for a test that sets more of them.
    pub fn config(&self, role: &str, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.directory)
            .port(5432)
            .user(role)
            .dbname(database);
        config.connect_timeout(PATIENCE);
        config
    }

    /// Runs an SQL script through psql as the superuser, stopping at the first error, and returns
    /// what it printed (unaligned, tuples only).
    ///
    /// Panics with psql's messages when the script fails.
    pub fn psql(&self, script: &str) -> String {
        let output = self.try_psql(script);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("psql prints UTF-8")
    }

    /// Like [`Cluster::psql`], for scripts that may fail.
    pub fn try_psql(&self, script: &str) -> Output {
        self.psql_command(script).output().expect("psql runs")
    }

    /// psql with a script, not started yet.
    pub fn psql_command(&self, script: &str) -> Command {
        let psql = env::var_os("PGN_PSQL").map_or_else(|| self.programs.join("psql"), Into::into);
        let mut command = Command::new(psql);
        self.address(&mut command);
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        command.args(["--set", "ON_ERROR_STOP=1", "--command", script]);
        command.stdin(Stdio::null());
        command
    }

    /// Dumps a database into a file of that name in the cluster's directory.
    pub fn dump(&self, database: &str, file: &str, options: &[&str]) -> PathBuf {
        let path = self.directory.join(file);
        let mut command = self.program("pg_dump");
        command.args(options).arg("--file").arg(&path).arg(database);
        succeeds(&mut command);
        path
    }

    /// Runs an SQL file in a database through psql as the superuser, stopping at the first error.
    pub fn psql_file(&self, database: &str, file: &Path) {
        let psql = env::var_os("PGN_PSQL").map_or_else(|| self.programs.join("psql"), Into::into);
        let mut command = Command::new(psql);
        self.address(&mut command);
        command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]);
        command.args(["--dbname", database, "--file"]).arg(file);
        succeeds(&mut command);
    }

    /// One of the server's client programs (`pg_dump`, `pg_basebackup`, …), set up to connect to
    /// this cluster as its superuser.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        self.address(&mut command);
        command
    }

    /// The cluster's own directory, which the server's user owns: room for a test's files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server's log until now.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Stops the server (`fast` finishes cleanly, `immediate` is a crash) and starts it again.
    pub fn restart(&self, mode: &str) {
        self.halt(mode);
        self.launch();
    }

    /// Starts the server again, whether it runs, fell, or is falling.
    pub fn revive(&self) {
        let mut command = self.server_program("pg_ctl");
        command.args(["stop", "--wait", "--silent", "--mode=immediate", "--pgdata"]);
        // There may be nothing to stop.
        let _ = command.arg(self.data()).output();
        self.launch();
    }

    /// Stops the server cleanly.
    pub fn stop(&self) {
        self.halt("fast");
    }

    /// Restarts the server with variables in its environment.
    pub fn restart_with(&self, environment: &[(&str, &OsStr)]) {
        self.halt("fast");
        self.launch_with(environment);
    }

    /// Restarts the server, which must not start; what its log then says more.
    pub fn fails_to_restart(&self) -> String {
        self.halt("fast");
        let before = self.log().len();
        let mut command = self.server_program("pg_ctl");
        command.args(["start", "--wait", "--silent", "--pgdata"]);
        command.arg(self.data()).arg("--log").arg(self.log_file());
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().expect("pg_ctl runs");
        assert!(!status.success(), "the server started");
        self.log().split_off(before)
    }

    /// Starts the server again after [`Cluster::fails_to_restart`].
    pub fn start_again(&self) {
        self.launch();
    }

    /// Gives a file to the server's user.
    pub fn own(&self, file: &Path) {
        if let Some((user, group)) = self.owner {
            chown(file, Some(user), Some(group)).expect("chown");
        }
    }

    /// Kills a backend with SIGKILL, which makes the postmaster restart all others, and returns
    /// once the server has recovered and takes connections again.
    pub fn kill_backend(&self, pid: i32) {
        self.fells_the_server(|| {
            succeeds(Command::new("kill").args(["-KILL", &pid.to_string()]));
        });
    }

    /// Does what makes the server restart, and returns once it takes connections again.
    pub fn fells_the_server(&self, what: impl FnOnce()) {
        // Until this connection breaks, the postmaster has not noticed.
        let mut witness = self.superuser();
        what();
        wait_until("the server notices the kill", || {
            witness.simple_query("SELECT 1").is_err()
        });
        wait_until("the server recovers", || {
            self.config(SUPERUSER, "postgres").connect(NoTls).is_ok()
        });
    }

    /// The process that started all others of the server.
    pub fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid"));
        let pid = file.ok().and_then(|text| text.lines().next()?.parse().ok());
        pid.expect("the server runs")
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Starts the server.
    pub fn launch(&self) {
        self.launch_with(&[]);
    }

    fn launch_with(&self, environment: &[(&str, &OsStr)]) {
        let mut command = self.server_program("pg_ctl");
        command.envs(environment.iter().copied());
        command
            .args(["start", "--wait", "--silent", "--pgdata"])
            .arg(self.data());
        command.arg("--log").arg(self.log_file());
        // The postmaster would keep pipes of ours open.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = command.status().expect("pg_ctl runs");
        assert!(
            status.success(),
            "the server did not start:\n{}",
            self.log()
        );
    }

    /// Stops the server: `fast` finishes cleanly, `immediate` is a crash.
    pub fn halt(&self, mode: &str) {
        let mut command = self.server_program("pg_ctl");
        command
            .args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"])
            .arg(self.data());
        succeeds(&mut command);
    }

    /// A program that must not run as root, started as the server's user.
    fn server_program(&self, name: &str) -> Command {
        self.server_user_program(self.programs.join(name))
    }

    /// A program of the system's, started as the server's user.
    pub fn server_user_program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        // Backtraces would end up in the DETAIL of every error.
        command.env_remove("RUST_BACKTRACE");
        command
    }

    fn address(&self, command: &mut Command) {
        command.env("PGHOST", &self.directory).env("PGPORT", "5432");
        command
            .env("PGUSER", SUPERUSER)
            .env("PGDATABASE", "postgres");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(30)..];
            eprintln!("--- the end of the server's log\n{}\n---", tail.join("\n"));
        }
        if self.data().join("postmaster.pid").exists() {
            let mut command = self.server_program("pg_ctl");
            command.args(["stop", "--wait", "--silent", "--mode=immediate", "--pgdata"]);
            // A failure here must not hide the test's own.
            let _ = command.arg(self.data()).output();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The process that serves a connection.
pub fn backend_pid(client: &mut Client) -> i32 {
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("the backend's pid")
        .get(0)
}

/// Runs SQL that must fail, and returns its SQLSTATE and message.
pub fn error_of(client: &mut Client, sql: &str) -> (SqlState, String) {
    let error = client
        .batch_execute(sql)
        .expect_err("the statement must fail");
    let error = error.as_db_error().expect("an error of the server's");
    (error.code().clone(), error.message().to_owned())
}

/// Cancels what a connection runs, after a while, from a thread of its own; joining it tells when
/// the request was sent.
pub fn cancel_after(client: &Client, delay: Duration) -> thread::JoinHandle<Instant> {
    let token = client.cancel_token();
    thread::spawn(move || {
        thread::sleep(delay);
        let sent = Instant::now();
        token.cancel_query(NoTls).expect("the request to cancel");
        // The server signals a backend and then its process group: who waits for this thread before
        // the next statement has both behind him.
        thread::sleep(Duration::from_millis(100));
        sent
    })
}

/// Polls until the condition holds; panics when it does not within a minute.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The rows of a CSV file under tests/data, loaded into a table that exists, through COPY.
pub fn load_csv(client: &mut Client, table: &str, file: &str) {
    use std::io::Write;
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let sql = format!("COPY {table} FROM STDIN (FORMAT csv, HEADER)");
    let mut writer = client.copy_in(&sql).expect("COPY starts");
    writer.write_all(&text).expect("COPY takes the rows");
    writer.finish().expect("COPY ends");
}

fn append(file: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(file)
        .expect("the configuration");
    file.write_all(text.as_bytes())
        .expect("the configuration is written");
}

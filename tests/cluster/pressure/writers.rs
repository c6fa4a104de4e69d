//! Sessions that deploy, train, drop, rename and share models, and note what holds since when.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Error, NoTls};

use super::draw;
use super::readers::{Answers, NAMES, answers};
use super::timeline::{State, Timeline};
use crate::fixture::training;
use crate::harness::{Cluster, SUPERUSER, wait_until};

/// What writers share with those who check.
pub(super) struct Shared<'a> {
    pub(super) cluster: &'a Cluster,
    /// Before anything was asked or changed.
    pub(super) since: Instant,
    pub(super) timelines: [Mutex<Timeline>; NAMES.len()],
    pub(super) versions: Mutex<Vec<Answers>>,
    /// The process that deploys.
    pub(super) deploying: AtomicI32,
    /// Whether models are trained, dropped, renamed and shared, and not only deployed.
    pub(super) all: AtomicBool,
    pub(super) stop: AtomicBool,
}

impl Shared<'_> {
    fn became(&self, name: &str, sent: Instant, state: State) {
        let name = NAMES.iter().position(|known| *known == name);
        let timeline = &self.timelines[name.expect("a name that is called")];
        timeline.lock().expect("a timeline").became(sent, state);
    }

    /// The place of a version's answers.
    fn version(&self, client: &mut Client, version: &str) -> Result<usize, Error> {
        let answers = answers(client, version)?;
        let mut versions = self.versions.lock().expect("the versions");
        Ok(match versions.iter().position(|known| *known == answers) {
            Some(place) => place,
            None => {
                versions.push(answers);
                versions.len() - 1
            }
        })
    }

    fn connect(&self) -> Client {
        let mut client = None;
        wait_until("a writer connects", || {
            client = self
                .cluster
                .config(SUPERUSER, "postgres")
                .connect(NoTls)
                .ok();
            client.is_some()
        });
        client.expect("a connection")
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What one writer does with its connection.
trait Writer {
    /// Changes something, and notes what holds then.
    fn change(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error>;
    /// Notes what holds, after a change of which nobody knows whether it came to pass.
    fn look(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error>;
}

fn run(mut writer: impl Writer, shared: &Shared<'_>, deploys: bool, pause: Duration) -> usize {
    let mut changes = 0;
    let mut client = shared.connect();
    writer
        .look(&mut client, shared, shared.since)
        .expect("the first state");
    let note = |client: &mut Client| {
        if deploys {
            let pid = client.query_one("SELECT pg_backend_pid()", &[]);
            let pid = pid.map_or(0, |row| row.get(0));
            shared.deploying.store(pid, Ordering::Relaxed);
        }
    };
    note(&mut client);
    while !shared.stopped() {
        if !deploys && !shared.all.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let sent = Instant::now();
        match writer.change(&mut client, shared, sent) {
            Ok(()) => changes += 1,
            Err(error) => {
                let code = error
                    .as_db_error()
                    .map(|error| error.code().code().to_owned());
                let lost = code.as_ref().is_none_or(|code| code.starts_with("57P"));
                assert!(lost, "a writer: {error:?}");
                // Until somebody knows what came of it.
                wait_until("a writer goes on", || {
                    client = shared.connect();
                    writer.look(&mut client, shared, sent).is_ok()
                });
                note(&mut client);
            }
        }
        thread::sleep(pause);
    }
    changes
}

/// Deploys versions of `risk`, rolls back, trains more and drops some.
pub(super) fn deploy(shared: &Shared<'_>, seed: u64, pause: Duration) -> usize {
    run(
        Deployer {
            versions: BTreeMap::new(),
            state: seed,
            deployed: 0,
        },
        shared,
        true,
        pause,
    )
}

struct Deployer {
    versions: BTreeMap<i32, usize>,
    state: u64,
    deployed: i32,
}

impl Writer for Deployer {
    fn change(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let what = draw(&mut self.state, 100);
        let all = shared.all.load(Ordering::Relaxed);
        if all && what < 10 {
            let seed = draw(&mut self.state, 1_000_000) as u32;
            let number: i32 = client.query_one(&training("risk", seed), &[])?.get(0);
            let place = shared.version(client, &format!("risk@{number}"))?;
            self.versions.insert(number, place);
            shared.became("risk", sent, State::Version(place));
            self.deployed = number;
        } else if all && what < 20 && self.versions.len() > 4 {
            let number = self
                .versions
                .keys()
                .find(|number| **number != self.deployed);
            let number = *number.expect("another version");
            client.batch_execute(&format!("SELECT neural.drop_model('risk', {number})"))?;
            self.versions.remove(&number);
        } else {
            let place = draw(&mut self.state, self.versions.len() as u64) as usize;
            let number = self.versions.keys().nth(place).expect("a version");
            let deploy = format!("SELECT neural.deploy('risk', {number})");
            // What was deployed before may have been dropped since, and then there is no way back.
            let back = "SELECT neural.rollback('risk')";
            let history = "SELECT count(*) FROM neural.deployments WHERE model = 'risk'";
            let may = client.query_one(history, &[])?.get::<_, i64>(0) > 1;
            let sql = if what.is_multiple_of(5) && may {
                back
            } else {
                &deploy
            };
            self.deployed = client.query_one(sql, &[])?.get(0);
            let place = self.versions[&self.deployed];
            shared.became("risk", sent, State::Version(place));
        }
        Ok(())
    }

    fn look(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let sql = "SELECT version, deployed FROM neural.model_versions WHERE model = 'risk'";
        self.versions.clear();
        for row in client.query(sql, &[])? {
            let number: i32 = row.get(0);
            let place = shared.version(client, &format!("risk@{number}"))?;
            self.versions.insert(number, place);
            if row.get(1) {
                self.deployed = number;
            }
        }
        shared.became("risk", sent, State::Version(self.versions[&self.deployed]));
        Ok(())
    }
}

/// Renames `hop` to `hop2` and back.
pub(super) fn rename(shared: &Shared<'_>, pause: Duration) -> usize {
    run(Renamer, shared, false, pause)
}

struct Renamer;

impl Writer for Renamer {
    fn change(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let held = shared.timelines[1].lock().expect("a timeline").now();
        let (from, to) = if held == State::Absent {
            ("hop2", "hop")
        } else {
            ("hop", "hop2")
        };
        client.batch_execute(&format!("SELECT neural.rename_model('{from}', '{to}')"))?;
        self.look(client, shared, sent)
    }

    fn look(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let sql = "SELECT name FROM neural.models WHERE name LIKE 'hop%'";
        let there: String = client.query_one(sql, &[])?.get(0);
        let place = shared.version(client, &there)?;
        for name in ["hop", "hop2"] {
            let state = if name == there {
                State::Version(place)
            } else {
                State::Absent
            };
            shared.became(name, sent, state);
        }
        Ok(())
    }
}

/// Drops `gone` and makes it anew of one of two large files.
pub(super) fn drop_and_make(shared: &Shared<'_>, pause: Duration) -> usize {
    run(Dropper { round: 0 }, shared, false, pause)
}

struct Dropper {
    round: usize,
}

impl Writer for Dropper {
    fn change(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        self.round += 1;
        let held = shared.timelines[3].lock().expect("a timeline").now();
        if held == State::Absent {
            client.batch_execute(&format!(
                "BEGIN; SELECT neural.import_model('gone', bytes) FROM artifact WHERE number = {};
                 SELECT neural.grant_model('gone', 'reader'); COMMIT",
                self.round / 2 % 2
            ))?;
        } else {
            client.batch_execute("SELECT neural.drop_model('gone')")?;
        }
        self.look(client, shared, sent)
    }

    fn look(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let sql = "SELECT count(*) FROM neural.models WHERE name = 'gone'";
        let state = match client.query_one(sql, &[])?.get::<_, i64>(0) {
            0 => State::Absent,
            _ => State::Version(shared.version(client, "gone")?),
        };
        shared.became("gone", sent, state);
        Ok(())
    }
}

/// Gives and takes the right on `lent`.
pub(super) fn share(shared: &Shared<'_>, pause: Duration) -> usize {
    run(Lender, shared, false, pause)
}

struct Lender;

impl Writer for Lender {
    fn change(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let held = shared.timelines[4].lock().expect("a timeline").now();
        let verb = if held == State::Denied {
            "grant"
        } else {
            "revoke"
        };
        client.batch_execute(&format!("SELECT neural.{verb}_model('lent', 'reader')"))?;
        self.look(client, shared, sent)
    }

    fn look(
        &mut self,
        client: &mut Client,
        shared: &Shared<'_>,
        sent: Instant,
    ) -> Result<(), Error> {
        let sql = "SELECT count(*) FROM neural.model_grants WHERE model = 'lent'";
        let state = match client.query_one(sql, &[])?.get::<_, i64>(0) {
            0 => State::Denied,
            _ => State::Version(shared.version(client, "lent")?),
        };
        shared.became("lent", sent, state);
        Ok(())
    }
}

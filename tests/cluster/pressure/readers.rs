//! Sessions that call models, and what they were told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use postgres::error::SqlState;
use postgres::{Client, Error, NoTls, Statement};

use super::draw;
use super::timeline::{State, Timeline};
use crate::harness::{Cluster, wait_until};

/// The names that are called.
pub(super) const NAMES: [&str; 5] = ["risk", "hop", "hop2", "gone", "lent"];

/// Ways of calling.
pub(super) const WAYS: usize = 5;
const BATCH: usize = 1;
const FUNCTION: usize = 2;
const REPEATED: usize = 4;

/// What a version answers: to a call for one row, to one for a table, and to both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) single: u64,
    pub(super) batch: u64,
}

impl Answers {
    fn to(self, way: usize) -> u64 {
        match way {
            BATCH => self.batch,
            REPEATED => both(self.single, self.batch),
            _ => self.single,
        }
    }
}

fn both(single: u64, batch: u64) -> u64 {
    single.rotate_left(1) ^ batch
}

const SINGLE: &str = "SELECT neural.predict($1, 35, 1200, 'car')";
const TABLE: &str = "SELECT md5(string_agg(p::text, ',' ORDER BY id))
    FROM (SELECT id, neural.predict($1, age, amount, purpose) AS p FROM loan) AS s";

/// What a version answers, to be compared with what readers are told.
pub(super) fn answers(client: &mut Client, version: &str) -> Result<Answers, Error> {
    let single: f64 = client.query_one(SINGLE, &[&version])?.get(0);
    Ok(Answers {
        single: single.to_bits(),
        batch: digest(client.query_one(TABLE, &[&version])?.get(0)),
    })
}

fn digest(md5: &str) -> u64 {
    u64::from_str_radix(&md5[..16], 16).expect("a digest")
}

/// What a statement told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Answer(u64),
    Absent,
    Denied,
    /// The connection was lost.
    Lost,
    Error(String),
}

/// A statement, when it ran, and what it told.
#[derive(Clone, Debug)]
pub(super) struct Record {
    name: usize,
    way: usize,
    start: Instant,
    end: Instant,
    told: Told,
}

impl Record {
    /// What is wrong with it, seen what held while it ran.
    pub(super) fn wrong(
        &self,
        timelines: &[Timeline],
        versions: &[Answers],
        faults: &[(Instant, Instant)],
    ) -> Option<String> {
        let mut states = timelines[self.name].during(self.start, self.end);
        let fits = match &self.told {
            Told::Answer(answer) => states.any(
                |state| matches!(state, State::Version(v) if versions[v].to(self.way) == *answer),
            ),
            Told::Absent => states.any(|state| state == State::Absent),
            Told::Denied => states.any(|state| state == State::Denied),
            Told::Lost => faults
                .iter()
                .any(|(from, to)| *from <= self.end && self.start <= *to),
            Told::Error(_) => false,
        };
        (!fits).then(|| {
            let states: Vec<State> = timelines[self.name].during(self.start, self.end).collect();
            let (name, way) = (NAMES[self.name], self.way);
            let known = match self.told {
                Told::Answer(told) => versions.iter().position(|v| v.to(way) == told),
                _ => None,
            };
            let took = self.end - self.start;
            let told = match &self.told {
                Told::Error(message) => message.clone(),
                other => format!("{other:?}"),
            };
            format!(
                "{name}, way {way}, {took:?}: {told}, of version {known:?}; then held {states:?}"
            )
        })
    }

    pub(super) fn is_answer(&self) -> bool {
        matches!(self.told, Told::Answer(_))
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.told, Told::Lost)
    }
}

/// A session with its prepared statements.
struct Session {
    client: Client,
    single: Statement,
    table: Statement,
    plpgsql: Statement,
}

impl Session {
    fn new(cluster: &Cluster) -> Result<Self, Error> {
        let mut client = cluster.config("reader", "postgres").connect(NoTls)?;
        Ok(Self {
            single: client.prepare(SINGLE)?,
            table: client.prepare(TABLE)?,
            plpgsql: client.prepare("SELECT in_plpgsql($1)")?,
            client,
        })
    }

    fn call(&mut self, name: &str, way: usize) -> Result<u64, Error> {
        let client = &mut self.client;
        let bits = |row: postgres::Row| row.get::<_, f64>(0).to_bits();
        match way {
            BATCH => Ok(digest(client.query_one(&self.table, &[&name])?.get(0))),
            FUNCTION => {
                let sql = format!("SELECT call_{name}(35, 1200, 'car')");
                Ok(bits(client.query_one(&sql, &[])?))
            }
            3 => Ok(bits(client.query_one(&self.plpgsql, &[&name])?)),
            REPEATED => {
                let mut transaction = client
                    .build_transaction()
                    .isolation_level(postgres::IsolationLevel::RepeatableRead)
                    .start()?;
                let single = bits(transaction.query_one(&self.single, &[&name])?);
                let table = transaction.query_one(&self.table, &[&name])?;
                transaction.commit()?;
                Ok(both(single, digest(table.get(0))))
            }
            _ => Ok(bits(client.query_one(&self.single, &[&name])?)),
        }
    }
}

fn told(result: Result<u64, Error>) -> Told {
    match result {
        Ok(answer) => Told::Answer(answer),
        Err(error) => match error.as_db_error() {
            Some(db) if *db.code() == SqlState::UNDEFINED_OBJECT => Told::Absent,
            Some(db) if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE => Told::Denied,
            Some(db) if db.code().code().starts_with("57P") => Told::Lost,
            Some(db) => Told::Error(format!("{} {}", db.code().code(), db.message())),
            None => Told::Lost,
        },
    }
}

/// Calls models until it is stopped.
pub(super) fn read(
    cluster: &Cluster,
    seed: u64,
    answered: &AtomicU64,
    stop: &AtomicBool,
) -> Vec<Record> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut records = Vec::new();
    let mut session = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(open) = &mut session else {
            wait_until("a reader connects", || {
                session = Session::new(cluster).ok();
                session.is_some()
            });
            continue;
        };
        // Half of the calls are of the model whose versions change most.
        let name = draw(&mut state, 10) as usize;
        let name = if name < NAMES.len() { name } else { 0 };
        let mut way = draw(&mut state, WAYS as u64) as usize;
        // A right is looked up as of now, whatever the snapshot.
        if way == REPEATED && NAMES[name] == "lent" {
            way = 0;
        }
        let start = Instant::now();
        let told = told(open.call(NAMES[name], way));
        let record = Record {
            name,
            way,
            start,
            end: Instant::now(),
            told,
        };
        if record.is_answer() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        if record.is_lost() {
            session = None;
        }
        records.push(record);
    }
    records
}

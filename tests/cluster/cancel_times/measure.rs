//! Statements that are cancelled in each of their phases, and what came of it.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::harness::{Cluster, SUPERUSER};

/// The goal.
const GOAL: Duration = Duration::from_millis(200);
/// A phase that is over sooner is left out: its requests come too late.
const SHORT: Duration = Duration::from_millis(4);

/// A session, and what the server tells it.
pub(super) struct Session {
    pub(super) client: Client,
    told: Arc<Told>,
}

/// Notices as they arrive.
#[derive(Default)]
pub(super) struct Told {
    texts: Mutex<Vec<(Instant, String)>>,
    news: Condvar,
    /// Whether the statement has ended.
    ended: AtomicBool,
}

impl Told {
    fn hear(&self, text: &str) {
        let mut texts = self.texts.lock().expect("the notices");
        texts.push((Instant::now(), text.to_owned()));
        self.news.notify_all();
    }

    /// Forgets all of an earlier statement.
    fn forget(&self) {
        self.texts.lock().expect("the notices").clear();
        self.ended.store(false, Ordering::Relaxed);
    }

    /// No more texts will come.
    fn end(&self) {
        let _texts = self.texts.lock().expect("the notices");
        self.ended.store(true, Ordering::Relaxed);
        self.news.notify_all();
    }

    /// When a text with this in it came first.
    fn when(&self, part: &str) -> Option<Instant> {
        let texts = self.texts.lock().expect("the notices");
        let mut found = texts.iter().filter(|(_, text)| text.contains(part));
        found.next().map(|&(at, _)| at)
    }

    /// Waits until such a text comes, or the statement has ended.
    fn wait_for(&self, part: &str) {
        let texts = self.texts.lock().expect("the notices");
        let not_yet = |texts: &mut Vec<(Instant, String)>| {
            !self.ended.load(Ordering::Relaxed)
                && !texts.iter().any(|(_, text)| text.contains(part))
        };
        drop(self.news.wait_while(texts, not_yet));
    }

    /// What the last epoch was told by, without its figures.
    fn last_epoch(&self) -> Option<String> {
        let texts = self.texts.lock().expect("the notices");
        let mut epochs = texts.iter().rev();
        let (_, last) = epochs.find(|(_, text)| text.starts_with("epoch "))?;
        Some(last.split_inclusive(':').next()?.to_owned())
    }
}

impl Session {
    pub(super) fn new(cluster: &Cluster) -> Session {
        let told = Arc::new(Told::default());
        let sink = Arc::clone(&told);
        let mut config = cluster.config(SUPERUSER, "postgres");
        config.notice_callback(move |notice| sink.hear(notice.message()));
        let client = config.connect(NoTls).expect("a connection");
        Session { client, told }
    }
}

/// A part of a statement's time, from a notice to the next one's.
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// Nothing where it is the beginning.
    pub(super) begins: Option<String>,
    pub(super) lasts: Duration,
}

/// What is measured.
pub(super) struct Table {
    pub(super) cancels: usize,
    only: Option<String>,
    /// The state of the generator.
    random: u64,
    pub(super) lines: Vec<String>,
}

impl Table {
    pub(super) fn new() -> Table {
        let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
        Table {
            cancels: number("PGN_CANCELS").unwrap_or(50) as usize,
            only: env::var("PGN_CANCEL_ONLY").ok(),
            random: number("PGN_CANCEL_SEED").unwrap_or(1_u64),
            lines: Vec::new(),
        }
    }

    pub(super) fn wants(&self, what: &str) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.split(',').any(|part| what.contains(part)))
    }

    /// A moment within a span.
    pub(super) fn within(&mut self, span: Duration) -> Duration {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        span.mul_f64((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    pub(super) fn add(
        &mut self,
        what: &str,
        phase: &str,
        lasts: Duration,
        mut took: Vec<Duration>,
    ) {
        took.sort();
        let middle = took.get(took.len() / 2).copied().unwrap_or_default();
        let worst = took.last().copied().unwrap_or_default();
        let late = took.iter().filter(|&&took| took > GOAL).count();
        let line = format!(
            "| {what} | {phase} | {:.0} | {} | {:.0} | {:.0} | {late} |",
            lasts.as_secs_f64() * 1e3,
            took.len(),
            middle.as_secs_f64() * 1e3,
            worst.as_secs_f64() * 1e3,
        );
        println!("{line}");
        self.lines.push(line);
    }

    /// Cancels a statement in each of its phases; what it did is taken back, unless it commits by itself.
    pub(super) fn measure(&mut self, session: &mut Session, what: &str, sql: &str) {
        if !self.wants(what) {
            return;
        }
        let commits = sql.starts_with("CALL");
        let block = |session: &mut Session, statement: &str| {
            if !commits {
                session.client.batch_execute(statement).expect(statement);
            }
        };
        // The first run warms caches.
        block(session, "BEGIN");
        session.client.batch_execute(sql).expect("the statement");
        block(session, "ROLLBACK");
        block(session, "BEGIN");
        let phases = phases(session, sql);
        block(session, "ROLLBACK");
        let mut took: Vec<Vec<Duration>> = phases.iter().map(|_| Vec::new()).collect();
        for (at, phase) in phases.iter().enumerate() {
            if phase.lasts < SHORT {
                continue;
            }
            // Some come after the phase, or the statement, and count where they fell.
            for _ in 0..3 * self.cancels {
                if took[at].len() >= self.cancels {
                    break;
                }
                let delay = self.within(phase.lasts);
                block(session, "BEGIN");
                if let Some((sent, ended)) = cancelled(session, sql, phase, delay) {
                    let hit = phases.iter().rposition(|phase| {
                        let begins = phase.begins.as_ref().map(|part| session.told.when(part));
                        begins.is_none_or(|begins| begins.is_some_and(|begins| begins <= sent))
                    });
                    took[hit.unwrap_or(0)].push(ended.saturating_duration_since(sent));
                }
                block(session, "ROLLBACK");
            }
        }
        for (phase, took) in phases.iter().zip(took) {
            self.add(what, phase.name, phase.lasts, took);
        }
    }
}

/// The phases of a statement, by a run of it.
fn phases(session: &mut Session, sql: &str) -> Vec<Phase> {
    session.told.forget();
    let began = Instant::now();
    session.client.batch_execute(sql).expect("the statement");
    let ended = Instant::now();
    let told = &session.told;
    let mut begins: Vec<(&str, Option<String>, Instant)> = Vec::new();
    let marks = [
        ("fitting", Some("rows are read".to_owned())),
        ("epochs", Some(" of \"y\"".to_owned())),
        ("judging", told.last_epoch()),
        ("storing", Some("the model is stored".to_owned())),
    ];
    for (name, part) in marks {
        if let Some(part) = part
            && let Some(at) = told.when(&part)
        {
            begins.push((name, Some(part), at));
        }
    }
    let first = match begins.first() {
        None => "all",
        Some(&("fitting", ..)) => "reading",
        Some(_) => "before",
    };
    begins.insert(0, (first, None, began));
    let ends: Vec<Instant> = begins.iter().skip(1).map(|next| next.2).collect();
    let ends = ends.into_iter().chain([ended]);
    let mut phases = Vec::new();
    for ((name, begins, begun), ends) in begins.into_iter().zip(ends) {
        phases.push(Phase {
            name,
            begins,
            lasts: ends.saturating_duration_since(begun),
        });
    }
    phases
}

/// Runs a statement that is cancelled that long after a phase has begun: when the request was sent and the
/// statement's end; nothing if it was done before.
pub(super) fn cancelled(
    session: &mut Session,
    sql: &str,
    phase: &Phase,
    delay: Duration,
) -> Option<(Instant, Instant)> {
    session.told.forget();
    let token = session.client.cancel_token();
    let told = Arc::clone(&session.told);
    let begins = phase.begins.clone();
    let canceller = thread::spawn(move || {
        if let Some(part) = begins {
            told.wait_for(&part);
        }
        thread::sleep(delay);
        let sent = Instant::now();
        let late = told.ended.load(Ordering::Relaxed);
        (!late).then(|| {
            token.cancel_query(NoTls).expect("the request to cancel");
            sent
        })
    });
    let result = session.client.batch_execute(sql);
    let ended = Instant::now();
    session.told.end();
    let sent = canceller.join().expect("the canceller");
    // A request is signalled twice, and the second signal, or one that came too late, may still be on its
    // way to the next statement. An idle session takes no notice of it.
    thread::sleep(Duration::from_millis(50));
    let Err(error) = result else {
        return None;
    };
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    sent.map(|sent| (sent, ended))
}

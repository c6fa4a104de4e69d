//! The counters that all connections of a database map.
//!
//! A file of a fixed number of slots, in `pg_stat`, where PostgreSQL keeps its own statistics while it
//! is down; so they outlive a restart. The same on each version of PostgreSQL: named segments of shared
//! memory came with 17. Its room is taken when it is made, as a page that the disk has no room for
//! would end the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use memmap2::MmapRaw;
use pgrx::{log, pg_sys};

use crate::pg::reader::Resolved;

/// Versions that are counted in a database. Further ones are not.
const SLOTS: usize = 4096;
/// Where the files are, relative to the data directory.
const DIRECTORY: &str = "pg_stat";
/// What their names begin with: the layout's number is part of it. The database's follows.
const PREFIX: &str = "pg_neural.1.";

/// Which version is counted. Where an extension was dropped and made anew numbers come again, and bytes
/// do not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    version: u64,
    bytes: u64,
}

impl Key {
    pub(super) fn of(version: &Resolved) -> Key {
        Key::new(version.version_id, &version.sha256)
    }

    /// A version by its id and its hash.
    pub(crate) fn new(version: i64, sha256: &[u8; 32]) -> Key {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&sha256[..8]);
        Key {
            version: version as u64,
            bytes: u64::from_le_bytes(bytes),
        }
    }
}

/// What is added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Places in statements that called it.
    pub(crate) calls: u64,
    pub(crate) rows: u64,
    pub(crate) time: Duration,
}

/// What has been counted of a version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub(crate) calls: u64,
    pub(crate) rows: u64,
    pub(crate) nanoseconds: u64,
    /// When anything was last added, as PostgreSQL counts time.
    pub(crate) last: i64,
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const NAMED: u32 = 2;

/// Zeroes are a free slot.
#[repr(C)]
struct Slot {
    state: AtomicU32,
    version: AtomicU64,
    bytes: AtomicU64,
    calls: AtomicU64,
    rows: AtomicU64,
    nanoseconds: AtomicU64,
    last: AtomicI64,
    unused: AtomicU64,
}

/// The mapped file.
pub(crate) struct Counters(MmapRaw);

impl Counters {
    /// Those of the database. Where they cannot be had the log says why, and nothing is counted.
    pub(super) fn open() -> Option<Counters> {
        // SAFETY: a variable of PostgreSQL's.
        let database = unsafe { pg_sys::MyDatabaseId };
        let path = format!("{DIRECTORY}/{PREFIX}{}", database.to_u32());
        match map(&path) {
            Ok(map) => Some(Counters(map)),
            Err(error) => {
                log!("calls of models are not counted: could not map \"{path}\": {error}");
                None
            }
        }
    }

    fn slots(&self) -> &[Slot] {
        // SAFETY: the mapping is as long, aligned as a page is, and made of atomics, for which any
        // bits are values, whoever else writes them.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), SLOTS) }
    }

    /// The slots in which the version may be: from its own on, round the table.
    fn from(&self, key: Key) -> impl Iterator<Item = &Slot> {
        let begin = (key.version ^ key.bytes) as usize % SLOTS;
        let (before, after) = self.slots().split_at(begin);
        after.iter().chain(before)
    }

    pub(super) fn add(&self, key: Key, counted: Counted) {
        let Some(slot) = self.from(key).find(|slot| slot.is(key) || slot.take(key)) else {
            return;
        };
        let nanoseconds = u64::try_from(counted.time.as_nanos()).unwrap_or(u64::MAX);
        slot.calls.fetch_add(counted.calls, Ordering::Relaxed);
        slot.rows.fetch_add(counted.rows, Ordering::Relaxed);
        slot.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        // SAFETY: reads the clock.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        slot.last.fetch_max(now, Ordering::Relaxed);
    }

    /// What has been counted of a version: nothing of one that nobody has called.
    pub(crate) fn total(&self, key: Key) -> Option<Total> {
        let slot = self
            .from(key)
            .take_while(|slot| slot.state.load(Ordering::Acquire) != FREE)
            .find(|slot| slot.is(key))?;
        let calls = slot.calls.load(Ordering::Relaxed);
        let rows = slot.rows.load(Ordering::Relaxed);
        (calls + rows > 0).then(|| Total {
            calls,
            rows,
            nanoseconds: slot.nanoseconds.load(Ordering::Relaxed),
            last: slot.last.load(Ordering::Relaxed),
        })
    }

    /// Forgets what has been counted of a version.
    pub(crate) fn reset(&self, key: Key) {
        for slot in self.slots().iter().filter(|slot| slot.is(key)) {
            for counter in [&slot.calls, &slot.rows, &slot.nanoseconds] {
                counter.store(0, Ordering::Relaxed);
            }
            slot.last.store(0, Ordering::Relaxed);
        }
    }
}

impl Slot {
    fn is(&self, key: Key) -> bool {
        self.state.load(Ordering::Acquire) == NAMED
            && self.version.load(Ordering::Relaxed) == key.version
            && self.bytes.load(Ordering::Relaxed) == key.bytes
    }

    /// Takes a free slot; false where another did. Whoever dies between the two steps leaves a slot
    /// that nobody uses.
    fn take(&self, key: Key) -> bool {
        let (order, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        let taken = self.state.compare_exchange(FREE, TAKEN, order, failed);
        if taken.is_ok() {
            self.version.store(key.version, Ordering::Relaxed);
            self.bytes.store(key.bytes, Ordering::Relaxed);
            self.state.store(NAMED, Ordering::Release);
        }
        taken.is_ok()
    }
}

fn map(path: &str) -> io::Result<MmapRaw> {
    let size = SLOTS * size_of::<Slot>();
    // SAFETY: a number that the server set when it started.
    let mode = u32::try_from(unsafe { pg_sys::data_directory_mode }).unwrap_or(0o700) & 0o666;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sweep();
            options.create(true).mode(mode).open(path)?
        }
        opened => opened?,
    };
    if file.metadata()?.len() < size as u64 {
        allocate(&file, size)?;
    }
    MmapRaw::map_raw(&file)
}

fn allocate(file: &File, size: usize) -> io::Result<()> {
    // SAFETY: an open file; what is there already stays.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size as libc::off_t) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Removes the files of databases that were dropped: when one is made, and a number may come again.
fn sweep() {
    let Ok(files) = fs::read_dir(DIRECTORY) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(database) = number.and_then(|number| number.parse::<u32>().ok()) else {
            continue;
        };
        // SAFETY: a look into the catalog of databases.
        let known = unsafe {
            let database = pg_sys::Oid::from(database).into();
            let cache = pg_sys::SysCacheIdentifier::DATABASEOID;
            pg_sys::SearchSysCacheExists(
                cache as _,
                database,
                0_usize.into(),
                0_usize.into(),
                0_usize.into(),
            )
        };
        if !known {
            let _ = fs::remove_file(file.path());
        }
    }
}

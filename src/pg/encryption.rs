//! Encryption at rest: the keys that the server was started with, and what is sealed with them.
//!
//! Sealed are the chunks of a version's artifact, what it keeps of the rows it was trained with, and the
//! levels, ranges and profiles among what is described of it; and the temporary files of rows and
//! scores. The key command runs once, in the postmaster: every process has the keys from it, in memory
//! that is not swapped.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::error::{OrRaise, Report, Result};
use super::settings;
use crate::encryption::{Blocks, Error, KeyId, Keys};

/// How the setting is called in messages.
const SETTING: &str = "neural.encryption_key_command";

static KEYS: OnceLock<Keys> = OnceLock::new();

/// A piece of a version that is sealed by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// The chunk of this number.
    Chunk(i32),
    /// What is kept of the rows.
    Seen,
    /// The description.
    Description,
    /// The piece of this number of what is kept of a job's training.
    Checkpoint(i32),
}

impl Part {
    /// What a piece is bound to: its version's bytes and its place in them.
    fn context(self, sha256: &[u8; 32]) -> [u8; 37] {
        let (kind, number) = match self {
            Part::Chunk(number) => (b'c', number),
            Part::Seen => (b's', 0),
            Part::Description => (b'd', 0),
            Part::Checkpoint(number) => (b'k', number),
        };
        let mut context = [0; 37];
        context[..32].copy_from_slice(sha256);
        context[32] = kind;
        context[33..].copy_from_slice(&number.to_le_bytes());
        context
    }
}

/// Runs the key command where the server starts, which ends where it fails.
pub(crate) fn start() {
    if !settings::preloading() {
        return;
    }
    if let Some(command) = settings::encryption_key_command() {
        let keys = keys_from(&command).or_raise();
        // Once: a postmaster loads the library once.
        let _ = KEYS.set(keys);
    }
}

fn keys_from(command: &CString) -> Result<Keys> {
    let failed = |problem: String| {
        Report::new(Code::ERRCODE_CONFIG_FILE_ERROR, format!("{SETTING}: {problem}")).hint(
            "It is a shell command that prints keys of 64 hexadecimal digits, one a line, the one in \
             use first; the server does not start without them.",
        )
    };
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(std::ffi::OsStr::from_bytes(command.as_bytes()))
        .stdin(Stdio::null())
        // To the server's log.
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("the command could not be run: {error}")))?;
    let mut printed = output.stdout;
    let keys = Keys::read(&mut printed, random);
    if !output.status.success() {
        return Err(failed(format!("the command failed: {}", output.status)));
    }
    keys.map_err(|error| failed(error.to_string()))
}

/// Bytes from PostgreSQL's source of strong random numbers.
fn random(into: &mut [u8]) -> bool {
    // SAFETY: fills the bytes it is given.
    unsafe { pg_sys::pg_strong_random(into.as_mut_ptr().cast(), into.len() as _) }
}

/// Whether the server has keys, and what it stores is encrypted.
pub(crate) fn in_use() -> bool {
    KEYS.get().is_some()
}

/// Whether the server has this key.
pub(crate) fn has(key: KeyId) -> bool {
    KEYS.get().is_some_and(|keys| keys.has(key))
}

/// The keys, where what is stored is to be encrypted.
///
/// # Errors
/// 55000 where it is to be, and the server was not started so that it can.
pub(crate) fn for_storing() -> Result<Option<&'static Keys>> {
    match KEYS.get() {
        None if settings::encryption_key_command().is_some() => Err(Report::not_in_state(format!(
            "{SETTING} is set, and the server has no keys"
        ))
        .hint(
            "It is run when the server starts: name pg_neural in shared_preload_libraries and \
                     restart the server.",
        )),
        keys => Ok(keys),
    }
}

/// The keys, which there have to be.
pub(crate) fn required() -> Result<&'static Keys> {
    for_storing()?.ok_or_else(|| {
        Report::not_in_state("the server has no keys to encrypt models with").hint(format!(
            "Set {SETTING}, name pg_neural in shared_preload_libraries, and restart the server."
        ))
    })
}

/// Seals a piece of the version with these bytes.
pub(crate) fn seal(
    keys: &Keys,
    sha256: &[u8; 32],
    part: Part,
    plain: &[u8],
    into: &mut Vec<u8>,
) -> Result<()> {
    keys.seal(plain, &part.context(sha256), into)
        .map_err(|error| Report::new(Code::ERRCODE_SYSTEM_ERROR, error.to_string()))
}

/// Opens a piece of the version with these bytes, which `label` names in messages.
///
/// # Errors
/// 55000 where the key is not at hand; XX001 where the piece was changed.
pub(crate) fn open(
    key: KeyId,
    sha256: &[u8; 32],
    part: Part,
    sealed: &[u8],
    into: &mut Vec<u8>,
    label: impl Fn() -> String,
) -> Result<()> {
    let Some(keys) = KEYS.get() else {
        return Err(Report::not_in_state(format!(
            "{} is encrypted, and the server has no keys",
            label()
        ))
        .hint(format!(
            "Set {SETTING}, name pg_neural in shared_preload_libraries, and restart the server."
        )));
    };
    match keys.open(key, sealed, &part.context(sha256), into) {
        Ok(()) => Ok(()),
        Err(Error::OtherKey(key)) => Err(Report::not_in_state(format!(
            "{} is encrypted with the key {key}, which {SETTING} does not print",
            label()
        ))
        .hint(
            "Let the command print that key as well, on a line behind the one in use, and restart the \
             server.",
        )),
        Err(error) => Err(Report::damaged(format!("{} is damaged: {error}", label()))),
    }
}

/// The key that a stored id names: `None` where there is none, an error where it is no id.
pub(crate) fn key_id(stored: Option<Vec<u8>>) -> Result<Option<KeyId>> {
    let id = stored.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).map(KeyId));
    id.transpose()
        .map_err(|_| Report::damaged("the id of an encryption key is damaged"))
}

/// What a temporary file goes through, if what is on disk is encrypted.
pub(crate) fn blocks() -> Result<Option<Blocks>> {
    let blocks = KEYS.get().map(Keys::blocks).transpose();
    blocks.map_err(|error| Report::internal(error.to_string()))
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        let problem = format!("an encrypted temporary file: {error}");
        Report::new(Code::ERRCODE_IO_ERROR, problem).hint(
            "Look whether something changes files of the server's; the query can be run again.",
        )
    }
}

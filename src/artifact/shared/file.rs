//! The file that holds a model ready to predict: a header, the model's outline, its packed weights.
//!
//! ```text
//! magic                       16 bytes
//! format, packing              4 + 4
//! length of the outline            8
//! length of the weights            8
//! sha256 of the artifact          32
//! checksum of the weights         32
//! sha256 of all above and of the outline with what fills it up   32
//! outline, JSON, filled up with zeros to a whole number of pages
//! weights
//! ```
//!
//! Numbers are little-endian; the weights are as this machine's processor has them.
//!
//! A file is complete before it gets its name, and is never written again: it is replaced or
//! unlinked, so that whoever has mapped it keeps what was there. Storage that can no longer read a
//! page of it ends the process with SIGBUS, as it would if the page were one of swapped memory.
//!
//! # When it is checked
//!
//! The header is checked by everybody. The weights, when the file is made and whenever there is
//! reason to: to read them all takes as long as to compute a row of the network, and a new
//! connection's first row shall not take twice as long. There is reason
//!
//! * when somebody wrote to the file since it was checked. Whoever finds it sound sets its time of
//!   modification to one that follows from its checksum and lies long ago; any write sets it to the
//!   present;
//! * when a part of it is not in memory, and so would be read from the storage again.
//!
//! What is in memory and was not written to is what was checked.

#![expect(unsafe_code, reason = "files mapped into memory")]

use std::fs::{File, FileTimes};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memmap2::Mmap;
use sha2::{Digest, Sha256};

use super::checksum::{BLOCK, Checksum};
use crate::artifact::prepared::Prepared;
use crate::artifact::{Error, Model};
use crate::nn::{PACKING_VERSION, SharedWeights, Stop};

/// The layout of the file.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 16] = b"pg_neural packed";
const HEADER: usize = 136;
/// The part of the header that is covered by its own checksum.
const COVERED: usize = HEADER - 32;
/// What the weights' place is a multiple of.
const PAGE: usize = 4096;
/// A file's time of access is brought up to date when it is older than this.
const ACCESS: Duration = Duration::from_secs(60);

/// What is found when a file is opened.
#[derive(Debug)]
pub enum Found {
    /// The model.
    Model(Box<Prepared>),
    /// A file that cannot be used, and why.
    Damaged(String),
}

/// What a header says.
struct Header {
    outline: Range<usize>,
    weights: Range<usize>,
    artifact: [u8; 32],
    checksum: [u8; 32],
}

impl Header {
    fn new(outline: usize, weights: usize, artifact: [u8; 32], checksum: [u8; 32]) -> Self {
        let start = (HEADER + outline).next_multiple_of(PAGE);
        Self {
            outline: HEADER..HEADER + outline,
            weights: start..start + weights,
            artifact,
            checksum,
        }
    }

    /// The file up to the weights.
    fn write(&self, outline: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.weights.start);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&PACKING_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.outline.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(self.weights.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.artifact);
        bytes.extend_from_slice(&self.checksum);
        bytes.extend_from_slice(&[0; 32]);
        bytes.extend_from_slice(outline);
        bytes.resize(self.weights.start, 0);
        let digest = digest(&bytes);
        bytes[COVERED..HEADER].copy_from_slice(&digest);
        bytes
    }

    /// Reads and checks everything but the weights.
    fn read(file: &[u8]) -> Result<Self, &'static str> {
        let header: &[u8; HEADER] = file.first_chunk().ok_or("it has no header")?;
        let number = |at: usize| {
            let bytes = header[at..].first_chunk::<8>().copied().unwrap_or_default();
            usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "its lengths are wrong")
        };
        let digest_at = |at: usize| {
            let bytes = header[at..].first_chunk::<32>();
            bytes.copied().unwrap_or_default()
        };
        if &header[..16] != MAGIC {
            return Err("it is no file of packed weights");
        }
        if header[16..20] != FORMAT.to_le_bytes() || header[20..24] != PACKING_VERSION.to_le_bytes()
        {
            return Err("another release wrote it");
        }
        let (outline, weights) = (number(24)?, number(32)?);
        let end = outline.checked_add(HEADER + PAGE);
        if end.and_then(|end| end.checked_add(weights)).is_none() {
            return Err("its lengths are wrong");
        }
        let found = Self::new(outline, weights, digest_at(40), digest_at(72));
        if found.weights.end != file.len() || !weights.is_multiple_of(BLOCK) {
            return Err("it is cut off, or too long");
        }
        if digest(&file[..found.weights.start]) != digest_at(COVERED) {
            return Err("its header has changed");
        }
        Ok(found)
    }

    /// The time of modification of a file whose weights were checked: an even second, which every
    /// file system can keep, before 1988.
    fn mark(&self) -> SystemTime {
        let number = self.checksum.first_chunk().copied().unwrap_or_default();
        let seconds = u64::from(u32::from_le_bytes(number) >> 4);
        SystemTime::UNIX_EPOCH + Duration::from_secs(2 * seconds)
    }
}

/// The checksum of the file up to the weights.
fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(&bytes[..COVERED]);
    digest.update(&bytes[HEADER..]);
    digest.finalize().into()
}

/// A range of a mapped file.
struct Mapped {
    map: Mmap,
    range: Range<usize>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

/// Opens the file of the artifact with that hash.
///
/// # Errors
/// What the system says.
pub fn open(file: &File, artifact: &[u8; 32], stop: &dyn Stop) -> io::Result<Found> {
    // SAFETY: nobody writes to a file after it got its name; the module's documentation says more.
    let map = unsafe { Mmap::map(file)? };
    let header = match Header::read(&map) {
        Ok(header) if header.artifact == *artifact => header,
        Ok(_) => return Ok(Found::Damaged("it is another model's".into())),
        Err(why) => return Ok(Found::Damaged(why.into())),
    };
    let metadata = file.metadata()?;
    let mark = header.mark();
    if metadata.modified()? != mark || !is_resident(&map) {
        let Some(checksum) = checksum_of(&map[header.weights.clone()], stop) else {
            return Err(io::ErrorKind::Interrupted.into());
        };
        if checksum != header.checksum {
            return Ok(Found::Damaged("its weights have changed".into()));
        }
        // Who may not set it checks again the next time.
        let _ = file.set_times(FileTimes::new().set_modified(mark));
    }
    let now = SystemTime::now();
    let accessed = metadata.accessed().ok();
    let age = accessed.and_then(|accessed| now.duration_since(accessed).ok());
    if age.is_none_or(|age| age > ACCESS) {
        // Which files go first hangs on it; a file system may not keep it by itself.
        let _ = file.set_times(FileTimes::new().set_accessed(now));
    }
    let Header {
        outline, weights, ..
    } = header;
    let outline = map[outline].to_vec();
    let weights = SharedWeights::new(Arc::new(Mapped {
        map,
        range: weights,
    }));
    Ok(match Prepared::shared(&outline, weights) {
        Ok(model) => Found::Model(Box::new(model)),
        Err(error) => Found::Damaged(error.to_string()),
    })
}

/// Looks at every byte of the file of the artifact with that hash, and says what is wrong.
///
/// # Errors
/// What the system says.
pub fn check(file: &File, artifact: &[u8; 32], stop: &dyn Stop) -> io::Result<Option<String>> {
    // SAFETY: as in `open`.
    let map = unsafe { Mmap::map(file)? };
    let header = match Header::read(&map) {
        Ok(header) if header.artifact == *artifact => header,
        Ok(_) => return Ok(Some("it is another model's".into())),
        Err(why) => return Ok(Some(why.into())),
    };
    match checksum_of(&map[header.weights], stop) {
        None => Err(io::ErrorKind::Interrupted.into()),
        Some(checksum) if checksum != header.checksum => {
            Ok(Some("its weights have changed".into()))
        }
        Some(_) => Ok(None),
    }
}

/// None if it is to stop.
fn checksum_of(weights: &[u8], stop: &dyn Stop) -> Option<[u8; 32]> {
    let mut checksum = Checksum::default();
    // Pages may have to come from the storage.
    for piece in weights.chunks(PIECE) {
        if stop.is_set() {
            return None;
        }
        checksum.add(piece);
    }
    Some(checksum.digest())
}

/// Bytes between two looks; a whole number of blocks.
const PIECE: usize = 1 << 20;

/// Whether all of it is in memory.
fn is_resident(map: &Mmap) -> bool {
    // SAFETY: asks for a number.
    let Ok(page) = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) else {
        return false;
    };
    let mut pages = vec![0_u8; map.len().div_ceil(page.max(1))];
    // SAFETY: one byte is written for each page of the mapping, which begins at one.
    let told = unsafe {
        let start = map.as_ptr().cast_mut().cast();
        libc::mincore(start, map.len(), pages.as_mut_ptr().cast())
    };
    told == 0 && pages.iter().all(|page| page & 1 == 1)
}

/// Packs a model, and writes it to an empty file.
///
/// The model comes back packed in this process's own memory, whether or not it could be written.
///
/// # Errors
/// [`Error::Damaged`] when the model's parts do not fit together.
pub fn write(
    file: &File,
    artifact: [u8; 32],
    model: Model,
    stop: &dyn Stop,
) -> Result<(Prepared, io::Result<()>), Error> {
    let outline = Prepared::outline(&model)?;
    let start = Header::new(outline.len(), 0, artifact, [0; 32])
        .weights
        .start;
    let mut checksum = Checksum::default();
    let mut length = 0;
    // Many pieces are small.
    let mut out = io::BufWriter::with_capacity(1 << 20, file);
    let mut written = out.seek(SeekFrom::Start(start as u64)).map(|_| ());
    let mut keep = |piece: &[u8]| {
        if written.is_ok() {
            checksum.add(piece);
            length += piece.len();
            written = out.write_all(piece);
        }
    };
    let model = Prepared::keeping(model, &mut keep, stop)?;
    let finish = |mut out: io::BufWriter<&File>| {
        out.flush()?;
        let header = Header::new(outline.len(), length, artifact, checksum.digest());
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&header.write(&outline))?;
        out.flush()?;
        // It was as long as what it would take was thought to be.
        file.set_len(header.weights.end as u64)
    };
    let written = match written {
        Ok(()) => finish(out),
        Err(error) => {
            // What is left in the buffer is not worth another attempt.
            let _ = out.into_parts();
            Err(error)
        }
    };
    Ok((model, written))
}

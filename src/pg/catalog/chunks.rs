//! The rows of `_neural.chunk`: the bytes of a version in pieces.

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

use super::{AsTableOwner, execute};
use crate::artifact::Pieces;
use crate::encryption::Keys;
use crate::pg::encryption::{self, Part};
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;

/// Bytes of a chunk, a row of `_neural.chunk`: as many as a page has room for beside the row's header
/// and what encryption adds. Larger values would go into a TOAST table, which no policy keeps from
/// `pg_read_all_data`.
pub(super) const CHUNK: usize = pg_sys::BLCKSZ as usize - 192;
/// Bytes that are stored by one statement: few enough that a cancel never waits long for it.
pub(super) const PORTION: usize = 128 * CHUNK;
/// Bytes that encryption adds to a chunk.
const SEALING: usize = 28;

/// Stores the bytes of a version, encrypted if there are keys.
pub(super) fn insert(
    owner: &AsTableOwner,
    version: i64,
    artifact: &Pieces<'_>,
    sha256: &[u8; 32],
    keys: Option<&Keys>,
) -> Result<()> {
    let stored = CHUNK + if keys.is_some() { SEALING } else { 0 };
    let sql = format!(
        "INSERT INTO _neural.chunk (version, number, bytes)
         SELECT $1, $2 + n, substr($3, n * {stored} + 1, {stored})
         FROM generate_series(0, (length($3) - 1) / {stored}) AS n"
    );
    let size = artifact.size();
    // One value for all portions in turn: each as a value of its own would stay until the end.
    let largest = PORTION.min(size);
    let mut portion = Portion::with_room(largest + SEALING * largest.div_ceil(CHUNK));
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    let mut pieces = artifact.iter();
    let mut piece: &[u8] = &[];
    let mut number = 0i32;
    let mut rest = size;
    while rest > 0 {
        interrupt::check();
        let length = PORTION.min(rest);
        let mut room = match keys {
            None => portion.bytes(length),
            Some(_) => {
                plain.resize(length, 0);
                &mut plain[..]
            }
        };
        while !room.is_empty() {
            if piece.is_empty() {
                piece = pieces
                    .next()
                    .ok_or_else(|| Report::internal("an artifact is shorter than it is"))?;
            }
            let count = room.len().min(piece.len());
            let (now, later) = piece.split_at(count);
            let (place, left) = std::mem::take(&mut room).split_at_mut(count);
            place.copy_from_slice(now);
            (piece, room) = (later, left);
        }
        if let Some(keys) = keys {
            let chunks = plain.chunks(CHUNK);
            let room = portion.bytes(length + SEALING * chunks.len());
            for ((place, chunk), number) in room.chunks_mut(stored).zip(chunks).zip(number..) {
                encryption::seal(keys, sha256, Part::Chunk(number), chunk, &mut sealed)?;
                place.copy_from_slice(&sealed);
            }
        }
        execute(
            owner,
            &sql,
            &[version.into(), number.into(), portion.argument()],
        )?;
        number += (PORTION / CHUNK) as i32;
        rest -= length;
    }
    Ok(())
}

/// A bytea that is filled again and again.
struct Portion(*mut pg_sys::varlena);

impl Portion {
    /// One with room for that many bytes.
    fn with_room(bytes: usize) -> Portion {
        // SAFETY: gives zeroed room or raises an error.
        Portion(unsafe { pg_sys::palloc0(bytes + pg_sys::VARHDRSZ) }.cast())
    }

    /// Makes it that long, no longer than its room.
    fn bytes(&mut self, length: usize) -> &mut [u8] {
        // SAFETY: the room is as long.
        unsafe {
            pgrx::varlena::set_varsize_4b(self.0, (length + pg_sys::VARHDRSZ) as i32);
            let bytes = self.0.cast::<u8>().add(pg_sys::VARHDRSZ);
            std::slice::from_raw_parts_mut(bytes, length)
        }
    }

    fn argument(&self) -> DatumWithOid<'_> {
        // SAFETY: a bytea, which stays while the argument is used.
        unsafe { DatumWithOid::new(pg_sys::Datum::from(self.0), pg_sys::BYTEAOID) }
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        // After an error its memory context goes.
        if !std::thread::panicking() {
            // SAFETY: allocated by `with_room`, freed once.
            unsafe { pg_sys::pfree(self.0.cast()) };
        }
    }
}

//! The bytes of a stored version.

use sha2::{Digest, Sha256};

use super::resolved::Resolved;
use crate::memory;
use crate::pg::encryption::{self, Part};
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;
use crate::pg::own_table::columns::chunk;
use crate::pg::own_table::{Key, Table};

/// The artifact of a version, reassembled from its chunks and checked against its hash.
pub(crate) fn load(version: &Resolved) -> Result<Vec<u8>> {
    memory::ask_for_many(version.size)?;
    let mut bytes = Vec::with_capacity(version.size);
    load_pieces(version, |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

/// The same piece by piece, never more bytes than the version has. Where they are damaged, that is
/// told after some were taken.
pub(crate) fn load_pieces(version: &Resolved, mut take: impl FnMut(&[u8])) -> Result<()> {
    let damaged =
        |what: &str| Report::damaged(format!("{} is damaged: {what}", version.full_label()));
    let mut length = 0;
    let table = Table::open(c"chunk")?;
    let mut hash = Sha256::new();
    let mut scan = table.ordered_scan(
        c"chunk_pkey",
        &[Key::int8(chunk::VERSION, version.version_id)],
    )?;
    let mut expected = 0;
    let mut opened = Vec::new();
    while let Some(row) = scan.next() {
        interrupt::check();
        if row.get::<i32>(chunk::NUMBER)? != expected {
            return Err(damaged(&format!("piece {expected} is missing")));
        }
        row.with_bytes(chunk::BYTES, |stored| {
            let piece = match version.key {
                None => stored,
                Some(key) => {
                    let (sha256, part) = (&version.sha256, Part::Chunk(expected));
                    let label = || version.full_label();
                    encryption::open(key, sha256, part, stored, &mut opened, label)?;
                    &opened
                }
            };
            if piece.len() > version.size - length {
                return Err(damaged("it is longer than it was"));
            }
            hash.update(piece);
            take(piece);
            length += piece.len();
            Ok(())
        })??;
        expected += 1;
    }
    if expected == 0 {
        let label = version.full_label();
        return Err(Report::not_there_yet(format!(
            "nothing of the bytes of {label} is there"
        )));
    }
    if length != version.size {
        return Err(damaged("its end is missing"));
    }
    if hash.finalize().as_slice() != version.sha256 {
        return Err(damaged("its bytes have changed"));
    }
    Ok(())
}

//! A temporary file in blocks, each of them sealed.

use aes_gcm::Aes256Gcm;

use super::record::{NONCE, TAG, open_in_place, seal_in_place};
use super::{Error, Random};

/// Plain bytes of a block; the last of a file may have fewer.
pub const BLOCK: usize = 8192;
/// Bytes of a full block in the file.
pub const RECORD: usize = NONCE + BLOCK + TAG;

/// The blocks of one file that grows at its end. Positions and lengths are those of the plain bytes.
///
/// A block is bound to its place. One that was not full is sealed anew, under another number, when the
/// file grows.
pub struct Blocks {
    cipher: Aes256Gcm,
    random: Random,
    /// The plain bytes of the last block, if it is not full.
    tail: Vec<u8>,
    /// Full blocks written.
    full: u64,
    record: Vec<u8>,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").finish_non_exhaustive()
    }
}

/// Where a full block begins in the file.
fn place(block: u64) -> u64 {
    block * RECORD as u64
}

impl Blocks {
    pub(super) fn new(cipher: Aes256Gcm, random: Random) -> Blocks {
        Blocks {
            cipher,
            random,
            tail: Vec::new(),
            full: 0,
            record: Vec::new(),
        }
    }

    /// Adds bytes at the end. `write` is given what to put at which place of the file: whole blocks, and
    /// the last one as it is.
    ///
    /// # Errors
    /// What `write` raises, and [`Error::NoRandom`].
    pub fn append<E: From<Error>>(
        &mut self,
        mut bytes: &[u8],
        mut write: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let count = bytes.len().min(BLOCK - self.tail.len());
            let (now, later) = bytes.split_at(count);
            self.tail.extend_from_slice(now);
            bytes = later;
            self.record.clear();
            self.record.resize(NONCE, 0);
            self.record.extend_from_slice(&self.tail);
            self.record.resize(NONCE + self.tail.len() + TAG, 0);
            let context = self.full.to_le_bytes();
            seal_in_place(&self.cipher, &context, self.random, &mut self.record)?;
            write(place(self.full), &mut self.record)?;
            if self.tail.len() == BLOCK {
                self.tail.clear();
                self.full += 1;
            }
        }
        Ok(())
    }

    /// Reads the bytes from `position` on. `read` fills what it is given from a place of the file and
    /// says how many bytes it found: fewer only at the file's end.
    ///
    /// # Errors
    /// What `read` raises, and [`Error::Changed`], also where the file is too short.
    pub fn read<E: From<Error>>(
        &self,
        mut position: u64,
        mut into: &mut [u8],
        record: &mut Vec<u8>,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        while !into.is_empty() {
            let block = position / BLOCK as u64;
            let offset = (position % BLOCK as u64) as usize;
            record.resize(RECORD, 0);
            let found = read(place(block), record)?;
            let found = record.get_mut(..found).ok_or(Error::Changed)?;
            let length = open_in_place(&self.cipher, &block.to_le_bytes(), found)?;
            let plain = found.get(NONCE..NONCE + length).unwrap_or_default();
            let plain = plain.get(offset..).unwrap_or_default();
            let count = plain.len().min(into.len());
            if count == 0 {
                return Err(Error::Changed.into());
            }
            let (now, later) = std::mem::take(&mut into).split_at_mut(count);
            now.copy_from_slice(&plain[..count]);
            into = later;
            position += count as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Keys;
    use super::super::tests::random;
    use super::*;

    fn keys() -> Keys {
        Keys::read(&mut [b'7'; 64], random).unwrap()
    }

    fn put(file: &mut Vec<u8>, blocks: &mut Blocks, bytes: &[u8]) {
        let write = |place: u64, record: &mut [u8]| {
            let end = place as usize + record.len();
            file.resize(end.max(file.len()), 0);
            file[place as usize..end].copy_from_slice(record);
            Ok::<(), Error>(())
        };
        blocks.append(bytes, write).unwrap();
    }

    fn get(file: &[u8], blocks: &Blocks, position: usize, count: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; count];
        blocks.read(
            position as u64,
            &mut bytes,
            &mut Vec::new(),
            |place, record| {
                let rest = file.get(place as usize..).unwrap_or_default();
                let count = rest.len().min(record.len());
                record[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            },
        )?;
        Ok(bytes)
    }

    #[test]
    fn whatever_is_appended_is_read_at_any_place() {
        let plain: Vec<u8> = (0..5 * BLOCK + 77).map(|n| (n * 31 % 251) as u8).collect();
        for step in [1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let keys = keys();
            let (mut file, mut blocks) = (Vec::new(), keys.blocks().unwrap());
            for piece in plain.chunks(step) {
                put(&mut file, &mut blocks, piece);
            }
            // Another process has the same key, and no tail.
            for reader in [&blocks, &keys.blocks().unwrap()] {
                for (position, count) in [
                    (0, plain.len()),
                    (plain.len() - 1, 1),
                    (BLOCK - 1, 2),
                    (BLOCK, BLOCK),
                    (17, 4 * BLOCK),
                ] {
                    let read = get(&file, reader, position, count).unwrap();
                    assert_eq!(read, plain[position..position + count]);
                }
                assert_eq!(get(&file, reader, plain.len(), 1), Err(Error::Changed));
            }
            assert!(!file.windows(16).any(|bytes| bytes == &plain[100..116]));
        }
    }

    #[test]
    fn blocks_are_not_taken_for_one_another() {
        let (mut file, mut blocks) = (Vec::new(), keys().blocks().unwrap());
        put(&mut file, &mut blocks, &[5; 3 * BLOCK]);
        let (one, other) = file.split_at_mut(RECORD);
        one.swap_with_slice(&mut other[..RECORD]);
        assert_eq!(get(&file, &blocks, 0, 1), Err(Error::Changed));
        assert_eq!(get(&file, &blocks, 2 * BLOCK, 1), Ok(vec![5]));
        file[2 * RECORD + 100] ^= 1;
        assert_eq!(get(&file, &blocks, 2 * BLOCK, 1), Err(Error::Changed));
    }
}

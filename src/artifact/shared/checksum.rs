//! A checksum that is computed at the speed of the memory.
//!
//! Fletcher's sums over 32-bit words, sixteen pairs of them side by side, in 64 bits: the first sum
//! of a pair cannot overflow below 16 billion words, so that no change of one word escapes it, and
//! the second notices words that changed places. What remains of a file is not taken for another's
//! by accident; against intent it is no protection, and need not be: whoever can write the file can
//! write the tables, too.

use sha2::{Digest, Sha256};

use crate::nn::processor::{Processor, Task};

/// Bytes of a block: one word for each pair of sums.
pub const BLOCK: usize = 16 * size_of::<u32>();

/// The sums so far.
#[derive(Clone, Debug, Default)]
pub struct Checksum {
    sums: [u64; 16],
    sums_of_sums: [u64; 16],
    blocks: u64,
}

impl Checksum {
    /// Takes whole blocks.
    ///
    /// # Panics
    /// When the length is no multiple of [`BLOCK`].
    pub fn add(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "a part of a block");
        Processor::detect().run(Add { to: self, blocks });
    }

    /// What tells the bytes taken so far from others.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for value in self.sums.iter().chain(&self.sums_of_sums) {
            digest.update(value.to_le_bytes());
        }
        digest.update(self.blocks.to_le_bytes());
        digest.finalize().into()
    }
}

struct Add<'a> {
    to: &'a mut Checksum,
    blocks: &'a [[u8; BLOCK]],
}

impl Task for Add<'_> {
    #[inline(always)]
    fn run(self) {
        let Checksum {
            mut sums,
            mut sums_of_sums,
            blocks,
        } = *self.to;
        for block in self.blocks {
            let words = block.as_chunks::<{ size_of::<u32>() }>().0;
            for (i, word) in words.iter().enumerate() {
                sums[i] = sums[i].wrapping_add(u64::from(u32::from_le_bytes(*word)));
                sums_of_sums[i] = sums_of_sums[i].wrapping_add(sums[i]);
            }
        }
        *self.to = Checksum {
            sums,
            sums_of_sums,
            blocks: blocks.wrapping_add(self.blocks.len() as u64),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> [u8; 32] {
        let mut checksum = Checksum::default();
        checksum.add(bytes);
        checksum.digest()
    }

    #[test]
    fn every_byte_and_its_place_counts() {
        let mut bytes: Vec<u8> = (0..4 * BLOCK).map(|i| (i * 7 % 251) as u8).collect();
        let whole = digest(&bytes);
        for i in 0..bytes.len() {
            for bit in [0, 7] {
                bytes[i] ^= 1 << bit;
                assert_ne!(digest(&bytes), whole, "byte {i}");
                bytes[i] ^= 1 << bit;
            }
        }
        let mut turned = bytes[BLOCK..].to_vec();
        turned.extend_from_slice(&bytes[..BLOCK]);
        assert_ne!(digest(&turned), whole);
        assert_ne!(digest(&bytes[BLOCK..]), whole);
        assert_ne!(digest(&[&bytes[..], &[0; BLOCK]].concat()), whole);
    }

    #[test]
    fn pieces_add_up_to_the_whole() {
        let bytes: Vec<u8> = (0..40 * BLOCK).map(|i| (i * i % 253) as u8).collect();
        let mut checksum = Checksum::default();
        for piece in bytes.chunks(3 * BLOCK) {
            checksum.add(piece);
        }
        assert_eq!(checksum.digest(), digest(&bytes));
    }
}

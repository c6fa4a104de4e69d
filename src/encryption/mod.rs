//! Encryption at rest, by AES-256 in Galois/Counter mode (NIST SP 800-38D), from the crate `aes-gcm`.
//!
//! [`Keys`] are what the server was started with. What is stored for good is sealed by
//! [`Keys::seal`], piece by piece, each bound to what it is a piece of; what lives in a temporary file
//! goes through [`Blocks`], under a key of this start of the server.

mod blocks;
mod keys;
mod record;

pub use blocks::{BLOCK, Blocks, RECORD};
pub use keys::{KeyId, Keys};

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was sealed with a key that is not among those at hand.
    #[error("it is encrypted with the key {0}, which is not among those that the server was given")]
    OtherKey(KeyId),
    /// It was changed, or belongs elsewhere.
    #[error("its encrypted bytes have changed")]
    Changed,
    /// The operating system gave no random numbers.
    #[error("no random number could be had")]
    NoRandom,
    /// What a key command printed is not a list of keys.
    #[error("{0}")]
    Keys(String),
}

/// Draws random bytes from a source that is good enough for keys; false where it has none.
pub type Random = fn(&mut [u8]) -> bool;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use sha2::{Digest, Sha256};

    /// Bytes that never come twice, which is all that tests need of them.
    pub(super) fn random(into: &mut [u8]) -> bool {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        for chunk in into.chunks_mut(32) {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let bytes = Sha256::digest(count.to_le_bytes());
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        true
    }
}

//! Encryption at rest, by AES-256 in Galois/Counter mode (NIST SP 800-38D), from the crate `aes-gcm`.
//!
//! [`Keys`] are what the server was started with. What is stored for good is sealed by
//! [`Keys::seal`], piece by piece, each bound to what it is a piece of; what lives in a temporary file
//! goes through [`Blocks`], under a key of this start of the server.

mod blocks;
mod keys;

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

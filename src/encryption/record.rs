//! A sealed record: a number that is used once, the ciphertext, and the tag that authenticates it.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use super::{Error, Random};

/// Bytes of a number that is used once.
pub(super) const NONCE: usize = 12;
/// Bytes that authenticate a record.
pub(super) const TAG: usize = 16;

/// Fills in the number that is used once and the tag, around the plain bytes.
pub(super) fn seal_in_place(
    cipher: &Aes256Gcm,
    context: &[u8],
    random: Random,
    record: &mut [u8],
) -> Result<(), Error> {
    let (nonce, rest) = record.split_at_mut_checked(NONCE).ok_or(Error::Changed)?;
    let plain = rest.len().checked_sub(TAG).ok_or(Error::Changed)?;
    let (plain, tag) = rest.split_at_mut(plain);
    if !random(nonce) {
        return Err(Error::NoRandom);
    }
    let nonce = Nonce::try_from(&*nonce).map_err(|_| Error::Changed)?;
    let made = cipher.encrypt_inout_detached(&nonce, context, plain.into());
    tag.copy_from_slice(&made.map_err(|_| Error::Changed)?);
    Ok(())
}

/// Opens a record in its place; its plain bytes, as many as given back, then follow the number that is
/// used once.
pub(super) fn open_in_place(
    cipher: &Aes256Gcm,
    context: &[u8],
    record: &mut [u8],
) -> Result<usize, Error> {
    let (nonce, rest) = record.split_at_mut_checked(NONCE).ok_or(Error::Changed)?;
    let length = rest.len().checked_sub(TAG).ok_or(Error::Changed)?;
    let (sealed, tag) = rest.split_at_mut(length);
    let nonce = Nonce::try_from(&*nonce).map_err(|_| Error::Changed)?;
    let tag = Tag::try_from(&*tag).map_err(|_| Error::Changed)?;
    cipher
        .decrypt_inout_detached(&nonce, context, sealed.into(), &tag)
        .map_err(|_| Error::Changed)?;
    Ok(length)
}

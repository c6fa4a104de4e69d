//! The keys that a server was started with.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::KeyInit;
use memmap2::{Advice, MmapMut};
use sha2::{Digest, Sha256};

use super::record::{NONCE, TAG, open_in_place, seal_in_place};
use super::{Blocks, Error, Random};
use crate::hex::hex;

/// Bytes of a key.
const KEY: usize = 32;
/// Most keys at once: the one in use, and those before it.
const MOST_KEYS: usize = 64;

/// What tells keys apart and says nothing of them: the beginning of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    fn of(key: &[u8]) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(b"pg_neural key id\0");
        hash.update(key);
        let mut id = [0; 8];
        id.copy_from_slice(&hash.finalize()[..8]);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The keys: the first is in use, the others open what was sealed before it. They stand in memory that
/// is neither swapped nor part of a core dump, where the system grants that.
pub struct Keys {
    memory: MmapMut,
    ids: Vec<KeyId>,
    random: Random,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("ids", &self.ids).finish()
    }
}

impl Keys {
    /// Reads what a key command printed: a key a line, of 64 hexadecimal digits. It is overwritten.
    ///
    /// # Errors
    /// [`Error::Keys`] where it is no such list; [`Error::NoRandom`].
    pub fn read(printed: &mut [u8], random: Random) -> Result<Keys, Error> {
        let keys = Keys::parse(printed, random);
        printed.fill(0);
        // The compiler may not leave the overwriting out: the bytes are looked at once more.
        std::hint::black_box(&*printed);
        keys
    }

    fn parse(printed: &[u8], random: Random) -> Result<Keys, Error> {
        let lines = printed.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return Err(Error::Keys("it printed no key".into()));
        }
        if lines.len() > MOST_KEYS {
            return Err(Error::Keys(format!(
                "it printed {} lines, of at most {MOST_KEYS} keys",
                lines.len()
            )));
        }
        let no_memory = |error: std::io::Error| Error::Keys(format!("no memory for keys: {error}"));
        // One more: that of temporary files.
        let mut memory = MmapMut::map_anon(KEY * (lines.len() + 1)).map_err(no_memory)?;
        // Refused where RLIMIT_MEMLOCK is small: the keys are then as safe as PostgreSQL's own.
        let _ = memory.lock();
        let _ = memory.advise(Advice::DontDump);
        let (temporary, stored) = memory.split_at_mut(KEY);
        if !random(temporary) {
            return Err(Error::NoRandom);
        }
        let mut ids = Vec::with_capacity(lines.len());
        for (number, (line, key)) in lines.iter().zip(stored.chunks_exact_mut(KEY)).enumerate() {
            // Nothing of the line is repeated: it may be a key with a slip in it.
            let wrong = || Error::Keys(format!("line {} is not 64 hexadecimal digits", number + 1));
            if line.len() != 2 * KEY || !line.iter().all(u8::is_ascii_hexdigit) {
                return Err(wrong());
            }
            for (digits, byte) in line.chunks_exact(2).zip(key.iter_mut()) {
                let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
                *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
            }
            let id = KeyId::of(key);
            if ids.contains(&id) {
                return Err(Error::Keys(format!(
                    "line {} repeats a key that stands before it",
                    number + 1
                )));
            }
            ids.push(id);
        }
        Ok(Keys {
            memory,
            ids,
            random,
        })
    }

    /// The key in use.
    pub fn current(&self) -> KeyId {
        self.ids[0]
    }

    /// Whether this key is at hand.
    pub fn has(&self, id: KeyId) -> bool {
        self.ids.contains(&id)
    }

    fn cipher(&self, place: usize) -> Result<Aes256Gcm, Error> {
        let key = self.memory.chunks_exact(KEY).nth(place);
        let key = key.and_then(|key| Aes256Gcm::new_from_slice(key).ok());
        key.ok_or(Error::Changed)
    }

    /// Seals a piece with the key in use: `context` says what it is a piece of, and has to be said again
    /// to open it. Gives a number that is used once, the ciphertext and its tag, 28 bytes more than
    /// `plain`. `into` is overwritten.
    ///
    /// The numbers are random: a key is good for 2³² pieces, some four million gigabytes in chunks.
    ///
    /// # Errors
    /// [`Error::NoRandom`].
    pub fn seal(&self, plain: &[u8], context: &[u8], into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        into.resize(NONCE, 0);
        into.extend_from_slice(plain);
        into.resize(NONCE + plain.len() + TAG, 0);
        seal_in_place(&self.cipher(1)?, context, self.random, into)
    }

    /// Opens what [`seal`](Keys::seal) sealed with the key of that id. `into` is overwritten.
    ///
    /// # Errors
    /// [`Error::OtherKey`]; [`Error::Changed`] where a bit of it or of `context` is another.
    pub fn open(
        &self,
        id: KeyId,
        sealed: &[u8],
        context: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let place = self.ids.iter().position(|known| *known == id);
        let cipher = self.cipher(1 + place.ok_or(Error::OtherKey(id))?)?;
        into.clear();
        into.extend_from_slice(sealed);
        let length = open_in_place(&cipher, context, into)?;
        into.copy_within(NONCE..NONCE + length, 0);
        into.truncate(length);
        Ok(())
    }

    /// What a temporary file goes through.
    ///
    /// # Errors
    /// None that is expected.
    pub fn blocks(&self) -> Result<Blocks, Error> {
        Ok(Blocks::new(self.cipher(0)?, self.random))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::random;
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

    fn keys(lines: &str) -> Result<Keys, Error> {
        Keys::read(&mut lines.as_bytes().to_vec(), random)
    }

    #[test]
    fn what_was_sealed_opens_with_its_key_and_its_context_only() {
        let keys_now = keys(ONE).unwrap();
        let (mut sealed, mut plain) = (Vec::new(), Vec::new());
        keys_now
            .seal(b"weights", b"version 1", &mut sealed)
            .unwrap();
        assert_eq!(sealed.len(), 7 + NONCE + TAG);
        assert!(!sealed.windows(7).any(|bytes| bytes == b"weights"));
        let id = keys_now.current();
        keys_now
            .open(id, &sealed, b"version 1", &mut plain)
            .unwrap();
        assert_eq!(plain, b"weights");
        let elsewhere = keys_now.open(id, &sealed, b"version 2", &mut plain);
        assert_eq!(elsewhere, Err(Error::Changed));
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = keys_now.open(id, &changed, b"version 1", &mut plain);
            assert_eq!(opened, Err(Error::Changed));
        }
        for length in 0..sealed.len() {
            let opened = keys_now.open(id, &sealed[..length], b"version 1", &mut plain);
            assert_eq!(opened, Err(Error::Changed));
        }
        // Another key in use: the old one still opens what it sealed, and only while it is there.
        let rotated = keys(&format!("{TWO}\n{ONE}\n")).unwrap();
        rotated.open(id, &sealed, b"version 1", &mut plain).unwrap();
        assert_eq!(plain, b"weights");
        let alone = keys(TWO).unwrap();
        let opened = alone.open(id, &sealed, b"version 1", &mut plain);
        assert_eq!(opened, Err(Error::OtherKey(id)));
    }

    #[test]
    fn equal_pieces_look_different() {
        let keys = keys(ONE).unwrap();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        keys.seal(b"weights", b"", &mut one).unwrap();
        keys.seal(b"weights", b"", &mut other).unwrap();
        assert_ne!(one, other);
    }

    #[test]
    fn a_list_of_keys_is_read_or_refused_without_repeating_it() {
        assert!(keys(&format!("  {ONE}\r\n\n{}\n", TWO.to_uppercase())).is_ok());
        let refused = |printed: &str, problem: &str| match keys(printed) {
            Err(Error::Keys(message)) => assert_eq!(message, problem),
            other => panic!("{other:?}"),
        };
        refused("", "it printed no key");
        refused("\n \n", "it printed no key");
        refused("secret", "line 1 is not 64 hexadecimal digits");
        refused(
            &format!("{ONE}\n{}g", &ONE[1..]),
            "line 2 is not 64 hexadecimal digits",
        );
        refused(
            &format!("+{}", &ONE[1..]),
            "line 1 is not 64 hexadecimal digits",
        );
        refused(
            &format!("{ONE}\n{}", ONE.to_uppercase()),
            "line 2 repeats a key that stands before it",
        );
        assert!(!format!("{:?}", keys(ONE)).contains("0c0d0e0f"));
    }

    /// Test case 16 of the specification that GCM was submitted to NIST with (McGrew and Viega): its
    /// key, number and context give its ciphertext and tag.
    #[test]
    fn the_cipher_is_the_one_of_the_specification() {
        let bytes = |digits: &str| -> Vec<u8> {
            let digits = digits.as_bytes().chunks(2);
            let text = digits.map(|two| std::str::from_utf8(two).unwrap());
            text.map(|two| u8::from_str_radix(two, 16).unwrap())
                .collect()
        };
        let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let cipher = Aes256Gcm::new_from_slice(&key).unwrap();
        let mut record = bytes("cafebabefacedbaddecaf888");
        record.extend(bytes(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        ));
        record.extend(bytes("76fc6ece0f4e1768cddf8853bb2d551b"));
        let context = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let length = open_in_place(&cipher, &context, &mut record).unwrap();
        assert_eq!(
            record[NONCE..NONCE + length],
            bytes(
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                 1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
            )
        );
    }
}

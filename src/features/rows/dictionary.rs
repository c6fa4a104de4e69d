//! The distinct texts of a column, each with a small number.

use hashbrown::HashTable;

use crate::features::hash::hash;

/// The code of a NULL.
pub const MISSING: u32 = u32::MAX;
/// The code of every text that came after the dictionary was full.
pub const OVERFLOW: u32 = u32::MAX - 1;
/// How many distinct texts a dictionary takes.
const CAPACITY: usize = 65_536;
/// Most bytes of text a dictionary keeps: long documents must not fill the memory.
const MAX_BYTES: usize = 8 << 20;
/// Registers of the estimate of distinct texts, as a power of two: its error is below 2 %.
const REGISTER_BITS: u32 = 13;

/// Interns texts in the order of their first appearance.
///
/// Once 65,536 distinct texts (or 8 MB of them) are in, further ones share the code
/// [`OVERFLOW`], and their number is estimated by HyperLogLog (Flajolet et al. 2007).
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    text: String,
    /// Where each text ends in `text`.
    ends: Vec<u32>,
    table: HashTable<u32>,
    full: bool,
    registers: Vec<u8>,
}

impl Dictionary {
    /// An empty dictionary.
    pub fn new() -> Dictionary {
        Dictionary::default()
    }

    /// A dictionary with these texts in it, which so keep their codes however many others follow.
    ///
    /// Where levels are fixed beforehand (a treatment that lists them, rows for a model already
    /// fitted) the dictionary must start with them.
    pub fn with_levels(levels: &[String]) -> Dictionary {
        let mut dictionary = Dictionary::new();
        for level in levels {
            dictionary.intern(level);
        }
        dictionary
    }

    /// The code of a text, which is taken in when it is new and there is room.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hashed = hash(text.as_bytes());
        let found = self
            .table
            .find(hashed, |&code| slice(&self.text, &self.ends, code) == text);
        if let Some(&code) = found {
            return code;
        }
        if self.ends.len() >= CAPACITY || self.text.len() + text.len() > MAX_BYTES {
            self.overflow(hashed);
            return OVERFLOW;
        }
        let code = self.ends.len() as u32;
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        let Dictionary {
            text, ends, table, ..
        } = self;
        table.insert_unique(hashed, code, |&code| {
            hash(slice(text, ends, code).as_bytes())
        });
        code
    }

    /// The code of a text that is in.
    pub fn code(&self, text: &str) -> Option<u32> {
        self.table
            .find(hash(text.as_bytes()), |&code| {
                slice(&self.text, &self.ends, code) == text
            })
            .copied()
    }

    /// The text of a code; none for [`MISSING`], [`OVERFLOW`] and codes never given out.
    pub fn text(&self, code: u32) -> Option<&str> {
        ((code as usize) < self.ends.len()).then(|| slice(&self.text, &self.ends, code))
    }

    /// How many texts are in.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no text is in.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether some texts found no room.
    pub fn overflowed(&self) -> bool {
        self.full
    }

    /// How many distinct texts were seen: exact until the dictionary overflows, then estimated.
    pub fn distinct(&self) -> f64 {
        self.len() as f64 + self.estimate()
    }

    /// Bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.text.capacity()
            + 4 * self.ends.capacity()
            + 5 * self.table.capacity()
            + self.registers.capacity()
    }

    fn overflow(&mut self, hashed: u64) {
        self.full = true;
        if self.registers.is_empty() {
            self.registers = vec![0; 1 << REGISTER_BITS];
        }
        let register = (hashed >> (64 - REGISTER_BITS)) as usize;
        let rank = ((hashed << REGISTER_BITS).leading_zeros() + 1).min(64) as u8;
        self.registers[register] = self.registers[register].max(rank);
    }

    fn estimate(&self) -> f64 {
        if self.registers.is_empty() {
            return 0.0;
        }
        let m = self.registers.len() as f64;
        let sum: f64 = self
            .registers
            .iter()
            .map(|&r| 0.5_f64.powi(i32::from(r)))
            .sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = self.registers.iter().filter(|&&r| r == 0).count();
        if raw <= 2.5 * m && empty > 0 {
            m * (m / empty as f64).ln()
        } else {
            raw
        }
    }
}

fn slice<'a>(text: &'a str, ends: &[u32], code: u32) -> &'a str {
    let code = code as usize;
    let start = if code == 0 {
        0
    } else {
        ends[code - 1] as usize
    };
    &text[start..ends[code] as usize]
}

//! A sample of rows, each with its side.

use super::side::{Known, Side};

/// Rows that are kept, at most: 80 kB.
pub(super) const CAPACITY: usize = 16_384;
/// The layout of the bytes.
const FORMAT: u8 = 1;
/// Bytes before the rows.
const HEADER: usize = 16;
/// One beyond the largest hash.
const NO_LIMIT: u64 = 1 << 32;

/// A sample of rows, each with its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Hashes below this one are known.
    limit: u64,
    /// By hash, each once.
    rows: Vec<(u32, u8)>,
    /// How many of `rows` are in order.
    sorted: usize,
    /// Leading inputs that were hashed: features may have been added since.
    width: usize,
}

impl Seen {
    /// No rows, which will be told by so many inputs.
    pub fn new(width: usize) -> Seen {
        Seen {
            limit: NO_LIMIT,
            rows: Vec::new(),
            sorted: 0,
            width,
        }
    }

    /// Leading inputs by which rows are told.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether all rows are known.
    pub fn is_whole(&self) -> bool {
        self.limit == NO_LIMIT
    }

    /// Forgets all: nothing is known of any row.
    pub fn forget(&mut self) {
        self.limit = 0;
        self.settle();
    }

    /// Adds a row.
    pub fn add(&mut self, hash: u32, side: Side) {
        if u64::from(hash) < self.limit {
            self.rows.push((hash, side.code()));
            if self.rows.len() >= 4 * CAPACITY {
                self.settle();
            }
        }
    }

    /// Adds all rows of another sample: of a row in both, every training counts.
    pub fn merge(&mut self, other: &Seen) {
        self.limit = self.limit.min(other.limit);
        self.rows.extend_from_slice(&other.rows);
        self.sorted = 0;
        self.settle();
    }

    /// Brings the rows in order, those that are alike together, and the largest hashes out.
    pub fn settle(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup_by(|later, first| {
            let alike = later.0 == first.0;
            if alike {
                first.1 = Side::of(first.1).and(Side::of(later.1)).code();
            }
            alike
        });
        if let Some(&(first_out, _)) = self.rows.get(CAPACITY) {
            self.limit = self.limit.min(u64::from(first_out));
        }
        let limit = self.limit;
        self.rows.retain(|&(hash, _)| u64::from(hash) < limit);
        self.sorted = self.rows.len();
    }

    /// What is known of a row. To be asked of a sample that has been settled.
    pub fn find(&self, hash: u32) -> Known {
        debug_assert_eq!(self.sorted, self.rows.len());
        if u64::from(hash) >= self.limit {
            return Known::Beyond;
        }
        match self.rows.binary_search_by_key(&hash, |row| row.0) {
            Ok(at) => Known::Seen(Side::of(self.rows[at].1)),
            Err(_) => Known::New,
        }
    }

    /// Whether any row was a fold's.
    pub fn has_folds(&self) -> bool {
        self.rows
            .iter()
            .any(|row| matches!(Side::of(row.1), Side::Fold(_)))
    }

    /// Notes that the rows of folds were learnt by what is kept.
    pub fn learn_folds(&mut self) {
        for (_, side) in &mut self.rows {
            if let Side::Fold(_) = Side::of(*side) {
                *side = Side::Trained.code();
            }
        }
    }

    /// How many different rows there were, of all: exact up to `CAPACITY`, else estimated by the
    /// largest hash that is kept. To be asked of a sample that has been settled.
    pub fn different(&self) -> f64 {
        self.rows.len() as f64 * (NO_LIMIT as f64 / self.limit.max(1) as f64)
    }

    /// The sample as bytes, once it has been settled.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 5 * self.rows.len());
        bytes.extend_from_slice(b"pns");
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.limit.to_le_bytes());
        bytes.extend_from_slice(&(self.width as u32).to_le_bytes());
        for (hash, _) in &self.rows {
            bytes.extend_from_slice(&hash.to_le_bytes());
        }
        bytes.extend(self.rows.iter().map(|row| row.1));
        bytes
    }

    /// Reads what [`to_bytes`](Seen::to_bytes) wrote; nothing of anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Seen> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let (limit, width) = header.get(4..)?.split_at_checked(8)?;
        let limit = u64::from_le_bytes(limit.try_into().ok()?);
        let width = u32::from_le_bytes(width.try_into().ok()?) as usize;
        if !header.starts_with(b"pns\x01") || rest.len() % 5 != 0 || limit > NO_LIMIT {
            return None;
        }
        let (hashes, sides) = rest.split_at(rest.len() / 5 * 4);
        let hashes = hashes.as_chunks::<4>().0.iter();
        let hashes = hashes.map(|hash| u32::from_le_bytes(*hash));
        let rows: Vec<(u32, u8)> = hashes.zip(sides.iter().copied()).collect();
        let in_order = rows.is_sorted_by(|a, b| a.0 < b.0)
            && rows.last().is_none_or(|row| u64::from(row.0) < limit);
        in_order.then_some(Seen {
            limit,
            sorted: rows.len(),
            rows,
            width,
        })
    }
}

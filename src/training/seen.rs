//! Which rows a version was trained on and which were held out, told by hashes of what they are.
//!
//! A version that goes on from another one's weights must not be judged on rows that these weights
//! have learnt. So every version keeps, of a sample of the rows that it and the versions before it
//! were trained with, on which side each was. A row is known again by the bits of its encoded
//! features and of its target, whatever query it comes from and in whatever order.
//!
//! The sample is of the rows with the smallest hashes (the bottom-k sketch of Cohen and Kaplan
//! 2007): of a row below the sketch's limit it is known whether it was there, above it is not. Up
//! to [`CAPACITY`] rows all are known.

use crate::features::hash_bytes;

/// Rows that are kept, at most: 80 kB.
pub const CAPACITY: usize = 16_384;
/// The layout of the bytes.
const FORMAT: u8 = 1;
/// Bytes before the rows.
const HEADER: usize = 16;
/// One beyond the largest hash.
const NO_LIMIT: u64 = 1 << 32;

/// On which side a row was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// All networks were trained on it.
    Trained,
    /// No network was trained on it.
    HeldOut,
    /// The member of this number was not trained on it, and all others were.
    Fold(u8),
}

impl Side {
    fn code(self) -> u8 {
        match self {
            Side::Trained => u8::MAX,
            Side::HeldOut => u8::MAX - 1,
            Side::Fold(fold) => fold.min(u8::MAX - 2),
        }
    }

    fn of(code: u8) -> Side {
        match code {
            u8::MAX => Side::Trained,
            254 => Side::HeldOut,
            fold => Side::Fold(fold),
        }
    }

    /// The side of two rows that are alike, or of a row in two trainings.
    #[must_use]
    pub fn and(self, other: Side) -> Side {
        match (self, other) {
            (one, another) if one == another => one,
            // Whoever held it out in one has learnt it by the other.
            _ => Side::Trained,
        }
    }
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was there.
    Seen(Side),
    /// It was not.
    New,
    /// Nothing: it is beyond the sample.
    Unknown,
}

/// The hash of a row: of its encoded features and what is true of it. `buffer` is room to work in.
pub fn row_hash(features: &[f32], truth: RowTruth<'_>, buffer: &mut Vec<u8>) -> u32 {
    buffer.clear();
    // Adding 0 makes one value of 0 and −0.
    buffer.extend(features.iter().flat_map(|x| (x + 0.0).to_le_bytes()));
    match truth {
        RowTruth::Class(class) => buffer.extend_from_slice(class.as_bytes()),
        RowTruth::Numbers(numbers) => {
            buffer.extend(numbers.iter().flat_map(|x| (x + 0.0).to_le_bytes()));
        }
    }
    (hash_bytes(buffer) >> 32) as u32
}

/// What is true of a row that is hashed.
#[derive(Clone, Copy, Debug)]
pub enum RowTruth<'a> {
    /// A class by its text.
    Class(&'a str),
    /// The target's number or numbers.
    Numbers(&'a [f64]),
}

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
            return Known::Unknown;
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

/// What a version keeps of the rows that it and the versions before it were trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRows {
    /// The rows, or sequences by their first step.
    pub rows: Seen,
    /// The groups that `validation_group` kept together, where it was given.
    pub groups: Option<Seen>,
}

impl SeenRows {
    /// What is known of a row and of the group it is in. Where groups are known, a row is where its
    /// group was, seen or not.
    pub fn find(&self, row: u32, group: Option<u32>) -> Known {
        let own = self.rows.find(row);
        match self.groups.as_ref().zip(group) {
            Some((groups, group)) if own != Known::Seen(Side::Trained) => groups.find(group),
            _ => own,
        }
    }

    /// Takes in what is known from earlier trainings.
    pub fn merge(&mut self, earlier: &SeenRows) {
        self.rows.merge(&earlier.rows);
        match (&mut self.groups, &earlier.groups) {
            (Some(groups), Some(earlier)) => groups.merge(earlier),
            (None, Some(earlier)) => self.groups = Some(earlier.clone()),
            _ => {}
        }
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let rows = self.rows.to_bytes();
        let mut bytes = (rows.len() as u32).to_le_bytes().to_vec();
        bytes.extend(rows);
        if let Some(groups) = &self.groups {
            bytes.extend(groups.to_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](SeenRows::to_bytes) wrote; nothing of anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<SeenRows> {
        let (length, rest) = bytes.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (rows, groups) = rest.split_at_checked(length)?;
        Some(SeenRows {
            rows: Seen::from_bytes(rows)?,
            groups: match groups {
                [] => None,
                groups => Some(Seen::from_bytes(groups)?),
            },
        })
    }
}

/// The hash of a group, given as the number that stands for it.
pub fn group_hash(group: u64) -> u32 {
    (hash_bytes(&group.to_le_bytes()) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Known, RowTruth, Seen, Side, row_hash};

    fn hash(row: u64) -> u32 {
        row_hash(&[row as f32], RowTruth::Class("a"), &mut Vec::new())
    }

    #[test]
    fn rows_are_known_by_side_and_come_back_from_bytes() {
        let mut seen = Seen::new(1);
        (0..1000).for_each(|row| {
            let side = match row % 3 {
                0 => Side::HeldOut,
                1 => Side::Trained,
                _ => Side::Fold(5),
            };
            seen.add(hash(row), side);
        });
        seen.settle();
        assert_eq!(seen.find(hash(3)), Known::Seen(Side::HeldOut));
        assert_eq!(seen.find(hash(4)), Known::Seen(Side::Trained));
        assert_eq!(seen.find(hash(5)), Known::Seen(Side::Fold(5)));
        assert_eq!(seen.find(hash(5000)), Known::New);
        assert_eq!(Seen::from_bytes(&seen.to_bytes()).as_ref(), Some(&seen));
        // Held out by one training and learnt in the next.
        let mut next = Seen::new(1);
        next.add(hash(3), Side::Trained);
        next.add(hash(5000), Side::HeldOut);
        next.settle();
        next.merge(&seen);
        assert_eq!(next.find(hash(3)), Known::Seen(Side::Trained));
        assert_eq!(next.find(hash(6)), Known::Seen(Side::HeldOut));
        assert_eq!(next.find(hash(5000)), Known::Seen(Side::HeldOut));
    }

    #[test]
    fn of_many_rows_a_sample_is_known_and_never_a_wrong_side() {
        let mut seen = Seen::new(1);
        let rows = 10 * CAPACITY as u64;
        (0..rows).for_each(|row| seen.add(hash(row), Side::Trained));
        seen.settle();
        let known = (0..rows).filter(|&row| {
            let known = seen.find(hash(row));
            assert_ne!(known, Known::New);
            known == Known::Seen(Side::Trained)
        });
        assert!((CAPACITY - 100..=CAPACITY + 100).contains(&known.count()));
        let new = (rows..2 * rows).filter(|&row| seen.find(hash(row)) == Known::New);
        assert!(new.count() > CAPACITY / 2);
        assert!(seen.to_bytes().len() < 90_000);
    }

    #[test]
    fn hostile_bytes_are_no_sample() {
        let mut seen = Seen::new(2);
        seen.add(7, Side::Trained);
        seen.add(9, Side::Trained);
        seen.settle();
        let bytes = seen.to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(
                Seen::from_bytes(&bytes[..cut]).is_some(),
                cut >= 16 && (cut - 16) % 5 == 0,
                "{cut}"
            );
        }
        let mut unordered = bytes;
        unordered.swap(16, 20);
        assert_eq!(Seen::from_bytes(&unordered), None);
    }
}

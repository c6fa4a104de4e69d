//! Which rows a version was trained on and which were held out, told by hashes of what they are.
//!
//! A version that goes on from another one's weights must not be judged on rows that these weights
//! have learnt. So every version keeps, of a sample of the rows that it and the versions before it
//! were trained with, on which side each was. A row is known again by the bits of its encoded
//! features and of its target, whatever query it comes from and in whatever order; and, where the
//! features tell nearly all rows apart, by these alone, to the precision of a `real` column: what is
//! true of a row may have been corrected since, or its columns' types have changed.
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
/// Steps between 0 and 1 that [`features_hash`] tells apart.
const GRID: f32 = 4096.0;
/// Share of the rows that must differ in their features for these to tell rows.
const TOLD_APART: f64 = 0.9;
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
    /// Nothing: it is beyond the sample, or not all earlier rows are known.
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

/// The hash of a row's encoded features alone: to some four decimal digits, so that neither a change
/// of a column's type to `real` nor another way of scaling it makes another row of it.
pub fn features_hash(features: &[f32], buffer: &mut Vec<u8>) -> u32 {
    buffer.clear();
    buffer.extend(features.iter().flat_map(|&x| {
        let rounded = match x.abs() < 1.0 {
            true => (x * GRID).round() / GRID,
            // As many bits of the mantissa as the grid has just below 1.
            false => f32::from_bits((x.to_bits() + 0x800) & !0xfff),
        };
        (rounded + 0.0).to_le_bytes()
    }));
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

/// What a version keeps of the rows that it and the versions before it were trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRows {
    /// The rows, or sequences by their first step.
    pub rows: Seen,
    /// The same by their features alone, where these tell rows apart.
    pub features: Option<Seen>,
    /// The groups that `validation_group` kept together, where it was given.
    pub groups: Option<Seen>,
    /// Whether no version before was trained with rows that are not known, as one that was imported
    /// was. If not, nothing is known of a row that is not found.
    pub complete: bool,
}

/// What a row is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHashes {
    /// [`row_hash`].
    pub row: u32,
    /// [`features_hash`].
    pub features: u32,
    /// `group_hash`, where there are groups.
    pub group: Option<u32>,
}

impl SeenRows {
    /// No rows, which will be told by so many inputs, and their groups if there are any.
    pub fn new(width: usize, groups: bool) -> SeenRows {
        SeenRows {
            rows: Seen::new(width),
            features: Some(Seen::new(width)),
            groups: groups.then(|| Seen::new(width)),
            complete: true,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, hashes: RowHashes, side: Side) {
        self.rows.add(hashes.row, side);
        if let Some(features) = &mut self.features {
            features.add(hashes.features, side);
        }
        if let (Some(groups), Some(group)) = (&mut self.groups, hashes.group) {
            groups.add(group, side);
        }
    }

    /// Brings what was added in order; `rows` is how many rows that were.
    pub fn settle(&mut self, rows: usize) {
        self.rows.settle();
        if let Some(groups) = &mut self.groups {
            groups.settle();
        }
        self.features = self.features.take().and_then(|mut features| {
            features.settle();
            (features.different() >= TOLD_APART * rows as f64).then_some(features)
        });
    }

    /// What is known of a row and of the group it is in. Where groups are known, a row is where its
    /// group was, seen or not.
    pub fn find(&self, hashes: RowHashes) -> Known {
        match self.find_in_samples(hashes) {
            Known::New if !self.complete => Known::Unknown,
            known => known,
        }
    }

    fn find_in_samples(&self, hashes: RowHashes) -> Known {
        let own = match (self.rows.find(hashes.row), &self.features) {
            // Of rows that are alike in all, the side that all of them had.
            (seen @ Known::Seen(_), _) => seen,
            (other, None) => other,
            (other, Some(features)) => match features.find(hashes.features) {
                seen @ Known::Seen(_) => seen,
                _ => other,
            },
        };
        match self.groups.as_ref().zip(hashes.group) {
            Some((groups, group)) if own != Known::Seen(Side::Trained) => groups.find(group),
            _ => own,
        }
    }

    /// Takes in what is known from earlier trainings.
    pub fn merge(&mut self, earlier: &SeenRows) {
        self.complete &= earlier.complete;
        self.rows.merge(&earlier.rows);
        for (own, earlier) in [
            (&mut self.features, &earlier.features),
            (&mut self.groups, &earlier.groups),
        ] {
            match (own, earlier) {
                (Some(own), Some(earlier)) => own.merge(earlier),
                (own @ None, Some(earlier)) => *own = Some(earlier.clone()),
                _ => {}
            }
        }
    }

    /// As bytes: each sample after its length, which is 0 where there is none. One that is missing
    /// before them all says that they are not complete.
    pub fn to_bytes(&self) -> Vec<u8> {
        let samples = [
            None,
            Some(&self.rows),
            self.features.as_ref(),
            self.groups.as_ref(),
        ];
        samples
            .into_iter()
            .skip(usize::from(self.complete))
            .flat_map(|sample| {
                let bytes = sample.map_or_else(Vec::new, Seen::to_bytes);
                [(bytes.len() as u32).to_le_bytes().to_vec(), bytes].concat()
            })
            .collect()
    }

    /// Reads what [`to_bytes`](SeenRows::to_bytes) wrote; nothing of anything else.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<SeenRows> {
        let mut next = || {
            let (length, rest) = bytes.split_at_checked(4)?;
            let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
            let (sample, rest) = rest.split_at_checked(length)?;
            bytes = rest;
            match sample {
                [] => Some(None),
                sample => Seen::from_bytes(sample).map(Some),
            }
        };
        let first = next()?;
        let complete = first.is_some();
        let rows = match first {
            Some(rows) => rows,
            None => next()??,
        };
        let (features, groups) = (next()?, next()?);
        bytes.is_empty().then_some(SeenRows {
            rows,
            features,
            groups,
            complete,
        })
    }
}

/// The hash of a group, given as the number that stands for it.
pub fn group_hash(group: u64) -> u32 {
    (hash_bytes(&group.to_le_bytes()) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::{
        CAPACITY, Known, RowHashes, RowTruth, Seen, SeenRows, Side, features_hash, row_hash,
    };

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
    fn a_row_is_known_by_its_features_where_these_tell_rows_apart() {
        let hashes = |x: f32, truth: f64| {
            let mut buffer = Vec::new();
            RowHashes {
                row: row_hash(&[x], RowTruth::Numbers(&[truth]), &mut buffer),
                features: features_hash(&[x], &mut buffer),
                group: None,
            }
        };
        let mut apart = SeenRows::new(1, false);
        let mut alike = SeenRows::new(1, false);
        for row in 0..2000 {
            apart.add(hashes(row as f32, 1.0), Side::Trained);
            alike.add(hashes((row % 50) as f32, f64::from(row)), Side::Trained);
        }
        apart.settle(2000);
        alike.settle(2000);
        let trained = Known::Seen(Side::Trained);
        assert_eq!(apart.find(hashes(7.0, 1.0)), trained);
        assert_eq!(apart.find(hashes(7.0, 2.0)), trained);
        assert_eq!(apart.find(hashes(7.000_001, 2.0)), trained);
        assert_eq!(apart.find(hashes(2007.5, 1.0)), Known::New);
        assert_eq!(alike.find(hashes(7.0, 57.0)), trained);
        assert_eq!(alike.find(hashes(7.0, 0.5)), Known::New);
        for seen in [apart, alike] {
            let bytes = seen.to_bytes();
            assert_eq!(SeenRows::from_bytes(&bytes).as_ref(), Some(&seen));
            assert_eq!(SeenRows::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn of_an_incomplete_sample_a_row_that_is_not_found_is_unknown() {
        let hashes = |row: u32| RowHashes {
            row,
            features: row,
            group: Some(row),
        };
        let mut seen = SeenRows::new(1, true);
        seen.add(hashes(1), Side::Trained);
        seen.add(hashes(2), Side::HeldOut);
        seen.settle(2);
        let complete = seen.to_bytes();
        assert_eq!(seen.find(hashes(3)), Known::New);
        seen.complete = false;
        assert_eq!(seen.find(hashes(1)), Known::Seen(Side::Trained));
        assert_eq!(seen.find(hashes(2)), Known::Seen(Side::HeldOut));
        assert_eq!(seen.find(hashes(3)), Known::Unknown);
        let bytes = seen.to_bytes();
        assert_eq!(bytes[4..], complete);
        assert_eq!(SeenRows::from_bytes(&bytes).as_ref(), Some(&seen));
        for cut in 0..bytes.len() {
            assert_eq!(SeenRows::from_bytes(&bytes[..cut]), None, "{cut}");
        }
        // What follows goes on with what is not known.
        let mut next = SeenRows::new(1, false);
        next.add(hashes(4), Side::Trained);
        next.settle(1);
        next.merge(&seen);
        assert_eq!(next.find(hashes(1)), Known::Seen(Side::Trained));
        assert_eq!(next.find(hashes(4)), Known::Seen(Side::Trained));
        assert_eq!(next.find(hashes(5)), Known::Unknown);
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

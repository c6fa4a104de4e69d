//! What a version keeps of the rows: samples of what they are known by.

use super::hashes::RowHashes;
use super::sample::Seen;
use super::side::{Known, Side};

/// Share of the rows that must differ in their features for these to tell rows.
const TOLD_APART: f64 = 0.9;

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

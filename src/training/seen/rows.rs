//! What a version keeps of the rows: samples of what they are known by.

use super::hashes::RowHashes;
use super::sample::Seen;
use super::side::{Known, Side};

/// Share of the rows that must differ in their features for these to tell rows.
const TOLD_APART: f64 = 0.9;

/// What stands before the hash of all that follows it: no length of a sample.
const HASHED: [u8; 4] = u32::MAX.to_le_bytes();

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

/// What is known of a row, and by which of its hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// By all of them.
    pub known: Known,
    /// By the row's hash alone.
    pub by_row: Known,
    /// By the hash of its features alone, where these tell rows apart.
    pub by_features: Option<Known>,
}

impl Found {
    /// The same of a row that was held out, whatever it looks like.
    #[must_use]
    pub fn as_held_out(self) -> Found {
        let held_out = |known: Known| match known.is_learnt() {
            true => Known::Seen(Side::HeldOut),
            false => known,
        };
        Found {
            known: held_out(self.known),
            by_row: held_out(self.by_row),
            by_features: self.by_features.map(held_out),
        }
    }
}

impl SeenRows {
    /// Notes that one network was trained on what members had held out, each its fold.
    pub fn learn_folds(&mut self) {
        let samples = [self.features.as_mut(), self.groups.as_mut()];
        let samples = samples.into_iter().flatten();
        samples.for_each(Seen::learn_folds);
        self.rows.learn_folds();
    }

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
        self.add_in_group(hashes, side, side);
    }

    /// Adds a row whose group's side may be another one.
    pub fn add_in_group(&mut self, hashes: RowHashes, side: Side, group_side: Side) {
        self.rows.add(hashes.row, side);
        if let Some(features) = &mut self.features {
            features.add(hashes.features, side);
        }
        if let (Some(groups), Some(group)) = (&mut self.groups, hashes.group) {
            groups.add(group, group_side);
        }
    }

    /// Brings what was added in order; `rows` is how many rows that were. Features by which earlier
    /// versions tell rows go on to be kept, whatever they tell of these: else what they say of a row
    /// would not hold any more.
    pub fn settle(&mut self, rows: usize, earlier: Option<&SeenRows>) {
        let kept = earlier.is_some_and(|earlier| earlier.features.is_some());
        self.rows.settle();
        if let Some(groups) = &mut self.groups {
            groups.settle();
        }
        self.features = self.features.take().and_then(|mut features| {
            features.settle();
            let apart = features.different() >= TOLD_APART * rows as f64;
            (kept || apart).then_some(features)
        });
    }

    /// What is known of a row and of the group it is in. Where groups are known, a row is where its
    /// group was, seen or not.
    pub fn find(&self, hashes: RowHashes) -> Known {
        self.look(hashes).known
    }

    /// What is known of a row, and by which of its hashes.
    pub fn look(&self, hashes: RowHashes) -> Found {
        let by_row = self.rows.find(hashes.row);
        let by_features = self.features.as_ref();
        let by_features = by_features.map(|features| features.find(hashes.features));
        let own = match (by_row, by_features) {
            // Of rows that are alike in all, the side that all of them had.
            (Known::Seen(_), _) => by_row,
            (_, Some(seen @ Known::Seen(_))) => seen,
            _ => by_row,
        };
        let known = match self.groups.as_ref().zip(hashes.group) {
            Some((groups, group)) if own != Known::Seen(Side::Trained) => groups.find(group),
            _ => own,
        };
        let known = match known {
            Known::New if !self.complete => Known::Unknown,
            known => known,
        };
        Found {
            known,
            by_row,
            by_features,
        }
    }

    /// Takes in what is known from earlier trainings.
    pub fn merge(&mut self, earlier: &SeenRows) {
        self.complete &= earlier.complete;
        self.rows.merge(&earlier.rows);
        let one_has_groups = self.groups.is_some() != earlier.groups.is_some();
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
        // Of a group that one training does not tell, rows may have been learnt that are beyond the
        // sample.
        if let Some(groups) = &mut self.groups
            && one_has_groups
            && !self.rows.is_whole()
        {
            groups.forget();
        }
    }

    /// As bytes, whose hash comes first: no other does for them, as the artifact's does for the model.
    /// Then each sample after its length, which is 0 where there is none. One that is missing before
    /// them all says that they are not complete.
    pub fn to_bytes(&self) -> Vec<u8> {
        let samples = [
            None,
            Some(&self.rows),
            self.features.as_ref(),
            self.groups.as_ref(),
        ];
        let bytes: Vec<u8> = samples
            .into_iter()
            .skip(usize::from(self.complete))
            .flat_map(|sample| {
                let bytes = sample.map_or_else(Vec::new, Seen::to_bytes);
                [(bytes.len() as u32).to_le_bytes().to_vec(), bytes].concat()
            })
            .collect();
        let hash = blake3::hash(&bytes);
        [&HASHED[..], hash.as_bytes(), &bytes].concat()
    }

    /// Reads what [`to_bytes`](SeenRows::to_bytes) wrote, now or before it wrote a hash; nothing of
    /// anything else.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<SeenRows> {
        if let Some(hashed) = bytes.strip_prefix(&HASHED) {
            let (hash, rest) = hashed.split_first_chunk::<{ blake3::OUT_LEN }>()?;
            if blake3::hash(rest) != *hash {
                return None;
            }
            bytes = rest;
        }
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

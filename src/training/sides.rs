//! On which side of the split each example is: no network may be judged on what it has learnt.

use std::collections::HashMap;
use std::ops::Range;

use super::choose_architecture::splits_nothing;
use super::error::Error;
use super::job::Job;
use super::option_values::ValidationSplit;
use super::seen::{
    Known, RowHashes, RowTruth, SeenRows, Side, features_hash, group_hash, row_hash,
};
use crate::features::{
    self, BitMask, Block, BlockEncoder, Labels, RawRows, Sequences, Split, Target, group_of,
};

/// The fold of an example that all members are trained on.
const NO_FOLD: u8 = u8::MAX;
/// Most examples among which copies are looked for, some 50 bytes each. A number of rows, not of
/// bytes: how much memory there is must not change what is trained.
const TWIN_ROWS: usize = 50_000;
/// Different rows from which on, and the share of all rows from which on, rows that are alike are
/// held for copies. With fewer the columns hold so little that rows must be alike.
const LEAST_DIFFERENT: (usize, f64) = (100, 0.1);
/// Rows that are alike, and their share of all rows, up to which they are held for copies. More are a
/// value that many rows have: these are on both sides as any others.
const MOST_COPIES: usize = 5;
const COPIES_SHARE: f64 = 0.05;
/// Share of the rows held out that may be trained on as well before a warning is due.
const TWINS_TOLD: f64 = 0.05;
/// Values encoded at once.
const CHUNK_VALUES: usize = 1 << 16;

/// The sides of the examples.
pub(super) struct Sides {
    /// Those that are trained on.
    pub(super) trained: BitMask,
    /// Of each the member that is not trained on it.
    pub(super) folds: Option<Vec<u8>>,
}

impl Sides {
    /// Draws the sides of all examples.
    pub(super) fn draw(
        job: &Job<'_>,
        members: usize,
        fraction: f64,
        examples: &mut dyn RawRows,
        labels: &Labels,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Sides, Error> {
        let (total, seed) = (examples.rows(), job.arguments.seed);
        let labels = (labels, job.plan.at.target);
        Ok(if members > 1 && total > 1 && splits_nothing(job) {
            // Each member is trained on all rows but its own fold, and validated on that.
            Sides {
                trained: BitMask::new(total, true),
                folds: Some(features::folds(members, seed, examples, labels, stop)?),
            }
        } else {
            let split = split_of(job);
            let labels = Some(labels);
            Sides {
                trained: features::split(split, fraction, seed, examples, labels, stop)?,
                folds: None,
            }
        })
    }

    /// Examples that a network is trained on.
    pub(super) fn rows_trained(&self) -> usize {
        self.trained.count()
    }

    /// Examples that a network is validated on.
    pub(super) fn rows_validated(&self) -> usize {
        match &self.folds {
            Some(folds) => folds.iter().filter(|&&fold| fold != NO_FOLD).count(),
            None => self.trained.len() - self.trained.count(),
        }
    }

    /// The examples that the result is judged on: those held out, or all where there are none.
    pub(super) fn judged(&self) -> BitMask {
        let all = self.rows_validated() == 0;
        let mut judged = BitMask::new(self.trained.len(), true);
        for example in 0..judged.len() {
            let held_out = match &self.folds {
                Some(folds) => folds[example] != NO_FOLD,
                None => !self.trained.get(example),
            };
            judged.set(example, all || held_out);
        }
        judged
    }

    fn side(&self, example: usize) -> Side {
        match self.folds.as_ref().map(|folds| folds[example]) {
            Some(NO_FOLD) => Side::Trained,
            Some(fold) => Side::Fold(fold),
            None if self.trained.get(example) => Side::Trained,
            None => Side::HeldOut,
        }
    }

    fn set(&mut self, example: usize, side: Side) {
        match (&mut self.folds, side) {
            (Some(folds), Side::Fold(fold)) => folds[example] = fold,
            (Some(folds), _) => folds[example] = NO_FOLD,
            (None, side) => self.trained.set(example, side != Side::HeldOut),
        }
    }

    /// Holds nothing out.
    pub(super) fn train_on_all(&mut self) {
        self.folds = None;
        self.trained = BitMask::new(self.trained.len(), true);
    }

    /// Holds out again what the versions before have held out, and nothing that they were trained
    /// on or of which it is not known; of new examples those that were drawn. Gives how many of the
    /// examples are known again.
    ///
    /// # Errors
    /// Examples that a column flags to be held out, and that the versions before were trained on.
    pub(super) fn keep(
        &mut self,
        job: &Job<'_>,
        seen: &SeenRows,
        identity: &Identity<'_>,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<usize, Error> {
        let mut known = Vec::with_capacity(self.trained.len());
        let mut again = 0;
        let mut groups: Vec<u32> = Vec::new();
        let mut of_group: HashMap<u32, Known> = HashMap::new();
        identity.for_each(rows, stop, &mut |example: &Example| {
            let found = seen.find(example.hashes);
            again += usize::from(matches!(found, Known::Seen(_)));
            known.push(found);
            if let Some(group) = example.hashes.group {
                groups.push(group);
                let worst = of_group.entry(group).or_insert(Known::New);
                *worst = worse(*worst, found);
            }
        })?;
        if !groups.is_empty() {
            known.clear();
            known.extend(groups.iter().map(|group| of_group[group]));
        }
        let learnt = |known: &Known| matches!(known, Known::Seen(Side::Trained | Side::Fold(_)));
        if job.plan.at.flag.is_some() {
            let flagged = (0..known.len()).filter(|&example| !self.trained.get(example));
            let (mut all, mut met) = (0, 0);
            for example in flagged {
                all += 1;
                met += usize::from(learnt(&known[example]));
            }
            if met > 0 {
                return Err(Error::Value {
                    name: "option \"validation_split\"".into(),
                    problem: format!(
                        "holds out {all} rows, {met} of which the version that is gone on from was \
                         trained on"
                    ),
                    hint: Some(
                        "Hold out rows that it has not learnt, or train without warm_start.".into(),
                    ),
                });
            }
            return Ok(again);
        }
        for (example, known) in known.into_iter().enumerate() {
            let side = match (known, &self.folds) {
                (Known::Seen(Side::Fold(fold)), Some(_)) => Side::Fold(fold),
                (Known::Seen(Side::HeldOut), None) => Side::HeldOut,
                (Known::Seen(Side::HeldOut), Some(_)) | (Known::New, _) => continue,
                (Known::Seen(_) | Known::Unknown, _) => Side::Trained,
            };
            self.set(example, side);
        }
        Ok(again)
    }

    /// Brings examples that are alike in features and target to the side of the first of them,
    /// where they are copies rather than rows of few different values, or of one value that many have.
    /// Gives how many changed, and a warning where the side is not ours to change.
    pub(super) fn join_twins(
        &mut self,
        job: &Job<'_>,
        identity: &Identity<'_>,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Twins, Error> {
        let total = self.trained.len();
        let none = Twins::default();
        if self.rows_validated() == 0 || total > TWIN_ROWS {
            return Ok(none);
        }
        let mut first: HashMap<u32, (Side, usize)> = HashMap::with_capacity(total);
        let mut changes: Vec<Change> = Vec::new();
        let mut trained_of_class: Vec<usize> = Vec::new();
        let mut number = 0;
        identity.for_each(rows, stop, &mut |example: &Example| {
            let side = self.side(number);
            let (known, alike) = first.entry(example.hashes.row).or_insert((side, 0));
            *alike += 1;
            if *known != side {
                changes.push(Change {
                    example: number,
                    side: *known,
                    class: example.class,
                    hash: example.hashes.row,
                });
            }
            if trained_of_class.len() <= example.class {
                trained_of_class.resize(example.class + 1, 0);
            }
            trained_of_class[example.class] += usize::from(side != Side::HeldOut);
            number += 1;
        })?;
        let (least, share) = LEAST_DIFFERENT;
        let different = first.len();
        let most = MOST_COPIES.max((COPIES_SHARE * total as f64) as usize);
        changes.retain(|change| first[&change.hash].1 <= most);
        if changes.is_empty() || different < least || (different as f64) < share * total as f64 {
            return Ok(none);
        }
        let drawn = matches!(split_of(job), Split::Stratified | Split::Random);
        if !drawn {
            // Every change is an example held out whose twin is trained on, or the other way round.
            let met = changes.len();
            let told = met as f64 > TWINS_TOLD * self.rows_validated() as f64;
            return Ok(Twins {
                moved: 0,
                met: if told { met } else { 0 },
            });
        }
        let mut moved = 0;
        for change in changes {
            let Change {
                example,
                side,
                class,
                ..
            } = change;
            let trained = &mut trained_of_class[class];
            match (self.side(example), side) {
                // A class keeps a row to be trained on.
                (Side::Trained, Side::HeldOut) if *trained <= 1 => continue,
                (Side::Trained, Side::HeldOut) => *trained -= 1,
                (Side::HeldOut, Side::Trained) => *trained += 1,
                _ => {}
            }
            self.set(example, side);
            moved += 1;
        }
        Ok(Twins { moved, met: 0 })
    }

    /// What a version keeps of the examples, so that later ones know them again; `earlier` is what the
    /// version that is gone on from has kept, if one is.
    pub(super) fn record(
        &self,
        job: &Job<'_>,
        earlier: Option<&SeenRows>,
        identity: &Identity<'_>,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<SeenRows, Error> {
        let mut seen = SeenRows::new(identity.width, identity.group.is_some());
        let mut number = 0;
        identity.for_each(rows, stop, &mut |example: &Example| {
            seen.add(example.hashes, self.side(number));
            number += 1;
        })?;
        seen.settle(number);
        match earlier {
            Some(earlier) => seen.merge(earlier),
            None => seen.complete = !job.warm_start(),
        }
        Ok(seen)
    }
}

/// How rows are held out.
fn split_of(job: &Job<'_>) -> Split {
    if let Some(position) = job.plan.at.flag {
        return Split::Flag { position };
    }
    if let Some(position) = job.plan.at.group {
        return Split::Group { position };
    }
    match job.options.validation_split {
        Some(ValidationSplit::Random) => Split::Random,
        Some(ValidationSplit::Last) => match job.plan.sequence.as_ref().and_then(|s| s.newest) {
            Some(position) => Split::Newest { position },
            None => Split::Last,
        },
        _ => Split::Stratified,
    }
}

/// Examples that are alike and were on different sides.
#[derive(Clone, Copy, Default)]
pub(super) struct Twins {
    /// Those that changed sides.
    pub(super) moved: usize,
    /// Those that stayed, because the split was not drawn, and are many.
    pub(super) met: usize,
}

/// An example that is to change sides.
struct Change {
    example: usize,
    /// Where those are that it is alike.
    side: Side,
    class: usize,
    hash: u32,
}

/// What is known of two rows of a group, together: whoever learnt one has learnt of the group.
fn worse(one: Known, other: Known) -> Known {
    let rank = |known: &Known| match known {
        Known::New => 0,
        Known::Seen(Side::HeldOut) => 1,
        Known::Seen(Side::Fold(_)) => 2,
        Known::Unknown => 3,
        Known::Seen(Side::Trained) => 4,
    };
    match (one, other) {
        (Known::Seen(Side::Fold(a)), Known::Seen(Side::Fold(b))) if a != b => {
            Known::Seen(Side::Trained)
        }
        _ if rank(&other) > rank(&one) => other,
        _ => one,
    }
}

/// An example by which it is known again.
pub(super) struct Example {
    hashes: RowHashes,
    /// Its class; 0 where there are none.
    class: usize,
}

/// What an example is told by: its encoded features and its target; of a sequence its first step,
/// which stays when steps follow.
pub(super) struct Identity<'a> {
    encoder: &'a BlockEncoder,
    /// Leading inputs that count.
    width: usize,
    target: &'a Target,
    labels: &'a Labels,
    target_at: usize,
    /// The column of the groups.
    group: Option<usize>,
    sequences: Option<&'a Sequences>,
}

impl<'a> Identity<'a> {
    /// What examples are told by: the inputs that the earlier versions knew them by, where there are
    /// some, else all.
    pub(super) fn new(
        job: &Job<'a>,
        target: &'a Target,
        labels: &'a Labels,
        encoder: &'a BlockEncoder,
        seen: Option<&SeenRows>,
    ) -> Identity<'a> {
        Identity {
            encoder,
            width: seen.map_or(encoder.width(), |seen| seen.rows.width()),
            target,
            labels,
            target_at: job.plan.at.target,
            group: job.plan.at.group,
            sequences: job.sequences,
        }
    }

    /// Calls `each` with every example in order.
    fn for_each(
        &self,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
        each: &mut dyn FnMut(&Example),
    ) -> Result<(), Error> {
        let width = self.encoder.width();
        let chunk = (CHUNK_VALUES / width.max(1)).max(1);
        let mut scratch = Scratch::default();
        let mut next = 0;
        features::pass(rows, stop, |start, block| {
            match self.sequences {
                None => {
                    for first in (0..block.rows).step_by(chunk) {
                        let rows = first..block.rows.min(first + chunk);
                        self.chunk(block, rows, &mut scratch, each)?;
                    }
                }
                Some(sequences) => {
                    let here = start..start + block.rows;
                    while next < sequences.len() && here.contains(&sequences.steps(next).start) {
                        let row = sequences.steps(next).start - start;
                        self.chunk(block, row..row + 1, &mut scratch, each)?;
                        next += 1;
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    fn chunk(
        &self,
        block: &Block,
        rows: Range<usize>,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(&Example),
    ) -> Result<(), features::Error> {
        let Scratch { x, bytes, numbers } = scratch;
        let width = self.encoder.width();
        x.resize(rows.len() * width, 0.0);
        self.encoder.encode_rows(block, rows.clone(), x)?;
        let at = self.target_at;
        for (row, x) in rows.zip(x.chunks_exact(width)) {
            let class = self.labels.class(block, at, row);
            let truth = match (class, self.target.is_array()) {
                (Some(class), false) => {
                    let class = self.target.classes().get(class as usize);
                    RowTruth::Class(class.map_or("", String::as_str))
                }
                (_, true) => {
                    self.labels.actual(block, at, row, numbers);
                    RowTruth::Numbers(numbers)
                }
                (None, false) => {
                    numbers.clear();
                    numbers.extend(block.columns.get(at).and_then(|values| values.number(row)));
                    RowTruth::Numbers(numbers)
                }
            };
            let group = self
                .group
                .and_then(|position| group_of(block, position, row));
            let x = &x[..self.width.min(x.len())];
            each(&Example {
                hashes: RowHashes {
                    row: row_hash(x, truth, bytes),
                    features: features_hash(x, bytes),
                    group: group.map(group_hash),
                },
                class: class.unwrap_or(0) as usize,
            });
        }
        Ok(())
    }
}

#[derive(Default)]
struct Scratch {
    x: Vec<f32>,
    bytes: Vec<u8>,
    numbers: Vec<f64>,
}

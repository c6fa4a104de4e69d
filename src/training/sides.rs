//! On which side of the split each example is: no network may be judged on what it has learnt.

use std::collections::HashMap;

use super::choose_architecture::splits_nothing;
use super::copies::{Crossed, CrossedTally};
use super::error::Error;
use super::identity::{Example, Identity};
use super::job::Job;
use super::option_values::ValidationSplit;
use super::seen::{SeenRows, Side};
use crate::features::{self, BitMask, Labels, RawRows, Split};

/// The fold of an example that all members are trained on.
pub(super) const NO_FOLD: u8 = u8::MAX;
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

/// The sides of the examples.
pub(super) struct Sides {
    /// Those that are trained on.
    pub(super) trained: BitMask,
    /// Of each the member that is not trained on it.
    pub(super) folds: Option<Vec<u8>>,
    /// What is held out only within the sample of what earlier versions knew.
    pub(super) alone: Alone,
}

/// What is held out of a warm start within the sample of the rows, or groups, that are known, while
/// those like it beyond the sample are trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Alone {
    /// Nothing: all are treated alike.
    #[default]
    Nothing,
    /// The rows.
    Rows,
    /// The groups.
    Groups,
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
                alone: Alone::Nothing,
            }
        } else {
            let split = split_of(job);
            let labels = Some(labels);
            Sides {
                trained: features::split(split, fraction, seed, examples, labels, stop)?,
                folds: None,
                alone: Alone::Nothing,
            }
        })
    }

    /// The same for all networks.
    pub(super) fn shared(trained: BitMask) -> Sides {
        Sides {
            trained,
            folds: None,
            alone: Alone::Nothing,
        }
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

    /// Puts an example on a side.
    pub(super) fn set(&mut self, example: usize, side: Side) {
        match (&mut self.folds, side) {
            (Some(folds), Side::Fold(fold)) => folds[example] = fold,
            (Some(folds), _) => folds[example] = NO_FOLD,
            (None, Side::HeldOut | Side::HeldOutAlone) => self.trained.set(example, false),
            (None, _) => self.trained.set(example, true),
        }
    }

    /// Holds nothing out.
    pub(super) fn train_on_all(&mut self) {
        self.folds = None;
        self.alone = Alone::Nothing;
        self.trained = BitMask::new(self.trained.len(), true);
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
        let groups = first.values().map(|(_, alike)| *alike);
        let copies = groups.filter(|alike| *alike <= most).map(|alike| alike - 1);
        let copies = copies.sum();
        if changes.is_empty() || different < least || (different as f64) < share * total as f64 {
            return Ok(none);
        }
        let drawn = matches!(split_of(job), Split::Stratified | Split::Random);
        if !drawn {
            // Every change is an example held out whose twin is trained on, or the other way round.
            let met = changes.len();
            let told = met as f64 > TWINS_TOLD * self.rows_validated() as f64;
            return Ok(Twins {
                met: if told { met } else { 0 },
                ..none
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
        Ok(Twins {
            moved,
            copies,
            ..none
        })
    }

    /// What a version keeps of the examples, so that later ones know them again; `earlier` is what the
    /// version that is gone on from has kept, if one is. And of more than are looked at for copies, how
    /// many on both sides are alike.
    pub(super) fn record(
        &self,
        job: &Job<'_>,
        earlier: Option<&SeenRows>,
        identity: &Identity<'_>,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(SeenRows, Option<Crossed>), Error> {
        let total = self.trained.len();
        let is_counted = total > TWIN_ROWS && self.folds.is_none() && self.rows_validated() > 0;
        let mut tally = is_counted.then(|| CrossedTally::new(total));
        let mut seen = SeenRows::new(identity.width, job.plan.at.group.is_some());
        let mut number = 0;
        identity.for_each(rows, stop, &mut |example: &Example| {
            let side = self.side(number);
            if let Some(tally) = &mut tally {
                tally.add(example.hashes.row, side);
            }
            let alone = match side {
                Side::HeldOut => Side::HeldOutAlone,
                side => side,
            };
            match self.alone {
                Alone::Nothing => seen.add(example.hashes, side),
                Alone::Rows => seen.add_in_group(example.hashes, alone, side),
                Alone::Groups => seen.add_in_group(example.hashes, side, alone),
            }
            number += 1;
        })?;
        seen.settle(number, earlier);
        match earlier {
            Some(earlier) => seen.merge(earlier),
            None => seen.complete = !job.warm_start(),
        }
        Ok((seen, tally.map(|tally| tally.crossed())))
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
    /// Of the examples that are alike all but the first, where some changed sides.
    pub(super) copies: usize,
}

/// An example that is to change sides.
struct Change {
    example: usize,
    /// Where those are that it is alike.
    side: Side,
    class: usize,
    hash: u32,
}

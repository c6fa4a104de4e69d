//! The sides of a warm start: what the versions before have held out is held out again.

use std::collections::{HashMap, HashSet};

use super::error::Error;
use super::identity::{Example, Identity};
use super::job::Job;
use super::seen::{Found, Known, Learnt, RowHashes, SeenRows, Side, Tally};
use super::sides::{Alone, Sides};
use crate::features::RawRows;

/// Share of the flagged examples that may have been learnt before they are refused. Few of many may
/// look like others by chance, and hardly change the figures.
const LEARNT_REFUSED: f64 = 0.05;

/// What a warm start has found.
pub(super) struct Kept {
    /// How many of the examples are known again.
    pub(super) again: usize,
    /// What the user must know of those that a column flags to be held out.
    pub(super) warnings: Vec<String>,
}

/// What is known of the examples.
struct Looked {
    /// Of each, or of its group where there are groups.
    known: Vec<Known>,
    again: usize,
    flagged: Flagged,
}

/// Examples that a column flags to be held out.
#[derive(Default)]
struct Flagged {
    /// Those that are not learnt.
    others: Tally,
    /// Those that are, or may be by their group.
    learnt: Vec<(Found, RowHashes)>,
    /// What the learnt examples are known by that are not flagged.
    trained_rows: HashSet<u32>,
    trained_features: HashSet<u32>,
}

impl Sides {
    /// Holds out again what the versions before have held out, and nothing that they were trained
    /// on or of which it is not known; of new examples those that were drawn.
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
    ) -> Result<Kept, Error> {
        let Looked {
            known,
            again,
            flagged,
        } = self.look(job, seen, identity, rows, stop)?;
        if job.plan.at.flag.is_some() {
            let warnings = flagged.check(seen.complete)?;
            return Ok(Kept { again, warnings });
        }
        let mut beyond = false;
        for (example, known) in known.into_iter().enumerate() {
            beyond |= known == Known::Beyond;
            let side = match (known, &self.folds) {
                (Known::Seen(Side::Fold(fold)), Some(_)) => Side::Fold(fold),
                (Known::Seen(side @ (Side::HeldOut | Side::HeldOutAlone)), None) => side,
                (Known::Seen(Side::HeldOut | Side::HeldOutAlone), Some(_)) | (Known::New, _) => {
                    continue;
                }
                (Known::Seen(_) | Known::Beyond | Known::Unknown, _) => Side::Trained,
            };
            self.set(example, side);
        }
        self.alone = match (beyond, job.plan.at.group, &seen.groups) {
            (false, ..) => Alone::Nothing,
            (true, Some(_), Some(_)) => Alone::Groups,
            (true, ..) => Alone::Rows,
        };
        Ok(Kept {
            again,
            warnings: Vec::new(),
        })
    }

    /// Looks for the examples among those that the versions before were trained with.
    fn look(
        &self,
        job: &Job<'_>,
        seen: &SeenRows,
        identity: &Identity<'_>,
        rows: &mut dyn RawRows,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Looked, Error> {
        let has_flags = job.plan.at.flag.is_some();
        let mut known = Vec::with_capacity(self.trained.len());
        let mut again = 0;
        let mut groups: Vec<u32> = Vec::new();
        let mut of_group: HashMap<u32, Known> = HashMap::new();
        let mut flagged = Flagged::default();
        identity.for_each(rows, stop, &mut |example: &Example| {
            let hashes = example.hashes;
            let found = seen.look(hashes);
            if has_flags {
                flagged.add(found, hashes, !self.trained.get(known.len()));
            }
            again += usize::from(matches!(found.known, Known::Seen(_)));
            known.push(found.known);
            if let Some(group) = hashes.group {
                groups.push(group);
                let worst = of_group.entry(group).or_insert(Known::New);
                *worst = worse(*worst, found.known);
            }
        })?;
        if !groups.is_empty() {
            known.clear();
            known.extend(groups.iter().map(|group| of_group[group]));
            for (found, hashes) in &mut flagged.learnt {
                let group = hashes.group.and_then(|group| of_group.get(&group));
                if let Some(&worst) = group.filter(|worst| worst.is_learnt()) {
                    found.known = worst;
                }
            }
        }
        Ok(Looked {
            known,
            again,
            flagged,
        })
    }
}

impl Flagged {
    /// Takes an example.
    fn add(&mut self, found: Found, hashes: RowHashes, is_flagged: bool) {
        let learnt = found.known.is_learnt();
        match is_flagged {
            true if learnt || hashes.group.is_some() => self.learnt.push((found, hashes)),
            true => self.others.add(found),
            false if learnt => {
                self.trained_rows.insert(hashes.row);
                self.trained_features.insert(hashes.features);
            }
            false => {}
        }
    }

    /// Checks that what is flagged was not learnt, and gives what the user must know. An example that
    /// is like one that is not flagged was not learnt for that: it may be known by the other.
    ///
    /// # Errors
    /// More learnt than a few.
    fn check(self, complete: bool) -> Result<Vec<String>, Error> {
        let (mut alike, mut learnt) = (self.others.clone(), self.others);
        for (found, hashes) in self.learnt {
            let other = match found.by_features {
                Some(_) => self.trained_features.contains(&hashes.features),
                None => false,
            };
            alike.add(found);
            learnt.add(match other || self.trained_rows.contains(&hashes.row) {
                true => found.as_held_out(),
                false => found,
            });
        }
        let all = alike.rows;
        let met = learnt.learnt();
        if met.number() as f64 > LEARNT_REFUSED * all as f64 {
            return Err(Error::Value {
                name: "option \"validation_split\"".into(),
                problem: format!(
                    "holds out {all} rows, {} of which the version that is gone on from was \
                     trained on",
                    in_words(met)
                ),
                hint: Some(
                    "Hold out rows that it has not learnt, or train without warm_start.".into(),
                ),
            });
        }
        let mut warnings = Vec::new();
        let met = alike.learnt();
        if met.number() > 0 {
            warnings.push(format!(
                "{} of {all} rows held out are like rows that the version that is gone on from was \
                 trained on: the validation figures are too good by these",
                in_words(met)
            ));
        }
        if complete && matches!(met, Learnt::AtLeast(_)) {
            warnings.push(format!(
                "of {} of {all} rows held out it is not known whether the version that is gone on \
                 from was trained on them: the validation figures hold only if it was not",
                alike.beyond
            ));
        }
        Ok(warnings)
    }
}

fn in_words(rows: Learnt) -> String {
    match rows {
        Learnt::Exactly(rows) => rows.to_string(),
        Learnt::About(_) => format!("about {}", rows.number()),
        Learnt::AtLeast(rows) => format!("at least {rows}"),
    }
}

/// What is known of two rows of a group, together: whoever learnt one has learnt of the group.
fn worse(one: Known, other: Known) -> Known {
    let rank = |known: &Known| match known {
        Known::New => 0,
        Known::Seen(Side::HeldOut) => 1,
        Known::Seen(Side::HeldOutAlone) => 2,
        Known::Seen(Side::Fold(_)) => 3,
        Known::Unknown => 4,
        Known::Beyond => 5,
        Known::Seen(Side::Trained) => 6,
    };
    match (one, other) {
        (Known::Seen(Side::Fold(a)), Known::Seen(Side::Fold(b))) if a != b => {
            Known::Seen(Side::Trained)
        }
        _ if rank(&other) > rank(&one) => other,
        _ => one,
    }
}

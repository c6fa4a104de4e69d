//! The sides of a warm start: what the versions before have held out is held out again.

use std::collections::HashMap;

use super::error::Error;
use super::identity::{Example, Identity};
use super::job::Job;
use super::seen::{Known, SeenRows, Side};
use super::sides::Sides;
use crate::features::RawRows;

impl Sides {
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

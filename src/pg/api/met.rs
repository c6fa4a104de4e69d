//! Whether the rows that a model is judged on are rows that it was trained on.

use pgrx::notice;

use crate::pg::access::Right;
use crate::pg::cache::DecodedModel;
use crate::pg::error::Result;
use crate::pg::reader::{self, Resolved};
use crate::training::{
    Learnt, RowHashes, RowTruth, SeenRows, Tally, Truth, features_hash, row_hash,
};

/// Counts the rows that the version was trained on.
pub(super) struct Met {
    seen: SeenRows,
    buffer: Vec<u8>,
    tally: Tally,
}

impl Met {
    /// A counter for a version that tells its rows. Only whoever manages the model is told: who else
    /// may call it need not know whose rows it has learnt.
    pub(super) fn new(resolved: &Resolved) -> Result<Option<Met>> {
        if resolved.right < Right::Manage {
            return Ok(None);
        }
        let seen = reader::seen(resolved)?;
        let seen = seen.and_then(|bytes| SeenRows::from_bytes(&bytes));
        Ok(seen.map(|seen| Met {
            seen,
            buffer: Vec::new(),
            tally: Tally::default(),
        }))
    }

    /// Looks at a row: its encoded features, of a sequence those of its first step, and its target.
    pub(super) fn look(&mut self, features: &[f32], actual: Truth<'_>, decoded: &DecodedModel) {
        let number;
        let truth = match actual {
            Truth::Number(value) | Truth::Over { number: value, .. } => {
                number = [value];
                RowTruth::Numbers(&number)
            }
            Truth::Numbers(numbers) => RowTruth::Numbers(numbers),
            Truth::Class(at) => {
                let class = decoded.target.classes().get(at as usize);
                RowTruth::Class(class.map_or("", String::as_str))
            }
        };
        let width = self.seen.rows.width().min(features.len());
        let features = &features[..width];
        self.tally.add(self.seen.look(RowHashes {
            row: row_hash(features, truth, &mut self.buffer),
            features: features_hash(features, &mut self.buffer),
            group: None,
        }));
    }

    /// Tells of them, as far as it is known.
    pub(super) fn tell(&self, resolved: &Resolved, decoded: &DecodedModel) {
        let (rows, learnt) = (self.tally.rows, self.tally.learnt());
        let version = format!(
            "version {} of model \"{}\"",
            resolved.number,
            resolved.label()
        );
        let all_told = self.seen.complete && !matches!(learnt, Learnt::AtLeast(_));
        let is_none = match learnt {
            Learnt::Exactly(rows) | Learnt::AtLeast(rows) => rows == 0,
            Learnt::About(rows) => rows <= 0.0,
        };
        let (one_kind, likes) = match decoded.features.steps {
            Some(_) => ("sequences", "begin like sequences that"),
            None => ("rows", "are rows that"),
        };
        if is_none {
            if rows > 0 && !all_told {
                notice!("whether {version} was trained on these {one_kind} is not known");
            }
            return;
        }
        let copies = match decoded.features.steps {
            Some(_) => "was trained on",
            None => "was trained on, or copies of them",
        };
        let count = match learnt {
            Learnt::Exactly(learnt) | Learnt::AtLeast(learnt) => format!("{learnt} of {rows}"),
            Learnt::About(learnt) => match 100.0 * learnt / rows as f64 {
                ..1.0 => format!("less than 1% of the {rows}"),
                share => format!("about {share:.0}% of the {rows}"),
            },
        };
        let others = match all_told || learnt.number() >= rows {
            true => String::new(),
            false => format!("; whether it was trained on the other {one_kind} is not known"),
        };
        notice!(
            "{count} {one_kind} {likes} {version} {copies}: it does better on these than on \
             others{others}"
        );
    }
}

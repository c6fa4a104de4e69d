//! Whether the rows that a model is judged on are rows that it was trained on.

use pgrx::notice;

use crate::pg::access::Right;
use crate::pg::cache::DecodedModel;
use crate::pg::error::Result;
use crate::pg::reader::{self, Resolved};
use crate::training::{Known, RowHashes, RowTruth, SeenRows, Side, Truth, features_hash, row_hash};

/// Counts the rows that the version was trained on.
pub(super) struct Met {
    seen: SeenRows,
    buffer: Vec<u8>,
    /// Rows looked at.
    rows: u64,
    /// Those of which it is known whether the version was trained on them.
    known: u64,
    /// Those that it was trained on.
    trained: u64,
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
            rows: 0,
            known: 0,
            trained: 0,
        }))
    }

    /// Looks at a row: its encoded features, of a sequence those of its first step, and its target.
    pub(super) fn look(&mut self, features: &[f32], actual: Truth<'_>, decoded: &DecodedModel) {
        let number;
        let truth = match actual {
            Truth::Number(value) => {
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
        let known = self.seen.find(RowHashes {
            row: row_hash(features, truth, &mut self.buffer),
            features: features_hash(features, &mut self.buffer),
            group: None,
        });
        self.rows += 1;
        self.known += u64::from(known != Known::Unknown);
        self.trained += u64::from(matches!(known, Known::Seen(Side::Trained | Side::Fold(_))));
    }

    /// Tells of them.
    pub(super) fn tell(&self, resolved: &Resolved) {
        if self.trained == 0 {
            return;
        }
        let label = resolved.label();
        let number = resolved.number;
        if self.known == self.rows || !self.seen.complete {
            let others = match !self.seen.complete && self.trained < self.rows {
                true => "; whether it was trained on the other rows is not known",
                false => "",
            };
            notice!(
                "{} of {} rows are rows that version {number} of model \"{label}\" was trained on, or \
                 copies of them: it does better on these than on others{others}",
                self.trained,
                self.rows
            );
        } else {
            let share = 100.0 * self.trained as f64 / self.known as f64;
            notice!(
                "about {share:.0}% of the {} rows are rows that version {number} of model \"{label}\" \
                 was trained on, or copies of them: it does better on these than on others",
                self.rows
            );
        }
    }
}

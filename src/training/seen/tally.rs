//! How many of many rows were learnt, as far as samples of what was learnt tell.

use super::rows::Found;
use super::side::{Known, Side};

/// Rows within a sample from which on these stand for the others. Of 30 none is learnt in one of 24
/// cases where a tenth of all are.
const LEAST: u64 = 30;
/// Standard deviations by which two samples differ by more than chance.
const BEYOND_CHANCE: f64 = 3.0;

/// How many rows were learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Learnt {
    /// So many: each of the rows is known, or those that are not are told of apart.
    Exactly(u64),
    /// An estimate from those within the sample.
    About(f64),
    /// So many at least: those within the sample are too few to stand for the others.
    AtLeast(u64),
}

impl Learnt {
    /// The number, rounded.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Learnt::Exactly(rows) | Learnt::AtLeast(rows) => rows,
            Learnt::About(rows) => rows.round() as u64,
        }
    }
}

/// Counts rows by what is known of them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All rows.
    pub rows: u64,
    /// Those that are known to be learnt.
    pub learnt: u64,
    /// Those that are beyond the sample.
    pub beyond: u64,
    by_row: Share,
    by_features: Share,
}

/// Of the rows within one sample, those that stand for learnt ones.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    within: u64,
    learnt: u64,
    /// Those that are not learnt, while rows like them beyond the sample are.
    alone: u64,
}

impl Share {
    fn add(&mut self, known: Known) {
        self.within += u64::from(known != Known::Beyond);
        self.learnt += u64::from(known.is_learnt());
        self.alone += u64::from(known == Known::Seen(Side::HeldOutAlone));
    }

    /// Of rows beyond the sample the share that are learnt, or would be if no other sample held them.
    fn beyond(&self) -> f64 {
        (self.learnt + self.alone) as f64 / self.within.max(1) as f64
    }

    /// About how many of so many rows are learnt, some of which are within the other sample.
    fn learnt_of(&self, rows: u64, other: &Share) -> f64 {
        let rows = rows as f64;
        let beyond_other = 1.0 - other.within as f64 / rows;
        let learnt_beyond = self.learnt as f64 + self.alone as f64 * beyond_other;
        let each = learnt_beyond / self.within.max(1) as f64;
        self.learnt as f64 + (rows - self.within as f64) * each
    }

    /// Whether it is larger than another one, and not by chance.
    fn exceeds(&self, other: &Share) -> bool {
        let (own, others) = (self.within.max(1) as f64, other.within.max(1) as f64);
        let together = (self.learnt + self.alone + other.learnt + other.alone) as f64;
        let share = together / (own + others);
        let deviation = (share * (1.0 - share).max(0.0) * (1.0 / own + 1.0 / others)).sqrt();
        self.beyond() - other.beyond() > BEYOND_CHANCE * deviation
    }
}

impl Tally {
    /// Counts a row.
    pub fn add(&mut self, found: Found) {
        self.rows += 1;
        self.learnt += u64::from(found.known.is_learnt());
        self.beyond += u64::from(found.known == Known::Beyond);
        self.by_row.add(found.by_row);
        if let Some(by_features) = found.by_features {
            self.by_features.add(by_features);
        }
    }

    /// How many of the rows were learnt. The share of one sample stands for all rows: a row that was
    /// learnt is in either of the two, a new one is not, so that both together are no fair sample.
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        if self.beyond == 0 {
            return Learnt::Exactly(self.learnt);
        }
        // By the features also rows are known whose target was corrected; but not every version has
        // kept them.
        let by_row = self.by_features.within == 0 || self.by_row.exceeds(&self.by_features);
        let (share, other) = match by_row {
            true => (&self.by_row, &self.by_features),
            false => (&self.by_features, &self.by_row),
        };
        if share.within < LEAST {
            return Learnt::AtLeast(self.learnt);
        }
        let about = share.learnt_of(self.rows, other);
        Learnt::About(about.max(self.learnt as f64))
    }
}

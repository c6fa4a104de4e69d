//! What a call gives for every row of a batch.

use std::borrow::Cow;
use std::time::Duration;

use pgrx::pg_sys::{self, Datum};

use crate::features::Answer;
use crate::memory::{self, Refused};
use crate::pg::call::{Rows, Site, answer};
use crate::pg::settings;

/// What is computed between two looks at whether the query was cancelled.
const SLICE: Duration = Duration::from_millis(20);

/// The call's column, and the room for the network to work in.
pub(super) struct Results {
    /// The column that takes them.
    pub(super) place: usize,
    /// Rows scored.
    pub(super) scored: usize,
    /// Encoded rows and the network's outputs.
    pub(super) encoded: Vec<f32>,
    pub(super) out: Vec<f32>,
    /// The version the texts of classes are of, and those that have been made.
    version: i64,
    classes: Vec<Option<Datum>>,
    /// In which they are.
    query: pg_sys::MemoryContext,
    /// What a row took last.
    pub(super) row_time: Duration,
}

/// The rows of a batch as they are given to the plan above.
pub(in crate::pg::scan) struct Cells<'a> {
    pub(in crate::pg::scan) values: &'a mut [Datum],
    pub(in crate::pg::scan) nulls: &'a mut [bool],
    /// Columns of a row.
    pub(in crate::pg::scan) width: usize,
    /// Of what the rows refer to.
    pub(in crate::pg::scan) memory: pg_sys::MemoryContext,
}

impl Results {
    pub(super) fn new(place: usize, query: pg_sys::MemoryContext) -> Results {
        Results {
            place,
            scored: 0,
            encoded: Vec::new(),
            out: Vec::new(),
            version: 0,
            classes: Vec::new(),
            query,
            row_time: Duration::ZERO,
        }
    }

    /// Makes the result of a row NULL: a value of the last batch's must not be taken for it.
    pub(super) fn clear(&self, row: usize, cells: &mut Cells<'_>) {
        cells.nulls[row * cells.width + self.place] = true;
    }

    /// Lets go of what is of another version than the call's.
    pub(super) fn follow(&mut self, site: &Site) {
        if site.resolved().version_id != self.version {
            self.version = site.resolved().version_id;
            self.classes = vec![None; site.model().target.classes().len()];
        }
    }

    /// How many of so many rows are computed before the next look at whether to go on.
    pub(super) fn slice(&self, rows: usize, site: &Site) -> usize {
        let predictor = &site.model().predictor;
        let width = predictor.input_width() + predictor.output_units();
        let row_bytes = width.max(1) * size_of::<f32>();
        let fitting = (settings::max_memory() / 4 / row_bytes).max(1);
        let quick = match self.row_time {
            Duration::ZERO => 16,
            time => (SLICE.as_nanos() / time.as_nanos().max(1)).max(1) as usize,
        };
        rows.min(fitting).min(quick)
    }

    /// Makes room for so many rows that are encoded, and so many results.
    pub(super) fn make_room(&mut self, encoded: usize, out: usize) -> Result<(), Refused> {
        let room = encoded.saturating_sub(self.encoded.len()) + out.saturating_sub(self.out.len());
        if room > 0 {
            memory::ask_for_many(2 * room * size_of::<f32>())?;
        }
        if self.encoded.len() < encoded {
            self.encoded.resize(encoded, 0.0);
        }
        if self.out.len() < out {
            self.out.resize(out, 0.0);
        }
        Ok(())
    }

    /// Writes the answers to the calls from `begin` on, of which the network's outputs are there.
    ///
    /// # Safety
    /// The cells' memory lives as long as the batch.
    pub(super) unsafe fn write(
        &mut self,
        (site, answer): (&Site, Answer),
        calls: &Rows<'_>,
        (begin, count): (usize, usize),
        cells: &mut Cells<'_>,
    ) {
        let model = site.model();
        let target = &model.target;
        let outputs = model.predictor.output_units();
        let results = self.out.chunks_exact(outputs.max(1)).take(count);
        for (i, result) in results.enumerate() {
            // SAFETY: as the caller says; the query's memory lives longer.
            let value = unsafe {
                match answer {
                    Answer::Value => answer::number(target.value(result)),
                    Answer::Class => match target.predicted_class(result) {
                        // A set of labels is a text of its own.
                        Cow::Owned(labels) => made_in(cells.memory, || answer::text(&labels)),
                        Cow::Borrowed(name) => {
                            let class = &mut self.classes[target.predicted(result)];
                            *class.get_or_insert_with(|| made_in(self.query, || answer::text(name)))
                        }
                    },
                    Answer::All => {
                        made_in(cells.memory, || answer::numbers(&target.numbers(result)))
                    }
                }
            };
            let at = calls.place(begin + i) * cells.width + self.place;
            cells.values[at] = value;
            cells.nulls[at] = false;
        }
    }
}

/// What is made with a memory context as the current one.
///
/// # Safety
/// The context is alive.
#[inline]
unsafe fn made_in(context: pg_sys::MemoryContext, make: impl FnOnce() -> Datum) -> Datum {
    // SAFETY: as the caller says.
    unsafe {
        let outer = pg_sys::MemoryContextSwitchTo(context);
        let made = make();
        pg_sys::MemoryContextSwitchTo(outer);
        made
    }
}

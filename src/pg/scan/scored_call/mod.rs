//! One call, computed for all rows of a batch.

mod arguments;
mod frame;
mod results;

use std::time::{Duration, Instant};

use pgrx::pg_sys::{self, NodeTag};

use crate::features::Answer;
use crate::hex::hex;
use crate::pg::call::{Rows, Site};
use crate::pg::error::Report;
use crate::pg::scan::copy::Copying;
use crate::pg::scan::executor::MemoryContextReset;
use crate::pg::scan::functions::{self, Function};
use crate::pg::{interrupt, reader};

use arguments::Arguments;
use frame::Frame;
pub(super) use results::Cells;
use results::Results;

/// A call and its arguments in every row of a batch.
pub(super) struct ScoredCall {
    pub(super) arguments: Arguments,
    /// The rows that come to the call.
    chosen: Vec<usize>,
    function: Function,
    frame: Frame,
    site: Option<Box<Site>>,
    results: Results,
}

impl ScoredCall {
    /// Plans a call over the columns of the plan below, copied so, for the rows of which the
    /// condition is true, or all if it is null; what has to be computed is added to `computed`, and
    /// the result goes into the column at `place`.
    ///
    /// # Safety
    /// A call found by `calls`, the node's state with its child, and the executor's.
    pub(super) unsafe fn new(
        call: *mut pg_sys::FuncExpr,
        condition: *mut pg_sys::Node,
        place: usize,
        columns: &[Copying],
        computed: &mut Vec<*mut pg_sys::TargetEntry>,
        state: *mut pg_sys::PlanState,
        estate: *mut pg_sys::EState,
    ) -> ScoredCall {
        // SAFETY: as the caller says.
        unsafe {
            // Checks the right to execute the function and those in its arguments, as the
            // executor does for any expression.
            pg_sys::ExecInitExpr(call.cast(), state);
            let query = (*estate).es_query_cxt;
            let frame = Frame::new(call, query);
            let function = functions::function((*call).funcid).unwrap_or(Function {
                answer: Answer::Value,
                pinned: false,
            });
            ScoredCall {
                arguments: Arguments::plan(call, condition, columns, computed, state, query),
                chosen: Vec::new(),
                function,
                frame,
                site: None,
                results: Results::new(place, query),
            }
        }
    }

    /// Computes the results of the first `rows` rows into the call's column. Returns how many
    /// there are: fewer where a row's arguments are wrong, and what is wrong with them.
    ///
    /// # Safety
    /// The arguments of these rows are filled in; the cells' memory lives as long as the batch; the
    /// context's memory for one row is the current one.
    pub(super) unsafe fn score(
        &mut self,
        rows: usize,
        cells: &mut Cells<'_>,
        context: *mut pg_sys::ExprContext,
    ) -> (usize, Option<Report>) {
        // SAFETY: as the caller says.
        unsafe {
            self.chosen.clear();
            let mut is_choice = self.arguments.condition.is_some();
            if is_choice {
                for (row, reached) in self.arguments.reached(rows).iter().enumerate() {
                    self.results.clear(row, cells);
                    if *reached {
                        self.chosen.push(row);
                    }
                }
            }
            let first = match is_choice {
                true => self.chosen.first().copied(),
                false => (rows > 0).then_some(0),
            };
            // A model that no row asks for need not be there.
            let Some(first) = first else {
                return (rows, None);
            };
            let Function { answer, pinned } = self.function;
            let frame = self.frame.with(self.arguments.rows(first..first + 1));
            if let Err(report) = Site::get_kept(&mut self.site, frame, pinned, answer) {
                return (first, Some(report));
            }
            let Some(site) = &mut self.site else {
                return (0, None);
            };
            let (values, nulls) = self.arguments.rows(0..rows);
            if site.takes_one_value() {
                // Where that value is NULL there is no row, and the answer is NULL.
                let is_there = |row: usize| !nulls[row * self.arguments.count() + 1];
                if is_choice {
                    self.chosen.retain(|row| is_there(*row));
                } else if !(0..rows).all(is_there) {
                    is_choice = true;
                    (0..rows).for_each(|row| self.results.clear(row, cells));
                    self.chosen.extend((0..rows).filter(|row| is_there(*row)));
                }
            }
            let calls = Rows {
                values,
                nulls,
                width: self.arguments.count(),
                chosen: is_choice.then_some(&self.chosen[..]),
            };
            let results = &mut self.results;
            results.follow(site);
            let inputs = site.model().predictor.input_width();
            let outputs = site.model().predictor.output_units();
            let tile = site.model().predictor.tile();
            let total = calls.count();
            let mut begin = 0;
            while begin < total {
                let count = results.slice(total - begin, site);
                let started = Instant::now();
                if let Err(refused) = results.make_room(count.min(tile) * inputs, count * outputs) {
                    return (calls.place(begin), Some(refused.into()));
                }
                // As many at a time as the network takes, so that what is encoded stays in cache.
                for at in (0..count).step_by(tile) {
                    let rows = tile.min(count - at);
                    let part = calls.part(begin + at, begin + at + rows);
                    let encoded = &mut results.encoded[..rows * inputs];
                    let clear = || MemoryContextReset((*context).ecxt_per_tuple_memory);
                    let info = self.frame.info;
                    if let Err((i, report)) = site.encode_rows(info, part, encoded, clear) {
                        // Those before it are still to be given.
                        let row = calls.place(begin + at + i);
                        let (rows, _) = self.score(row, cells, context);
                        return (rows, Some(report));
                    }
                    site.forward(encoded, rows, &mut results.out[at * outputs..]);
                }
                results.write((site, answer), &calls, (begin, count), cells);
                begin += count;
                results.scored += count;
                let took = started.elapsed();
                site.scored(count, started, took);
                results.row_time = (took / count as u32).max(Duration::from_nanos(1));
                interrupt::check();
            }
            (rows, None)
        }
    }

    /// Rows scored so far.
    pub(super) fn scored(&self) -> usize {
        self.results.scored
    }

    /// How EXPLAIN names the model.
    pub(super) fn model(&self) -> String {
        let label = |resolved: &reader::Resolved| format!("{}@{}", resolved.model, resolved.number);
        if let Some(site) = &self.site {
            return label(site.resolved());
        }
        let Some(name) = self.arguments.constant(0) else {
            return String::new();
        };
        // SAFETY: a constant text or bytea; a parameter that was not evaluated is only named.
        unsafe {
            if (*name).type_ != NodeTag::T_Const {
                let parameter = &*name.cast::<pg_sys::Param>();
                return format!("${}", parameter.paramid);
            }
            let constant = &*name.cast::<pg_sys::Const>();
            if constant.constisnull {
                return "NULL".to_string();
            }
            let value = pg_sys::pg_detoast_datum_packed(constant.constvalue.cast_mut_ptr());
            let bytes = std::slice::from_raw_parts(
                pgrx::vardata_any(value).cast::<u8>(),
                pgrx::varsize_any_exhdr(value),
            );
            let (resolved, text) = if self.function.pinned {
                (reader::resolve_sha256(bytes), hex(bytes))
            } else {
                let text = String::from_utf8_lossy(bytes).into_owned();
                (reader::resolve(&text), text)
            };
            resolved.map_or(text, |resolved| label(&resolved))
        }
    }
}

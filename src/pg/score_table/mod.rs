//! Writing a model's answers into a column of a table, a batch and a transaction at a time.
//!
//! # How every row gets its score while others write
//!
//! A batch is one UPDATE of a range of pages. Within it PostgreSQL sees to it that a row which
//! another session changes at the same moment is scored as it is after that change. But an update
//! writes a row anew, perhaps to another page, so between two batches a row may move from pages
//! still to be walked to pages already walked, or behind the table's end of then. Walking the pages
//! once would miss it.
//!
//! Such a row shows, though: its version was written by a transaction that had not ended when the
//! walk began, and is none of the call's own. So when the pages have been walked, what meets that
//! condition is scored, too, unless it has the right score. While that is more than a batch it is
//! done by walking the pages again, which takes less and less time; and at last in one statement,
//! which sees all rows at one moment. Then every row that was there when the call began, and is
//! there still, has a score of what its features were at some time since. The same condition, the
//! other way about, keeps the call from scoring its own rows again where free space lies ahead.
//!
//! A trigger of the table may write rows itself, in the call's own transactions: such a row tells by
//! its version nothing about its score. Where there are triggers or rules, the condition is therefore
//! that a row has another value than the right one, whoever wrote it. A trigger that changes what is
//! written would meet that for ever: the pages are walked again only as long as it gets less.
//!
//! With `only_missing` it is simpler: what has no score yet shows by itself.
//!
//! # How nothing else is overwritten
//!
//! Between two batches anybody may rename columns, put another one in the place of this one, or attach
//! a table as a partition. So each batch looks anew whether the column is that of the beginning and fit
//! to be written, and looks again before it commits where tables came while it wrote.

mod class_values;
mod distributed;
mod extent;
mod learnt;
mod order;
mod output;
mod progress;
mod receiver;
mod same_column;
mod statement;
mod target;
mod transaction;

use std::time::Duration;

use pgrx::PgSqlErrorCode as Code;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use super::attempt::{attempt, sqlstate};
use super::error::{OrRaise, Report, Result};
use super::interrupt;
pub(crate) use order::Order;

use extent::{Extent, Pages};
use progress::Progress;
use same_column::{Numbers, SameColumn, check_name, numbers};
use statement::Written;
use target::{Rows, Target};
use transaction::Procedure;

/// Times that the pages are walked again before what is left is scored in one statement.
const MOST_WALKS: usize = 5;
/// Times that a walk begins anew, since the table was rewritten under it, before all rows are scored in one
/// statement, which no rewriting gets into.
const MOST_REWRITES: usize = 5;
/// Times that a batch is tried again which lost to another session.
const MOST_TRIES: u32 = 12;
/// Rows on a page at most, of one table: the first batch of a walk goes by it.
const MOST_ROWS_A_PAGE: f64 = 291.0;
/// How much larger than the last a batch may be.
const GROWTH: u32 = 4;

/// Scores the table. The transaction that the procedure was called in is committed, and so is one
/// for each batch.
///
/// # Errors
/// Before anything is committed, what is wrong with the model, the table or its columns; later
/// those of the batches, of which the ones before stay.
pub(crate) fn run(order: &Order) -> Result<()> {
    let procedure = Procedure::connect();
    if order.model.features.steps.is_some() {
        return Err(Report::invalid(format!(
            "model \"{}\" scores sequences of several rows, not single rows",
            order.resolved.label()
        ))
        .hint(
            "Use UPDATE … FROM (SELECT …, neural.predict(model, array_agg(t ORDER BY …)) … GROUP \
             BY …).",
        ));
    }
    let written = Written {
        by: Vec::new(),
        horizon: oldest_running(),
    };
    let target = Target::open(order)?;
    distributed::check(order.table, &target.name, || target.pinned_update(order))?;
    receiver::check(order, &target.name, &written)?;
    target.output.check_classes(&order.model, &written)?;
    Extent::read(order.table)?;
    target.check_rights(&written)?;
    let column = SameColumn::of(order)
        .ok_or_else(|| Report::internal("a column that was there is not to be found"))?;
    notice!(
        "scoring table {} with version {} of model \"{}\": neural.{} into column {}{}",
        target.name,
        order.resolved.number,
        order.resolved.label(),
        target.output.function(),
        target.column,
        if order.only_missing {
            ", where it is NULL"
        } else {
            ""
        }
    );
    procedure.commit().unwrap_or_else(|error| error.rethrow());
    Call {
        order,
        procedure,
        column,
        written,
        progress: Progress::begin(),
        rows: 0,
        again: 0,
        density: 1.0,
    }
    .run()
}

/// The oldest transaction that is running: what older ones wrote is there to be seen.
fn oldest_running() -> pg_sys::TransactionId {
    // SAFETY: a static snapshot of this transaction, read at once.
    unsafe { (*pg_sys::GetTransactionSnapshot()).xmin }
}

/// A call under way.
struct Call<'a> {
    order: &'a Order,
    procedure: Procedure,
    column: SameColumn,
    written: Written,
    progress: Progress,
    /// Scored, but for `again`.
    rows: u64,
    /// Scored once more, or new, since other sessions had changed them.
    again: u64,
    /// Rows that a page turned out to have, against what was expected.
    density: f64,
}

/// How a batch ended that did not fail.
enum Batch {
    /// So many rows were scored, up to this page.
    Done { rows: u64, to: u32 },
    /// The table lies in other files now: where rows are in it is not known any more.
    Rewritten,
}

impl Call<'_> {
    fn run(mut self) -> Result<()> {
        self.walk(Rows::All)?;
        let batch_rows = u64::from(self.order.batch_rows);
        let mut last = u64::MAX;
        for walk in 1.. {
            let (left, has_triggers) = self.transaction(|_, target, written| {
                let left = target.count(Rows::Changed, batch_rows + 1, written)?;
                Ok((left, target.has_triggers))
            });
            if left == 0 {
                break;
            }
            let before = self.again;
            if left > batch_rows && walk <= MOST_WALKS {
                let horizon = self.transaction(|_, _, _| Ok(oldest_running()));
                self.walk(Rows::Changed)?;
                let wrote = self.again - before;
                // What is written comes out otherwise each time, and one statement would not help.
                if has_triggers && wrote >= last {
                    break;
                }
                last = wrote;
                // Of what a trigger writes later none is older than the first walk.
                if !has_triggers {
                    self.written.horizon = horizon;
                }
                // Where nothing gets a score that has none, a trigger or a policy forbids it.
                if wrote > 0 || !self.order.only_missing {
                    continue;
                }
            }
            self.batch(Rows::Changed, None)?;
            break;
        }
        self.progress.end(self.rows, self.again);
        Ok(())
    }

    /// Scores rows of the pages that there are now, batch by batch; or at once, where others rewrite the
    /// table again and again.
    fn walk(&mut self, rows: Rows) -> Result<()> {
        'again: for _ in 0..=MOST_REWRITES {
            let table = self.order.table;
            let extent = self.transaction(|_, _, _| Extent::read(table));
            let (end, total) = (extent.pages(), extent.rows_before(extent.pages()));
            let mut from = 0;
            let mut pages = (f64::from(self.order.batch_rows) / MOST_ROWS_A_PAGE) as u32;
            while from < end {
                let wanted = f64::from(self.order.batch_rows) / self.density;
                let to = extent
                    .end_of(from, wanted)
                    .min(from.saturating_add(pages.max(1)));
                let Batch::Done { rows: scored, to } =
                    self.batch(rows, Some((&extent, Pages { from, to })))?
                else {
                    continue 'again;
                };
                let expected = extent.rows_before(to) - extent.rows_before(from);
                // A walk for few rows does not tell how many there are.
                let told = rows == Rows::All && !self.order.only_missing;
                self.learn(scored as f64 / expected.max(1.0), told);
                pages = (to - from).saturating_mul(GROWTH);
                from = to;
                if from < end && rows == Rows::All {
                    let share = extent.rows_before(to) / total.max(1.0);
                    self.progress.batch(self.rows, share);
                }
            }
            return Ok(());
        }
        self.batch(rows, None)?;
        Ok(())
    }

    /// Takes in how many rows a batch had against what was expected: at once when there were more,
    /// carefully when there were fewer, since the next pages may be full.
    fn learn(&mut self, density: f64, told: bool) {
        if density > self.density {
            self.density = density;
        } else if told {
            self.density = density.max(self.density / 2.0).max(0.5);
        }
    }

    /// Scores the rows of these pages, or of the whole table. A batch that loses to another
    /// session is tried again over fewer pages.
    fn batch(&mut self, rows: Rows, pages: Option<(&Extent, Pages)>) -> Result<Batch> {
        let table = self.order.table;
        let done = self.transaction(|tries, target, written| {
            let pages = match pages {
                Some((extent, _)) if !extent.is_in(&extent::files(table)?) => return Ok(None),
                Some((_, pages)) => Some(pages.first_part(tries)),
                None => None,
            };
            let before = self.check_receiver(target, written)?;
            let scored = target.score(rows, pages, written)?;
            check_name(table, &target.name)?;
            // A table may be attached, or made an heir, after the check and before the UPDATE saw
            // which tables there are: the UPDATE's lock on this one forbids neither.
            let after = numbers(self.order);
            if after != before {
                self.check_receiver(target, written)?;
            }
            // SAFETY: reads this backend's state.
            let transaction = unsafe { pg_sys::GetCurrentTransactionIdIfAny() };
            Ok(Some((scored, transaction, pages, after)))
        });
        let Some((scored, transaction, pages, numbers)) = done else {
            return Ok(Batch::Rewritten);
        };
        self.column.add(numbers);
        if transaction != pg_sys::InvalidTransactionId {
            self.written.by.push(transaction);
        }
        match rows {
            Rows::All => self.rows += scored,
            Rows::Changed => self.again += scored,
        }
        Ok(Batch::Done {
            rows: scored,
            to: pages.map_or(0, |pages| pages.to),
        })
    }

    /// Checks that the column may be written in all tables that there are now; its number in each.
    fn check_receiver(&self, target: &Target, written: &Written) -> Result<Numbers> {
        let numbers = numbers(self.order);
        receiver::check(self.order, &target.name, written)?;
        self.column.check_in(self.order, &numbers)?;
        Ok(numbers)
    }

    /// Does work in a transaction of its own. What loses to another session is done again, with
    /// the number of tries before; any other error ends the call.
    fn transaction<T>(&self, work: impl Fn(u32, &Target, &Written) -> Result<T>) -> T {
        let mut tries = 0;
        loop {
            let outcome = attempt(|| {
                self.column.check(self.order).or_raise();
                let target = Target::open(self.order).or_raise();
                work(tries, &target, &self.written).or_raise()
            });
            match outcome {
                Ok(value) => {
                    // Deferred constraints are checked here.
                    self.procedure
                        .commit()
                        .unwrap_or_else(|error| self.stop(error));
                    return value;
                }
                Err(error) if tries + 1 < MOST_TRIES && lost_to_another(&error) => {
                    // Lets go of the locks, and sees the rows anew.
                    self.procedure
                        .commit()
                        .unwrap_or_else(|error| self.stop(error));
                    tries += 1;
                    pause(tries);
                }
                Err(error) => self.stop(error),
            }
        }
    }

    fn stop(&self, error: Box<CaughtError>) -> ! {
        self.progress.stopped(self.rows + self.again);
        error.rethrow()
    }
}

/// Whether an error only says that another session was in the way: a deadlock, a row that it
/// moved to another partition, or a lock that did not come within `lock_timeout`.
fn lost_to_another(error: &CaughtError) -> bool {
    matches!(
        sqlstate(error),
        Code::ERRCODE_T_R_DEADLOCK_DETECTED
            | Code::ERRCODE_T_R_SERIALIZATION_FAILURE
            | Code::ERRCODE_LOCK_NOT_AVAILABLE
    )
}

/// Waits before the next try, longer each time: 20 ms at first, 320 ms at most.
fn pause(tries: u32) {
    for _ in 0..1_u32 << tries.min(5) {
        interrupt::check();
        std::thread::sleep(Duration::from_millis(10));
    }
}

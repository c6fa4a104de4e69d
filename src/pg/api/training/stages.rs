//! A training in three stages: the arguments checked and the rows read, the computation, the result
//! stored. The first and the last are in transactions, which may be two; the second touches nothing of
//! PostgreSQL's but what it wants of a backend at once.

use std::time::Instant;

use pgrx::PgSqlErrorCode as Code;
use rayon::ThreadPool;
use serde_json::Value;

use super::console::Console;
use super::earlier::Earlier;
use super::order::Order;
use super::query::{Planned, Rows};
use super::store::store;
use crate::features::Task;
use crate::nn::{Crew, blas};
use crate::pg::error::{Report, Result};
use crate::pg::rows::{Lifetime, Source, with_query};
use crate::pg::wait_event::{self, Waiting};
use crate::pg::{interrupt, query_settings, settings, spelling, threads};
use crate::training::{Job, Observer, Options, Outcome, check, run};

/// A training that may be done, as far as its arguments tell.
pub(in crate::pg::api) struct Checked<'a> {
    order: &'a Order<'a>,
    options: Options,
    earlier: Earlier,
    task: Option<Task>,
    started: Instant,
}

impl<'a> Checked<'a> {
    /// Looks the model up and checks all that can be before the query is looked at.
    ///
    /// # Errors
    /// No right to train the model, an argument or option that cannot be, a missing library.
    pub(in crate::pg::api) fn new(order: &'a Order<'a>) -> Result<Checked<'a>> {
        let options = Options::parse(&order.options_json)?;
        // Rights and name come before any work.
        let earlier = Earlier::of(order.model, &options)?;
        Checked::after(order, earlier, options)
    }

    /// The same where it is known what it follows.
    ///
    /// # Errors
    /// An argument or option that cannot be, a missing library.
    pub(super) fn after(
        order: &'a Order<'a>,
        earlier: Earlier,
        mut options: Options,
    ) -> Result<Checked<'a>> {
        let started = Instant::now();
        let previous = earlier.model.as_ref();
        // Later versions keep the first one's task, whatever their rows look like.
        let task = match order.task {
            Some(name) => Some(Task::parse(name)?),
            None => previous
                .map(|model| model.target.task())
                .or_else(|| options.implied_task()),
        };
        if let Some(spelled) = previous.and_then(|model| spelling::of_target(&model.target)) {
            spelled.classes(&mut options);
        }
        check(
            &order.arguments,
            &options,
            order.architecture,
            task,
            previous,
        )?;
        // A missing library is told of before the rows are read.
        blas::load()?;
        Ok(Checked {
            order,
            options,
            earlier,
            task,
            started,
        })
    }

    /// Checks the query's columns without reading its rows, for a session that is another one.
    ///
    /// # Errors
    /// Those of planning it; columns that cannot be trained on; 0A000 for temporary tables.
    pub(in crate::pg::api) fn check_query(&mut self) -> Result<()> {
        with_query(self.order.query, |query| {
            if query.reads_temporary() {
                return Err(Report::new(
                    Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                    "the query reads a temporary table or view",
                )
                .hint(
                    "A job runs in a session of its own, where it does not exist. Use a table (it may be \
                     UNLOGGED), or neural.train.",
                ));
            }
            let previous = self.earlier.model.as_ref();
            Planned::new(query, self.order, self.task, &mut self.options, previous).map(drop)
        })
    }

    /// Reads the rows; `told` is called now and then with their number.
    ///
    /// # Errors
    /// Those of the query, and of rows that cannot be trained on.
    pub(in crate::pg::api) fn read(
        mut self,
        lifetime: Lifetime,
        told: Option<fn(u64)>,
    ) -> Result<Filled<'a>> {
        let memory = settings::max_memory();
        let threads = threads::usable(self.options.threads.filter(|&n| n > 0));
        let pool = threads::pool(threads)?;
        wait_event::prepare();
        let previous = self.earlier.model.as_ref();
        // Before the query, which may set others.
        let settings = query_settings::of_session();
        let rows = with_query(self.order.query, |query| {
            query.tell(told);
            let options = &mut self.options;
            let planned = Planned::new(query, self.order, self.task, options, previous)?;
            planned.read(query, memory, &pool, lifetime)
        })?;
        Ok(Filled {
            checked: self,
            rows,
            settings,
            memory,
            threads,
            pool,
        })
    }
}

/// A training with its rows.
pub(in crate::pg::api) struct Filled<'a> {
    checked: Checked<'a>,
    rows: Rows,
    /// Those that the query was run under.
    settings: Value,
    memory: usize,
    threads: usize,
    pool: ThreadPool,
}

impl<'a> Filled<'a> {
    /// How many rows there are.
    pub(in crate::pg::api) fn rows(&mut self) -> usize {
        self.rows.table.store.rows_mut().rows()
    }

    /// Who tells the session of it.
    pub(super) fn console(&self) -> Console {
        Console::new(&self.checked.options, &self.rows.plan, &self.rows.table)
    }

    /// Trains, from where the same training was broken off if that was kept.
    ///
    /// # Errors
    /// Those of the training; a cancel or a termination is PostgreSQL's own, and may not return.
    pub(in crate::pg::api) fn train(
        self,
        resume: Option<&[u8]>,
        observer: &mut dyn Observer,
    ) -> Result<Finished<'a>> {
        let Filled {
            checked,
            rows:
                Rows {
                    plan,
                    mut table,
                    sources,
                },
            settings,
            memory,
            threads,
            pool,
        } = self;
        let job = Job {
            task: checked.task,
            architecture: checked.order.architecture,
            arguments: &checked.order.arguments,
            options: &checked.options,
            plan: &plan,
            previous: checked.earlier.model.as_ref(),
            seen: checked.earlier.seen.as_ref(),
            sequences: table.sequences.as_ref(),
            dictionaries: &table.dictionaries,
            resume,
            memory: memory.saturating_sub(table.memory()),
            crew: Crew {
                pool: &pool,
                threads,
                wanted: interrupt::wanted,
            },
        };
        let outcome = run(&job, table.store.rows_mut(), &mut Waiting::begin(observer));
        drop(table);
        drop(pool);
        // What stopped the loop is PostgreSQL's to report: a cancel, a timeout or a termination.
        interrupt::check();
        let outcome = outcome?;
        let seconds = checked.started.elapsed().as_secs_f64();
        Ok(Finished {
            checked,
            outcome,
            sources,
            settings,
            seconds,
        })
    }
}

/// A training that is done.
pub(in crate::pg::api) struct Finished<'a> {
    checked: Checked<'a>,
    pub(super) outcome: Outcome,
    sources: Vec<(String, Vec<Source>)>,
    /// Those that the query was run under.
    pub(super) settings: Value,
    pub(super) seconds: f64,
}

impl Finished<'_> {
    /// Stores the model's version; its number.
    ///
    /// # Errors
    /// The model is not the caller's any more, or became another meanwhile.
    pub(in crate::pg::api) fn store(&mut self) -> Result<i32> {
        let checked = &mut self.checked;
        checked
            .earlier
            .compare_with_deployed(checked.order.model, &checked.options)?;
        store(
            checked.order,
            &checked.options,
            &checked.earlier,
            &self.outcome,
            &self.sources,
            self.settings.clone(),
            self.seconds,
        )
    }
}

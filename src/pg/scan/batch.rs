//! A batch: rows gathered from the plan below, with a column for the result of each call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pgrx::pg_sys::{self, Datum};

use super::aggregates::{self, Aggregates};
use super::copy::{Copying, Part, Stretch, ask_for_cells};
use super::counters::Done;
use super::executor::enter;
use super::heap_row::{Lane, Layouts, Pages, Want};
use super::lists;
use super::private::Private;
use super::scored_call::{Cells, ScoredCall};
use crate::pg::error::Report;
use crate::pg::{interrupt, settings};

/// Rows of the first batches; those after are [`GROWTH`] times as large, each as the one before, so
/// that a query that stops early has scored few rows in vain. A single row comes first: a model
/// that cannot be called is told of before anything is read ahead.
const FIRST: usize = 1;
const SECOND: usize = 16;
const GROWTH: usize = 4;

/// The rows of one node at a time.
pub(super) struct Batch {
    pub(super) calls: Vec<ScoredCall>,
    /// Columns of the plan below that are passed on by value.
    pub(super) kept: Vec<Stretch>,
    /// The same, copied.
    pub(super) kept_references: Vec<Part>,
    /// Whether anything of the plan below has to be copied.
    pub(super) copies: bool,
    /// The last column that is read of the plan below.
    pub(super) deepest: i32,
    /// How all that lies in the rows of a table.
    pub(super) layouts: Layouts,
    /// Of a table that is read from its beginning to its end.
    pub(super) pages: Option<Pages>,
    /// Where what is taken goes: the calls' arguments, and then the batch's own rows.
    lanes: Vec<Lane>,
    /// Computes the arguments that are no plain columns; null without such.
    pub(super) projection: *mut pg_sys::ProjectionInfo,
    /// Columns of a row.
    width: usize,
    values: Vec<Datum>,
    nulls: Vec<bool>,
    /// Where they begin.
    first_value: *mut Datum,
    first_null: *mut bool,
    /// Of what the rows refer to.
    memory: pg_sys::MemoryContext,
    most_rows: usize,
    most_bytes: usize,
    /// Rows of the next batch, unless the LIMIT takes fewer.
    size: usize,
    wanted: usize,
    rows: usize,
    next: usize,
    finished: bool,
    prepared: bool,
    /// Over the rows, which are then not given.
    pub(super) aggregates: Option<Aggregates>,
    /// An error that belongs after the batch's last row.
    failed: Option<Report>,
    bound: Bound,
    /// No row may be read ahead where the statement is run a few rows at a time.
    careful: bool,
    /// Whether it is, as far as anybody has said.
    stepwise: bool,
    done: Done,
    _live: Live,
}

/// Batches that there are in this process, which computes on one thread.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How many nodes of ours have begun and are not freed.
pub(super) fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Counts a batch as long as it lives.
struct Live;

impl Live {
    fn begin() -> Live {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Live
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many rows a LIMIT takes.
struct Bound {
    /// Count and offset.
    states: [*mut pg_sys::ExprState; 2],
    /// Rows that it may still ask for; none without a LIMIT.
    left: Option<usize>,
}

impl Batch {
    /// # Safety
    /// The state of a node of ours that has its child, its plan, and its executor's state.
    pub(super) unsafe fn new(
        node: &mut pg_sys::CustomScanState,
        plan: &pg_sys::CustomScan,
        estate: *mut pg_sys::EState,
    ) -> Batch {
        // SAFETY: the plan was made by `node::make`.
        unsafe {
            let state = &raw mut node.ss.ps;
            let child = (*plan.scan.plan.lefttree).targetlist;
            let below = lists::length(child);
            let columns: Vec<Copying> = lists::items::<pg_sys::TargetEntry>(child)
                .map(|entry| Copying::of(pg_sys::exprType((*entry).expr.cast())))
                .collect();
            let mut computed = Vec::new();
            let calls: Vec<ScoredCall> =
                lists::items::<pg_sys::TargetEntry>(plan.custom_scan_tlist)
                    .enumerate()
                    .skip(below)
                    .zip(lists::items::<pg_sys::Node>(plan.custom_exprs))
                    .map(|((place, entry), condition)| {
                        let call = (*entry).expr.cast();
                        ScoredCall::new(
                            call,
                            condition,
                            place,
                            &columns,
                            &mut computed,
                            state,
                            estate,
                        )
                    })
                    .collect();
            let private = Private::from_list(plan.custom_private);
            let aggregates = Aggregates::new(plan, &private.aggregated);
            let kept = private.kept.into_iter().map(|place| Part {
                from: place,
                to: place,
                copying: columns[place],
            });
            let (kept, kept_references): (Vec<_>, Vec<_>) =
                kept.partition(|part| part.copying == Copying::Value);
            let kept = Stretch::of(&kept);
            let references = calls.iter().map(|call| &call.arguments.references);
            let references = references.chain([&kept_references]).flatten();
            let stretches = calls.iter().map(|call| &call.arguments.columns);
            let stretches = stretches.chain([&kept]).flatten();
            let deepest = references
                .map(|part| part.from + 1)
                .chain(stretches.map(Stretch::end))
                .max()
                .unwrap_or(0) as i32;
            let wants = wants(&calls, &kept, &kept_references);
            let copies = !kept_references.is_empty()
                || calls
                    .iter()
                    .any(|call| !call.arguments.references.is_empty());
            let projection = if computed.is_empty() {
                std::ptr::null_mut()
            } else {
                let list = lists::of(computed);
                let row = pg_sys::ExecTypeFromTL(list);
                let slot =
                    pg_sys::ExecInitExtraTupleSlot(estate, row, &raw const pg_sys::TTSOpsVirtual);
                let context = (*state).ps_ExprContext;
                pg_sys::ExecBuildProjectionInfo(list, context, slot, state, std::ptr::null_mut())
            };
            let layouts = Layouts::new(wants);
            let plain = projection.is_null().then(|| layouts.wants());
            let pages = Pages::of((*state).lefttree, plain);
            let states = private
                .bound
                .unwrap_or([std::ptr::null_mut(); 2])
                .map(|node| {
                    if node.is_null() {
                        std::ptr::null_mut()
                    } else {
                        pg_sys::ExecInitExpr(node.cast(), state)
                    }
                });
            let width = below + calls.len();
            let arguments: usize = calls.iter().map(|call| call.arguments.row_bytes()).sum();
            let row_bytes = width * (size_of::<Datum>() + size_of::<bool>()) + arguments;
            let most_rows = if settings::batch_scoring() {
                let fitting = settings::max_memory() / 4 / row_bytes.max(1);
                settings::batch_rows().min(fitting).max(1)
            } else {
                1
            };
            Batch {
                width,
                calls,
                kept,
                kept_references,
                copies,
                deepest,
                layouts,
                pages,
                lanes: Vec::new(),
                projection,
                values: Vec::new(),
                nulls: Vec::new(),
                first_value: std::ptr::null_mut(),
                first_null: std::ptr::null_mut(),
                memory: pg_sys::AllocSetContextCreateInternal(
                    (*estate).es_query_cxt,
                    c"NeuralScore batch".as_ptr(),
                    pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                ),
                most_rows,
                most_bytes: settings::max_memory() / 4,
                size: FIRST,
                wanted: 0,
                rows: 0,
                next: 0,
                finished: false,
                prepared: false,
                aggregates,
                failed: None,
                bound: Bound { states, left: None },
                careful: private.careful,
                stepwise: true,
                done: Done::default(),
                _live: Live::begin(),
            }
        }
    }

    /// Whether the statement is run a few rows at a time; so it is until somebody says otherwise.
    pub(super) fn set_stepwise(&mut self, stepwise: bool) {
        self.stepwise = stepwise;
    }

    /// Whether all rows of the batch have been given.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.next == self.rows
    }

    /// The next row of the batch, which must not be spent.
    #[inline]
    pub(super) fn next_row(&mut self) -> (*mut Datum, *mut bool) {
        let row = self.next;
        self.next += 1;
        // SAFETY: there is such a row, as the caller knows.
        unsafe { self.cell(row, 0) }
    }

    /// Where a column of a row lies.
    ///
    /// # Safety
    /// The batch has room for that row.
    #[inline]
    pub(super) unsafe fn cell(&self, row: usize, column: usize) -> (*mut Datum, *mut bool) {
        let at = row * self.width + column;
        // SAFETY: as the caller says.
        unsafe { (self.first_value.add(at), self.first_null.add(at)) }
    }

    /// Makes room for the next rows.
    ///
    /// # Safety
    /// The state of the plan below.
    pub(super) unsafe fn begin(&mut self, child: *mut pg_sys::PlanState) {
        // SAFETY: nothing refers to the last batch's values any more.
        unsafe {
            super::executor::MemoryContextReset(self.memory);
            self.rows = 0;
            self.next = 0;
            if self.finished || self.failed.is_some() {
                self.wanted = 0;
                return;
            }
            pgrx::pgrx_extern_c_guard(|| self.make_room(child));
        }
    }

    unsafe fn make_room(&mut self, child: *mut pg_sys::PlanState) {
        // SAFETY: as for `begin`.
        unsafe {
            if !self.prepared {
                self.prepared = true;
                self.bound.left = self.bound.rows(child);
            }
        }
        self.wanted = if self.careful && self.stepwise {
            1
        } else {
            self.size
        };
        if let Some(left) = &mut self.bound.left {
            // One that asks for more than its LIMIT does so by ones.
            self.wanted = self.wanted.min(*left).max(1);
            *left = left.saturating_sub(self.wanted);
        }
        self.size = (self.size * GROWTH).max(SECOND).min(self.most_rows);
        let cells = self.wanted * self.width;
        interrupt::check();
        if self.values.len() < cells {
            ask_for_cells(cells);
            self.values.resize(cells, Datum::from(0_usize));
            // Columns that nobody reads stay NULL.
            self.nulls.resize(cells, true);
        }
        self.point();
        for call in &mut self.calls {
            // SAFETY: the query runs.
            unsafe { call.arguments.make_room(self.wanted) };
        }
        self.lanes.clear();
        let arguments = self.calls.iter().map(|call| call.arguments.lane());
        self.lanes.extend(arguments);
        self.lanes.push(Lane {
            values: self.first_value,
            nulls: self.first_null,
            width: self.width,
        });
    }

    /// Pointers to the rows, for those who must not hold a borrow of them.
    fn point(&mut self) {
        self.first_value = self.values.as_mut_ptr();
        self.first_null = self.nulls.as_mut_ptr();
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Where the columns of the plan below go, in the order of their lanes.
    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    pub(super) fn memory(&self) -> pg_sys::MemoryContext {
        self.memory
    }

    /// Bytes of copied values after which a batch is full.
    pub(super) fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// The plan below has no more rows.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// So many rows are there.
    pub(super) fn gathered(&mut self, rows: usize) {
        self.rows = rows;
    }

    /// Computes the calls' results for the rows gathered; raises what stands in their place.
    ///
    /// # Safety
    /// The node's expression context, whose memory for one row is free.
    pub(super) unsafe fn score(&mut self, context: *mut pg_sys::ExprContext) {
        // SAFETY: as the caller says.
        unsafe {
            if self.rows > 0 {
                let begin = Instant::now();
                let outer = enter((*context).ecxt_per_tuple_memory);
                let mut cells = Cells {
                    values: &mut self.values,
                    nulls: &mut self.nulls,
                    width: self.width,
                    memory: self.memory,
                };
                for call in &mut self.calls {
                    let (rows, failed) = call.score(self.rows, &mut cells, context);
                    self.rows = rows;
                    // Where an earlier call failed, later ones see the rows before it alone.
                    if failed.is_some() {
                        self.failed = failed;
                    }
                    if rows == 0 {
                        break;
                    }
                }
                pg_sys::CurrentMemoryContext = outer;
                self.point();
                self.done.batches += 1;
                self.done.rows = self.calls.iter().map(ScoredCall::scored).sum();
                self.done.time += begin.elapsed();
            }
            if self.rows == 0
                && let Some(report) = self.failed.take()
            {
                report.raise();
            }
        }
    }

    /// Adds the batch's rows to the aggregates.
    pub(super) fn aggregate(&mut self) {
        self.next = self.rows;
        let cells = self.rows * self.width;
        if let Some(aggregates) = &mut self.aggregates {
            aggregates.add(aggregates::Rows {
                values: &self.values[..cells],
                nulls: &self.nulls[..cells],
                width: self.width,
            });
        }
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) {
        if let Some(aggregates) = &mut self.aggregates {
            aggregates.restart();
        }
        self.rows = 0;
        self.next = 0;
        self.finished = false;
        self.prepared = false;
        self.failed = None;
        self.size = FIRST;
    }

    /// Each model once.
    pub(super) fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        for model in self.calls.iter().map(ScoredCall::model) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        models
    }

    pub(super) fn most_rows(&self) -> usize {
        self.most_rows
    }

    pub(super) fn done(&self) -> Done {
        self.done
    }
}

/// The columns of the plan below that go into the calls' arguments and into the batch's rows.
fn wants(calls: &[ScoredCall], kept: &[Stretch], kept_references: &[Part]) -> Vec<Want> {
    let arguments = calls.iter().map(|call| {
        let arguments = &call.arguments;
        (&arguments.columns[..], &arguments.references[..])
    });
    let mut wants = Vec::new();
    for (lane, (columns, references)) in arguments.chain([(kept, kept_references)]).enumerate() {
        let columns = columns.iter().flat_map(|stretch| stretch.parts());
        wants.extend(columns.chain(references.iter().copied()).map(|part| Want {
            from: part.from,
            lane,
            to: part.to,
            copying: part.copying,
        }));
    }
    wants
}

impl Bound {
    /// The rows that the LIMIT takes, which a sort below is told, too, since it cannot hear it
    /// from the LIMIT through a node of ours.
    unsafe fn rows(&self, child: *mut pg_sys::PlanState) -> Option<usize> {
        // SAFETY: the expressions are constants or parameters of the statement.
        unsafe {
            let [count, offset] = self.states;
            if count.is_null() {
                return None;
            }
            let context = (*(*count).parent).ps_ExprContext;
            let evaluate = |state: *mut pg_sys::ExprState| {
                let mut null = false;
                let value = (*state).evalfunc?(state, context, &mut null);
                (!null).then_some(value.value() as i64)
            };
            let count = evaluate(count)?;
            let offset = match offset {
                offset if offset.is_null() => 0,
                offset => evaluate(offset).unwrap_or(0),
            };
            let rows = count.max(0).checked_add(offset.max(0))?;
            pg_sys::ExecSetTupleBound(rows, child);
            usize::try_from(rows).ok()
        }
    }
}

//! One call, computed for all rows of a batch.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use pgrx::pg_sys::{self, Datum, NodeTag};

use crate::features::Answer;
use crate::hex::hex;
use crate::memory;
use crate::pg::call::{Rows, Site, answer};
use crate::pg::error::Report;
use crate::pg::scan::batch::{Part, Run, ask_for_cells};
use crate::pg::scan::conditions;
use crate::pg::scan::copy::Copying;
use crate::pg::scan::executor::MemoryContextReset;
use crate::pg::scan::functions::{self, Function};
use crate::pg::scan::lists;
use crate::pg::{interrupt, reader, settings};

/// What is computed between two looks at whether the query was cancelled.
const SLICE: Duration = Duration::from_millis(20);
/// Bytes of a call's frame before its arguments.
const HEADER: usize = std::mem::offset_of!(pg_sys::FunctionCallInfoBaseData, args);

/// A call and its arguments in every row of a batch.
pub(super) struct Call {
    /// By-value arguments that are columns of the plan below.
    pub(super) columns: Vec<Run>,
    /// The same by reference.
    pub(super) references: Vec<Part>,
    /// Arguments that the projection computes.
    pub(super) computed: Vec<Part>,
    /// The place among what the projection computes of whether a row comes to the call; none: all.
    pub(super) condition: Option<usize>,
    /// What it said of each row.
    pub(super) reached: *mut bool,
    reached_rows: Vec<bool>,
    /// The rows that come to the call.
    chosen: Vec<usize>,
    function: Function,
    /// Rows scored.
    scored: usize,
    /// The column that takes the result.
    place: usize,
    constants: Vec<Constant>,
    /// What fmgr knows of the call: in the query's memory.
    info: *mut pg_sys::FmgrInfo,
    collation: pg_sys::Oid,
    arguments: usize,
    /// A call as the function itself would be given it.
    frame: Vec<u64>,
    /// The arguments of each row's call.
    values: Vec<Datum>,
    nulls: Vec<bool>,
    first_value: *mut Datum,
    first_null: *mut bool,
    /// How many rows there is room for; none before the constants are known.
    rows: usize,
    query: pg_sys::MemoryContext,
    site: Option<Box<Site>>,
    /// Encoded rows and the network's outputs.
    encoded: Vec<f32>,
    out: Vec<f32>,
    /// The version the texts of classes are of, and those that have been made.
    version: i64,
    classes: Vec<Option<Datum>>,
    /// What a row took last.
    row_time: Duration,
}

/// An argument that is the same for every row.
struct Constant {
    place: usize,
    node: *mut pg_sys::Node,
    /// For a parameter.
    state: *mut pg_sys::ExprState,
    value: pg_sys::NullableDatum,
}

impl Call {
    /// Plans a call over the columns of the plan below, copied so, for the rows of which the
    /// condition is true, or all if it is null; what has to be computed is added to `computed`.
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
    ) -> Call {
        // SAFETY: as the caller says.
        unsafe {
            // Checks the right to execute the function and those in its arguments, as the
            // executor does for any expression.
            pg_sys::ExecInitExpr(call.cast(), state);
            let query = (*estate).es_query_cxt;
            let info: *mut pg_sys::FmgrInfo =
                pg_sys::MemoryContextAllocZero(query, size_of::<pg_sys::FmgrInfo>()).cast();
            pg_sys::fmgr_info_cxt((*call).funcid, info, query);
            (*info).fn_expr = call.cast();
            let function = functions::function((*call).funcid).unwrap_or(Function {
                answer: Answer::Value,
                pinned: false,
            });
            let mut made = Call {
                columns: Vec::new(),
                references: Vec::new(),
                computed: Vec::new(),
                condition: None,
                reached: std::ptr::null_mut(),
                reached_rows: Vec::new(),
                chosen: Vec::new(),
                scored: 0,
                function,
                place,
                constants: Vec::new(),
                info,
                collation: (*call).inputcollid,
                arguments: lists::length((*call).args),
                frame: Vec::new(),
                values: Vec::new(),
                nulls: Vec::new(),
                first_value: std::ptr::null_mut(),
                first_null: std::ptr::null_mut(),
                rows: 0,
                query,
                site: None,
                encoded: Vec::new(),
                out: Vec::new(),
                version: 0,
                classes: Vec::new(),
                row_time: Duration::ZERO,
            };
            let mut compute = |node: *mut pg_sys::Node| {
                let place = computed.len();
                let number = (place + 1) as _;
                let entry =
                    pg_sys::makeTargetEntry(node.cast(), number, std::ptr::null_mut(), false);
                computed.push(entry);
                place
            };
            if !condition.is_null() {
                made.condition = Some(compute(condition));
            }
            let mut columns_by_value = Vec::new();
            for (to, node) in lists::items::<pg_sys::Node>((*call).args).enumerate() {
                match (*node).type_ {
                    NodeTag::T_Const => made.constants.push(Constant {
                        place: to,
                        node,
                        state: std::ptr::null_mut(),
                        value: pg_sys::NullableDatum::default(),
                    }),
                    NodeTag::T_Param
                        if (*node.cast::<pg_sys::Param>()).paramkind
                            == pg_sys::ParamKind::PARAM_EXTERN =>
                    {
                        made.constants.push(Constant {
                            place: to,
                            node,
                            state: pg_sys::ExecInitExpr(node.cast(), state),
                            value: pg_sys::NullableDatum::default(),
                        });
                    }
                    NodeTag::T_Var
                        if (*node.cast::<pg_sys::Var>()).varattno > 0
                            && (*node.cast::<pg_sys::Var>()).varno == pg_sys::OUTER_VAR =>
                    {
                        let from = (*node.cast::<pg_sys::Var>()).varattno as usize - 1;
                        let copying = columns[from];
                        let part = Part { from, to, copying };
                        if copying == Copying::Value {
                            columns_by_value.push(part);
                        } else {
                            made.references.push(part);
                        }
                    }
                    _ => {
                        let from = if condition.is_null() {
                            compute(node)
                        } else {
                            compute(conditions::only_where(condition, node))
                        };
                        let copying = Copying::of(pg_sys::exprType(node));
                        made.computed.push(Part { from, to, copying });
                    }
                }
            }
            made.columns = Run::of(&columns_by_value);
            made
        }
    }

    /// Bytes of a row's arguments.
    pub(super) fn row_bytes(&self) -> usize {
        self.arguments * (size_of::<Datum>() + size_of::<bool>())
    }

    /// The arguments of a row's call.
    ///
    /// # Safety
    /// There is room for that row.
    #[inline]
    pub(super) unsafe fn arguments(&self, row: usize) -> (*mut Datum, *mut bool) {
        let at = row * self.arguments;
        // SAFETY: as the caller says.
        unsafe { (self.first_value.add(at), self.first_null.add(at)) }
    }

    /// A row's call as the function itself would be given it.
    unsafe fn frame(&mut self, row: usize) -> pg_sys::FunctionCallInfo {
        let size = HEADER + self.arguments * size_of::<pg_sys::NullableDatum>();
        self.frame.resize(size.div_ceil(size_of::<u64>()), 0);
        let at = row * self.arguments..(row + 1) * self.arguments;
        let arguments = self.values[at.clone()].iter().zip(&self.nulls[at]);
        // SAFETY: room for a frame with so many arguments, aligned as it is.
        unsafe {
            let frame: pg_sys::FunctionCallInfo = self.frame.as_mut_ptr().cast();
            (*frame).flinfo = self.info;
            (*frame).fncollation = self.collation;
            (*frame).nargs = self.arguments as i16;
            let to: *mut pg_sys::NullableDatum = frame.cast::<u8>().add(HEADER).cast();
            for (i, (&value, &isnull)) in arguments.enumerate() {
                *to.add(i) = pg_sys::NullableDatum { value, isnull };
            }
            frame
        }
    }

    /// Evaluates what is the same for every row.
    ///
    /// # Safety
    /// Called while the query runs.
    unsafe fn evaluate_constants(&mut self) {
        // SAFETY: constants and parameters of the statement; their values stay for the query.
        unsafe {
            for constant in &mut self.constants {
                if constant.state.is_null() {
                    let node = &*constant.node.cast::<pg_sys::Const>();
                    constant.value.value = node.constvalue;
                    constant.value.isnull = node.constisnull;
                } else {
                    let context = (*(*constant.state).parent).ps_ExprContext;
                    let mut null = false;
                    let evaluate = (*constant.state).evalfunc.unwrap_unchecked();
                    let value = evaluate(constant.state, context, &mut null);
                    constant.value.isnull = null;
                    if !null {
                        let copying = Copying::of(pg_sys::exprType(constant.node));
                        constant.value.value = copying.copy(value, self.query).0;
                    }
                }
            }
        }
    }

    /// Makes room for the arguments of so many rows.
    ///
    /// # Safety
    /// Called while the query runs.
    pub(super) unsafe fn make_room(&mut self, rows: usize) {
        if rows <= self.rows {
            return;
        }
        if self.condition.is_some() {
            self.reached_rows.resize(rows, false);
            self.reached = self.reached_rows.as_mut_ptr();
        }
        if self.rows == 0 {
            // SAFETY: as the caller says.
            unsafe { self.evaluate_constants() };
        }
        // The old beside the new, and which rows are reached.
        ask_for_cells(rows * (2 * self.arguments + 1));
        self.values
            .resize(rows * self.arguments, Datum::from(0_usize));
        self.nulls.resize(rows * self.arguments, true);
        let calls = self.values.chunks_exact_mut(self.arguments);
        let calls = calls.zip(self.nulls.chunks_exact_mut(self.arguments));
        for (values, nulls) in calls.skip(self.rows) {
            for constant in &self.constants {
                values[constant.place] = constant.value.value;
                nulls[constant.place] = constant.value.isnull;
            }
        }
        self.first_value = self.values.as_mut_ptr();
        self.first_null = self.nulls.as_mut_ptr();
        self.rows = rows;
    }

    /// Computes the results of the first `rows` rows into the call's column. Returns how many
    /// there are: fewer where a row's arguments are wrong, and what is wrong with them.
    ///
    /// # Safety
    /// The arguments of these rows are filled in; `memory` lives as long as the batch; the context's
    /// memory for one row is the current one.
    pub(super) unsafe fn score(
        &mut self,
        rows: usize,
        width: usize,
        (values, nulls): (&mut [Datum], &mut [bool]),
        memory: pg_sys::MemoryContext,
        context: *mut pg_sys::ExprContext,
    ) -> (usize, Option<Report>) {
        // SAFETY: as the caller says.
        unsafe {
            self.chosen.clear();
            if self.condition.is_some() {
                for (row, reached) in self.reached_rows[..rows].iter().enumerate() {
                    // A value of the last batch's must not be taken for this row's.
                    nulls[row * width + self.place] = true;
                    if *reached {
                        self.chosen.push(row);
                    }
                }
            }
            let mut is_choice = self.condition.is_some();
            let first = match is_choice {
                true => self.chosen.first().copied(),
                false => (rows > 0).then_some(0),
            };
            // A model that no row asks for need not be there.
            let Some(first) = first else {
                return (rows, None);
            };
            let Function { answer, pinned } = self.function;
            let frame = self.frame(first);
            if let Err(report) = Site::get_kept(&mut self.site, frame, pinned, answer) {
                return (first, Some(report));
            }
            let Some(site) = &mut self.site else {
                return (0, None);
            };
            if site.takes_one_value() {
                // Where that value is NULL there is no row, and the answer is NULL.
                let is_there = |row: usize| !self.nulls[row * self.arguments + 1];
                if is_choice {
                    self.chosen.retain(|row| is_there(*row));
                } else if !(0..rows).all(is_there) {
                    is_choice = true;
                    for row in 0..rows {
                        nulls[row * width + self.place] = true;
                    }
                    self.chosen.extend((0..rows).filter(|row| is_there(*row)));
                }
            }
            let calls = Rows {
                values: &self.values[..rows * self.arguments],
                nulls: &self.nulls[..rows * self.arguments],
                width: self.arguments,
                chosen: is_choice.then_some(&self.chosen[..]),
            };
            let total = calls.count();
            let (inputs, outputs) = (
                site.model().predictor.input_width(),
                site.model().predictor.output_units(),
            );
            if site.resolved().version_id != self.version {
                self.version = site.resolved().version_id;
                self.classes = vec![None; site.model().target.classes().len()];
            }
            let tile = site.model().predictor.tile();
            let row_bytes = (inputs + outputs).max(1) * size_of::<f32>();
            let fitting = (settings::max_memory() / 4 / row_bytes).max(1);
            let mut begin = 0;
            while begin < total {
                let quick = match self.row_time {
                    Duration::ZERO => 16,
                    time => (SLICE.as_nanos() / time.as_nanos().max(1)).max(1) as usize,
                };
                let count = (total - begin).min(fitting).min(quick);
                let started = Instant::now();
                let room = (count.min(tile) * inputs).saturating_sub(self.encoded.len())
                    + (count * outputs).saturating_sub(self.out.len());
                if room > 0 {
                    let bytes = 2 * room * size_of::<f32>();
                    if let Err(refused) = memory::ask_for_many(bytes) {
                        return (calls.place(begin), Some(refused.into()));
                    }
                }
                if self.encoded.len() < count.min(tile) * inputs {
                    self.encoded.resize(count.min(tile) * inputs, 0.0);
                }
                if self.out.len() < count * outputs {
                    self.out.resize(count * outputs, 0.0);
                }
                // As many at a time as the network takes, so that what is encoded stays in cache.
                for at in (0..count).step_by(tile) {
                    let rows = tile.min(count - at);
                    let part = calls.part(begin + at, begin + at + rows);
                    let encoded = &mut self.encoded[..rows * inputs];
                    let clear = || MemoryContextReset((*context).ecxt_per_tuple_memory);
                    if let Err((i, report)) = site.encode_rows(self.info, part, encoded, clear) {
                        // Those before it are still to be given.
                        let row = calls.place(begin + at + i);
                        let (rows, _) = self.score(row, width, (values, nulls), memory, context);
                        return (rows, Some(report));
                    }
                    site.forward(encoded, rows, &mut self.out[at * outputs..]);
                }
                let results = self.out.chunks_exact(outputs.max(1)).take(count);
                for (i, result) in results.enumerate() {
                    let target = &site.model().target;
                    let value = match answer {
                        Answer::Value => answer::number(target.value(result)),
                        Answer::Class => match target.predicted_class(result) {
                            // A set of labels is a text of its own.
                            Cow::Owned(labels) => {
                                let outer = pg_sys::MemoryContextSwitchTo(memory);
                                let text = answer::text(&labels);
                                pg_sys::MemoryContextSwitchTo(outer);
                                text
                            }
                            Cow::Borrowed(name) => {
                                let class = target.predicted(result);
                                match self.classes[class] {
                                    Some(text) => text,
                                    None => {
                                        let outer = pg_sys::MemoryContextSwitchTo(self.query);
                                        let text = answer::text(name);
                                        pg_sys::MemoryContextSwitchTo(outer);
                                        self.classes[class] = Some(text);
                                        text
                                    }
                                }
                            }
                        },
                        Answer::All => {
                            let outer = pg_sys::MemoryContextSwitchTo(memory);
                            let array = answer::numbers(&target.numbers(result));
                            pg_sys::MemoryContextSwitchTo(outer);
                            array
                        }
                    };
                    let at = calls.place(begin + i) * width + self.place;
                    values[at] = value;
                    nulls[at] = false;
                }
                begin += count;
                self.scored += count;
                self.row_time = (started.elapsed() / count as u32).max(Duration::from_nanos(1));
                interrupt::check();
            }
            (rows, None)
        }
    }

    /// Rows scored so far.
    pub(super) fn scored(&self) -> usize {
        self.scored
    }

    /// How EXPLAIN names the model.
    pub(super) fn model(&self) -> String {
        let label = |resolved: &reader::Resolved| format!("{}@{}", resolved.model, resolved.number);
        if let Some(site) = &self.site {
            return label(site.resolved());
        }
        let Some(name) = self.constants.iter().find(|constant| constant.place == 0) else {
            return String::new();
        };
        // SAFETY: a constant text or bytea; a parameter that was not evaluated is only named.
        unsafe {
            if (*name.node).type_ != NodeTag::T_Const {
                let parameter = &*name.node.cast::<pg_sys::Param>();
                return format!("${}", parameter.paramid);
            }
            let constant = &*name.node.cast::<pg_sys::Const>();
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

//! One call, computed for all rows of a batch.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use pgrx::pg_sys::{self, Datum, NodeTag};

use super::batch::Part;
use super::conditions;
use super::copy::Copying;
use super::executor::MemoryContextReset;
use super::functions::{self, Function};
use super::lists;
use crate::pg::call::{Answer, Site, answer};
use crate::pg::error::Report;
use crate::pg::{interrupt, reader, settings};

/// What is computed between two looks at whether the query was cancelled.
const SLICE: Duration = Duration::from_millis(20);
/// Bytes of a call's frame before its arguments.
const HEADER: usize = std::mem::offset_of!(pg_sys::FunctionCallInfoBaseData, args);

/// A call and its arguments in every row of a batch.
pub(super) struct Call {
    /// By-value arguments that are columns of the plan below.
    pub(super) columns: Vec<Part>,
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
    /// A frame of the call for each row, as the function itself would be given.
    frames: Vec<u64>,
    first_frame: *mut u64,
    /// How many there are; none before the constants are known.
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
                frames: Vec::new(),
                first_frame: std::ptr::null_mut(),
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
                            made.columns.push(part);
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
            made
        }
    }

    /// Words of a frame.
    fn frame_words(&self) -> usize {
        (HEADER + self.arguments * size_of::<pg_sys::NullableDatum>()) / size_of::<u64>()
    }

    /// Bytes of a row's frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_words() * size_of::<u64>()
    }

    /// # Safety
    /// There is room for that row.
    #[inline]
    unsafe fn frame(&self, row: usize) -> pg_sys::FunctionCallInfo {
        // SAFETY: as the caller says.
        unsafe { self.first_frame.add(row * self.frame_words()).cast() }
    }

    /// The arguments of a row's call.
    ///
    /// # Safety
    /// There is room for that row.
    #[inline]
    pub(super) unsafe fn arguments(&self, row: usize) -> *mut pg_sys::NullableDatum {
        // SAFETY: as the caller says.
        unsafe { self.frame(row).cast::<u8>().add(HEADER).cast() }
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

    /// Makes frames for so many rows.
    ///
    /// # Safety
    /// Called while the query runs.
    pub(super) unsafe fn make_room(&mut self, rows: usize) {
        if rows <= self.rows {
            return;
        }
        let words = self.frame_words();
        if self.condition.is_some() {
            self.reached_rows.resize(rows, false);
            self.reached = self.reached_rows.as_mut_ptr();
        }
        self.frames.resize(rows * words, 0);
        self.first_frame = self.frames.as_mut_ptr();
        // SAFETY: frames of this call, for which there is room now.
        unsafe {
            if self.rows == 0 {
                self.evaluate_constants();
            }
            for row in self.rows..rows {
                let frame = self.frame(row);
                (*frame).flinfo = self.info;
                (*frame).fncollation = self.collation;
                (*frame).nargs = self.arguments as i16;
                let arguments = self.arguments(row);
                for constant in &self.constants {
                    (*arguments.add(constant.place)).value = constant.value.value;
                    (*arguments.add(constant.place)).isnull = constant.value.isnull;
                }
            }
        }
        self.rows = rows;
    }

    /// Computes the results of the first `rows` rows into the call's column. Returns how many
    /// there are: fewer where a row's arguments are wrong, and what is wrong with them.
    ///
    /// # Safety
    /// The frames of these rows are filled; `memory` lives as long as the batch; the context's
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
            let chosen = self.condition.map(|_| &self.chosen[..]);
            let row_of = |i: usize| chosen.map_or(i, |chosen| chosen[i]);
            let total = chosen.map_or(rows, <[usize]>::len);
            // A model that no row asks for need not be there.
            if total == 0 {
                return (rows, None);
            }
            let Function { answer, pinned } = self.function;
            let first = self.frame(row_of(0));
            if let Err(report) = Site::get_kept(&mut self.site, first, pinned, answer) {
                return (row_of(0), Some(report));
            }
            let (words, frames) = (self.frame_words(), self.first_frame);
            let Some(site) = &mut self.site else {
                return (0, None);
            };
            let (inputs, outputs) = (
                site.model().predictor.input_width(),
                site.model().predictor.output_units(),
            );
            if site.resolved().version_id != self.version {
                self.version = site.resolved().version_id;
                self.classes = vec![None; site.model().target.classes().len()];
            }
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
                if self.encoded.len() < count * inputs {
                    self.encoded.resize(count * inputs, 0.0);
                }
                if self.out.len() < count * outputs {
                    self.out.resize(count * outputs, 0.0);
                }
                for i in 0..count {
                    let row = row_of(begin + i);
                    let frame = frames.add(row * words);
                    let encoded = &mut self.encoded[i * inputs..][..inputs];
                    if let Err(report) = site.encode(frame.cast(), encoded) {
                        // Those before it are still to be given.
                        let (rows, _) = self.score(row, width, (values, nulls), memory, context);
                        return (rows, Some(report));
                    }
                    MemoryContextReset((*context).ecxt_per_tuple_memory);
                }
                site.forward(&self.encoded, count, &mut self.out);
                let results = self.out.chunks_exact(outputs.max(1)).take(count);
                for (i, result) in results.enumerate() {
                    let model = site.model();
                    let value = match answer {
                        Answer::Value => answer::number(model.value(result)),
                        Answer::Class => match model.class(result) {
                            // A set of labels is a text of its own.
                            Cow::Owned(labels) => {
                                let outer = pg_sys::MemoryContextSwitchTo(memory);
                                let text = answer::text(&labels);
                                pg_sys::MemoryContextSwitchTo(outer);
                                text
                            }
                            Cow::Borrowed(name) => {
                                let class = model.class_index(result);
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
                            let array = answer::numbers(&model.all(result));
                            pg_sys::MemoryContextSwitchTo(outer);
                            array
                        }
                    };
                    let at = row_of(begin + i) * width + self.place;
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
                let hash: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                (reader::resolve_sha256(bytes), hash)
            } else {
                let text = String::from_utf8_lossy(bytes).into_owned();
                (reader::resolve(&text), text)
            };
            resolved.map_or(text, |resolved| label(&resolved))
        }
    }
}

//! The arguments of a call in every row of a batch.

use pgrx::pg_sys::{self, Datum, NodeTag};

use crate::pg::scan::conditions;
use crate::pg::scan::copy::{Copying, Part, Stretch, ask_for_cells};
use crate::pg::scan::heap_row::Lane;
use crate::pg::scan::lists;

/// Where the arguments come from, and what they are in each row.
pub(in crate::pg::scan) struct Arguments {
    /// By-value arguments that are columns of the plan below.
    pub(in crate::pg::scan) columns: Vec<Stretch>,
    /// The same by reference.
    pub(in crate::pg::scan) references: Vec<Part>,
    /// Arguments that the projection computes.
    pub(in crate::pg::scan) computed: Vec<Part>,
    /// The place among what the projection computes of whether a row comes to the call; none: all.
    pub(in crate::pg::scan) condition: Option<usize>,
    /// What it said of each row.
    pub(in crate::pg::scan) reached: *mut bool,
    reached_rows: Vec<bool>,
    constants: Vec<Constant>,
    /// Of a row.
    count: usize,
    values: Vec<Datum>,
    nulls: Vec<bool>,
    first_value: *mut Datum,
    first_null: *mut bool,
    /// How many rows there is room for; none before the constants are known.
    rows: usize,
    query: pg_sys::MemoryContext,
}

/// An argument that is the same for every row.
struct Constant {
    place: usize,
    node: *mut pg_sys::Node,
    /// For a parameter.
    state: *mut pg_sys::ExprState,
    value: pg_sys::NullableDatum,
}

impl Arguments {
    /// Plans the arguments of a call over the columns of the plan below, copied so, for the rows of
    /// which the condition is true, or all if it is null; what has to be computed is added to
    /// `computed`.
    ///
    /// # Safety
    /// A call found by `calls`, the node's state with its child, and the query's memory context.
    pub(super) unsafe fn plan(
        call: *mut pg_sys::FuncExpr,
        condition: *mut pg_sys::Node,
        columns: &[Copying],
        computed: &mut Vec<*mut pg_sys::TargetEntry>,
        state: *mut pg_sys::PlanState,
        query: pg_sys::MemoryContext,
    ) -> Arguments {
        // SAFETY: as the caller says.
        unsafe {
            let mut planned = Arguments {
                columns: Vec::new(),
                references: Vec::new(),
                computed: Vec::new(),
                condition: None,
                reached: std::ptr::null_mut(),
                reached_rows: Vec::new(),
                constants: Vec::new(),
                count: lists::length((*call).args),
                values: Vec::new(),
                nulls: Vec::new(),
                first_value: std::ptr::null_mut(),
                first_null: std::ptr::null_mut(),
                rows: 0,
                query,
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
                planned.condition = Some(compute(condition));
            }
            let mut columns_by_value = Vec::new();
            for (to, node) in lists::items::<pg_sys::Node>((*call).args).enumerate() {
                let constant = |state| Constant {
                    place: to,
                    node,
                    state,
                    value: pg_sys::NullableDatum::default(),
                };
                match (*node).type_ {
                    NodeTag::T_Const => planned.constants.push(constant(std::ptr::null_mut())),
                    NodeTag::T_Param
                        if (*node.cast::<pg_sys::Param>()).paramkind
                            == pg_sys::ParamKind::PARAM_EXTERN =>
                    {
                        let state = pg_sys::ExecInitExpr(node.cast(), state);
                        planned.constants.push(constant(state));
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
                            planned.references.push(part);
                        }
                    }
                    _ => {
                        let from = if condition.is_null() {
                            compute(node)
                        } else {
                            compute(conditions::only_where(condition, node))
                        };
                        let copying = Copying::of(pg_sys::exprType(node));
                        planned.computed.push(Part { from, to, copying });
                    }
                }
            }
            planned.columns = Stretch::of(&columns_by_value);
            planned
        }
    }

    /// How many a row has.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of a row's.
    pub(in crate::pg::scan) fn row_bytes(&self) -> usize {
        self.count * (size_of::<Datum>() + size_of::<bool>())
    }

    /// Those of a row.
    ///
    /// # Safety
    /// There is room for that row.
    #[inline]
    pub(in crate::pg::scan) unsafe fn row(&self, row: usize) -> (*mut Datum, *mut bool) {
        let at = row * self.count;
        // SAFETY: as the caller says.
        unsafe { (self.first_value.add(at), self.first_null.add(at)) }
    }

    /// Where they are, for as long as there is room for more.
    pub(in crate::pg::scan) fn lane(&self) -> Lane {
        Lane {
            values: self.first_value,
            nulls: self.first_null,
            width: self.count,
        }
    }

    /// Those of some rows, one row after the other.
    pub(super) fn rows(&self, rows: std::ops::Range<usize>) -> (&[Datum], &[bool]) {
        let at = rows.start * self.count..rows.end * self.count;
        (&self.values[at.clone()], &self.nulls[at])
    }

    /// Which of the first rows come to the call.
    pub(super) fn reached(&self, rows: usize) -> &[bool] {
        &self.reached_rows[..rows]
    }

    /// What the plan has as the argument at that place, if it is the same for every row.
    pub(super) fn constant(&self, place: usize) -> Option<*mut pg_sys::Node> {
        let mut constants = self.constants.iter();
        let constant = constants.find(|constant| constant.place == place)?;
        Some(constant.node)
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
    pub(in crate::pg::scan) unsafe fn make_room(&mut self, rows: usize) {
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
        ask_for_cells(rows * (2 * self.count + 1));
        self.values.resize(rows * self.count, Datum::from(0_usize));
        self.nulls.resize(rows * self.count, true);
        let calls = self.values.chunks_exact_mut(self.count);
        let calls = calls.zip(self.nulls.chunks_exact_mut(self.count));
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
}

//! Calls in expressions: which can be computed ahead, and for which rows.

use pgrx::pg_sys::{self, NodeTag};

use super::conditions::{self, Kind};
use super::functions;
use super::lists::{self, items};
use super::tree::{Next, walk};

/// A call of a `predict` function.
pub(super) type Call = *mut pg_sys::FuncExpr;

/// A call that can be computed ahead.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) call: Call,
    /// What is true of the rows for which its expression comes to it; null where it always does.
    pub(super) reached: *mut pg_sys::Node,
    /// In how many places it was found.
    places: usize,
}

/// What decides which calls may be taken.
pub(super) struct Search<'a> {
    /// Whether rows that are read ahead may turn out not to be wanted: then arguments that can
    /// raise an error must not be evaluated for them.
    pub(super) partial: bool,
    /// Expressions that are there already, as columns.
    pub(super) columns: &'a [*mut pg_sys::Node],
    /// The calls found, each once.
    found: Vec<Found>,
    /// What has to be true for the evaluation to come where the search is.
    path: Vec<*mut pg_sys::Node>,
}

/// Whether two expressions are the same.
///
/// # Safety
/// Two expressions.
pub(super) unsafe fn same(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        if (*a).type_ != (*b).type_ {
            return false;
        }
        // Most comparisons are of columns, and most of those of different ones.
        if (*a).type_ == NodeTag::T_Var {
            let (a, b) = (&*a.cast::<pg_sys::Var>(), &*b.cast::<pg_sys::Var>());
            if a.varattno != b.varattno {
                return false;
            }
        }
        pg_sys::equal(a.cast(), b.cast())
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(partial: bool, columns: &'a [*mut pg_sys::Node]) -> Search<'a> {
        Search {
            partial,
            columns,
            found: Vec::new(),
            path: Vec::new(),
        }
    }

    /// The calls found, where all that reads them is in `read`.
    ///
    /// A call that is not always reached must not be read anywhere else than where it was found:
    /// such a one is not taken.
    ///
    /// # Safety
    /// Expressions that are or hold those searched.
    pub(super) unsafe fn found(self, read: &[*mut pg_sys::Node]) -> Vec<Found> {
        // SAFETY: as the caller says.
        unsafe {
            let is_covered = |found: &Found| {
                let mut places = 0;
                for root in read {
                    walk(*root, &mut |part| {
                        if same(part, found.call.cast()) {
                            places += 1;
                            return Next::Past;
                        }
                        Next::Into
                    });
                }
                places == found.places
            };
            let mut all = self.found;
            all.retain(|found| found.reached.is_null() || is_covered(found));
            all
        }
    }

    /// Looks for calls in an expression. A call whose arguments hold another, or that is reached
    /// or not by another's result, is left for when the other is a column.
    ///
    /// # Safety
    /// `node` is null or a finished plan's expression.
    pub(super) unsafe fn expression<T>(&mut self, node: *mut T) {
        let node: *mut pg_sys::Node = node.cast();
        if node.is_null() {
            return;
        }
        // SAFETY: each node is looked at as what its tag says.
        unsafe {
            match (*node).type_ {
                NodeTag::T_FuncExpr => self.function(node.cast()),
                NodeTag::T_OpExpr | NodeTag::T_DistinctExpr | NodeTag::T_NullIfExpr => {
                    self.list((*node.cast::<pg_sys::OpExpr>()).args);
                }
                NodeTag::T_ScalarArrayOpExpr => {
                    self.list((*node.cast::<pg_sys::ScalarArrayOpExpr>()).args);
                }
                NodeTag::T_BoolExpr => {
                    // AND and OR stop as soon as they know.
                    let expression = &*node.cast::<pg_sys::BoolExpr>();
                    let goes_on = match expression.boolop {
                        pg_sys::BoolExprType::AND_EXPR => Kind::NotFalse,
                        _ => Kind::NotTrue,
                    };
                    self.one_by_one(expression.args, |node| conditions::test(node, goes_on));
                }
                NodeTag::T_CoalesceExpr => {
                    let args = (*node.cast::<pg_sys::CoalesceExpr>()).args;
                    self.one_by_one(args, conditions::is_null);
                }
                NodeTag::T_CaseExpr => self.case(node.cast()),
                NodeTag::T_MinMaxExpr => self.list((*node.cast::<pg_sys::MinMaxExpr>()).args),
                NodeTag::T_ArrayExpr => self.list((*node.cast::<pg_sys::ArrayExpr>()).elements),
                NodeTag::T_RowExpr => self.list((*node.cast::<pg_sys::RowExpr>()).args),
                NodeTag::T_SubscriptingRef => {
                    self.expression((*node.cast::<pg_sys::SubscriptingRef>()).refexpr);
                }
                NodeTag::T_RelabelType => {
                    self.expression((*node.cast::<pg_sys::RelabelType>()).arg);
                }
                NodeTag::T_CoerceViaIO => {
                    self.expression((*node.cast::<pg_sys::CoerceViaIO>()).arg);
                }
                NodeTag::T_ArrayCoerceExpr => {
                    self.expression((*node.cast::<pg_sys::ArrayCoerceExpr>()).arg);
                }
                NodeTag::T_CoerceToDomain => {
                    self.expression((*node.cast::<pg_sys::CoerceToDomain>()).arg);
                }
                NodeTag::T_NullTest => self.expression((*node.cast::<pg_sys::NullTest>()).arg),
                NodeTag::T_BooleanTest => {
                    self.expression((*node.cast::<pg_sys::BooleanTest>()).arg);
                }
                NodeTag::T_FieldSelect => {
                    self.expression((*node.cast::<pg_sys::FieldSelect>()).arg);
                }
                NodeTag::T_TargetEntry => {
                    self.expression((*node.cast::<pg_sys::TargetEntry>()).expr);
                }
                _ => {}
            }
        }
    }

    /// # Safety
    /// A list of expressions.
    pub(super) unsafe fn list(&mut self, list: *mut pg_sys::List) {
        // SAFETY: as the caller says.
        unsafe { items::<pg_sys::Node>(list).for_each(|node| self.expression(node)) }
    }

    /// An aggregate's or window function's arguments, evaluated for rows that pass its filter.
    ///
    /// # Safety
    /// Parts of such a function.
    pub(super) unsafe fn filtered(&mut self, args: *mut pg_sys::List, filter: *mut pg_sys::Expr) {
        // SAFETY: as the caller says.
        unsafe {
            if filter.is_null() {
                return self.list(args);
            }
            self.expression(filter);
            self.path.push(conditions::test(filter.cast(), Kind::True));
            self.list(args);
            self.path.pop();
        }
    }

    /// Expressions that are evaluated until one does not go on.
    unsafe fn one_by_one(
        &mut self,
        list: *mut pg_sys::List,
        goes_on: impl Fn(*mut pg_sys::Node) -> *mut pg_sys::Node,
    ) {
        // SAFETY: as for `list`.
        unsafe {
            for node in items::<pg_sys::Node>(list) {
                self.expression(node);
                self.path.push(goes_on(node));
            }
            self.path.truncate(self.path.len() - lists::length(list));
        }
    }

    unsafe fn case(&mut self, case: *mut pg_sys::CaseExpr) {
        // SAFETY: a CASE of a finished plan.
        unsafe {
            let depth = self.path.len();
            let tested: *mut pg_sys::Node = (*case).arg.cast();
            self.expression(tested);
            for when in items::<pg_sys::CaseWhen>((*case).args) {
                let Some(condition) = conditions::of_case((*when).expr.cast(), tested) else {
                    self.path.truncate(depth);
                    return;
                };
                if tested.is_null() {
                    self.expression(condition);
                }
                self.path.push(conditions::test(condition, Kind::True));
                self.expression((*when).result);
                self.path.pop();
                self.path.push(conditions::test(condition, Kind::NotTrue));
            }
            self.expression((*case).defresult);
            self.path.truncate(depth);
        }
    }

    unsafe fn function(&mut self, call: Call) {
        // SAFETY: a call in a finished plan.
        unsafe {
            if functions::function((*call).funcid).is_none() {
                return self.list((*call).args);
            }
            let known = |other: *mut pg_sys::Node| same(other, call.cast());
            if self.columns.iter().any(|column| known(*column)) {
                return;
            }
            let inner = items::<pg_sys::Node>((*call).args)
                .any(|argument| self.contains_new_call(argument));
            if inner {
                return self.list((*call).args);
            }
            if !self.can_be_ahead(call) {
                return;
            }
            let reached = conditions::all(&self.path);
            match self.found.iter_mut().find(|found| known(found.call.cast())) {
                Some(found) => {
                    found.places += 1;
                    found.reached = conditions::either(found.reached, reached);
                }
                None => self.found.push(Found {
                    call,
                    reached,
                    places: 1,
                }),
            }
        }
    }

    unsafe fn contains_new_call(&self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: an argument of a call.
        unsafe {
            walk(node, &mut |part| {
                if self.columns.iter().any(|column| same(*column, part)) {
                    Next::Past
                } else if is_call(part) {
                    Next::Stop
                } else {
                    Next::Into
                }
            })
        }
    }

    /// Whether a call's arguments, and what decides whether it is reached, may be evaluated before
    /// its row is asked for.
    unsafe fn can_be_ahead(&self, call: Call) -> bool {
        // SAFETY: a call in a finished plan.
        unsafe {
            let mut arguments = items::<pg_sys::Node>((*call).args);
            // The model's name is looked up once a batch.
            let Some(model) = arguments.next() else {
                return false;
            };
            let fixed = match (*model).type_ {
                NodeTag::T_Const => true,
                NodeTag::T_Param => {
                    (*model.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                }
                _ => false,
            };
            let whole: *mut pg_sys::Node = call.cast();
            if !fixed || (*call).funcretset || !is_steady(whole) {
                return false;
            }
            let path_allows = |condition: &*mut pg_sys::Node| {
                is_steady(*condition)
                    && !self.contains_new_call(*condition)
                    && !(self.partial && may_raise(*condition))
            };
            if !self.path.iter().all(path_allows) {
                return false;
            }
            !self.partial || !arguments.any(|argument| may_raise(argument))
        }
    }
}

/// Whether an expression gives the same whenever it is evaluated for a row.
unsafe fn is_steady(node: *mut pg_sys::Node) -> bool {
    // SAFETY: an expression.
    unsafe { !pg_sys::contain_volatile_functions(node) && !pg_sys::contain_subplans(node) }
}

/// Whether a node is a call of a `predict` function.
///
/// # Safety
/// `node` is an expression.
pub(super) unsafe fn is_call(node: *mut pg_sys::Node) -> bool {
    // SAFETY: looked at as what its tag says.
    unsafe {
        (*node).type_ == NodeTag::T_FuncExpr
            && functions::function((*node.cast::<pg_sys::FuncExpr>()).funcid).is_some()
    }
}

impl Found {
    /// Whether computing the call's arguments could raise an error.
    pub(super) unsafe fn may_raise(&self) -> bool {
        // SAFETY: a call in a finished plan.
        unsafe {
            let mut parts = items::<pg_sys::Node>((*self.call).args).chain([self.reached]);
            parts.any(|part| !part.is_null() && may_raise(part))
        }
    }
}

/// Whether evaluating an expression could raise an error: false only for what is known not to.
///
/// # Safety
/// An expression of a finished plan.
pub(super) unsafe fn may_raise(node: *mut pg_sys::Node) -> bool {
    // SAFETY: looked at as what the tags say.
    unsafe {
        let any = |list| items::<pg_sys::Node>(list).any(|part| may_raise(part));
        match (*node).type_ {
            NodeTag::T_Var | NodeTag::T_Const => false,
            NodeTag::T_TargetEntry => may_raise((*node.cast::<pg_sys::TargetEntry>()).expr.cast()),
            NodeTag::T_Param => {
                (*node.cast::<pg_sys::Param>()).paramkind != pg_sys::ParamKind::PARAM_EXTERN
            }
            NodeTag::T_RelabelType => may_raise((*node.cast::<pg_sys::RelabelType>()).arg.cast()),
            NodeTag::T_ArrayExpr => any((*node.cast::<pg_sys::ArrayExpr>()).elements),
            NodeTag::T_RowExpr => any((*node.cast::<pg_sys::RowExpr>()).args),
            NodeTag::T_BoolExpr => any((*node.cast::<pg_sys::BoolExpr>()).args),
            NodeTag::T_CoalesceExpr => any((*node.cast::<pg_sys::CoalesceExpr>()).args),
            NodeTag::T_NullTest => may_raise((*node.cast::<pg_sys::NullTest>()).arg.cast()),
            NodeTag::T_BooleanTest => may_raise((*node.cast::<pg_sys::BooleanTest>()).arg.cast()),
            NodeTag::T_FuncExpr => {
                let function = &*node.cast::<pg_sys::FuncExpr>();
                is_risky(function.funcid) || any(function.args)
            }
            NodeTag::T_OpExpr | NodeTag::T_DistinctExpr | NodeTag::T_NullIfExpr => {
                let operator = &*node.cast::<pg_sys::OpExpr>();
                is_risky(operator.opfuncid) || any(operator.args)
            }
            NodeTag::T_ScalarArrayOpExpr => {
                let operator = &*node.cast::<pg_sys::ScalarArrayOpExpr>();
                is_risky(operator.opfuncid) || any(operator.args)
            }
            _ => true,
        }
    }
}

/// Whether a function may raise an error because of its arguments. One that is leakproof promises
/// not to: PostgreSQL's comparisons and its conversions to wider numbers are.
fn is_risky(function: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up.
    function == pg_sys::InvalidOid || unsafe { !pg_sys::get_func_leakproof(function) }
}

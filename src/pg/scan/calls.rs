//! Calls in expressions: which can be computed ahead, and for which rows.

use pgrx::pg_sys::{self, NodeTag};

use super::conditions::{self, Kind};
use super::functions;
use super::lists::items;
use super::places::Places;
use crate::pg::tree::{Next, walk};

/// A call that can be computed ahead.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Of a `predict` function.
    pub(super) call: *mut pg_sys::FuncExpr,
    /// What is true of the rows for which its expression comes to it; null where it always does.
    pub(super) reached: *mut pg_sys::Node,
    /// In how many places it was found.
    places: usize,
}

/// Most calls that are not always reached which are computed ahead for a plan: each is compared with
/// all else that reads it, and its condition grows with those before it.
const MOST_CONDITIONAL: usize = 64;

/// What decides which calls may be taken.
pub(super) struct Search<'a> {
    /// Whether rows that are read ahead may turn out not to be wanted: then arguments that can
    /// raise an error must not be evaluated for them.
    pub(super) partial: bool,
    /// Expressions that are there already, as columns.
    pub(super) columns: &'a Places,
    /// How many calls are computed ahead already, of those in the same expressions.
    before: usize,
    /// The calls found, each once.
    found: Vec<Found>,
    /// Their places among them.
    places: Places,
    /// Calls met that are no columns, whether they can be taken or not.
    met: usize,
    /// What has to be true for the evaluation to come where the search is.
    path: Vec<*mut pg_sys::Node>,
}

impl<'a> Search<'a> {
    pub(super) fn new(partial: bool, columns: &'a Places, before: usize) -> Search<'a> {
        Search {
            partial,
            columns,
            before,
            found: Vec::new(),
            places: Places::default(),
            met: 0,
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
            let mut all = self.found;
            if all.iter().all(|found| found.reached.is_null()) {
                return all;
            }
            let mut places = vec![0; all.len()];
            for root in read {
                walk(*root, &mut |part| {
                    if (*part).type_ != NodeTag::T_FuncExpr {
                        return Next::Into;
                    }
                    match self.places.position(part) {
                        Some(place) => {
                            places[place] += 1;
                            Next::Past
                        }
                        None => Next::Into,
                    }
                });
            }
            let mut places = places.into_iter();
            all.retain(|found| {
                let places = places.next();
                found.reached.is_null() || places == Some(found.places)
            });
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
            self.where_true(conditions::test(filter.cast(), Kind::True), |search| {
                search.list(args);
            });
        }
    }

    /// Searches what is evaluated only where a condition is true; nothing there can be computed
    /// ahead if the condition cannot.
    unsafe fn where_true(&mut self, condition: *mut pg_sys::Node, search: impl FnOnce(&mut Self)) {
        // SAFETY: a condition over a finished plan's expressions.
        if unsafe { self.allows(condition) } {
            self.path.push(condition);
            search(self);
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
            let depth = self.path.len();
            for node in items::<pg_sys::Node>(list) {
                self.expression(node);
                let condition = goes_on(node);
                if !self.allows(condition) {
                    break;
                }
                self.path.push(condition);
            }
            self.path.truncate(depth);
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
                self.where_true(conditions::test(condition, Kind::True), |search| {
                    search.expression((*when).result);
                });
                let goes_on = conditions::test(condition, Kind::NotTrue);
                if !self.allows(goes_on) {
                    self.path.truncate(depth);
                    return;
                }
                self.path.push(goes_on);
            }
            self.expression((*case).defresult);
            self.path.truncate(depth);
        }
    }

    unsafe fn function(&mut self, call: *mut pg_sys::FuncExpr) {
        // SAFETY: a call in a finished plan.
        unsafe {
            if functions::function((*call).funcid).is_none() {
                return self.list((*call).args);
            }
            if self.columns.position(call.cast()).is_some() {
                return;
            }
            let met = self.met;
            self.list((*call).args);
            let inner = self.met > met
                || items::<pg_sys::Node>((*call).args)
                    .any(|argument| self.contains_new_call(argument));
            self.met += 1;
            if inner || !self.can_be_ahead(call) {
                return;
            }
            let too_many =
                !self.path.is_empty() && self.before + self.found.len() >= MOST_CONDITIONAL;
            match self.places.position(call.cast()) {
                Some(place) => {
                    let found = &mut self.found[place];
                    found.places += 1;
                    found.reached = conditions::either(found.reached, conditions::all(&self.path));
                }
                None if too_many => {}
                None => {
                    self.places.push(call.cast());
                    self.found.push(Found {
                        call,
                        reached: conditions::all(&self.path),
                        places: 1,
                    });
                }
            }
        }
    }

    unsafe fn contains_new_call(&self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: an argument of a call.
        unsafe {
            walk(node, &mut |part| match (*part).type_ {
                NodeTag::T_Var | NodeTag::T_Const => Next::Past,
                _ if self.columns.position(part).is_some() => Next::Past,
                _ if is_call(part) => Next::Stop,
                _ => Next::Into,
            })
        }
    }

    /// Whether a call's arguments may be evaluated before its row is asked for.
    unsafe fn can_be_ahead(&self, call: *mut pg_sys::FuncExpr) -> bool {
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
            !self.partial || !arguments.any(|argument| may_raise(argument))
        }
    }

    /// Whether a condition may be evaluated before its row is asked for.
    unsafe fn allows(&self, condition: *mut pg_sys::Node) -> bool {
        // SAFETY: a condition over a finished plan's expressions.
        unsafe {
            is_steady(condition)
                && !self.contains_new_call(condition)
                && !(self.partial && may_raise(condition))
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

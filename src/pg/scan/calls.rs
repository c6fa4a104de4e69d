//! Calls in expressions: which can be computed ahead for every row.

use pgrx::pg_sys::{self, NodeTag};

use super::functions;
use super::lists::items;
use super::tree::{Next, walk};

/// A call that is reached for every row that its expression is evaluated for.
pub(super) type Call = *mut pg_sys::FuncExpr;

/// What decides which calls may be taken.
pub(super) struct Search<'a> {
    /// Whether rows that are read ahead may turn out not to be wanted: then arguments that can
    /// raise an error must not be evaluated for them.
    pub(super) partial: bool,
    /// Expressions that are there already, as columns.
    pub(super) columns: &'a [*mut pg_sys::Node],
    /// The calls found, each once.
    pub(super) found: Vec<Call>,
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

impl Search<'_> {
    /// Looks for calls in an expression where they are certain to be evaluated. A call whose
    /// arguments hold another is left for when the other is a column.
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
                    let args = (*node.cast::<pg_sys::BoolExpr>()).args;
                    self.first(args);
                }
                NodeTag::T_CoalesceExpr => {
                    self.first((*node.cast::<pg_sys::CoalesceExpr>()).args);
                }
                NodeTag::T_CaseExpr => {
                    let case = &*node.cast::<pg_sys::CaseExpr>();
                    if case.arg.is_null() {
                        if let Some(when) = items::<pg_sys::CaseWhen>(case.args).next() {
                            self.expression((*when).expr);
                        }
                    } else {
                        self.expression(case.arg);
                    }
                }
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

    unsafe fn first(&mut self, list: *mut pg_sys::List) {
        // SAFETY: as for `list`.
        unsafe {
            if let Some(node) = items::<pg_sys::Node>(list).next() {
                self.expression(node);
            }
        }
    }

    unsafe fn function(&mut self, call: Call) {
        // SAFETY: a call in a finished plan.
        unsafe {
            if functions::function((*call).funcid).is_none() {
                return self.list((*call).args);
            }
            let known = |other: *mut pg_sys::Node| same(other, call.cast());
            if self.columns.iter().any(|column| known(*column))
                || self.found.iter().any(|found| known(found.cast()))
            {
                return;
            }
            let inner = items::<pg_sys::Node>((*call).args)
                .any(|argument| self.contains_new_call(argument));
            if inner {
                self.list((*call).args);
            } else if self.can_be_ahead(call) {
                self.found.push(call);
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

    /// Whether a call's arguments may be evaluated before its row is asked for.
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
            if !fixed
                || (*call).funcretset
                || pg_sys::contain_volatile_functions(whole)
                || pg_sys::contain_subplans(whole)
            {
                return false;
            }
            !self.partial || !arguments.any(|argument| may_raise(argument))
        }
    }
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

/// Whether evaluating an expression could raise an error: false only for what is known not to.
unsafe fn may_raise(node: *mut pg_sys::Node) -> bool {
    // SAFETY: looked at as what the tags say.
    unsafe {
        match (*node).type_ {
            NodeTag::T_Var | NodeTag::T_Const => false,
            NodeTag::T_Param => {
                (*node.cast::<pg_sys::Param>()).paramkind != pg_sys::ParamKind::PARAM_EXTERN
            }
            NodeTag::T_RelabelType => may_raise((*node.cast::<pg_sys::RelabelType>()).arg.cast()),
            NodeTag::T_ArrayExpr => items((*node.cast::<pg_sys::ArrayExpr>()).elements)
                .any(|element| may_raise(element)),
            NodeTag::T_RowExpr => {
                items((*node.cast::<pg_sys::RowExpr>()).args).any(|field| may_raise(field))
            }
            NodeTag::T_FuncExpr => {
                let function = &*node.cast::<pg_sys::FuncExpr>();
                !widens(function.funcid) || items(function.args).any(|argument| may_raise(argument))
            }
            _ => true,
        }
    }
}

/// Whether a function is a conversion between types of numbers that always succeeds.
fn widens(function: pg_sys::Oid) -> bool {
    matches!(
        function.to_u32(),
        pg_sys::F_FLOAT8_INT2
            | pg_sys::F_FLOAT8_INT4
            | pg_sys::F_FLOAT8_INT8
            | pg_sys::F_FLOAT8_FLOAT4
            | pg_sys::F_FLOAT4_INT2
            | pg_sys::F_FLOAT4_INT4
            | pg_sys::F_FLOAT4_INT8
            | pg_sys::F_INT4_INT2
            | pg_sys::F_INT8_INT2
            | pg_sys::F_INT8_INT4
            | pg_sys::F_NUMERIC_INT2
            | pg_sys::F_NUMERIC_INT4
            | pg_sys::F_NUMERIC_INT8
    )
}

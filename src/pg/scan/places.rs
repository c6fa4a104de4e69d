//! Expressions in their order, found again without going through all of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use pgrx::pg_sys::{self, Node, NodeTag};

use super::lists::items;

/// Expressions with their places: a statement may have thousands of calls.
#[derive(Default)]
pub(super) struct Places {
    all: Vec<*mut Node>,
    by_mark: HashMap<u64, Vec<usize>>,
}

impl Places {
    /// These expressions, none of them twice.
    ///
    /// # Safety
    /// Expressions of a finished plan, which stay.
    pub(super) unsafe fn of(expressions: impl IntoIterator<Item = *mut Node>) -> Places {
        let mut places = Places::default();
        for expression in expressions {
            // SAFETY: as the caller says.
            unsafe { places.push(expression) }
        }
        places
    }

    /// Adds an expression that is not among them.
    ///
    /// # Safety
    /// An expression of a finished plan, which stays.
    pub(super) unsafe fn push(&mut self, expression: *mut Node) {
        // SAFETY: as the caller says.
        let mark = unsafe { mark(expression) };
        self.by_mark.entry(mark).or_default().push(self.all.len());
        self.all.push(expression);
    }

    /// The place of an expression that is the same.
    ///
    /// # Safety
    /// An expression.
    pub(super) unsafe fn position(&self, expression: *mut Node) -> Option<usize> {
        // SAFETY: as the caller says, and `push`'s.
        unsafe {
            let places = self.by_mark.get(&mark(expression))?;
            places
                .iter()
                .copied()
                .find(|place| same(self.all[*place], expression))
        }
    }

    pub(super) fn as_slice(&self) -> &[*mut Node] {
        &self.all
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Whether two expressions are the same.
///
/// # Safety
/// Two expressions.
pub(super) unsafe fn same(a: *mut Node, b: *mut Node) -> bool {
    // SAFETY: as the caller says.
    unsafe { (*a).type_ == (*b).type_ && pg_sys::equal(a.cast(), b.cast()) }
}

/// Levels of an expression that its mark is made of: a call, an operator, what it is over.
const LEVELS: usize = 4;

/// A number that expressions that are the same have in common, and others hardly ever.
///
/// # Safety
/// An expression.
pub(super) unsafe fn mark(node: *mut Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    // SAFETY: as the caller says.
    unsafe { add(node, LEVELS, &mut hasher) };
    hasher.finish()
}

/// Of what `equal` compares, what is there in numbers.
unsafe fn add(node: *mut Node, levels: usize, hasher: &mut DefaultHasher) {
    if node.is_null() || levels == 0 {
        return;
    }
    // SAFETY: looked at as what its tag says.
    unsafe {
        ((*node).type_ as u32).hash(hasher);
        let mut list = |list| {
            for part in items::<Node>(list) {
                add(part, levels - 1, hasher);
            }
        };
        match (*node).type_ {
            NodeTag::T_Var => {
                let variable = &*node.cast::<pg_sys::Var>();
                (variable.varno as i64, variable.varattno).hash(hasher);
            }
            NodeTag::T_Const => {
                let constant = &*node.cast::<pg_sys::Const>();
                if constant.constbyval && !constant.constisnull {
                    constant.constvalue.value().hash(hasher);
                }
            }
            NodeTag::T_FuncExpr => {
                let function = &*node.cast::<pg_sys::FuncExpr>();
                list(function.args);
                function.funcid.to_u32().hash(hasher);
            }
            NodeTag::T_OpExpr => {
                let operator = &*node.cast::<pg_sys::OpExpr>();
                list(operator.args);
                operator.opno.to_u32().hash(hasher);
            }
            _ => {}
        }
    }
}

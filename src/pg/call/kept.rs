//! What a call was planned to, kept from one statement to the next.
//!
//! A prepared statement that calls a model once plans that call each time that it is executed, and to
//! look up what each argument's type means takes longer than to compute the row. The next call of the
//! same version with arguments of the same types takes over what the last one has put away here.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use pgrx::pg_sys::{self, NodeTag};

use super::arguments::Arguments;
use crate::features::Answer;
use crate::memory;
use crate::nn::Scratch;
use crate::pg::cache::DecodedModel;
use crate::pg::settings;

/// How many are kept.
const MOST: usize = 8;
/// Bytes of a row's buffers beyond which they are given back: each connection would keep them.
const LARGEST: usize = 64 << 10;

/// What a call was planned to, and its room for a row.
pub(super) struct Parts {
    pub(super) arguments: Arguments,
    /// The row as the network has it.
    pub(super) row: Vec<f32>,
    /// The network's outputs.
    pub(super) out: Vec<f32>,
    pub(super) scratch: Scratch,
}

impl Parts {
    /// No call's.
    pub(super) fn none() -> Parts {
        Parts {
            arguments: Arguments::Composite(None),
            row: Vec::new(),
            out: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    fn bytes(&self) -> usize {
        let values = self.row.len() + self.out.len();
        self.scratch.size_bytes() + values * size_of::<f32>()
    }
}

/// What a call is planned by, beside the version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pinned: bool,
    answer: Answer,
    /// `neural.max_memory`.
    most: usize,
    types: Vec<pg_sys::Oid>,
}

impl Signature {
    /// That of a call; none where what it is planned to might not do for the next one: arguments
    /// other than values of built-in types, which mean the same for ever.
    ///
    /// # Safety
    /// The frame of a call of one of the `predict` functions.
    pub(super) unsafe fn of(
        fcinfo: pg_sys::FunctionCallInfo,
        pinned: bool,
        answer: Answer,
    ) -> Option<Signature> {
        // SAFETY: as the caller says; the expression, if it is there, is looked at as what its tags
        // say.
        unsafe {
            let call: *mut pg_sys::FuncExpr = (*(*fcinfo).flinfo).fn_expr.cast();
            if call.is_null() || (*call).xpr.type_ != NodeTag::T_FuncExpr || (*call).funcvariadic {
                return None;
            }
            let arguments = (*call).args.as_ref()?;
            let count = arguments.length as usize;
            let mut types = Vec::with_capacity(count);
            for i in 1..count {
                let node: *mut pg_sys::Node = (*arguments.elements.add(i)).ptr_value.cast();
                let given = match (*node).type_ {
                    NodeTag::T_Param => (*node.cast::<pg_sys::Param>()).paramtype,
                    NodeTag::T_Var => (*node.cast::<pg_sys::Var>()).vartype,
                    NodeTag::T_Const => (*node.cast::<pg_sys::Const>()).consttype,
                    _ => return None,
                };
                if given.to_u32() >= pg_sys::FirstGenbkiObjectId || given == pg_sys::UNKNOWNOID {
                    return None;
                }
                types.push(given);
            }
            Some(Signature {
                pinned,
                answer,
                most: settings::max_memory(),
                types,
            })
        }
    }
}

struct Kept {
    signature: Signature,
    /// Goes when nobody else has it.
    model: Weak<DecodedModel>,
    parts: Parts,
}

thread_local! {
    /// The oldest comes first.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// What a call of this model with that signature was planned to, if it is there.
pub(super) fn take(signature: &Signature, model: &Rc<DecodedModel>) -> Option<Parts> {
    KEPT.with_borrow_mut(|kept| {
        let same = |kept: &Kept| {
            std::ptr::eq(kept.model.as_ptr(), Rc::as_ptr(model)) && kept.signature == *signature
        };
        let place = kept.iter().rposition(same)?;
        Some(kept.remove(place).parts)
    })
}

/// Keeps what a call was planned to that is over. Raises nothing: a statement is ending.
pub(super) fn put(signature: Signature, model: &Rc<DecodedModel>, parts: Parts) {
    if !parts.arguments.can_be_kept() || parts.bytes() > LARGEST || memory::is_short() {
        return;
    }
    // A process that ends may have no list any more.
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.retain(|kept| kept.model.strong_count() > 0);
        if kept.len() >= MOST {
            kept.remove(0);
        }
        kept.push(Kept {
            signature,
            model: Rc::downgrade(model),
            parts,
        });
    });
}

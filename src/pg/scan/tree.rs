//! Walking through expressions, and replacing parts of them.

use std::ffi::c_void;

use pgrx::{pg_guard, pg_sys};

/// What a walk does after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Goes on to the node's parts.
    Into,
    /// Leaves its parts out.
    Past,
    /// Ends.
    Stop,
}

type Visit<'a> = &'a mut dyn FnMut(*mut pg_sys::Node) -> Next;
type Exchange<'a> = &'a mut dyn FnMut(*mut pg_sys::Node) -> Option<*mut pg_sys::Node>;

/// Shows an expression, or a list of such, to `visit`, the whole before its parts; true if it was
/// stopped.
///
/// # Safety
/// `node` is null or a finished plan's expression.
pub(super) unsafe fn walk(node: *mut pg_sys::Node, mut visit: Visit<'_>) -> bool {
    // SAFETY: as the caller says; the walker gives the context back as it is.
    unsafe { step(node, (&raw mut visit).cast()) }
}

#[pg_guard]
unsafe extern "C-unwind" fn step(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the context is what `walk` gave.
    unsafe {
        // A list is no expression; the walker passes its items one by one.
        if (*node).type_ != pg_sys::NodeTag::T_List {
            match (*context.cast::<Visit<'_>>())(node) {
                Next::Into => {}
                Next::Past => return false,
                Next::Stop => return true,
            }
        }
        walker(node, context)
    }
}

#[cfg(feature = "pg15")]
unsafe fn walker(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as the caller says.
    unsafe { pg_sys::expression_tree_walker(node, Some(step), context) }
}

#[cfg(not(feature = "pg15"))]
unsafe fn walker(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as the caller says.
    unsafe { pg_sys::expression_tree_walker_impl(node, Some(step), context) }
}

/// A copy of an expression, or of a list of such, in which whatever `exchange` gives something for
/// is replaced by that, the whole asked before its parts.
///
/// # Safety
/// `node` is null or a finished plan's expression.
pub(super) unsafe fn replace<T>(node: *mut T, mut exchange: Exchange<'_>) -> *mut T {
    // SAFETY: as the caller says; the mutator gives the context back as it is.
    unsafe { change(node.cast(), (&raw mut exchange).cast()).cast() }
}

/// The same for a node's parts: the node itself is not asked for.
///
/// # Safety
/// As for [`replace`].
pub(super) unsafe fn replace_parts(
    node: *mut pg_sys::Node,
    mut exchange: Exchange<'_>,
) -> *mut pg_sys::Node {
    // SAFETY: as for `replace`.
    unsafe { mutator(node, (&raw mut exchange).cast()) }
}

#[pg_guard]
unsafe extern "C-unwind" fn change(
    node: *mut pg_sys::Node,
    context: *mut c_void,
) -> *mut pg_sys::Node {
    if node.is_null() {
        return node;
    }
    // SAFETY: the context is what `replace` gave.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_List
            && let Some(other) = (*context.cast::<Exchange<'_>>())(node)
        {
            return other;
        }
        mutator(node, context)
    }
}

#[cfg(feature = "pg15")]
unsafe fn mutator(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    type Callback =
        unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> *mut pg_sys::Node;
    type Undeclared = unsafe extern "C-unwind" fn() -> *mut pg_sys::Node;
    // SAFETY: 15 declares the callback without its parameters; it calls it with these.
    unsafe {
        let callback = std::mem::transmute::<Callback, Undeclared>(change);
        pg_sys::expression_tree_mutator(node, Some(callback), context)
    }
}

#[cfg(not(feature = "pg15"))]
unsafe fn mutator(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    // SAFETY: as the caller says.
    unsafe { pg_sys::expression_tree_mutator_impl(node, Some(change), context) }
}

//! Walking through expressions, and replacing parts of them.

use std::ffi::c_void;

use pgrx::pg_sys;

/// What a walk does after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
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
/// `node` is null or an expression of a finished plan or an analysed query.
pub(crate) unsafe fn walk(node: *mut pg_sys::Node, mut visit: Visit<'_>) -> bool {
    // SAFETY: as the caller says; the walker gives the context back as it is.
    unsafe { step(node, (&raw mut visit).cast()) }
}

// Callbacks and walkers are not guarded: a guard at each level would use up the stack in a deep
// expression. What a closure raises unwinds through PostgreSQL's frames, which own nothing; what
// PostgreSQL raises jumps over closures, whose lists are then lost.
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

type Step = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;
type Change = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> *mut pg_sys::Node;

unsafe extern "C-unwind" {
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
    fn expression_tree_walker(node: *mut pg_sys::Node, step: Step, context: *mut c_void) -> bool;
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_mutator_impl")]
    fn expression_tree_mutator(
        node: *mut pg_sys::Node,
        change: Change,
        context: *mut c_void,
    ) -> *mut pg_sys::Node;
}

unsafe fn walker(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as the caller says.
    unsafe { expression_tree_walker(node, step, context) }
}

/// Levels of an expression beyond which it is left as it is.
const DEEP: u32 = 500;

/// Whether an expression is nested so deeply that going through it might take too much stack.
///
/// # Safety
/// `node` is null or an expression of a finished plan or an analysed query, or a list of such.
pub(crate) unsafe fn is_deep<T>(node: *mut T) -> bool {
    let mut depth = 0_u32;
    // SAFETY: as the caller says.
    unsafe { sink(node.cast(), (&raw mut depth).cast()) }
}

unsafe extern "C-unwind" fn sink(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the context is what `is_deep` gave.
    unsafe {
        let depth: *mut u32 = context.cast();
        *depth += 1;
        let deep = *depth > DEEP || expression_tree_walker(node, sink, context);
        *depth -= 1;
        deep
    }
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

unsafe fn mutator(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    // SAFETY: as the caller says.
    unsafe { expression_tree_mutator(node, change, context) }
}

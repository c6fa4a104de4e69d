//! Which functions are the `predict` functions.
//!
//! Told by the address they lead to, not by name: whoever makes a function of that name elsewhere
//! gets theirs, and one with settings or another's rights of its own, which PostgreSQL calls
//! through a function in between, is called as it wants.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::{pg_guard, pg_sys};

use crate::features::Answer;
use crate::pg::api::calling;

/// A `predict` function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) answer: Answer,
    /// Takes a version's hash in place of a name.
    pub(super) pinned: bool,
}

thread_local! {
    static KNOWN: RefCell<HashMap<u32, Option<Function>>> = RefCell::new(HashMap::new());
}

/// Forgets what functions are whenever one changes.
pub(super) fn watch() {
    // SAFETY: registers a callback at load.
    unsafe {
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::PROCOID as i32,
            Some(forget),
            pg_sys::Datum::from(0_usize),
        );
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    KNOWN.with_borrow_mut(HashMap::clear);
}

/// The `predict` function with that OID, if it is one.
///
/// # Safety
/// The OID is of a function that exists; called inside a transaction.
pub(super) unsafe fn function(oid: pg_sys::Oid) -> Option<Function> {
    if oid.to_u32() < pg_sys::FirstNormalObjectId {
        return None;
    }
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&oid.to_u32()).copied()) {
        return known;
    }
    // SAFETY: as the caller says. Looking an address up loads the function's library, as calling
    // it would, so it is done for those alone that look like ours.
    let found = unsafe {
        if pg_sys::get_func_variadictype(oid) == pg_sys::ANYOID {
            let mut info = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info(oid, &mut info);
            let address = info.fn_addr.map_or(0, |address| address as usize);
            calling::entry_at(address).map(|(answer, pinned)| Function { answer, pinned })
        } else {
            None
        }
    };
    KNOWN.with_borrow_mut(|known| known.insert(oid.to_u32(), found));
    found
}

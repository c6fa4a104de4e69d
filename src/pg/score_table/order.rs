//! What is to be scored, by what, into which column.

use std::rc::Rc;

use pgrx::pg_sys;

use crate::pg::cache::DecodedModel;
use crate::pg::reader::Resolved;

/// What the caller of `neural.score_table` asked for.
pub(crate) struct Order {
    pub(crate) model: Rc<DecodedModel>,
    pub(crate) resolved: Resolved,
    pub(crate) table: pg_sys::Oid,
    pub(crate) column: String,
    pub(crate) batch_rows: u32,
    pub(crate) only_missing: bool,
}

//! What is gathered of the rows so that treatments can be fitted to them.

pub(super) mod array;
pub(super) mod category;
pub(super) mod gathered;
pub(super) mod number;
pub(super) mod part;

//! Raw rows as they were read, and what is counted and measured of them.

pub(super) mod arrays;
pub(super) mod block;
pub(super) mod cells;
pub(super) mod dictionary;
pub(super) mod elements;
pub(super) mod mask;
pub(super) mod sequences;
pub(super) mod statistics;
pub(super) mod values;

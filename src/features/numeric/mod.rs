//! Columns of numbers.

pub(super) mod encode;

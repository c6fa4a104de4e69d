//! The one rule by which numbers are scaled, wherever they stand: in columns, arrays and targets.

pub(super) mod clip;
pub(super) mod lanes;
pub(super) mod rule;

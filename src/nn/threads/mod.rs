//! Work on several threads.

pub(crate) mod parallel;
pub(crate) mod signals;

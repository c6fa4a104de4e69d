//! Work on several threads, and their quiet beside a host's.

pub(in crate::nn) mod aside;
pub(in crate::nn) mod asking;
pub(in crate::nn) mod barrier;
pub(in crate::nn) mod course;
pub(crate) mod parallel;
pub(crate) mod signals;

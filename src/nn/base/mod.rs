//! What every room of `nn` stands on: errors, random numbers, shapes and the question whether to go on.

pub mod error;
pub(in crate::nn) mod lengths;
pub mod random;
pub(in crate::nn) mod range;
pub(in crate::nn) mod shape;
pub(in crate::nn) mod stop;

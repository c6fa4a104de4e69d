//! Neural networks: architecture, layers, losses and their training.

pub mod optimizer;
pub mod random;
pub mod schedule;

pub use optimizer::{OptimizerSpec, OptimizerState};
pub use random::Random;
pub use schedule::ScheduleSpec;

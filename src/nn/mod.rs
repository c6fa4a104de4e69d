//! Neural networks: architecture, layers, losses and their training.

pub mod activation;
pub mod math;
pub mod optimizer;
pub mod processor;
pub mod random;
pub mod schedule;

pub use activation::Activation;
pub use optimizer::{OptimizerSpec, OptimizerState};
pub use random::Random;
pub use schedule::ScheduleSpec;

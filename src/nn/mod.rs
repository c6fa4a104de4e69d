//! Neural networks: architecture, layers, losses and their training.

pub mod random;

pub use random::Random;

//! A network that is built: its nodes in the order of computation, its parameters in one buffer.

mod build;
pub(super) mod flattened;
mod graph;
mod passes;
mod quantized;
pub(super) mod widen;

pub use graph::{Network, Node, Parameter};
pub use passes::{NodeTime, Workspace};
pub use quantized::Quantization;

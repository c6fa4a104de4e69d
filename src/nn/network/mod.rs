//! A network that is built: its nodes in the order of computation, its parameters in one buffer.

mod build;
pub(super) mod flattened;
mod graph;
mod passes;
mod quantized;
mod stages;
pub(super) mod widen;
mod workspace;

pub use graph::{Network, Node, Parameter};
pub use passes::Batch;
pub use quantized::Quantization;
pub(super) use stages::Stage;
pub(super) use workspace::Of;
pub use workspace::{NodeTime, Workspace};

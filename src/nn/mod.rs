//! Neural networks: architecture, layers, losses and their training.

pub mod activation;
mod activation_backward;
pub mod architecture;
mod architecture_adapt;
mod architecture_parse;
mod architecture_resolve;
mod epoch_order;
pub mod error;
pub mod initializer;
pub mod kernel;
pub mod layers;
pub mod loss;
pub mod math;
pub mod network;
mod network_build;
pub mod optimizer;
mod parallel;
pub mod predictor;
pub mod processor;
pub mod random;
pub mod schedule;
pub mod trainer;
mod vector;

pub use activation::Activation;
pub use architecture::{Architecture, DenseSpec, LayerKind, LayerSpec};
pub use architecture_resolve::Head;
pub use error::Error;
pub use initializer::{Initializer, ParameterKind};
pub use layers::{Operation, Source};
pub use loss::{Loss, LossSpec};
pub use network::{InputFeature, Network, Node, Parameter, Workspace};
pub use optimizer::{OptimizerSpec, OptimizerState};
pub use predictor::{Predictor, Scratch};
pub use random::Random;
pub use schedule::ScheduleSpec;
pub use trainer::{
    EpochReport, Loaded, RowSource, TrainOptions, Trained, Watcher, train, training_bytes,
};

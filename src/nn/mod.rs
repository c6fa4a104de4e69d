//! Neural networks: architecture, layers, losses and their training.

pub mod activation;
mod activation_backward;
pub mod architecture;
mod architecture_adapt;
mod architecture_parse;
mod architecture_resolve;
pub mod blas;
pub mod convolution;
mod copy_rows;
mod dropout_mask;
mod epoch_order;
pub mod error;
pub mod initializer;
mod input;
pub mod kernel;
mod layer_types;
pub mod layers;
mod lengths;
pub mod loss;
pub mod math;
pub mod matrix;
pub mod network;
mod network_build;
pub mod optimizer;
pub mod packed;
mod packed_memory;
mod packing;
pub(crate) mod parallel;
pub mod predictor;
mod predictor_layout;
pub mod processor;
pub mod random;
mod reduction;
mod row_sums;
pub mod schedule;
mod settings;
mod shape;
pub(crate) mod signals;
mod small_product;
pub mod trainer;
mod training_product;
mod transpose;
mod vector;

pub use activation::Activation;
pub use architecture::{Architecture, DenseSpec, LayerKind, LayerSpec};
pub use architecture_resolve::Head;
pub use error::Error;
pub use initializer::{Initializer, ParameterKind};
pub use input::{InputFeature, InputForm};
pub use layer_types::{Built, Rank, Site, Spec};
pub use layers::{Operation, Source};
pub use lengths::{LengthRule, Padding, Window};
pub use loss::{Loss, LossSpec};
pub use network::{Network, Node, NodeTime, Parameter, Workspace};
pub use optimizer::{OptimizerSpec, OptimizerState};
pub use packed_memory::SharedWeights;
pub use packing::PACKING_VERSION;
pub use predictor::{Predictor, Scratch};
pub use random::Random;
pub use schedule::ScheduleSpec;
pub use settings::Settings;
pub use shape::Shape;
pub use trainer::{
    Augmentation, EpochReport, Loaded, RowSource, TrainOptions, Trained, VALIDATION_ROWS, Watcher,
    train, training_bytes,
};

//! Neural networks: architecture, layers, losses and their training.
//!
//! The rooms, from the lowest to the highest; each uses those before it alone:
//! [`base`] (errors, shapes, random numbers), `threads`, [`kernels`] (loops over numbers),
//! [`layer`] (what a layer is), `layers` (a file each), [`architecture`] (networks as they are
//! written), [`network`] (networks as they are computed), `predict`, `calibration` and `train`.

pub mod architecture;
pub mod base;
mod calibration;
pub mod kernels;
pub mod layer;
mod layers;
pub mod network;
mod predict;
mod threads;
pub mod train;

pub use architecture::input::{InputFeature, InputForm};
pub use architecture::output_range::OutputRange;
pub use architecture::{Architecture, LayerSpec};
pub use base::error::{Error, RowsError};
pub use base::lengths::{LengthRule, Padding, Window};
pub use base::random::{self, Random};
pub use base::range::Range;
pub use base::shape::Shape;
pub(crate) use base::stop::NAME;
pub use base::stop::{Never, Pace, Stop};
pub use calibration::{Calibration, Candidate};
pub use kernels::activation::Activation;
pub use kernels::integer::{self, InputScale};
pub use kernels::packed_memory::SharedWeights;
pub use kernels::packing::PACKING_VERSION;
pub use kernels::{activation, blas, convolution, math, matrix, packed_dense as kernel, processor};
pub use layer::head::{Head, Link};
pub use layer::initializer::{Initializer, ParameterKind};
pub use layer::settings::Settings;
pub use layer::spec::{Built, Rank, Site, Spec};
pub use layer::{Operation, Source};
pub use layers::{
    ActivationSpec, ConcatSpec, DenseSpec, DropoutSpec, EmbeddingSpec, InputSpec, OrdinalSpec,
};
pub use network::flattened::Flattened;
pub use network::widen::widen;
pub use network::{Network, Node, NodeTime, Parameter, Quantization, Workspace};
pub use predict::{Predictor, Scratch};
pub use threads::aside::{Aside, aside};
pub(crate) use threads::parallel;
pub use threads::parallel::Crew;
#[cfg(feature = "pg")]
pub(crate) use threads::signals;
pub use train::loss::{Loss, LossSpec};
pub use train::optimizer::{self, OptimizerSpec, OptimizerState};
pub use train::schedule::ScheduleSpec;
pub use train::update;
pub use train::{
    Augmentation, Checkpoint, EpochReport, Loaded, Resume, RowSource, TrainOptions, Trained,
    VALIDATION_ROWS, Watcher, fit_edges, train, training_bytes,
};

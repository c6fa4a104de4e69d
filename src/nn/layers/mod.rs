//! The layers: each file holds one layer's settings, parameters, forward and backward pass.
//!
//! A new type is one file, its `mod` line and its line in [`LAYER_TYPES`].

mod activation;
mod attention;
mod combine;
mod concat;
mod conv;
mod conv1d;
mod conv2d;
mod dense;
mod dropout;
mod dropout_mask;
mod embedding;
mod flatten;
mod global_pool;
mod input;
mod linear;
mod norm;
mod ordinal;
mod packed_linear;
mod periodic;
mod piecewise_linear;
mod pool;
mod pooling;
mod positional_encoding;
mod prelu;
mod quantized_conv1d;
mod quantized_conv2d;
mod recurrent;
mod reshape;
mod scale;
mod select;
mod select_step;
mod transformer_encoder;
mod turn_back;
mod windows;

use super::layer::spec::LayerType;
use norm::{batch_norm, group_norm, layer_norm, rms_norm};

pub use activation::ActivationSpec;
pub use concat::ConcatSpec;
pub use dense::DenseSpec;
pub use dropout::DropoutSpec;
pub use embedding::EmbeddingSpec;
pub use input::InputSpec;
pub use ordinal::OrdinalSpec;
pub(super) use select::Select;
pub(super) use turn_back::TurnBack;

/// The types by name.
pub(super) const LAYER_TYPES: &[LayerType] = &[
    dense::DENSE,
    dense::OUTPUT,
    ordinal::ORDINAL,
    embedding::EMBEDDING,
    dropout::DROPOUT,
    scale::SCALE,
    piecewise_linear::PIECEWISE_LINEAR,
    periodic::PERIODIC,
    activation::ACTIVATION,
    combine::ADD,
    combine::MULTIPLY,
    concat::CONCAT,
    input::INPUT,
    flatten::FLATTEN,
    batch_norm::BATCH_NORM,
    layer_norm::LAYER_NORM,
    group_norm::GROUP_NORM,
    rms_norm::RMS_NORM,
    prelu::PRELU,
    recurrent::RNN,
    recurrent::LSTM,
    recurrent::GRU,
    select_step::SELECT_STEP,
    attention::MULTI_HEAD_ATTENTION,
    transformer_encoder::TRANSFORMER_ENCODER,
    positional_encoding::POSITIONAL_ENCODING,
    conv1d::CONV1D,
    conv2d::CONV2D,
    pool::MAX_POOL1D,
    pool::MAX_POOL2D,
    pool::AVG_POOL1D,
    pool::AVG_POOL2D,
    global_pool::GLOBAL_MAX_POOL,
    global_pool::GLOBAL_AVG_POOL,
    reshape::RESHAPE,
];

/// The type of this name or alias, in lower case; a class of an activation is one.
pub(super) fn find(name: &str) -> Option<&'static LayerType> {
    let mut types = LAYER_TYPES.iter();
    types
        .find(|known| known.name == name || known.aliases.contains(&name))
        .or_else(|| activation::of_class(name))
}

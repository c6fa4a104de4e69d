//! The types of layers beyond the elementary ones, each with its settings in a file of its own.
//!
//! A new type is one file in `layers/` and one line in [`LAYER_TYPES`].

use crate::nn::layer::spec::{LayerType, Rank};
use crate::nn::layers::norm::{batch_norm, group_norm, layer_norm, rms_norm};
use crate::nn::layers::{
    attention, conv1d, conv2d, flatten, global_pool, pool, positional_encoding, prelu, recurrent,
    reshape, select_step, transformer_encoder,
};

/// The types by name.
pub(in crate::nn) const LAYER_TYPES: &[LayerType] = &[
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

/// The type of this name or alias, in lower case.
pub(in crate::nn) fn find(name: &str) -> Option<&'static LayerType> {
    LAYER_TYPES
        .iter()
        .find(|known| known.name == name || known.aliases.contains(&name))
}

/// The rank that the type of this name asks for.
pub(in crate::nn) fn rank(name: &str) -> Rank {
    find(name).map_or(Rank::Any, |known| known.rank)
}

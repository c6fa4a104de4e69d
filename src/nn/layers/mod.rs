//! The layers: each file holds one layer's settings, parameters, forward and backward pass.

mod activation;
pub(super) mod attention;
mod conv;
pub(super) mod conv1d;
pub(super) mod conv2d;
mod dense;
mod dropout;
pub(super) mod dropout_mask;
mod embedding;
pub(super) mod flatten;
pub(super) mod global_pool;
mod join;
mod linear;
pub(super) mod norm;
pub(super) mod pool;
mod pooling;
pub(super) mod positional_encoding;
pub(super) mod prelu;
pub(super) mod recurrent;
pub(super) mod reshape;
mod scale;
mod select;
pub(super) mod select_step;
pub(super) mod transformer_encoder;
mod windows;

pub(super) use activation::ActivationLayer;
pub(super) use dense::Dense;
pub(super) use dropout::Dropout;
pub(super) use embedding::Embedding;
pub(super) use join::{Add, Concat, JoinSteps, Multiply};
pub(super) use scale::Scale;
pub(super) use select::Select;

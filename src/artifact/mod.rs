//! A model as bytes: a safetensors file whose tensors are the parameters under PyTorch's names, and
//! whose metadata hold all that is needed to use them.
//!
//! Equal models have equal bytes. Bytes from outside are never trusted: whatever is in them,
//! [`Model::from_bytes`] gives a model that could have been trained here, or an error that names
//! what is wrong.

mod container;
mod error;
mod file_format;
mod in_passing;
mod integer_weights;
pub mod lineage;
mod model;
mod output_order;
mod prepared;
pub mod shared;
mod tensor_values;

pub use container::{Pieces, Tensor, TensorFile, TensorSource};
pub use error::Error;
pub use in_passing::InPassing;
pub use model::{FORMAT, METADATA_KEY, Model};
pub use output_order::{in_order_of_classes, reorder};
pub use prepared::Prepared;

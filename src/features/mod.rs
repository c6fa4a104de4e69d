//! Columns to tensors and back: treatments, fitting, encoding, labels.
//!
//! A query's columns are read as [`RawRows`]: numbers as `f64`, texts as codes into a
//! [`Dictionary`]. [`fit()`] turns the wished treatments ([`Request`]) into a [`FeatureSet`], looking
//! at the training rows only and passing over them in order, block by block, so that the result
//! is the same from memory and from a file. A set's [`Encoder`] and [`BlockEncoder`] then write
//! network inputs with the same bits.

mod arrays;
mod block;
mod column;
mod describe;
mod dictionary;
mod encoder;
mod error;
mod fit;
mod gather;
mod hash;
mod label_set;
mod labels;
mod mask;
mod request;
mod sequences;
mod set;
mod split;
mod statistics;
mod target;
mod target_array;
mod target_fit;
mod told;

pub use arrays::Arrays;
pub use block::{Block, MemoryRows, RawRows, Values, pass};
pub use column::{Column, Kind, Origin};
pub use dictionary::{Dictionary, MISSING, OVERFLOW};
pub use encoder::{BlockEncoder, Encoder};
pub use error::Error;
pub use fit::{fit, refresh_profiles};
pub use labels::Labels;
pub use mask::BitMask;
pub use request::{
    CategoricalSettings, DEFAULT_CLIP, DEFAULT_LEVELS, DEFAULT_SCALE, Encoding, MAX_LEVELS,
    Missing, NumericSettings, Request, Scale, Treatment, parse_requests, storage_kind,
};
pub use sequences::{DEFAULT_STEPS, SequenceRows, Sequences, Steps};
pub use set::{Feature, FeatureSet, Fitted, MAX_FEATURES, Profile, STEPS_INPUT};
pub use split::{Split, folds, group_key, split};
pub use target::{MAX_CLASSES, OutputScale, Target, TargetRequest, Task, target_kind};

//! Columns to tensors and back: treatments, fitting, encoding, labels.
//!
//! A query's columns are read as [`RawRows`]: numbers as `f64`, texts as codes into a
//! [`Dictionary`], arrays in the form that an [`Intake`] brings them to. [`fit()`] turns
//! the wished treatments ([`Request`]) into a [`FeatureSet`], looking at the training rows only and
//! passing over them in order, block by block, so that the result is the same from memory and from
//! a file. A set's [`Encoder`] and [`BlockEncoder`] then write network inputs with the same bits.

mod answer;
mod arrays;
mod block;
mod cells;
mod class_index;
mod column;
mod describe;
mod dictionary;
mod elements;
mod encoder;
mod encoder_arrays;
mod encoder_numbers;
mod error;
mod feature;
mod fit;
mod fit_arrays;
mod fitted;
mod fitted_check;
mod gather;
mod hash;
mod image;
mod intake;
mod label_set;
mod labels;
mod left_out;
mod mask;
mod number_key;
mod number_like;
mod positive_class;
mod quoting;
mod request;
mod request_arrays;
mod sequences;
mod set;
mod split;
mod statistics;
mod target;
mod target_array;
mod target_fit;
mod target_reach;
mod told;
mod told_arrays;
mod type_name;

pub use answer::{Answer, NoAnswer, positive_probability};
pub use arrays::{Arrays, Real};
pub use block::{Block, Blocks, MemoryRows, RawRows, Values, pass, rows_of_block};
pub use cells::Cells;
pub use class_index::ClassIndex;
pub use column::{ArrayShape, Column, Kind, Origin};
pub use dictionary::{Dictionary, MISSING, OVERFLOW};
pub use encoder::{BlockEncoder, Encoder};
pub use encoder_numbers::Numbers;
pub use error::Error;
pub use feature::{Feature, Profile};
pub use fit::{Fit, fit, refresh_profiles};
pub use fitted::{Fitted, Precision, Tokens};
pub use hash::hash as hash_bytes;
pub use image::Geometry;
pub use intake::Intake;
pub use labels::Labels;
pub use left_out::LeftOut;
pub use mask::BitMask;
pub use number_key::{is_whole_number, whole_number};
pub use number_like::numbers_as_classes;
pub use positive_class::positive_by_name;
pub use quoting::{features_argument, quote_identifier};
pub use request::{
    CategoricalSettings, DEFAULT_CLIP, DEFAULT_LEVELS, DEFAULT_SCALE, Encoding, MAX_LEVELS,
    Missing, NumericSettings, Request, Scale, Treatment, parse_requests, storage_kind,
};
pub use request_arrays::{
    Augment, ChannelStatistic, ImageSettings, MAX_INPUTS, MAX_TOKENS, MAX_VECTOR, SequenceSettings,
    VectorSettings,
};
pub use sequences::{DEFAULT_STEPS, SequenceRows, Sequences, Steps};
pub use set::{FeatureSet, MAX_FEATURES, STEPS_INPUT};
pub use split::{Split, folds, group_key, group_of, split};
pub use target::{MAX_CLASSES, OutputScale, Target, TargetRequest, Task, target_kind};
pub use target_fit::{is_plain_number, refuse_threshold};
pub use target_reach::Reaching;
pub use told::told_type;
pub use type_name::TypeName;

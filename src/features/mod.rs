//! Columns to tensors and back: treatments, fitting, encoding, labels.
//!
//! A query's columns are read as [`RawRows`]: numbers as `f64`, texts as codes into a
//! [`Dictionary`], arrays in the form that an [`Intake`] brings them to. [`fit()`] turns
//! the wished treatments ([`Request`]) into a [`FeatureSet`], looking at the training rows only and
//! passing over them in order, block by block, so that the result is the same from memory and from
//! a file. A set's [`Encoder`] and [`BlockEncoder`] then write network inputs with the same bits.

mod column;
mod describe;
mod encoder;
mod encoder_arrays;
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
mod left_out;
mod number_key;
mod number_like;
mod numeric;
mod quoting;
mod request;
mod request_arrays;
mod rows;
mod set;
mod split;
mod target;
mod told;
mod told_arrays;
mod type_name;

pub use column::{ArrayShape, Column, Kind, Origin};
pub use encoder::{BlockEncoder, Encoder};
pub use error::Error;
pub use feature::{Feature, Profile};
pub use fit::{Fit, fit, refresh_profiles};
pub use fitted::{Fitted, Precision, Tokens};
pub use hash::hash as hash_bytes;
pub use image::Geometry;
pub use intake::Intake;
pub use left_out::LeftOut;
pub use number_key::{is_whole_number, whole_number};
pub use number_like::numbers_as_classes;
pub use numeric::encode::Numbers;
pub use quoting::{features_argument, quote_identifier};
pub use request::{
    CategoricalSettings, DEFAULT_CLIP, DEFAULT_LEVELS, DEFAULT_SCALE, Encoding, MAX_LEVELS,
    Missing, NumericSettings, Request, Scale, Treatment, parse_requests, storage_kind,
};
pub use request_arrays::{
    Augment, ChannelStatistic, ImageSettings, MAX_INPUTS, MAX_TOKENS, MAX_VECTOR, SequenceSettings,
    VectorSettings,
};
pub use rows::arrays::{Arrays, Real};
pub use rows::block::{Block, Blocks, MemoryRows, RawRows, Values, pass, rows_of_block};
pub use rows::cells::Cells;
pub use rows::dictionary::{Dictionary, MISSING, OVERFLOW};
pub use rows::mask::BitMask;
pub use rows::sequences::{DEFAULT_STEPS, SequenceRows, Sequences, Steps};
pub use set::{FeatureSet, MAX_FEATURES, STEPS_INPUT};
pub use split::{Split, folds, group_key, group_of, split};
pub use target::class_index::ClassIndex;
pub use target::fit::{is_plain_number, refuse_threshold};
pub use target::labels::Labels;
pub use target::positive_class::positive_by_name;
pub use target::reach::Reaching;
pub use target::stored::{MAX_CLASSES, OutputScale, Target, TargetRequest, Task, target_kind};
pub use told::told_type;
pub use type_name::TypeName;

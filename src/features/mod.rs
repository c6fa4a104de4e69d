//! Columns to tensors and back: treatments, fitting, encoding, labels.
//!
//! A query's columns are read as [`RawRows`]: numbers as `f64`, texts as codes into a
//! [`Dictionary`], arrays in the form that an [`Intake`] brings them to. [`fit()`] turns
//! the wished treatments ([`Request`]) into a [`FeatureSet`], looking at the training rows only and
//! passing over them in order, block by block, so that the result is the same from memory and from
//! a file. A set's [`Encoder`] and [`BlockEncoder`] then write network inputs with the same bits.
//!
//! Each kind of column has a room: `numeric`, `category`, `vector`, `image`, `sequence`, `ignored`. A
//! room says in `settings` what can be asked of a column and how that is fitted, in `fitted` what a
//! version keeps, in `intake` how arrays are taken in, and in `encode` how values become inputs. What
//! a room must answer is in `treatment`, the table of the rooms in `treatments`; `rows`, `gather`,
//! `scales` and `target` know nothing of them.

mod answer;
mod arrays;
mod calendars;
mod category;
mod column;
mod denormalize;
mod encoder;
mod error;
mod feature;
mod fit;
mod gather;
mod hash;
mod ignored;
mod image;
mod intake;
mod left_out;
mod number_key;
mod number_like;
mod numeric;
mod profile;
mod quoting;
mod request;
mod rows;
mod scales;
mod sequence;
mod set;
mod settings;
mod split;
mod target;
mod told;
mod treatment;
mod treatments;
mod type_name;
mod vector;

pub use answer::{Answer, NoAnswer, positive_probability};
pub use category::{CategoricalSettings, DEFAULT_LEVELS, Encoding, Index, MAX_LEVELS, OneHot};
pub use column::{ArrayShape, Column, Kind, Origin, is_plain_number};
pub use encoder::{BlockEncoder, Encoder};
pub use error::Error;
pub use feature::Feature;
pub use fit::{Fit, fit, refresh_profiles};
pub use gather::gathered::FitRows;
pub use hash::hash as hash_bytes;
pub use ignored::{IgnoreSettings, Ignored};
pub use image::{Augment, ChannelStatistic, Geometry, Image, ImageSettings};
pub use intake::Intake;
pub use left_out::LeftOut;
pub use number_key::{is_whole_number, whole_number};
pub use number_like::numbers_as_classes;
pub use numeric::encode::Numbers;
pub use numeric::{Calendar, Cycle, Missing, Numeric, NumericSettings};
pub use profile::Profile;
pub use quoting::{features_argument, quote_identifier};
pub use request::{Request, parse_requests, storage_kind};
pub use rows::arrays::{Arrays, Real};
pub use rows::block::{Block, Blocks, MemoryRows, RawRows, pass, rows_of_block};
pub use rows::cells::Cells;
pub use rows::dictionary::{Dictionary, MISSING, OVERFLOW};
pub use rows::mask::BitMask;
pub use rows::sequences::{DEFAULT_STEPS, SequenceRows, Sequences, Steps};
pub use rows::values::Values;
pub use scales::clip::DEFAULT_CLIP;
pub use scales::lanes::Precision;
pub use scales::rule::{DEFAULT_SCALE, Scale};
pub use sequence::{Denormalize, Instance, MAX_TOKENS, Sequence, SequenceSettings, Tokens};
pub use set::{FeatureSet, MAX_FEATURES, STEPS_INPUT};
pub use split::{Split, folds, group_key, group_of, split};
pub use target::class_index::ClassIndex;
pub use target::family::{Family, exposure_weight, is_exposure};
pub use target::given::check_request;
pub use target::labels::Labels;
pub use target::positive_class::positive_by_name;
pub use target::reach::Reaching;
pub use target::stored::{MAX_CLASSES, OutputScale, Target, TargetRequest, Task, target_kind};
pub use told::told_type;
pub use treatment::MAX_INPUTS;
pub use treatments::{Fitted, Treatment};
pub use type_name::TypeName;
pub use vector::{MAX_VECTOR, Vector, VectorSettings};

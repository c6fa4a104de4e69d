//! Which rows a version was trained on and which were held out, told by hashes of what they are.
//!
//! A version that goes on from another one's weights must not be judged on rows that these weights
//! have learnt. So every version keeps, of a sample of the rows that it and the versions before it
//! were trained with, on which side each was. A row is known again by the bits of its encoded
//! features and of its target, whatever query it comes from and in whatever order; and, where the
//! features tell nearly all rows apart, by these alone, to the precision of a `real` column: what is
//! true of a row may have been corrected since, or its columns' types have changed.
//!
//! The sample is of the rows with the smallest hashes (the bottom-k sketch of Cohen and Kaplan
//! 2007): of a row below the sketch's limit it is known whether it was there, above it is not. Up
//! to `CAPACITY` rows all are known.

mod hashes;
mod rows;
mod sample;
mod side;
#[cfg(test)]
mod tests;

pub(super) use hashes::group_hash;
pub use hashes::{RowHashes, RowTruth, features_hash, row_hash};
pub use rows::SeenRows;
pub use sample::Seen;
pub use side::{Known, Side};

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
//!
//! Rows within the sample stand for those beyond it as long as both are treated alike. A warm start
//! that draws what it holds out does not: it can hold out again only rows within the sample, and
//! trains on all others. Rows that it holds out so are marked: they tell that rows like them were
//! learnt. So every version's sample tells the truth of the rows beyond it, too.

mod hashes;
mod rows;
mod sample;
mod side;
mod tally;
#[cfg(test)]
mod tests;

pub(super) use hashes::group_hash;
pub use hashes::{RowHashes, RowTruth, features_hash, row_hash};
pub use rows::{Found, SeenRows};
pub use sample::Seen;
pub use side::{Known, Side};
pub use tally::{Learnt, Tally};

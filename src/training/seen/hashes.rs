//! What a row is known by: hashes.

use crate::features::hash_bytes;

/// Steps between 0 and 1 that [`features_hash`] tells apart.
const GRID: f32 = 4096.0;

/// The hash of a row: of its encoded features and what is true of it. `buffer` is room to work in.
pub fn row_hash(features: &[f32], truth: RowTruth<'_>, buffer: &mut Vec<u8>) -> u32 {
    buffer.clear();
    // Adding 0 makes one value of 0 and −0.
    buffer.extend(features.iter().flat_map(|x| (x + 0.0).to_le_bytes()));
    match truth {
        RowTruth::Class(class) => buffer.extend_from_slice(class.as_bytes()),
        RowTruth::Numbers(numbers) => {
            buffer.extend(numbers.iter().flat_map(|x| (x + 0.0).to_le_bytes()));
        }
    }
    (hash_bytes(buffer) >> 32) as u32
}

/// The hash of a row's encoded features alone: to some four decimal digits, so that neither a change
/// of a column's type to `real` nor another way of scaling it makes another row of it.
pub fn features_hash(features: &[f32], buffer: &mut Vec<u8>) -> u32 {
    buffer.clear();
    buffer.extend(features.iter().flat_map(|&x| {
        let rounded = match x.abs() < 1.0 {
            true => (x * GRID).round() / GRID,
            // As many bits of the mantissa as the grid has just below 1.
            false => f32::from_bits((x.to_bits() + 0x800) & !0xfff),
        };
        (rounded + 0.0).to_le_bytes()
    }));
    (hash_bytes(buffer) >> 32) as u32
}

/// What is true of a row that is hashed.
#[derive(Clone, Copy, Debug)]
pub enum RowTruth<'a> {
    /// A class by its text.
    Class(&'a str),
    /// The target's number or numbers.
    Numbers(&'a [f64]),
}

/// What a row is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHashes {
    /// [`row_hash`].
    pub row: u32,
    /// [`features_hash`].
    pub features: u32,
    /// `group_hash`, where there are groups.
    pub group: Option<u32>,
}

/// The hash of a group, given as the number that stands for it.
pub fn group_hash(group: u64) -> u32 {
    (hash_bytes(&group.to_le_bytes()) >> 32) as u32
}

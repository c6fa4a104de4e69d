//! Whether rows that are alike are copies, or alike because their columns have few values.
//!
//! Rows of few values are alike by chance, and then there are many more that differ in one column alone;
//! rows that were copied have none such beside them. So pairs of rows are counted that are alike in all
//! columns, and for each column, the target among them, those that differ in it alone. By these and by how
//! often the column's values are alike at all, so many pairs are alike in all columns by chance.

use std::collections::HashMap;

use crate::features::{self, Block, BlockEncoder, Feature, Labels, RawRows, hash_bytes};

/// Hashes of columns kept, all rows together, and rows, at most.
const HASHES: usize = 1 << 20;
const ROWS: usize = 16_384;
/// Rows that are kept, times as many as are expected.
const MOST: usize = 4;
/// Columns whose values are alike more often than this tell nothing.
const ALIKE: f64 = 0.9;
/// Pairs that are added to those counted: that few were met may be chance, too.
const UNSEEN: f64 = 3.0;
/// Copies are told from chance where they are so many times as many.
const TIMES: f64 = 3.0;
/// Values encoded at once.
const CHUNK: usize = 1 << 16;

/// A sample of the rows: those whose hash is small, so that rows that are alike are in it together.
struct Sampled {
    columns: usize,
    /// Of each its hash, which is that of its columns together.
    rows: Vec<u64>,
    /// Of each the hashes of its columns.
    hashes: Vec<u32>,
    /// The share of all rows that the sample is.
    share: f64,
}

/// Whether more rows are alike in all features and the target than chance makes.
///
/// # Errors
/// Rows that cannot be read, or an interruption.
pub(super) fn are_copies(
    features: &[Feature],
    encoder: &BlockEncoder,
    (labels, at): (&Labels, usize),
    rows: &mut dyn RawRows,
    stop: &mut dyn FnMut() -> bool,
) -> Result<bool, features::Error> {
    let widths: Vec<usize> = features
        .iter()
        .map(Feature::width)
        .filter(|width| *width > 0)
        .collect();
    let columns = widths.len() + 1;
    let most = ROWS.min(HASHES / columns).max(1);
    let mut sampled = Sampled {
        columns,
        rows: Vec::new(),
        hashes: Vec::new(),
        share: (most as f64 / rows.rows().max(1) as f64).min(1.0),
    };
    let below = (sampled.share * u64::MAX as f64) as u64;
    let width = encoder.width().max(1);
    let (mut x, mut y, mut own, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    features::pass(rows, stop, |_, block: &Block| {
        let chunk = (CHUNK / width).max(1);
        for first in (0..block.rows).step_by(chunk) {
            let range = first..block.rows.min(first + chunk);
            x.clear();
            x.resize(range.len() * width, 0.0);
            encoder.encode_rows(block, range.clone(), &mut x)?;
            for (row, x) in range.zip(x.chunks_exact(width)) {
                y.clear();
                labels.write(block, at, row, &mut y)?;
                own.clear();
                let mut rest = x;
                for &width in &widths {
                    let (column, others) = rest.split_at(width.min(rest.len()));
                    own.push(hash_of(column, &mut bytes));
                    rest = others;
                }
                own.push(hash_of(&y, &mut bytes));
                let all = own.iter().enumerate();
                let all = all.fold(0, |all, (column, &hash)| all ^ part(column, hash));
                if all <= below && sampled.rows.len() <= MOST * most {
                    sampled.rows.push(all);
                    sampled.hashes.extend_from_slice(&own);
                }
            }
        }
        Ok(())
    })?;
    // Very many rows are one and the same: what a sample without them would say is not known.
    if sampled.rows.len() > MOST * most {
        return Ok(false);
    }
    let (alike, by_chance) = sampled.pairs_alike(stop)?;
    Ok(alike > TIMES * by_chance)
}

/// What a column adds to the hash of a row, and takes from it again.
fn part(column: usize, hash: u32) -> u64 {
    hash_bytes(&(column as u64 | u64::from(hash) << 32).to_le_bytes())
}

fn hash_of(values: &[f32], bytes: &mut Vec<u8>) -> u32 {
    bytes.clear();
    bytes.extend(values.iter().flat_map(|x| (x + 0.0).to_le_bytes()));
    (hash_bytes(bytes) >> 32) as u32
}

/// Pairs among as many that are alike.
fn pairs(alike: u64) -> f64 {
    let alike = alike as f64;
    alike * (alike - 1.0) / 2.0
}

impl Sampled {
    /// How many pairs of rows are alike in all columns, and how many at most by chance, among all rows.
    ///
    /// # Errors
    /// An interruption.
    fn pairs_alike(&self, stop: &mut dyn FnMut() -> bool) -> Result<(f64, f64), features::Error> {
        let all = pairs(self.rows.len() as u64).max(1.0);
        let mut counts: HashMap<u64, u64> = HashMap::new();
        let mut count = |hashes: &mut dyn Iterator<Item = u64>| {
            counts.clear();
            hashes.for_each(|hash| *counts.entry(hash).or_default() += 1);
            counts.values().map(|&n| pairs(n)).sum::<f64>()
        };
        let alike = count(&mut self.rows.iter().copied());
        let mut most = 0.0_f64;
        for column in 0..self.columns {
            if stop() {
                return Err(features::Error::Interrupted);
            }
            let own = self.hashes.iter().skip(column).step_by(self.columns);
            let of_column = count(&mut own.clone().map(|&hash| u64::from(hash))) / all;
            if of_column > ALIKE {
                continue;
            }
            let rows = self.rows.iter().zip(own);
            let others = count(&mut rows.map(|(all, &hash)| all ^ part(column, hash)));
            let near = (others - alike + UNSEEN) / self.share.powi(2);
            most = most.max(near * of_column / (1.0 - of_column));
        }
        Ok((alike / self.share, most))
    }
}

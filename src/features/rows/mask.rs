//! One bit a row.

use std::ops::Range;

/// A set of rows; true means that a row is trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitMask {
    words: Vec<u64>,
    len: usize,
}

impl BitMask {
    /// A mask of `len` rows that all have the same bit.
    pub fn new(len: usize, value: bool) -> BitMask {
        let mut mask = BitMask {
            words: vec![if value { u64::MAX } else { 0 }; len.div_ceil(64)],
            len,
        };
        if let Some(last) = mask.words.last_mut()
            && value
            && !len.is_multiple_of(64)
        {
            *last = (1 << (len % 64)) - 1;
        }
        mask
    }

    /// How many rows it speaks of.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it speaks of none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row's bit; false beyond the end.
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        self.words
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Sets the row's bit; rows beyond the end are left alone.
    #[inline]
    pub fn set(&mut self, row: usize, value: bool) {
        if row < self.len {
            let bit = 1 << (row % 64);
            if value {
                self.words[row / 64] |= bit;
            } else {
                self.words[row / 64] &= !bit;
            }
        }
    }

    /// How many rows of a range are set.
    pub fn count_in(&self, rows: Range<usize>) -> usize {
        let rows = rows.start..rows.end.min(self.len);
        if rows.is_empty() {
            return 0;
        }
        let (first, last) = (rows.start / 64, (rows.end - 1) / 64);
        let words = self.words[first..=last].iter().enumerate();
        words
            .map(|(i, &word)| {
                let mut word = word;
                if i == 0 {
                    word &= u64::MAX << (rows.start % 64);
                }
                if first + i == last {
                    word &= u64::MAX >> (63 - (rows.end - 1) % 64);
                }
                word.count_ones() as usize
            })
            .sum()
    }

    /// How many rows are set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }
}

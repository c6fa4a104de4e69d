//! In which order an epoch goes through the rows.
//!
//! The order is a function of seed, epoch and number of rows only, never of memory: blocks of
//! neighbouring rows are shuffled, and rows are shuffled within a window of such blocks. A source
//! on disk so reads whole blocks, while any batch still mixes rows of the whole table.

use crate::nn::base::random::{Random, stream};

/// Neighbouring rows that stay in one window.
const BLOCK: usize = 1024;
/// Blocks whose rows are mixed.
const WINDOW: usize = 64;

/// The order of one epoch at a time, handed out in pieces.
#[derive(Debug)]
pub struct EpochOrder {
    rows: usize,
    seed: u64,
    shuffle: bool,
    random: Random,
    blocks: Vec<u32>,
    next_block: usize,
    window: Vec<u32>,
    next_in_window: usize,
}

impl EpochOrder {
    /// The order of so many rows; without `shuffle` it is that of the rows. [`Self::start`]
    /// begins an epoch.
    pub fn new(rows: usize, seed: u64, shuffle: bool) -> EpochOrder {
        EpochOrder {
            rows,
            seed,
            shuffle,
            random: Random::new(seed, stream::ORDER),
            blocks: Vec::new(),
            next_block: 0,
            window: Vec::new(),
            next_in_window: 0,
        }
    }

    /// Begins an epoch.
    pub fn start(&mut self, epoch: usize) {
        self.blocks.clear();
        self.blocks.extend(0..self.rows.div_ceil(BLOCK) as u32);
        self.next_block = 0;
        self.window.clear();
        self.next_in_window = 0;
        if self.shuffle {
            self.random = Random::new(self.seed, stream::ORDER + epoch as u64);
            self.random.shuffle_small(&mut self.blocks);
        }
    }

    /// Replaces what `into` holds by the next `count` rows of the epoch, or by as many as there
    /// are left.
    pub fn next(&mut self, count: usize, into: &mut Vec<u32>) {
        into.clear();
        while into.len() < count {
            if self.next_in_window == self.window.len() && !self.fill_window() {
                break;
            }
            let take = (count - into.len()).min(self.window.len() - self.next_in_window);
            let end = self.next_in_window + take;
            into.extend_from_slice(&self.window[self.next_in_window..end]);
            self.next_in_window = end;
        }
    }

    /// Mixes the rows of the next blocks; false at the end of the epoch.
    fn fill_window(&mut self) -> bool {
        let last = (self.next_block + WINDOW).min(self.blocks.len());
        self.window.clear();
        self.next_in_window = 0;
        for &block in &self.blocks[self.next_block..last] {
            let start = block as usize * BLOCK;
            let end = (start + BLOCK).min(self.rows);
            self.window.extend(start as u32..end as u32);
        }
        self.next_block = last;
        if self.shuffle {
            self.random.shuffle_small(&mut self.window);
        }
        !self.window.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rows: usize, seed: u64, epoch: usize, piece: usize) -> Vec<u32> {
        let mut order = EpochOrder::new(rows, seed, true);
        order.start(epoch);
        let (mut all, mut some) = (Vec::new(), Vec::new());
        loop {
            order.next(piece, &mut some);
            if some.is_empty() {
                return all;
            }
            all.extend_from_slice(&some);
        }
    }

    #[test]
    fn every_row_comes_once_an_epoch() {
        for rows in [0, 1, 1000, 1024, 200_001] {
            let mut all = order(rows, 5, 1, 4096);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..rows as u32), "{rows}");
        }
    }

    #[test]
    fn pieces_do_not_change_the_order() {
        let whole = order(150_000, 7, 3, usize::MAX);
        assert_eq!(whole, order(150_000, 7, 3, 256));
        assert_eq!(whole, order(150_000, 7, 3, 70_000));
        assert_ne!(whole, order(150_000, 7, 4, 256));
        assert_ne!(whole, order(150_000, 8, 3, 256));
    }

    #[test]
    fn a_batch_mixes_rows_of_the_whole_table() {
        let first = &order(1_000_000, 1, 1, usize::MAX)[..256];
        let mut blocks: Vec<u32> = first.iter().map(|row| row / BLOCK as u32).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert!(blocks.len() > 50);
        assert!(blocks[0] < 100 && blocks[blocks.len() - 1] > 800);
    }

    #[test]
    fn without_shuffling_rows_stay_in_order() {
        let mut order = EpochOrder::new(2500, 1, false);
        let mut rows = Vec::new();
        for epoch in 1..3 {
            order.start(epoch);
            order.next(2500, &mut rows);
            assert!(rows.iter().copied().eq(0..2500));
        }
    }
}

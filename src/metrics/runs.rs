//! Scores beyond what memory holds: sorted runs in files, merged as they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::slice;

/// Bytes of a score in a file, which are those of the machine.
const SCORE: usize = size_of::<f64>();
/// Fewest and most scores that are read of a run at once.
const READ: (usize, usize) = (64, 8192);

/// Sorted scores in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Which of the files.
    pub file: u32,
    /// How often its scores were merged before.
    pub level: u32,
    /// The place of the first score's first byte.
    pub offset: u64,
    /// The number of scores.
    pub count: u64,
}

/// The files that hold runs.
pub trait RunFiles {
    /// What can go wrong with a file.
    type Error;

    /// Fills the bytes with those that stand in the file from this place on.
    ///
    /// # Errors
    /// When the file cannot be read, or ends before.
    fn read(&self, file: u32, offset: u64, bytes: &mut [u8]) -> Result<(), Self::Error>;
}

/// The scores of runs, and of a sorted slice, in their total order.
pub struct Merge<'a, F> {
    files: &'a F,
    sources: Vec<Source<'a>>,
    /// The next score of each source that has one, the least on top.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    started: bool,
}

/// Where a merge takes scores from.
enum Source<'a> {
    Memory(slice::Iter<'a, f64>),
    File {
        /// What is still to be read.
        rest: Run,
        bytes: Vec<u8>,
        /// The first byte of the next score.
        at: usize,
        /// Scores that are read at once.
        read: usize,
    },
}

impl Source<'_> {
    fn next<F: RunFiles>(&mut self, files: &F) -> Result<Option<f64>, F::Error> {
        match self {
            Source::Memory(scores) => Ok(scores.next().copied()),
            Source::File {
                rest,
                bytes,
                at,
                read,
            } => {
                if *at == bytes.len() {
                    let count = rest.count.min(*read as u64);
                    if count == 0 {
                        return Ok(None);
                    }
                    bytes.resize(count as usize * SCORE, 0);
                    files.read(rest.file, rest.offset, bytes)?;
                    rest.offset += bytes.len() as u64;
                    rest.count -= count;
                    *at = 0;
                }
                let score = bytes.get(*at..).and_then(|bytes| bytes.first_chunk());
                *at += SCORE;
                Ok(score.map(|score| f64::from_ne_bytes(*score)))
            }
        }
    }
}

impl<'a, F: RunFiles> Merge<'a, F> {
    /// Merges the runs, and scores in memory that are sorted already, with about as many bytes of
    /// memory for what is read ahead.
    pub fn new(files: &'a F, runs: &[Run], scores: &'a [f64], memory: usize) -> Merge<'a, F> {
        let read = (memory / SCORE / runs.len().max(1)).clamp(READ.0, READ.1);
        let from_files = runs.iter().map(|run| Source::File {
            rest: *run,
            bytes: Vec::new(),
            at: 0,
            read,
        });
        let sources: Vec<Source> = from_files.chain([Source::Memory(scores.iter())]).collect();
        Merge {
            files,
            heads: BinaryHeap::with_capacity(sources.len()),
            sources,
            started: false,
        }
    }

    fn advance(&mut self) -> Result<Option<f64>, F::Error> {
        if !self.started {
            for (number, source) in self.sources.iter_mut().enumerate() {
                if let Some(score) = source.next(self.files)? {
                    self.heads.push(Reverse((key(score), number)));
                }
            }
            self.started = true;
        }
        let Some(mut top) = self.heads.peek_mut() else {
            return Ok(None);
        };
        let Reverse((least, number)) = *top;
        match self.sources[number].next(self.files)? {
            Some(score) => *top = Reverse((key(score), number)),
            None => {
                std::collections::binary_heap::PeekMut::pop(top);
            }
        }
        Ok(Some(score(least)))
    }
}

impl<F: RunFiles> Iterator for Merge<'_, F> {
    type Item = Result<f64, F::Error>;

    fn next(&mut self) -> Option<Result<f64, F::Error>> {
        self.advance().transpose()
    }
}

/// A number that is ordered as the scores are in IEEE 754's total order.
fn key(score: f64) -> i64 {
    flip(score.to_bits() as i64)
}

/// The score of a [`key`].
fn score(key: i64) -> f64 {
    f64::from_bits(flip(key) as u64)
}

/// Turns round what follows the sign of a negative number; its own inverse.
fn flip(bits: i64) -> i64 {
    bits ^ ((((bits >> 63) as u64) >> 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{separation, separation_of_sorted};

    /// Files in memory.
    struct Files(Vec<Vec<u8>>);

    impl RunFiles for Files {
        type Error = &'static str;

        fn read(&self, file: u32, offset: u64, bytes: &mut [u8]) -> Result<(), &'static str> {
            let from = offset as usize;
            let found = self.0[file as usize]
                .get(from..from + bytes.len())
                .ok_or("the file ends")?;
            bytes.copy_from_slice(found);
            Ok(())
        }
    }

    /// Cuts the scores in sorted runs of these lengths, in turn in two files, and what is left.
    fn runs(scores: &[f64], lengths: &[usize]) -> (Files, Vec<Run>, Vec<f64>) {
        let mut files = Files(vec![Vec::new(), vec![7; 24]]);
        let mut found = Vec::new();
        let mut rest = scores;
        for (i, &length) in lengths.iter().enumerate() {
            let (head, tail) = rest.split_at(length);
            let mut sorted = head.to_vec();
            sorted.sort_by(f64::total_cmp);
            let file = &mut files.0[i % 2];
            found.push(Run {
                file: (i % 2) as u32,
                level: 0,
                offset: file.len() as u64,
                count: length as u64,
            });
            file.extend(sorted.iter().flat_map(|score| score.to_ne_bytes()));
            rest = tail;
        }
        let mut rest = rest.to_vec();
        rest.sort_by(f64::total_cmp);
        (files, found, rest)
    }

    fn scores(count: usize, step: usize) -> Vec<f64> {
        (0..count)
            .map(|i| ((i * step) % 4099) as f64 / 64.0 - 20.0)
            .chain([f64::INFINITY, f64::NEG_INFINITY, 1e-300, -1e-300])
            .collect()
    }

    #[test]
    fn a_merge_gives_all_scores_sorted() {
        let all = scores(3000, 1717);
        for lengths in [&[][..], &[0, 1, 2], &[100, 900, 1, 65, 64, 63, 500]] {
            let (files, runs, rest) = runs(&all, lengths);
            let merged: Result<Vec<f64>, _> = Merge::new(&files, &runs, &rest, 1).collect();
            let mut sorted = all.clone();
            sorted.sort_by(f64::total_cmp);
            assert_eq!(merged.as_ref(), Ok(&sorted));
        }
    }

    #[test]
    fn the_separation_of_runs_is_that_of_slices() {
        for nan in [None, Some(f64::NAN), Some(-f64::NAN)] {
            let (mut positives, mut negatives) = (scores(2000, 1201), scores(1500, 733));
            positives.extend(nan);
            let (p_files, p_runs, p_rest) = runs(&positives, &[700, 300]);
            let (n_files, n_runs, n_rest) = runs(&negatives, &[64, 64, 64]);
            let streamed = separation_of_sorted(
                [positives.len() as u64, negatives.len() as u64],
                Merge::new(&p_files, &p_runs, &p_rest, 4096),
                Merge::new(&n_files, &n_runs, &n_rest, 4096),
            );
            let in_memory = separation(&mut positives, &mut negatives, || ());
            let bits = |s: Option<crate::metrics::Separation>| {
                s.map(|s| (s.auc.to_bits(), s.ks.to_bits()))
            };
            assert_eq!(streamed.map(bits), Ok(bits(in_memory)));
        }
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let (mut files, runs, rest) = runs(&scores(300, 7), &[300]);
        files.0[0].truncate(299 * SCORE);
        let merged: Result<Vec<f64>, _> = Merge::new(&files, &runs, &rest, 1).collect();
        assert_eq!(merged, Err("the file ends"));
    }
}

//! Where the trainer's rows come from, and how a worker gathers those of a shard.

use std::ops::Range;

use crate::nn::base::error::Error;
use crate::nn::kernels::copy_rows::{copy_rows, prefetch_rows};

/// Encoded rows, in memory or elsewhere.
pub trait RowSource {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// The most rows that one [`RowSource::load`] may ask for; `usize::MAX` in memory.
    fn capacity(&self) -> usize;

    /// Whether rows come with folds. Then the source is the validation's, too: the loss on each
    /// row is that of the member of its fold, which was not trained on it.
    fn has_folds(&self) -> bool {
        false
    }

    /// Makes the rows of these numbers, each below [`RowSource::rows`], available. It is called
    /// on the thread that called [`super::train`].
    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, Error>;
}

/// Rows that are loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'a> {
    /// Features, rows of the network's input width one after the other.
    pub x: &'a [f32],
    /// Targets, equally many columns a row: classes are one column that holds the index of the
    /// class, of two classes 0 or 1.
    pub y: &'a [f32],
    /// Weight of each row, if they differ.
    pub weight: Option<&'a [f32]>,
    /// Of each row the member, from 0, that is not trained on it; given if the source has folds.
    pub fold: Option<&'a [u8]>,
    /// Where each asked row stands in the buffers above, in the order asked.
    pub index: &'a [u32],
}

/// A slice of the epoch, checked, so that gathering cannot fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice<'a> {
    loaded: Loaded<'a>,
    width: usize,
    targets: usize,
}

/// Which rows of a range, by their folds; all where there are none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Those that this member is trained on.
    Trained(usize),
    /// Those that it is not.
    HeldOut(usize),
}

/// Rows side by side, as the network takes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub rows: usize,
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub weight: Option<&'a [f32]>,
}

/// A worker's own copy of rows that do not lie side by side.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Vec<f32>,
    index: Vec<u32>,
}

impl<'a> Slice<'a> {
    /// Checks that the buffers hold every asked row, of as many values and targets each.
    pub fn new(
        loaded: Loaded<'a>,
        asked: usize,
        (width, targets): (usize, usize),
    ) -> Result<Slice<'a>, Error> {
        let wrong = |what: &str| Error::Misused {
            message: format!("the rows' source {what}"),
        };
        let held = loaded.x.len() / width.max(1);
        if loaded.index.len() != asked {
            return Err(wrong("gave another number of rows than asked for"));
        }
        if loaded.x.len() != held * width || held == 0 {
            return Err(wrong("gave rows of another width"));
        }
        if loaded.y.len() != held * targets {
            return Err(wrong(
                "gave rows with another number of targets than the loss takes",
            ));
        }
        if loaded.weight.is_some_and(|weight| weight.len() != held) {
            return Err(wrong("gave another number of weights than of rows"));
        }
        if loaded.fold.is_some_and(|fold| fold.len() != held) {
            return Err(wrong("gave another number of folds than of rows"));
        }
        if loaded
            .index
            .iter()
            .max()
            .is_some_and(|&last| last as usize >= held)
        {
            return Err(wrong("gave the index of a row it does not hold"));
        }
        Ok(Slice {
            loaded,
            width,
            targets,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.loaded.index.len()
    }

    /// Has the rows of a range of the slice, or of as much of it as there is, fetched meanwhile.
    pub fn expect(&self, range: Range<usize>) {
        let index = self.loaded.index;
        let range = range.start.min(index.len())..range.end.min(index.len());
        prefetch_rows(self.loaded.x, self.width, &index[range]);
    }

    /// The rows of a range of the slice that are asked for: where they are, if they lie side by
    /// side, else gathered in `into`.
    pub fn gather<'b>(
        &'b self,
        range: Range<usize>,
        which: Which,
        into: &'b mut Gathered,
    ) -> Block<'b> {
        let (width, targets) = (self.width, self.targets);
        let Loaded {
            x,
            y,
            weight,
            fold,
            index,
        } = self.loaded;
        let mut index = &index[range];
        if let Some(fold) = fold {
            let (member, held_out) = match which {
                Which::Trained(member) => (member, false),
                Which::HeldOut(member) => (member, true),
            };
            let asked = |row: &&u32| (usize::from(fold[**row as usize]) == member) == held_out;
            into.index.clear();
            into.index.extend(index.iter().filter(asked));
            index = &into.index;
        }
        let count = index.len();
        if index
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
        {
            let first = index.first().map_or(0, |&first| first as usize);
            return Block {
                rows: count,
                x: &x[first * width..(first + count) * width],
                y: &y[first * targets..(first + count) * targets],
                weight: weight.map(|weight| &weight[first..first + count]),
            };
        }
        into.y.clear();
        into.weight.clear();
        if into.x.len() < count * width {
            into.x.resize(count * width, 0.0);
        }
        copy_rows(x, width, index, &mut into.x);
        if targets == 1 {
            into.y.extend(index.iter().map(|&row| y[row as usize]));
        } else {
            for &row in index {
                let row = row as usize;
                into.y
                    .extend_from_slice(&y[row * targets..(row + 1) * targets]);
            }
        }
        if let Some(weight) = weight {
            into.weight
                .extend(index.iter().map(|&row| weight[row as usize]));
        }
        Block {
            rows: count,
            x: &into.x[..count * width],
            y: &into.y,
            weight: weight.map(|_| &into.weight[..]),
        }
    }
}

impl Gathered {
    /// Room for so many rows.
    pub fn new(rows: usize, width: usize) -> Gathered {
        Gathered {
            x: vec![0.0; rows * width],
            y: Vec::with_capacity(rows),
            weight: Vec::with_capacity(rows),
            index: Vec::with_capacity(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_in_the_order_asked() {
        let x: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let y = [0.0, 1.0, 2.0, 3.0, 4.0];
        let weight = [0.5, 1.5, 2.5, 3.5, 4.5];
        let index = [4, 0, 1, 2];
        let loaded = Loaded {
            x: &x,
            y: &y,
            weight: Some(&weight),
            fold: Some(&[0, 1, 2, 3, 4]),
            index: &index,
        };
        let slice = Slice::new(loaded, 4, (2, 1)).expect("a slice");
        let mut gathered = Gathered::default();
        let block = slice.gather(0..2, Which::Trained(9), &mut gathered);
        assert_eq!(
            (block.x, block.y),
            (&[8.0, 9.0, 0.0, 1.0][..], &[4.0, 0.0][..])
        );
        assert_eq!(block.weight, Some(&[4.5, 0.5][..]));

        let block = slice.gather(1..4, Which::Trained(9), &mut gathered);
        assert_eq!((block.x, block.y), (&x[..6], &y[..3]));
        assert_eq!(block.weight, Some(&weight[..3]));
        let block = slice.gather(0..4, Which::Trained(0), &mut gathered);
        assert_eq!((block.rows, block.y), (3, &[4.0, 1.0, 2.0][..]));
        let block = slice.gather(0..4, Which::HeldOut(0), &mut gathered);
        assert_eq!((block.rows, block.x, block.y), (1, &x[..2], &y[..1]));
        let block = slice.gather(0..4, Which::HeldOut(3), &mut gathered);
        assert_eq!(block.rows, 0);
    }

    #[test]
    fn a_source_that_gives_wrong_rows_is_an_error() {
        let (x, y) = ([0.0; 6], [0.0; 3]);
        let slice = |x, y, weight, index, asked| {
            Slice::new(
                Loaded {
                    x,
                    y,
                    weight,
                    fold: None,
                    index,
                },
                asked,
                (2, 1),
            )
            .map(|slice| slice.rows())
        };
        assert_eq!(slice(&x, &y, None, &[0, 2], 2), Ok(2));
        assert!(slice(&x, &y, None, &[0, 3], 2).is_err());
        assert!(slice(&x, &y, None, &[0], 2).is_err());
        assert!(slice(&x[..5], &y, None, &[0, 1], 2).is_err());
        assert!(slice(&x, &y[..2], None, &[0, 1], 2).is_err());
        assert!(slice(&x, &y, Some(&y[..2]), &[0, 1], 2).is_err());
        assert!(slice(&[], &[], None, &[], 0).is_err());
    }
}

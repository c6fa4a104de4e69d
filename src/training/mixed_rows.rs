//! Rows, and behind them mixtures of two rows each.
//!
//! What members predict can be asked of rows that nobody has met, so that a network that learns from
//! them is not told the same few rows again and again. A mixture is a row in which some features are
//! those of another one: after MUNGE of Buciluă, Caruana and Niculescu-Mizil, "Model compression"
//! (2006), with any row for the neighbour.

use std::ops::Range;

use crate::nn::random::stream;
use crate::nn::{self, InputFeature, Loaded, Random, RowSource};

/// The share of a mixture's features that are the other row's.
const EXCHANGED: f32 = 0.25;

/// Rows, and behind them so many mixtures of each.
pub(super) struct MixedRows<'r> {
    rows: &'r mut dyn RowSource,
    /// Mixtures of a row.
    copies: usize,
    /// The most rows that are loaded at once.
    most: usize,
    seed: u64,
    /// The fold whose rows give nothing to mixtures.
    spared: Option<u8>,
    /// The columns of each feature.
    features: Vec<Range<usize>>,
    /// Rows of the source that are asked for.
    asked: Vec<u32>,
    /// Draws of the mixtures among them.
    draws: Vec<Random>,
    held: Held,
    /// 0, 1, 2 and so on.
    index: Vec<u32>,
}

/// Rows that are loaded, one after the other.
#[derive(Default)]
struct Held {
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Vec<f32>,
    fold: Vec<u8>,
}

impl<'r> MixedRows<'r> {
    pub(super) fn new(
        rows: &'r mut dyn RowSource,
        inputs: &[InputFeature],
        (copies, most): (usize, usize),
        seed: u64,
    ) -> MixedRows<'r> {
        let mut end = 0;
        let features = inputs.iter().map(|input| {
            let first = end;
            end += input.width();
            first..end
        });
        MixedRows {
            copies,
            most,
            seed,
            spared: None,
            features: features.collect(),
            rows,
            asked: Vec::new(),
            draws: Vec::new(),
            held: Held::default(),
            index: Vec::new(),
        }
    }

    /// The rows without the mixtures.
    pub(super) fn plain(&mut self) -> &mut dyn RowSource {
        self.rows
    }

    /// Has the rows of this fold, or of none, give nothing to mixtures.
    pub(super) fn spare(&mut self, fold: Option<u8>) {
        self.spared = fold;
    }

    /// Puts other rows' features into the mixtures among these.
    fn mix(&mut self, rows: &[u32], plain: u32) -> Result<(), nn::Error> {
        let mixtures = rows.iter().filter(|row| **row >= plain);
        self.draws.clear();
        self.draws.extend(mixtures.map(|mixture| {
            let stream = stream::MIX + u64::from(*mixture);
            Random::new(self.seed, stream)
        }));
        if self.draws.is_empty() {
            return Ok(());
        }
        self.asked.clear();
        let others = self.draws.iter_mut();
        self.asked
            .extend(others.map(|draw| draw.below(u64::from(plain)) as u32));
        let others = self.rows.load(&self.asked)?;
        let width = self.held.x.len() / rows.len();
        let mixtures = self.held.x.chunks_exact_mut(width).zip(rows);
        let mixtures = mixtures.filter(|(_, row)| **row >= plain);
        let drawn = others.index.iter().zip(&mut self.draws);
        for ((mixture, _), (&other, draw)) in mixtures.zip(drawn) {
            let fold = others.fold.map(|fold| fold[other as usize]);
            if fold.is_some() && fold == self.spared {
                continue;
            }
            let other = &others.x[other as usize * width..][..width];
            for columns in &self.features {
                if draw.uniform_f32() < EXCHANGED {
                    mixture[columns.clone()].copy_from_slice(&other[columns.clone()]);
                }
            }
        }
        Ok(())
    }
}

impl Held {
    /// Takes the rows that were asked for.
    fn take(&mut self, loaded: Loaded<'_>, width: usize) {
        let Held { x, y, weight, fold } = self;
        x.clear();
        y.clear();
        weight.clear();
        fold.clear();
        let targets = loaded.y.len() * width / loaded.x.len().max(1);
        for &at in loaded.index {
            let at = at as usize;
            x.extend_from_slice(&loaded.x[at * width..][..width]);
            y.extend_from_slice(&loaded.y[at * targets..][..targets]);
            weight.extend(loaded.weight.map(|weight| weight[at]));
            fold.extend(loaded.fold.map(|fold| fold[at]));
        }
    }
}

impl RowSource for MixedRows<'_> {
    fn rows(&self) -> usize {
        self.rows.rows() * (1 + self.copies)
    }

    fn capacity(&self) -> usize {
        // What is loaded is copied.
        self.rows.capacity().min(self.most)
    }

    fn has_folds(&self) -> bool {
        self.rows.has_folds()
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        let plain = self.rows.rows().max(1) as u32;
        self.asked.clear();
        self.asked.extend(rows.iter().map(|row| row % plain));
        let width = self.features.last().map_or(0, |last| last.end);
        self.held.take(self.rows.load(&self.asked)?, width);
        self.mix(rows, plain)?;
        self.index.clear();
        self.index.extend(0..rows.len() as u32);
        let Held { x, y, weight, fold } = &self.held;
        Ok(Loaded {
            x,
            y,
            weight: (!weight.is_empty()).then_some(weight),
            fold: (!fold.is_empty()).then_some(fold),
            index: &self.index,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose columns all hold the row's number, at places of their own.
    struct Numbered {
        x: Vec<f32>,
        index: Vec<u32>,
        capacity: usize,
    }

    impl RowSource for Numbered {
        fn rows(&self) -> usize {
            self.x.len() / 3
        }

        fn capacity(&self) -> usize {
            self.capacity
        }

        fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
            self.index.clear();
            self.index.extend(rows);
            Ok(Loaded {
                x: &self.x,
                y: &self.x[..self.rows()],
                weight: None,
                fold: None,
                index: &self.index,
            })
        }
    }

    fn loaded(capacity: usize, rows: &[u32]) -> Vec<f32> {
        let x = (0..50_u16).flat_map(|row| [f32::from(row); 3]).collect();
        let mut numbered = Numbered {
            x,
            index: Vec::new(),
            capacity,
        };
        // Two features, of one column and of two.
        let inputs = [
            InputFeature::column("a", 1, None),
            InputFeature::column("b", 2, None),
        ];
        let mut mixed = MixedRows::new(&mut numbered, &inputs, (3, 1 << 10), 5);
        assert_eq!(mixed.rows(), 200);
        let loaded = mixed.load(rows).expect("rows");
        let index: Vec<u32> = (0..rows.len() as u32).collect();
        assert_eq!(loaded.index, index);
        loaded.x.to_vec()
    }

    #[test]
    fn whole_features_are_exchanged_and_rows_stay_as_they_are() {
        let rows: Vec<u32> = (0..200).rev().collect();
        let x = loaded(usize::MAX, &rows);
        let mut exchanged = 0;
        for (row, values) in rows.iter().zip(x.chunks_exact(3)) {
            let own = (row % 50) as f32;
            assert_eq!(values[1], values[2], "half a feature");
            let others = values[..2].iter().filter(|value| **value != own).count();
            match row {
                0..50 => assert_eq!(others, 0),
                _ => exchanged += others,
            }
        }
        // A quarter of 300 features, some of which came from the row itself.
        assert!((50..100).contains(&exchanged), "{exchanged}");
    }

    #[test]
    fn a_mixture_is_the_same_whatever_is_loaded_beside_it() {
        let all: Vec<u32> = (0..200).collect();
        let together = loaded(usize::MAX, &all);
        for row in [3, 77, 199] {
            let alone = loaded(1, &[row]);
            assert_eq!(alone, together[row as usize * 3..][..3]);
        }
    }
}

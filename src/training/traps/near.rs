//! Whether rows that are close in the query's order are close in their features, too, and what is told
//! by that: then a network learns them by heart.
//!
//! A row's target is told by those rows whose features are nearest to its own: by all but as many as a
//! block has, drawn at random, against all but those of its own block.

use super::line::{Difference, Losses};
use crate::features::{Error, hash_bytes};

/// Neighbours that tell a row's target.
const NEAREST: usize = 5;
/// Multiplications, at most, and rows.
const PRODUCTS: usize = 1 << 29;
const ROWS: usize = 2048;
/// Rows of a block.
pub(super) const BLOCK: usize = 64;
/// Values added up side by side.
const LANES: usize = 8;

/// Rows that are looked at.
pub(super) fn rows(width: usize) -> usize {
    let most = (PRODUCTS as f64 / width.max(1) as f64).sqrt() as usize;
    most.min(ROWS) / BLOCK * BLOCK
}

/// The nearest rows so far, the nearest first.
#[derive(Clone, Copy)]
struct Nearest {
    rows: [(f32, usize); NEAREST],
}

impl Nearest {
    const NONE: Nearest = Nearest {
        rows: [(f32::INFINITY, 0); NEAREST],
    };

    fn offer(&mut self, distance: f32, row: usize) {
        if distance >= self.rows[NEAREST - 1].0 {
            return;
        }
        let place = self.rows.partition_point(|(known, _)| *known <= distance);
        self.rows.copy_within(place..NEAREST - 1, place + 1);
        self.rows[place] = (distance, row);
    }

    /// The squared error of their mean.
    fn loss(&self, targets: &[Vec<f64>], row: usize) -> f64 {
        let each = targets.iter().map(|of_rows| {
            let found = self
                .rows
                .iter()
                .filter(|(distance, _)| distance.is_finite());
            let (sum, count) = found.fold((0.0, 0.0), |(sum, count), (_, near)| {
                (sum + of_rows[*near], count + 1.0)
            });
            (of_rows[row] - sum / f64::max(count, 1.0)).powi(2)
        });
        each.sum()
    }
}

/// The difference between the losses by random rows and by blocks of [`BLOCK`] rows in a row. `x` are
/// the standardised features, a row after the other, and `targets` what each of the targets is.
///
/// # Errors
/// An interruption.
pub(super) fn by_features(
    x: &[f32],
    width: usize,
    targets: &[Vec<f64>],
    variance: f64,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Option<Difference>, Error> {
    let width = width.max(1);
    let count = x.len() / width;
    let blocks = (count / BLOCK).max(1) as u64;
    let fold = |row: usize| hash_bytes(&(row as u64).to_le_bytes()) % blocks;
    let folds: Vec<u64> = (0..count).map(fold).collect();
    let row_of = |row: usize| &x[row * width..][..width];
    let mut losses = Losses::new(variance);
    for row in 0..count {
        if row % BLOCK == 0 {
            losses.begin();
            if stop() {
                return Err(Error::Interrupted);
            }
        }
        let (mut random, mut beyond) = (Nearest::NONE, Nearest::NONE);
        for other in 0..count {
            let (same_fold, same_block) =
                (folds[row] == folds[other], row / BLOCK == other / BLOCK);
            if other == row || same_fold && same_block {
                continue;
            }
            let distance = distance(row_of(row), row_of(other));
            if !same_fold {
                random.offer(distance, other);
            }
            if !same_block {
                beyond.offer(distance, other);
            }
        }
        losses.add(random.loss(targets, row), beyond.loss(targets, row));
    }
    Ok(losses.difference())
}

/// The square of the distance, added up in an order of its own, the same everywhere.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = left.remainder().iter().zip(right.remainder());
    let rest: f32 = rest.map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in left.zip(right) {
        for lane in 0..LANES {
            sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::by_features;
    use crate::nn::Random;

    #[test]
    fn rows_of_a_customer_are_told_where_features_know_them() {
        let mut random = Random::new(9, 2);
        let mut noise = || f64::from(random.normal_f32());
        let customers: Vec<[f64; 3]> = (0..400).map(|_| [noise(), noise(), noise()]).collect();
        for (knows, told) in [(1.0, true), (0.0, false)] {
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for row in 0..1600 {
                let [a, b, outcome] = customers[row / 4];
                x.push((knows * a + (1.0 - knows) * noise()) as f32);
                x.push((knows * b + (1.0 - knows) * noise()) as f32);
                y.push(outcome + 0.5 * noise());
            }
            let found = by_features(&x, 2, &[y], 1.25, &mut || false)
                .unwrap()
                .unwrap();
            assert_eq!(found.is_told(), told, "{found:?}");
        }
    }
}

//! How well a feature alone tells the target.
//!
//! Two measures, of which the better one counts. One goes by the order of a number: the area under the
//! ROC curve with ties counted half, or the square of Spearman's rank correlation. The other by what rows
//! with the same value have: each level's share or mean, out of fold, so that a column of many levels is
//! not taken for one that knows the target because it remembers its rows. A number of many values is cut
//! into bins for that, and a missing value is a level, which may tell most of all.

use std::ops::Range;

use super::sample::Truth;
use crate::features::hash_bytes;

/// The measure above which a feature tells the target almost perfectly.
pub(super) const PERFECT: f64 = 0.995;
/// Fewest rows by which that can be said, and fewest of a class.
pub(super) const LEAST_ROWS: usize = 100;
const LEAST_OF_CLASS: usize = 10;
/// Classes that a feature must tell, the commonest.
const CLASSES: usize = 10;
/// Levels up to which a number is taken value by value, and bins of others.
const BINS: usize = 64;
/// Folds of the rows, each of which is told by the others.
const FOLDS: usize = 5;

/// What is to be told, prepared for many features.
pub(super) struct Wanted<'a> {
    truth: &'a Truth,
    /// The classes that must be told.
    classes: Vec<u32>,
    /// The ranks of the numbers.
    ranks: Vec<f64>,
    folds: Vec<u8>,
}

impl<'a> Wanted<'a> {
    /// Prepares it; nothing where the rows are too few to say anything.
    pub(super) fn new(truth: &'a Truth) -> Option<Wanted<'a>> {
        if truth.len() < LEAST_ROWS {
            return None;
        }
        let classes = match truth {
            Truth::Classes(of_rows, count) => classes(of_rows, *count)?,
            Truth::Numbers(_) => Vec::new(),
        };
        let ranks = match truth {
            Truth::Classes(..) => Vec::new(),
            Truth::Numbers(numbers) => {
                let all: Vec<u32> = (0..numbers.len() as u32).collect();
                ranks(numbers, &sorted(numbers, all))
            }
        };
        let fold = |row: usize| (hash_bytes(&(row as u64).to_le_bytes()) % FOLDS as u64) as u8;
        Some(Wanted {
            truth,
            classes,
            ranks,
            folds: (0..truth.len()).map(fold).collect(),
        })
    }

    /// The measure of a feature with these values: of classes the least area under the ROC curve of
    /// one against the rest, of numbers the share of the variance.
    pub(super) fn measure(&self, values: &[f64], is_category: bool) -> f64 {
        let present = (0..values.len() as u32).filter(|&row| !values[row as usize].is_nan());
        let order = sorted(values, present.collect());
        let levels = Levels::new(values, &order, is_category);
        match self.truth {
            Truth::Classes(of_rows, _) => {
                let mut least = 1.0_f64;
                for &class in &self.classes {
                    let truth = |row: u32| of_rows[row as usize] == class;
                    let mut best = self.by_levels(&levels, &truth);
                    if !is_category {
                        best = best.max(by_order(values, &order, &truth));
                    }
                    least = least.min(best);
                    if least <= PERFECT {
                        break;
                    }
                }
                least
            }
            Truth::Numbers(numbers) => {
                let by_levels = self.explained(&levels, numbers);
                match is_category {
                    true => by_levels,
                    false => by_levels.max(self.correlation(values, &order)),
                }
            }
        }
    }

    /// The area under the curve of each level's share, out of fold.
    fn by_levels(&self, levels: &Levels, truth: &impl Fn(u32) -> bool) -> f64 {
        let scores = self.out_of_fold(levels, |row| f64::from(u8::from(truth(row as u32))));
        let order = sorted(&scores, (0..scores.len() as u32).collect());
        area(&scores, &order, truth, [0, 0])
    }

    /// The share of the numbers' variance that each level's mean, out of fold, explains.
    fn explained(&self, levels: &Levels, numbers: &[f64]) -> f64 {
        let means = self.out_of_fold(levels, |row| numbers[row]);
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let left: f64 = numbers
            .iter()
            .zip(&means)
            .map(|(y, m)| (y - m).powi(2))
            .sum();
        let all: f64 = numbers.iter().map(|y| (y - mean).powi(2)).sum();
        share(all - left, all)
    }

    /// Of each row the mean of the rows of its level that are in other folds, drawn a little towards
    /// that of all rows.
    fn out_of_fold(&self, levels: &Levels, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![[(0.0, 0.0); FOLDS]; levels.count];
        for (row, (&level, &fold)) in levels.of_rows.iter().zip(&self.folds).enumerate() {
            let (sum, count) = &mut sums[level as usize][usize::from(fold)];
            *sum += value(row);
            *count += 1.0;
        }
        let all = |sums: &[(f64, f64)]| {
            let add = |(a, b): (f64, f64), (c, d): &(f64, f64)| (a + c, b + d);
            sums.iter().fold((0.0, 0.0), add)
        };
        let totals: Vec<(f64, f64)> = sums.iter().map(|folds| all(folds)).collect();
        let (sum, count) = all(&totals);
        let prior = sum / f64::max(count, 1.0);
        let rows = levels.of_rows.iter().zip(&self.folds);
        rows.map(|(&level, &fold)| {
            let (own, all) = (
                sums[level as usize][usize::from(fold)],
                totals[level as usize],
            );
            (all.0 - own.0 + prior) / (all.1 - own.1 + 1.0)
        })
        .collect()
    }

    /// The square of Spearman's rank correlation; 0 where values are missing in more than a few rows.
    fn correlation(&self, values: &[f64], order: &[u32]) -> f64 {
        let rows = order.len();
        if rows < LEAST_ROWS || (rows as f64) < PERFECT * values.len() as f64 {
            return 0.0;
        }
        let ranks = ranks(values, order);
        let mean =
            |ranks: &[f64]| order.iter().map(|&row| ranks[row as usize]).sum::<f64>() / rows as f64;
        let (a, b) = (mean(&ranks), mean(&self.ranks));
        let (mut aa, mut ab, mut bb) = (0.0, 0.0, 0.0);
        for &row in order {
            let (x, y) = (ranks[row as usize] - a, self.ranks[row as usize] - b);
            aa += x * x;
            ab += x * y;
            bb += y * y;
        }
        share(ab * ab, aa * bb)
    }
}

/// The classes that must be told: the commonest, each with rows enough. Nothing where few rows are of
/// such a class, or all are of one.
fn classes(of_rows: &[u32], count: usize) -> Option<Vec<u32>> {
    let mut counts = vec![0; count];
    for &class in of_rows {
        *counts.get_mut(class as usize)? += 1;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(counts[class]));
    order.truncate(CLASSES);
    order.retain(|&class| counts[class] >= LEAST_OF_CLASS);
    let told: usize = order.iter().map(|&class| counts[class]).sum();
    if order.len() < 2 || 2 * told < of_rows.len() {
        return None;
    }
    if count == 2 {
        // What tells one tells the other.
        order.truncate(1);
    }
    Some(order.into_iter().map(|class| class as u32).collect())
}

/// Rows in the order of their values.
fn sorted(values: &[f64], mut rows: Vec<u32>) -> Vec<u32> {
    let value = |row: u32| values[row as usize] + 0.0;
    rows.sort_unstable_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
    rows
}

/// The runs of rows with the same value.
fn runs(values: &[f64], order: &[u32]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (place, &row) in order.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if values[order[run.start] as usize] == values[row as usize] => {
                run.end = place + 1;
            }
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

/// Mean ranks, ties shared; 0 of rows that are not in the order.
fn ranks(values: &[f64], order: &[u32]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    for run in runs(values, order) {
        let rank = (run.start + run.end + 1) as f64 / 2.0;
        for &row in &order[run] {
            ranks[row as usize] = rank;
        }
    }
    ranks
}

/// The rank of each number, ties shared, as a share of all.
pub(super) fn ranked(numbers: &[f64]) -> Vec<f64> {
    let rows = numbers.len() as f64;
    let order = sorted(numbers, (0..numbers.len() as u32).collect());
    ranks(numbers, &order)
        .into_iter()
        .map(|rank| rank / rows)
        .collect()
}

/// The area under the curve of a number in either direction, missing values below or above all others.
fn by_order(values: &[f64], order: &[u32], truth: &impl Fn(u32) -> bool) -> f64 {
    let mut missing = [0, 0];
    for row in (0..values.len()).filter(|&row| values[row].is_nan()) {
        missing[usize::from(truth(row as u32))] += 1;
    }
    let above = area(values, order, truth, missing);
    let below = match missing {
        [0, 0] => above,
        _ => area_above(values, order, truth, missing),
    };
    [above, below]
        .map(|a| a.max(1.0 - a))
        .into_iter()
        .fold(0.0, f64::max)
}

/// The area under the curve with the missing values below all others.
fn area_above(
    values: &[f64],
    order: &[u32],
    truth: &impl Fn(u32) -> bool,
    missing: [usize; 2],
) -> f64 {
    let turned: Vec<f64> = values.iter().map(|value| -value).collect();
    let backwards: Vec<u32> = order.iter().rev().copied().collect();
    1.0 - area(&turned, &backwards, truth, missing)
}

/// The area under the ROC curve (Mann and Whitney's U): the share of pairs of a true and an untrue row
/// in which the true one is the larger, ties counted half. `above` are rows, untrue and true ones, that
/// are larger than all others and alike.
fn area(values: &[f64], order: &[u32], truth: &impl Fn(u32) -> bool, above: [usize; 2]) -> f64 {
    let (mut untrue, mut all_true, mut wins) = (0.0, 0.0, 0.0);
    let mut add = |own: [f64; 2]| {
        wins += own[1] * (untrue + own[0] / 2.0);
        untrue += own[0];
        all_true += own[1];
    };
    for run in runs(values, order) {
        let own = order[run.clone()].iter().filter(|&&row| truth(row)).count();
        add([(run.len() - own) as f64, own as f64]);
    }
    add(above.map(|rows| rows as f64));
    match untrue * all_true {
        0.0 => 0.5,
        pairs => wins / pairs,
    }
}

/// A part of a whole; 0 of nothing.
fn share(part: f64, whole: f64) -> f64 {
    let share = part / whole;
    if share.is_finite() { share } else { 0.0 }
}

/// Rows that have the same value, or one of the same bin.
struct Levels {
    of_rows: Vec<u32>,
    count: usize,
}

impl Levels {
    fn new(values: &[f64], order: &[u32], is_category: bool) -> Levels {
        let runs = runs(values, order);
        let by_value = is_category || runs.len() <= BINS;
        // Level 0 is that of missing values.
        let mut of_rows = vec![0; values.len()];
        let mut count = 1;
        for (place, run) in runs.into_iter().enumerate() {
            let level = match by_value {
                true => place + 1,
                false => 1 + run.start * BINS / order.len(),
            };
            count = level + 1;
            for &row in &order[run] {
                of_rows[row as usize] = level as u32;
            }
        }
        Levels { of_rows, count }
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, area, sorted};
    use crate::training::traps::sample::Truth;

    #[test]
    fn areas_count_ties_half() {
        // scikit-learn's roc_auc_score([0, 0, 1, 1, 1], [1, 2, 2, 3, 0]) is 0.5833…
        let values = [1.0, 2.0, 2.0, 3.0, 0.0];
        let truth = |row: u32| row >= 2;
        let order = sorted(&values, (0..5).collect());
        assert!((area(&values, &order, &truth, [0, 0]) - 3.5 / 6.0).abs() < 1e-12);
        // Two more rows above all, one of each kind: 3.5 + 2 + 0.5 of 12 pairs.
        assert!((area(&values, &order, &truth, [1, 1]) - 6.0 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn an_order_a_level_and_a_gap_are_seen_and_memory_is_not() {
        let rows = 400;
        let truth = Truth::Classes((0..rows).map(|row| u32::from(row % 4 == 0)).collect(), 2);
        let wanted = Wanted::new(&truth).unwrap();
        let measure = |category: bool, value: &dyn Fn(usize) -> f64| {
            let values: Vec<f64> = (0..rows).map(value).collect();
            wanted.measure(&values, category)
        };
        let is_true = |row: usize| row.is_multiple_of(4);
        let wave = |row: usize| (row as f64 * 1.7).sin();
        for sign in [1.0, -1.0] {
            let told = |row| sign * (wave(row) + if is_true(row) { 3.0 } else { 0.0 });
            assert_eq!(measure(false, &told), 1.0);
        }
        // In the middle, where no order tells it.
        let middle = |row| {
            wave(row)
                + if is_true(row) {
                    0.0
                } else {
                    9.0 * wave(row).signum()
                }
        };
        assert!(measure(false, &middle) > 0.98);
        let missing = |row| if is_true(row) { f64::NAN } else { wave(row) };
        assert_eq!(measure(false, &missing), 1.0);
        let present = |row| if is_true(row) { wave(row) } else { f64::NAN };
        assert_eq!(measure(false, &present), 1.0);
        let own = |row| row as f64;
        assert!(measure(true, &own) < 0.6, "each row's own level");
        let pairs = |row: usize| (row / 2) as f64;
        assert!(measure(true, &pairs) < 0.8);
        assert!(measure(false, &wave) < 0.7);
    }

    #[test]
    fn numbers_are_told_by_order_and_by_levels() {
        let rows = 600;
        let y = |row: usize| (row as f64 * 0.37).sin() * 10.0;
        let truth = Truth::Numbers((0..rows).map(y).collect());
        let wanted = Wanted::new(&truth).unwrap();
        let measure = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f64> = (0..rows).map(value).collect();
            wanted.measure(&values, false)
        };
        assert!(measure(&|row| y(row).exp()) > 0.9999);
        assert!(measure(&|row| y(row) + (row as f64 * 2.1).cos() * 3.0) < 0.99);
        assert!(measure(&|row| (row as f64 * 2.1).cos()) < 0.1);
    }
}

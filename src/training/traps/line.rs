//! The loss on rows held out one by one against that on rows held out in blocks of what lies together.
//!
//! Of each row a model says the mean of some rows near it in a line, drawn a little towards that of all
//! rows. Held out by random rows, it has met those beside it; held out by blocks, only as many that lie
//! beyond the block. Both are symmetrical about the block, so that what changes slowly along the line
//! makes no difference: only what rows close to each other have in common does.

/// How a loss by blocks differs from that by random rows. Losses are shares of the variance: that of no
/// model is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) random: f64,
    pub(super) blocks: f64,
    /// The standard error of the difference, by blocks.
    pub(super) error: f64,
}

/// Standard errors from which on a difference is told. More than two, since it is looked for in every
/// date and in the query's order, and a false alarm costs more than a missed one.
const ERRORS: f64 = 3.0;
/// The part of the loss that the difference must be, or it changes no decision.
const PART: f64 = 0.01;
/// Fewest blocks by which a standard error can be told.
const LEAST_BLOCKS: usize = 20;
/// Rows of a block, at least.
const LEAST_ROWS: usize = 8;
/// Rows by which means are drawn towards that of all.
const DRAWN: f64 = 8.0;
/// How far two rows of the query's order are apart that are not near each other; half of a block.
const FAR: usize = 32;

impl Difference {
    /// Whether the loss by random rows is lower by more than chance makes it.
    pub(super) fn is_told(&self) -> bool {
        let difference = self.blocks - self.random;
        difference > ERRORS * self.error && difference > PART * self.random
    }
}

/// Adds up losses, block by block.
pub(super) struct Losses {
    /// The variance of a row.
    variance: f64,
    rows: f64,
    random: f64,
    blocks: f64,
    /// Of each block the rows, and the sum of the differences.
    of_blocks: Vec<(f64, f64)>,
}

impl Losses {
    /// None yet, of targets that vary so much.
    pub(super) fn new(variance: f64) -> Losses {
        Losses {
            variance,
            rows: 0.0,
            random: 0.0,
            blocks: 0.0,
            of_blocks: Vec::new(),
        }
    }

    /// Begins a block.
    pub(super) fn begin(&mut self) {
        self.of_blocks.push((0.0, 0.0));
    }

    /// Adds a row's losses by random rows and by blocks.
    pub(super) fn add(&mut self, random: f64, blocks: f64) {
        self.rows += 1.0;
        self.random += random;
        self.blocks += blocks;
        if let Some((rows, sum)) = self.of_blocks.last_mut() {
            *rows += 1.0;
            *sum += blocks - random;
        }
    }

    /// The difference; nothing of too few blocks.
    pub(super) fn difference(mut self) -> Option<Difference> {
        self.of_blocks.retain(|(rows, _)| *rows > 0.0);
        let count = self.of_blocks.len();
        if count < LEAST_BLOCKS || self.variance <= 0.0 {
            return None;
        }
        let mean = (self.blocks - self.random) / self.rows;
        let deviations = self
            .of_blocks
            .iter()
            .map(|(rows, sum)| (sum - rows * mean).powi(2));
        let all = deviations.sum::<f64>() * count as f64 / (count - 1) as f64;
        let scale = 1.0 / self.variance;
        Some(Difference {
            random: scale * self.random / self.rows,
            blocks: scale * self.blocks / self.rows,
            error: scale * all.sqrt() / self.rows,
        })
    }
}

/// What a mean of so many rows is drawn to.
fn drawn(sum: f64, rows: usize) -> f64 {
    sum / (rows as f64 + DRAWN)
}

/// The difference for blocks of days: whole ones, as many together as have some rows. `days` is the day
/// of each row, a row of `targets` what is left of each of its targets.
pub(super) fn by_days(targets: &[Vec<f64>], variance: f64, days: &[f64]) -> Option<Difference> {
    let mut order: Vec<usize> = (0..days.len())
        .filter(|&row| days[row].is_finite())
        .collect();
    order.sort_unstable_by(|&a, &b| days[a].total_cmp(&days[b]).then(a.cmp(&b)));
    let blocks = blocks(&order, days);
    let sums: Vec<Vec<f64>> = targets
        .iter()
        .map(|of_rows| {
            let mut sum = 0.0;
            let more = order.iter().map(|&row| {
                sum += of_rows[row];
                sum
            });
            std::iter::once(0.0).chain(more).collect()
        })
        .collect();
    let mut losses = Losses::new(variance);
    for (start, end) in blocks {
        losses.begin();
        let others = end - start - 1;
        let before = (others / 2).min(start);
        let after = (others - before).min(order.len() - end);
        let before = (others - after).min(start);
        for &row in &order[start..end] {
            let (mut random, mut blocks) = (0.0, 0.0);
            for (of_rows, sums) in targets.iter().zip(&sums) {
                let own = of_rows[row];
                let beside = sums[end] - sums[start] - own;
                let beyond = sums[start] - sums[start - before] + sums[end + after] - sums[end];
                random += (own - drawn(beside, others)).powi(2);
                blocks += (own - drawn(beyond, before + after)).powi(2);
            }
            losses.add(random, blocks);
        }
    }
    losses.difference()
}

/// Whole days of the rows in order, as many together as have some rows: each with its first row and the
/// one behind its last.
fn blocks(order: &[usize], days: &[f64]) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for place in 1..=order.len() {
        let ends = order
            .get(place)
            .is_none_or(|&row| days[row] != days[order[place - 1]]);
        if ends && place - start >= LEAST_ROWS {
            blocks.push((start, place));
            start = place;
        }
    }
    blocks
}

/// The difference for the order in which rows come, in stretches of so many: of each row by those beside
/// it, against those some way off.
pub(super) fn by_order(targets: &[Vec<f64>], variance: f64, stretch: usize) -> Option<Difference> {
    let rows = targets.first().map_or(0, Vec::len);
    let mut losses = Losses::new(variance);
    for start in (0..rows).step_by(stretch.max(1)) {
        let end = rows.min(start + stretch);
        for (place, row) in (start + FAR..end.saturating_sub(FAR)).enumerate() {
            if place % (2 * FAR) == 0 {
                losses.begin();
            }
            let (mut random, mut blocks) = (0.0, 0.0);
            for of_rows in targets {
                let said = |away: usize| drawn(of_rows[row - away] + of_rows[row + away], 2);
                random += (of_rows[row] - said(1)).powi(2);
                blocks += (of_rows[row] - said(FAR)).powi(2);
            }
            losses.add(random, blocks);
        }
    }
    losses.difference()
}

#[cfg(test)]
mod tests {
    use super::{by_days, by_order};
    use crate::nn::Random;

    #[test]
    fn what_days_have_in_common_is_told_and_a_season_is_not() {
        let mut random = Random::new(1, 2);
        let mut noise = || f64::from(random.normal_f32());
        let (days, rows) = (100, 20);
        let shocks: Vec<f64> = (0..days).map(|_| noise()).collect();
        let of_day = |day: usize| (day as f64 / 8.0).sin() * 2.0;
        for (shock, told) in [(0.0, false), (0.7, true)] {
            let (mut y, mut keys) = (Vec::new(), Vec::new());
            for (day, own) in shocks.iter().enumerate() {
                for _ in 0..rows {
                    y.push(of_day(day) + shock * own + noise());
                    keys.push(day as f64);
                }
            }
            let found = by_days(std::slice::from_ref(&y), 3.0, &keys).unwrap();
            assert_eq!(found.is_told(), told, "{found:?}");
            // In any order of the rows.
            y.reverse();
            keys.reverse();
            let again = by_days(&[y], 3.0, &keys).unwrap();
            assert!((again.random - found.random).abs() < 1e-9);
        }
    }

    #[test]
    fn neighbours_of_the_order_are_told_and_a_trend_is_not() {
        let mut random = Random::new(4, 2);
        let mut noise = || f64::from(random.normal_f32());
        let customers: Vec<f64> = (0..500).map(|_| noise()).collect();
        for (share, told) in [(0.0, false), (0.8, true)] {
            let y: Vec<f64> = (0..2000)
                .map(|row| row as f64 / 1000.0 + share * customers[row / 4] + noise())
                .collect();
            let found = by_order(&[y], 1.5, usize::MAX >> 1).unwrap();
            assert_eq!(found.is_told(), told, "{found:?}");
        }
    }

    #[test]
    fn chance_is_hardly_ever_told() {
        let mut told = 0;
        for seed in 0..200 {
            let mut random = Random::new(seed, 7);
            let y: Vec<f64> = (0..1500).map(|_| f64::from(random.normal_f32())).collect();
            let days: Vec<f64> = (0..1500).map(|row| (row / 12) as f64).collect();
            told += usize::from(
                by_days(std::slice::from_ref(&y), 1.0, &days)
                    .unwrap()
                    .is_told(),
            );
            told += usize::from(by_order(&[y], 1.0, 512).unwrap().is_told());
        }
        assert!(told <= 4, "{told} of 400");
    }
}

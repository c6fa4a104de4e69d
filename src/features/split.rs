//! Which rows are held out for validation.

use std::collections::HashMap;

use super::error::Error;
use super::hash::{hash, mix};
use super::rows::block::{Block, RawRows, pass};
use super::rows::mask::BitMask;
use super::rows::values::Values;
use super::target::labels::Labels;
use crate::nn::random::{Random, stream};

/// How the rows held out are chosen. Positions are columns of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// At random, with each class's share the same on both sides; for a regression just at random.
    Stratified,
    /// At random.
    Random,
    /// The last rows in the query's order.
    Last,
    /// The rows with the largest values of this number, of equal ones the last; missing values are
    /// the smallest.
    Newest {
        /// The number's column.
        position: usize,
    },
    /// The rows where this number is 1; 0 and missing are trained on. The fraction is not used.
    Flag {
        /// The flag's column.
        position: usize,
    },
    /// At random, whole groups at a time. Missing values are one group.
    Group {
        /// The group's column: numbers, or texts by [`group_key`].
        position: usize,
    },
}

/// Groups counted one by one; with more of them each is drawn by itself.
const MAX_GROUPS: usize = 65_536;

/// A text group as a number: a hash of 53 bits, so that the groups' texts need not be kept.
/// Two groups that share a number merely stay on the same side.
pub fn group_key(text: &str) -> f64 {
    (hash(text.as_bytes()) >> 11) as f64
}

/// Splits the rows: true for those to train on. A function of the rows' order, the seed and the
/// arguments only; takes one bit a row.
///
/// `labels` and the target's column are needed for a stratified split. With a fraction above 0 at
/// least one row is held out when there are two, and of each class at least one row is trained on.
///
/// # Errors
/// A fraction that is not from 0 up to 1, or an interruption.
pub fn split(
    split: Split,
    fraction: f64,
    seed: u64,
    rows: &mut dyn RawRows,
    labels: Option<(&Labels, usize)>,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<BitMask, Error> {
    let total = rows.rows();
    let mut mask = BitMask::new(total, true);
    if let Split::Flag { position } = split {
        pass(rows, interrupted, |start, block| {
            for (row, &value) in block.numbers(position)?.iter().enumerate() {
                mask.set(start + row, value.is_nan() || value == 0.0);
            }
            Ok(())
        })?;
        return Ok(mask);
    }
    if !(0.0..1.0).contains(&fraction) {
        return Err(Error::invalid(format!("validation is {fraction}"))
            .with_hint("It is the fraction of rows to hold out: at least 0 and below 1."));
    }
    let wanted = held_out(total, fraction);
    if wanted == 0 {
        return Ok(mask);
    }
    let mut random = Random::new(seed, stream::SPLIT);
    match (split, labels) {
        (Split::Last, _) => (total - wanted..total).for_each(|row| mask.set(row, false)),
        (Split::Newest { position }, _) => {
            let mut order: Vec<(f64, usize)> = Vec::with_capacity(total);
            pass(rows, interrupted, |start, block| {
                let numbers = block.numbers(position)?.iter().enumerate();
                order.extend(numbers.map(|(row, &number)| {
                    let known = if number.is_nan() {
                        f64::NEG_INFINITY
                    } else {
                        number
                    };
                    (known, start + row)
                }));
                Ok(())
            })?;
            order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
            for &(_, row) in order.iter().take(wanted) {
                mask.set(row, false);
            }
        }
        (Split::Group { position }, _) => {
            let salt = random.next_u64();
            groups(
                position,
                wanted,
                fraction,
                salt,
                rows,
                &mut mask,
                interrupted,
            )?;
        }
        (Split::Stratified, Some((labels, position))) => {
            let class = |block: &Block, row| labels.class(block, position, row).unwrap_or(0);
            let mut counts: Vec<usize> = Vec::new();
            pass(rows, interrupted, |_, block| {
                for row in 0..block.rows {
                    let class = class(block, row) as usize;
                    if counts.len() <= class {
                        counts.resize(class + 1, 0);
                    }
                    counts[class] += 1;
                }
                Ok(())
            })?;
            let mut needed = shares(&counts, wanted, fraction);
            pass(rows, interrupted, |start, block| {
                for row in 0..block.rows {
                    let class = class(block, row) as usize;
                    if draw(&mut random, &mut needed[class], &mut counts[class]) {
                        mask.set(start + row, false);
                    }
                }
                Ok(())
            })?;
        }
        _ => {
            let (mut needed, mut left) = (wanted, total);
            for row in 0..total {
                if draw(&mut random, &mut needed, &mut left) {
                    mask.set(row, false);
                }
            }
        }
    }
    Ok(mask)
}

/// Divides the rows among as many folds: of each class, whose column `labels` comes with, every
/// fold takes equally many rows, give or take one; any so many rows of a class in a row go to
/// folds of their own. A function of the rows' order and the seed only; takes a byte a row.
///
/// # Errors
/// No folds or more than 256, or an interruption.
pub fn folds(
    folds: usize,
    seed: u64,
    rows: &mut dyn RawRows,
    (labels, position): (&Labels, usize),
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<u8>, Error> {
    let all: Vec<u8> = (0..=u8::MAX).take(folds).collect();
    if all.is_empty() || all.len() < folds {
        return Err(Error::invalid(format!("rows cannot be in {folds} folds")));
    }
    let mut random = Random::new(seed, stream::SPLIT);
    // Of each class the folds of the next rows.
    let mut decks: Vec<Vec<u8>> = Vec::new();
    let mut dealt = Vec::with_capacity(rows.rows());
    pass(rows, interrupted, |_, block| {
        for row in 0..block.rows {
            let class = labels.class(block, position, row).unwrap_or(0) as usize;
            if decks.len() <= class {
                decks.resize(class + 1, Vec::new());
            }
            let deck = &mut decks[class];
            let fold = deck.pop().or_else(|| {
                deck.extend_from_slice(&all);
                random.shuffle(deck);
                deck.pop()
            });
            dealt.push(fold.unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(dealt)
}

/// Rows to hold out of `total`: the fraction rounded, but some on both sides where possible.
fn held_out(total: usize, fraction: f64) -> usize {
    if fraction <= 0.0 || total < 2 {
        return 0;
    }
    ((fraction * total as f64).round() as usize).clamp(1, total - 1)
}

/// Selection sampling (Knuth, volume 2, 3.4.2, algorithm S): exactly `needed` of the rows `left`.
fn draw(random: &mut Random, needed: &mut usize, left: &mut usize) -> bool {
    let taken = random.below(*left as u64) < *needed as u64;
    *left = left.saturating_sub(1);
    if taken {
        *needed -= 1;
    }
    taken
}

/// How many rows of each class to hold out: the largest remainders make up the sum, and one row
/// of each class stays.
fn shares(counts: &[usize], wanted: usize, fraction: f64) -> Vec<usize> {
    let mut shares: Vec<usize> = counts
        .iter()
        .map(|&n| ((fraction * n as f64) as usize).min(n.saturating_sub(1)))
        .collect();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    let remainder = |class: usize| (fraction * counts[class] as f64).fract();
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
    let mut open = wanted.saturating_sub(shares.iter().sum());
    while open > 0 {
        let before = open;
        for &class in &order {
            if open > 0 && shares[class] + 1 < counts[class] {
                shares[class] += 1;
                open -= 1;
            }
        }
        if open == before {
            break;
        }
    }
    shares
}

/// The group of a row, as a number: one that equal values share.
pub fn group_of(block: &Block, position: usize, row: usize) -> Option<u64> {
    match block.columns.get(position)? {
        // Adding 0 makes one group of 0 and −0; all NaNs are one group, too.
        Values::Number(numbers) => numbers
            .get(row)
            .map(|&x| if x.is_nan() { f64::NAN } else { x + 0.0 }.to_bits()),
        Values::Integer(integers) => integers.get(row).map(|&x| x as u64),
        Values::Category(codes) => codes.get(row).map(|&code| u64::from(code)),
        Values::Array(_) | Values::Numbers(_) | Values::Labels(_) => None,
    }
}

fn groups(
    position: usize,
    wanted: usize,
    fraction: f64,
    salt: u64,
    rows: &mut dyn RawRows,
    mask: &mut BitMask,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let missing = || Error::invalid("the column of the groups is not among the rows");
    let mut sizes: HashMap<u64, usize> = HashMap::new();
    let mut many = false;
    pass(rows, interrupted, |_, block| {
        for row in 0..block.rows {
            if many {
                break;
            }
            *sizes
                .entry(group_of(block, position, row).ok_or_else(missing)?)
                .or_default() += 1;
            many = sizes.len() > MAX_GROUPS;
        }
        Ok(())
    })?;
    // Groups in an order that the seed draws; those up to the bound are held out.
    let draw = |key: u64| mix(salt ^ mix(key));
    let bound = if many {
        (fraction * u64::MAX as f64) as u64
    } else {
        let mut order: Vec<(u64, usize)> = sizes.iter().map(|(&k, &n)| (draw(k), n)).collect();
        order.sort_unstable();
        match best_prefix(&order, wanted) {
            Some(bound) => bound,
            None => return Ok(()),
        }
    };
    pass(rows, interrupted, |start, block| {
        for row in 0..block.rows {
            let key = group_of(block, position, row).ok_or_else(missing)?;
            mask.set(start + row, draw(key) > bound);
        }
        Ok(())
    })
}

/// The draw of the last group to hold out: as near to the wanted rows as can be, some group on
/// either side. `None` when there is but one group.
fn best_prefix(order: &[(u64, usize)], wanted: usize) -> Option<u64> {
    let mut sum = 0;
    order[..order.len().saturating_sub(1)]
        .iter()
        .map(|&(draw, rows)| {
            sum += rows;
            (sum.abs_diff(wanted), draw)
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, draw)| draw)
}

//! AUC, Gini and KS: how well a score separates two classes, whatever its scale.

use std::cmp::Ordering;
use std::convert::Infallible;

/// How far apart two classes are by a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Separation {
    /// Area under the ROC curve, ties counting one half (the mid-rank convention).
    pub auc: f64,
    /// Largest distance between the two distribution functions.
    pub ks: f64,
}

impl Separation {
    /// The Gini coefficient, `2 · AUC - 1`.
    pub fn gini(&self) -> f64 {
        2.0 * self.auc - 1.0
    }
}

/// A number that ranks rows.
pub trait Score: Copy + PartialOrd {
    /// The total order of IEEE 754, NaNs at its ends.
    fn order(&self, other: &Self) -> Ordering;
    /// Whether it is NaN.
    fn is_not_a_number(&self) -> bool;
}

impl Score for f32 {
    fn order(&self, other: &f32) -> Ordering {
        self.total_cmp(other)
    }

    fn is_not_a_number(&self) -> bool {
        self.is_nan()
    }
}

impl Score for f64 {
    fn order(&self, other: &f64) -> Ordering {
        self.total_cmp(other)
    }

    fn is_not_a_number(&self) -> bool {
        self.is_nan()
    }
}

/// Comparisons between two calls of a sort's `tick`: well below a millisecond.
const TICK: u32 = 1 << 15;

/// The separation of two sets of scores, which get sorted in place; `None` when one is empty.
///
/// Pairs are counted in integers, so the result does not depend on the order of the scores and is
/// the exactly rounded quotient. NaN anywhere makes it NaN. `tick` is called every few thousand
/// comparisons, so that a caller can break off by unwinding; the slices then hold the same scores in
/// some order.
pub fn separation<S: Score>(
    positives: &mut [S],
    negatives: &mut [S],
    mut tick: impl FnMut(),
) -> Option<Separation> {
    let mut comparisons = 0u32;
    for side in [&mut *positives, &mut *negatives] {
        side.sort_unstable_by(|a, b| {
            comparisons = comparisons.wrapping_add(1);
            if comparisons.is_multiple_of(TICK) {
                tick();
            }
            a.order(b)
        });
    }
    let counts = [positives.len() as u64, negatives.len() as u64];
    let mut sides = [&*positives, &*negatives].map(|side| side.iter().copied().map(Ok));
    let [positives, negatives] = &mut sides;
    match separation_of_sorted(counts, positives, negatives) {
        Ok(separation) => separation,
        Err::<_, Infallible>(never) => match never {},
    }
}

/// The separation of two sets of scores that come in their total order, as many as `counts` says of
/// the positive and of the negative ones; `None` when one is empty.
///
/// # Errors
/// The first that the scores come with.
pub fn separation_of_sorted<S: Score, E>(
    counts: [u64; 2],
    mut positives: impl Iterator<Item = Result<S, E>>,
    mut negatives: impl Iterator<Item = Result<S, E>>,
) -> Result<Option<Separation>, E> {
    let [p, n] = counts;
    if p == 0 || n == 0 {
        return Ok(None);
    }
    let mut positive = positives.next().transpose()?;
    let mut negative = negatives.next().transpose()?;
    let (mut i, mut j) = (0u64, 0u64);
    let mut twice_wins = 0u128;
    let mut widest = 0u128;
    // One step a distinct score, so that a tie is never split.
    while let Some(score) = match (positive, negative) {
        (Some(a), Some(b)) => Some(if b < a { b } else { a }),
        (a, b) => a.or(b),
    } {
        // In the total order NaNs come first or last, by their sign.
        if score.is_not_a_number() {
            return Ok(Some(Separation {
                auc: f64::NAN,
                ks: f64::NAN,
            }));
        }
        let (mut tied_positives, mut tied_negatives) = (0u64, 0u64);
        while positive == Some(score) {
            tied_positives += 1;
            positive = positives.next().transpose()?;
        }
        while negative == Some(score) {
            tied_negatives += 1;
            negative = negatives.next().transpose()?;
        }
        twice_wins += u128::from(tied_positives) * u128::from(2 * j + tied_negatives);
        i += tied_positives;
        j += tied_negatives;
        let distance = (u128::from(i) * u128::from(n)).abs_diff(u128::from(j) * u128::from(p));
        widest = widest.max(distance);
    }
    let pairs = p as f64 * n as f64;
    Ok(Some(Separation {
        auc: twice_wins as f64 / (2.0 * pairs),
        ks: widest as f64 / pairs,
    }))
}

/// Scores kept by class: 4 bytes a row as long as each of them is a number of single precision, as
/// a network's are, else 8.
#[derive(Debug, Clone)]
pub struct Ranking {
    scores: Scores,
}

/// Negatives and positives.
#[derive(Debug, Clone)]
enum Scores {
    Short([Vec<f32>; 2]),
    Long([Vec<f64>; 2]),
}

impl Default for Ranking {
    fn default() -> Ranking {
        Ranking {
            scores: Scores::Short(Default::default()),
        }
    }
}

impl Ranking {
    /// Takes one row in.
    pub fn push(&mut self, score: f64, label: bool) {
        let (score, side) = (Ranking::canonical(score), usize::from(label));
        if let Scores::Short(sides) = &mut self.scores {
            let short = score as f32;
            if f64::from(short) == score || score.is_nan() {
                sides[side].push(short);
                return;
            }
        }
        self.long()[side].push(score);
    }

    /// The score as it is kept: both zeros are one score.
    pub fn canonical(score: f64) -> f64 {
        score + 0.0
    }

    /// Takes in all rows of another ranking.
    pub fn merge(&mut self, other: &Ranking) {
        match (&mut self.scores, &other.scores) {
            (Scores::Short(sides), Scores::Short(more)) => {
                for (side, more) in sides.iter_mut().zip(more) {
                    side.extend_from_slice(more);
                }
            }
            (_, Scores::Short(more)) => {
                for (side, more) in self.long().iter_mut().zip(more) {
                    side.extend(more.iter().copied().map(f64::from));
                }
            }
            (_, Scores::Long(more)) => {
                for (side, more) in self.long().iter_mut().zip(more) {
                    side.extend_from_slice(more);
                }
            }
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        match &self.scores {
            Scores::Short(sides) => sides.iter().map(Vec::len).sum(),
            Scores::Long(sides) => sides.iter().map(Vec::len).sum(),
        }
    }

    /// The separation of the rows so far; `None` unless both classes are there. `tick` is called
    /// as by [`separation`].
    pub fn finish(&mut self, tick: impl FnMut()) -> Option<Separation> {
        match &mut self.scores {
            Scores::Short([negatives, positives]) => separation(positives, negatives, tick),
            Scores::Long([negatives, positives]) => separation(positives, negatives, tick),
        }
    }

    /// The scores in double precision from here on.
    fn long(&mut self) -> &mut [Vec<f64>; 2] {
        if let Scores::Short(sides) = &mut self.scores {
            let sides = std::mem::take(sides);
            let long = sides.map(|side| side.into_iter().map(f64::from).collect());
            self.scores = Scores::Long(long);
        }
        match &mut self.scores {
            Scores::Long(sides) => sides,
            Scores::Short(_) => unreachable!("made long just now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(scores: &[f64]) -> Ranking {
        let mut ranking = Ranking::default();
        for (i, &score) in scores.iter().enumerate() {
            ranking.push(score, i % 3 == 0);
        }
        ranking
    }

    #[test]
    fn scores_that_need_double_precision_keep_it() {
        let close = 0.5 + f64::EPSILON;
        // The first is the positive one; of single precision it would tie with both others.
        let mut ranking = ranking(&[close, 0.5, 0.5]);
        let auc = ranking.finish(|| ()).map(|separation| separation.auc);
        assert_eq!(auc, Some(1.0));
    }

    #[test]
    fn merging_gives_what_pushing_gives_whatever_the_precision() {
        let short = [0.5, 0.25, 0.75, 0.125, 0.5, 0.0];
        let long = [0.1, 0.7, 0.5, 0.3, 0.25, 0.9];
        for (a, b) in [(short, short), (short, long), (long, short), (long, long)] {
            let mut pushed = ranking(&[a, b].concat());
            let mut merged = ranking(&a);
            merged.merge(&ranking(&b));
            assert_eq!(merged.rows(), 12);
            assert_eq!(merged.finish(|| ()), pushed.finish(|| ()));
        }
    }
}

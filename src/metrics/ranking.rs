//! AUC, Gini and KS: how well a score separates two classes, whatever its scale.

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

/// Comparisons between two calls of a sort's `tick`: well below a millisecond.
const TICK: u32 = 1 << 15;

/// The separation of two sets of scores, which get sorted in place; `None` when one is empty.
///
/// Pairs are counted in integers, so the result does not depend on the order of the scores and is
/// the exactly rounded quotient. NaN anywhere makes it NaN. `tick` is called every few thousand
/// comparisons, so that a caller can break off by unwinding; the slices then hold the same scores in
/// some order.
pub fn separation(
    positives: &mut [f64],
    negatives: &mut [f64],
    mut tick: impl FnMut(),
) -> Option<Separation> {
    let mut comparisons = 0u32;
    for side in [&mut *positives, &mut *negatives] {
        side.sort_unstable_by(|a, b| {
            comparisons = comparisons.wrapping_add(1);
            if comparisons.is_multiple_of(TICK) {
                tick();
            }
            a.total_cmp(b)
        });
    }
    // In the total order NaNs come first or last, by their sign.
    let has_nan = [&*positives, &*negatives].into_iter().any(|side| {
        side.first().is_some_and(|s| s.is_nan()) || side.last().is_some_and(|s| s.is_nan())
    });
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    if has_nan {
        return Some(Separation {
            auc: f64::NAN,
            ks: f64::NAN,
        });
    }

    let (p, n) = (positives.len(), negatives.len());
    let (mut i, mut j) = (0, 0);
    let mut twice_wins = 0u128;
    let mut widest = 0u128;
    // One step a distinct score, so that a tie is never split.
    while let Some(score) = match (positives.get(i), negatives.get(j)) {
        (Some(&a), Some(&b)) => Some(a.min(b)),
        (a, b) => a.or(b).copied(),
    } {
        let tied_positives = positives[i..].iter().take_while(|&&s| s == score).count();
        let tied_negatives = negatives[j..].iter().take_while(|&&s| s == score).count();
        twice_wins += tied_positives as u128 * (2 * j + tied_negatives) as u128;
        i += tied_positives;
        j += tied_negatives;
        widest = widest.max((i as u128 * n as u128).abs_diff(j as u128 * p as u128));
    }
    let pairs = p as f64 * n as f64;
    Some(Separation {
        auc: twice_wins as f64 / (2.0 * pairs),
        ks: widest as f64 / pairs,
    })
}

/// Scores kept by class: 8 bytes a row.
#[derive(Debug, Clone, Default)]
pub struct Ranking {
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl Ranking {
    /// Takes one row in.
    pub fn push(&mut self, score: f64, label: bool) {
        let side = if label {
            &mut self.positives
        } else {
            &mut self.negatives
        };
        side.push(Ranking::canonical(score));
    }

    /// The score as it is kept: both zeros are one score.
    pub fn canonical(score: f64) -> f64 {
        score + 0.0
    }

    /// Takes in all rows of another ranking.
    pub fn merge(&mut self, other: &Ranking) {
        self.positives.extend_from_slice(&other.positives);
        self.negatives.extend_from_slice(&other.negatives);
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.positives.len() + self.negatives.len()
    }

    /// The separation of the rows so far; `None` unless both classes are there.
    pub fn finish(&mut self) -> Option<Separation> {
        separation(&mut self.positives, &mut self.negatives, || ())
    }
}

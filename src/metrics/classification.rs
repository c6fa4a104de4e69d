//! Counts of right and wrong classes, and what follows from them.

use super::{Accumulator, Error, LogLoss, Probabilities, Ranking};

/// Whether a row counts as positive: from the threshold up.
pub fn is_positive(score: f64, threshold: f64) -> bool {
    score >= threshold
}

/// A quotient of counts that is 0 where nothing was counted, scikit-learn's `zero_division`.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// How often each actual class was predicted as each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// No rows yet, of `classes` classes.
    pub fn new(classes: usize) -> Confusion {
        Confusion {
            classes,
            counts: vec![0; classes.saturating_mul(classes)],
        }
    }

    /// Takes one row in, by class indexes.
    pub fn push(&mut self, actual: u32, predicted: u32) -> Result<(), Error> {
        let classes = self.classes;
        for class in [actual, predicted] {
            if class as usize >= classes {
                return Err(Error::Class { class, classes });
            }
        }
        self.counts[actual as usize * classes + predicted as usize] += 1;
        Ok(())
    }

    /// Takes in all rows of another of as many classes.
    pub fn merge(&mut self, other: &Confusion) {
        let counts = self.counts.iter_mut().zip(&other.counts);
        counts.for_each(|(count, more)| *count += more);
    }

    /// The number of rows of class `actual` that were predicted as class `predicted`.
    pub fn count(&self, actual: usize, predicted: usize) -> u64 {
        let inside = actual < self.classes && predicted < self.classes;
        if inside {
            self.counts[actual * self.classes + predicted]
        } else {
            0
        }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of rows predicted right.
    pub fn accuracy(&self) -> Option<f64> {
        let right = (0..self.classes).map(|c| self.count(c, c)).sum();
        let rows = self.rows();
        (rows > 0).then(|| ratio(right, rows))
    }

    /// Precision, recall and F1 of one class; 0 where they are not defined.
    pub fn scores_of(&self, class: usize) -> [f64; 3] {
        let hits = self.count(class, class);
        let actual = self.actual(class);
        let predicted = self.predicted(class);
        [
            ratio(hits, predicted),
            ratio(hits, actual),
            ratio(2 * hits, predicted + actual),
        ]
    }

    /// Precision, recall and F1 averaged over the classes that occur, actual or predicted.
    pub fn macro_scores(&self) -> Option<[f64; 3]> {
        let mut sums = [0.0; 3];
        let mut occurring = 0u32;
        for class in 0..self.classes {
            if self.actual(class) + self.predicted(class) > 0 {
                occurring += 1;
                for (sum, score) in sums.iter_mut().zip(self.scores_of(class)) {
                    *sum += score;
                }
            }
        }
        (occurring > 0).then(|| sums.map(|sum| sum / f64::from(occurring)))
    }

    /// Cohen's kappa of classes in order, a disagreement weighing as the square of how many classes it is
    /// apart: scikit-learn's `cohen_kappa_score` with quadratic weights. `None` of no rows, and where
    /// all rows are of one class and predicted as that.
    pub fn quadratic_kappa(&self) -> Option<f64> {
        let marginals = |count: &dyn Fn(usize) -> u64| -> Vec<f64> {
            (0..self.classes).map(|class| count(class) as f64).collect()
        };
        let actual = marginals(&|class| self.actual(class));
        let predicted = marginals(&|class| self.predicted(class));
        let rows = self.rows() as f64;
        let (mut apart, mut by_chance) = (0.0, 0.0);
        for (i, of_actual) in actual.iter().enumerate() {
            for (j, of_predicted) in predicted.iter().enumerate() {
                let weight = (i as f64 - j as f64).powi(2);
                apart += weight * self.count(i, j) as f64;
                by_chance += weight * of_actual * of_predicted;
            }
        }
        (by_chance > 0.0).then(|| 1.0 - apart * rows / by_chance)
    }

    fn actual(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|other| self.count(class, other))
            .sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|other| self.count(other, class))
            .sum()
    }
}

/// All metrics of a two-class model in one pass; 4 or 8 bytes a row are kept for the ranking.
#[derive(Debug, Clone)]
pub struct Binary {
    threshold: f64,
    confusion: Confusion,
    probabilities: Probabilities,
    ranking: Ranking,
}

impl Binary {
    /// No rows yet; a row is called positive from `threshold` up.
    pub fn new(threshold: f64) -> Binary {
        Binary {
            threshold,
            confusion: Confusion::new(2),
            probabilities: Probabilities::default(),
            ranking: Ranking::default(),
        }
    }

    /// Takes one row in by its probability of the positive class.
    pub fn push(&mut self, score: f64, label: bool) -> Result<(), Error> {
        self.probabilities.push(score, label)?;
        self.confusion.push(
            u32::from(label),
            u32::from(is_positive(score, self.threshold)),
        )?;
        self.ranking.push(score, label);
        Ok(())
    }

    /// Takes in all rows of another with the same threshold.
    pub fn merge(&mut self, other: &Binary) {
        self.confusion.merge(&other.confusion);
        self.probabilities.merge(&other.probabilities);
        self.ranking.merge(&other.ranking);
    }

    /// The counts behind the metrics; class 1 is the positive one.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// accuracy, precision, recall, f1, log_loss, brier, auc, gini and ks, in this order. `tick`
    /// is called now and then while the scores are sorted, as by [`super::separation`].
    pub fn finish(&mut self, tick: impl FnMut()) -> Vec<(&'static str, Option<f64>)> {
        let any = self.confusion.rows() > 0;
        let [precision, recall, f1] = self
            .confusion
            .scores_of(1)
            .map(|score| any.then_some(score));
        let separation = self.ranking.finish(tick);
        vec![
            ("accuracy", self.confusion.accuracy()),
            ("precision", precision),
            ("recall", recall),
            ("f1", f1),
            ("log_loss", self.probabilities.log_loss()),
            ("brier", self.probabilities.brier()),
            ("auc", separation.map(|s| s.auc)),
            ("gini", separation.map(|s| s.gini())),
            ("ks", separation.map(|s| s.ks)),
        ]
    }
}

/// All metrics of a model of several classes in one pass and constant memory.
#[derive(Debug, Clone)]
pub struct Multiclass {
    confusion: Confusion,
    log_loss: LogLoss,
}

impl Multiclass {
    /// No rows yet.
    pub fn new(classes: usize) -> Multiclass {
        Multiclass {
            confusion: Confusion::new(classes),
            log_loss: LogLoss::default(),
        }
    }

    /// Takes one row in: a probability for each class, and the actual class's index.
    ///
    /// The predicted class is the most probable one, of several the first.
    pub fn push<T: Copy + Into<f64>>(
        &mut self,
        probabilities: &[T],
        label: u32,
    ) -> Result<(), Error> {
        let classes = self.confusion.classes();
        if probabilities.len() != classes {
            let left = probabilities.len();
            return Err(Error::Length {
                metric: "evaluation",
                left,
                right: classes,
            });
        }
        let Some(&probability) = probabilities.get(label as usize) else {
            return Err(Error::Class {
                class: label,
                classes,
            });
        };
        let mut best = (0, f64::NEG_INFINITY);
        for (class, &p) in (0u32..).zip(probabilities) {
            if p.into() > best.1 {
                best = (class, p.into());
            }
        }
        self.log_loss.push_probability(probability.into())?;
        self.confusion.push(label, best.0)
    }

    /// Takes in all rows of another of as many classes.
    pub fn merge(&mut self, other: &Multiclass) {
        self.confusion.merge(&other.confusion);
        self.log_loss.merge(&other.log_loss);
    }

    /// The counts behind the metrics.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// accuracy, macro precision, recall and f1, and log_loss, in this order.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        let scores = self.confusion.macro_scores();
        vec![
            ("accuracy", self.confusion.accuracy()),
            ("precision", scores.map(|s| s[0])),
            ("recall", scores.map(|s| s[1])),
            ("f1", scores.map(|s| s[2])),
            ("log_loss", self.log_loss.value()),
        ]
    }
}

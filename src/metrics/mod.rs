//! What tells a good model from a bad one.
//!
//! Every metric is an accumulator that takes one row at a time and merges with another of its kind,
//! so that an evaluation streams and a parallel aggregate combines; the functions on slices below
//! are the same accumulators fed in one go. Definitions are scikit-learn's.
//!
//! A metric that the data do not determine (no rows; only one class for AUC, Gini and KS; fewer than
//! two rows for R²) is `None`. A NaN among the scores makes the result NaN, as in SQL's own
//! aggregates.

mod classification;
mod deviance;
mod mean;
mod probability;
mod quantiles;
mod ranking;
mod regression;
mod runs;
mod several;
mod sum;

pub use classification::{Binary, Confusion, Multiclass, is_positive};
pub use deviance::{Deviance, Means, Shares};
pub use probability::{LogLoss, Probabilities};
pub use quantiles::Quantiles;
pub use ranking::{Ranking, Score, Separation, separation, separation_of_sorted};
pub use regression::{Errors, Regression};
pub use runs::{Merge, Run, RunFiles};
pub use several::{MultiLabel, MultiOutput};
pub use sum::Sum;

/// What is wrong with the data a metric was asked of.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Scores and labels, or predicted and actual values, are not one to one.
    #[error("{metric}: {left} predictions stand against {right} actual values")]
    Length {
        /// The metric's name.
        metric: &'static str,
        /// Rows on the side of the predictions.
        left: usize,
        /// Rows on the side of the actual values.
        right: usize,
    },
    /// A score that should be a probability is outside 0 to 1.
    #[error("score {score} is not a probability")]
    NotAProbability {
        /// The offending score.
        score: f64,
    },
    /// What should be a share is outside 0 to 1.
    #[error("the target {actual} is not a share from 0 to 1")]
    NotAShare {
        /// The number.
        actual: f64,
    },
    /// A number is none that has a deviance.
    #[error("{actual} has no deviance of this kind")]
    NoDeviance {
        /// The number.
        actual: f64,
    },
    /// A class index is not below the number of classes.
    #[error("class {class} is out of range for {classes} classes")]
    Class {
        /// The offending class index.
        class: u32,
        /// The number of classes.
        classes: usize,
    },
}

impl Error {
    /// A sentence that says what to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Error::Length { .. } => "Give one actual value for each prediction.",
                Error::NotAProbability { .. } => {
                    "Scores must lie between 0 and 1; auc, gini and ks take any numbers."
                }
                Error::NotAShare { .. } => {
                    "The model predicts shares: leave rows with other numbers out, or divide by the whole."
                }
                Error::NoDeviance { .. } => {
                    "The deviance is of finite numbers of at least 0, that of gamma of numbers above 0: \
                     leave other rows out."
                }
                Error::Class { .. } => "Class indexes start at 0.",
            }
            .to_string(),
        )
    }
}

/// A metric's state as words, which is how it travels from a parallel worker to the leader.
pub type Words = [u64; 11];

/// What metrics are made of: it takes pairs one by one, in constant memory.
///
/// Sums are kept in about 106 bits, so the order of the rows and of the merges shows in the result
/// at most as one unit in the last place, and hardly ever at all.
pub trait Accumulator: Copy + Default {
    /// What a prediction is held against: a label or a number.
    type Actual: Copy;
    /// Takes one row in.
    fn push(&mut self, predicted: f64, actual: Self::Actual) -> Result<(), Error>;
    /// Takes in all rows of another accumulator.
    fn merge(&mut self, other: &Self);
    /// The state as words.
    fn to_words(&self) -> Words;
    /// The state from what [`Accumulator::to_words`] gave.
    fn from_words(words: &Words) -> Self;
}

/// Refuses two sides of different length.
fn same_length(metric: &'static str, left: usize, right: usize) -> Result<(), Error> {
    if left == right {
        Ok(())
    } else {
        Err(Error::Length {
            metric,
            left,
            right,
        })
    }
}

fn accumulate<A: Accumulator, T: Copy + Into<f64>>(
    metric: &'static str,
    predicted: &[T],
    actual: &[A::Actual],
) -> Result<A, Error> {
    same_length(metric, predicted.len(), actual.len())?;
    let mut state = A::default();
    for (&p, &a) in predicted.iter().zip(actual) {
        state.push(p.into(), a)?;
    }
    Ok(state)
}

fn rank<T: Copy + Into<f64>>(
    metric: &'static str,
    scores: &[T],
    labels: &[bool],
) -> Result<Option<Separation>, Error> {
    same_length(metric, scores.len(), labels.len())?;
    let mut ranking = Ranking::default();
    for (&score, &label) in scores.iter().zip(labels) {
        ranking.push(score.into(), label);
    }
    Ok(ranking.finish(|| ()))
}

/// Area under the ROC curve: the chance that a positive row scores above a negative one, a tie
/// counting one half.
pub fn auc<T: Copy + Into<f64>>(scores: &[T], labels: &[bool]) -> Result<Option<f64>, Error> {
    Ok(rank("auc", scores, labels)?.map(|s| s.auc))
}

/// Gini coefficient of a score, `2 · AUC - 1`.
pub fn gini<T: Copy + Into<f64>>(scores: &[T], labels: &[bool]) -> Result<Option<f64>, Error> {
    Ok(rank("gini", scores, labels)?.map(|s| s.gini()))
}

/// Kolmogorov-Smirnov statistic: the largest distance between the score's distributions among
/// positive and among negative rows.
pub fn ks<T: Copy + Into<f64>>(scores: &[T], labels: &[bool]) -> Result<Option<f64>, Error> {
    Ok(rank("ks", scores, labels)?.map(|s| s.ks))
}

/// Mean negative log-likelihood of the labels; see [`LogLoss`].
pub fn log_loss<T: Copy + Into<f64>>(scores: &[T], labels: &[bool]) -> Result<Option<f64>, Error> {
    Ok(accumulate::<Probabilities, T>("log_loss", scores, labels)?.log_loss())
}

/// Mean squared distance of the probability from the label; see [`Probabilities::brier`].
pub fn brier<T: Copy + Into<f64>>(scores: &[T], labels: &[bool]) -> Result<Option<f64>, Error> {
    Ok(accumulate::<Probabilities, T>("brier", scores, labels)?.brier())
}

/// Root of the mean squared error, in the unit of the target.
pub fn rmse<T: Copy + Into<f64>>(predicted: &[T], actual: &[f64]) -> Result<Option<f64>, Error> {
    Ok(accumulate::<Errors, T>("rmse", predicted, actual)?.rmse())
}

/// Mean absolute error, in the unit of the target.
pub fn mae<T: Copy + Into<f64>>(predicted: &[T], actual: &[f64]) -> Result<Option<f64>, Error> {
    Ok(accumulate::<Errors, T>("mae", predicted, actual)?.mae())
}

/// Coefficient of determination; see [`Errors::r2`].
pub fn r2<T: Copy + Into<f64>>(predicted: &[T], actual: &[f64]) -> Result<Option<f64>, Error> {
    Ok(accumulate::<Errors, T>("r2", predicted, actual)?.r2())
}

/// All metrics of a two-class model: accuracy, precision, recall, f1, log_loss, brier, auc, gini, ks.
///
/// `scores` are probabilities of the positive class; a row is called positive from `threshold` up.
pub fn binary<T: Copy + Into<f64>>(
    scores: &[T],
    labels: &[bool],
    threshold: f64,
) -> Result<Vec<(&'static str, Option<f64>)>, Error> {
    same_length("evaluation", scores.len(), labels.len())?;
    let mut all = Binary::new(threshold);
    for (&score, &label) in scores.iter().zip(labels) {
        all.push(score.into(), label)?;
    }
    Ok(all.finish(|| ()))
}

/// All metrics of a model of several classes: accuracy, macro precision, recall and f1, log_loss.
///
/// `probabilities` is row-major, `classes` to a row; `labels` are class indexes.
pub fn multiclass<T: Copy + Into<f64>>(
    probabilities: &[T],
    classes: usize,
    labels: &[u32],
) -> Result<Vec<(&'static str, Option<f64>)>, Error> {
    let mut all = Multiclass::new(classes);
    let rows = probabilities.len() / classes.max(1);
    if rows.checked_mul(classes) != Some(probabilities.len()) || rows != labels.len() {
        return Err(Error::Length {
            metric: "evaluation",
            left: rows,
            right: labels.len(),
        });
    }
    for (row, &label) in probabilities.chunks_exact(classes.max(1)).zip(labels) {
        all.push(row, label)?;
    }
    Ok(all.finish())
}

/// All metrics of a regression: mse, rmse, mae, r2, mape.
pub fn regression<T: Copy + Into<f64>>(
    predicted: &[T],
    actual: &[f64],
) -> Result<Vec<(&'static str, Option<f64>)>, Error> {
    same_length("evaluation", predicted.len(), actual.len())?;
    let mut all = Regression::default();
    for (&p, &a) in predicted.iter().zip(actual) {
        all.push(p.into(), a);
    }
    Ok(all.finish())
}

/// All metrics of a regression of several outputs: those of [`regression()`], averaged over the
/// outputs. Both sides are row-major, `outputs` to a row.
pub fn multi_output<T: Copy + Into<f64>>(
    predicted: &[T],
    actual: &[f64],
    outputs: usize,
) -> Result<Vec<(&'static str, Option<f64>)>, Error> {
    same_length("evaluation", predicted.len(), actual.len())?;
    let mut all = MultiOutput::new(outputs);
    let outputs = outputs.max(1);
    for (p, a) in predicted.chunks(outputs).zip(actual.chunks(outputs)) {
        all.push(p.iter().zip(a).map(|(&p, &a)| (p.into(), a)))?;
    }
    Ok(all.finish())
}

/// All metrics of a multi-label model; see [`MultiLabel::finish`]. Both sides are row-major,
/// `labels` to a row.
pub fn multi_label<T: Copy + Into<f64>>(
    probabilities: &[T],
    actual: &[bool],
    labels: usize,
    threshold: f64,
) -> Result<Vec<(&'static str, Option<f64>)>, Error> {
    same_length("evaluation", probabilities.len(), actual.len())?;
    let mut all = MultiLabel::new(labels, threshold);
    let labels = labels.max(1);
    for (p, a) in probabilities.chunks(labels).zip(actual.chunks(labels)) {
        all.push(p.iter().zip(a).map(|(&p, &a)| (p.into(), a)))?;
    }
    Ok(all.finish())
}

/// Counts how often each actual class was predicted as each class.
pub fn confusion(actual: &[u32], predicted: &[u32], classes: usize) -> Result<Confusion, Error> {
    same_length("confusion matrix", predicted.len(), actual.len())?;
    let mut counts = Confusion::new(classes);
    for (&a, &p) in actual.iter().zip(predicted) {
        counts.push(a, p)?;
    }
    Ok(counts)
}

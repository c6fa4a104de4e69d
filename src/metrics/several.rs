//! Metrics of rows that have several outputs or labels.

use super::{Error, LogLoss, Regression, is_positive};

/// All metrics of several numbers a row, in one pass: each is the plain mean of what it is for the
/// single outputs, scikit-learn's `uniform_average`.
#[derive(Debug, Clone)]
pub struct MultiOutput {
    outputs: Vec<Regression>,
}

impl MultiOutput {
    /// No rows yet, of so many outputs.
    pub fn new(outputs: usize) -> MultiOutput {
        MultiOutput {
            outputs: vec![Regression::default(); outputs],
        }
    }

    /// Takes one row in: pairs of predicted and actual numbers, one for each output.
    ///
    /// # Errors
    /// [`Error::Length`] when there are not as many as outputs; what was taken in by then stays.
    pub fn push(&mut self, pairs: impl ExactSizeIterator<Item = (f64, f64)>) -> Result<(), Error> {
        if pairs.len() != self.outputs.len() {
            return Err(Error::Length {
                metric: "evaluation",
                left: self.outputs.len(),
                right: pairs.len(),
            });
        }
        for (output, (predicted, actual)) in self.outputs.iter_mut().zip(pairs) {
            output.push(predicted, actual);
        }
        Ok(())
    }

    /// Takes in all rows of another of as many outputs.
    pub fn merge(&mut self, other: &MultiOutput) {
        let outputs = self.outputs.iter_mut().zip(&other.outputs);
        outputs.for_each(|(output, more)| output.merge(more));
    }

    /// mse, rmse, mae, r2 and mape, in this order; one that is not defined for some output is
    /// `None`.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        let mut means = Regression::default().finish();
        let each: Vec<_> = self.outputs.iter().map(Regression::finish).collect();
        for (place, (_, mean)) in means.iter_mut().enumerate() {
            let of_output = |metrics: &Vec<(&str, Option<f64>)>| metrics.get(place)?.1;
            let sum: Option<f64> = each.iter().map(of_output).sum();
            *mean = sum
                .filter(|_| !each.is_empty())
                .map(|sum| sum / each.len() as f64);
        }
        means
    }
}

/// Counts of one label.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    predicted: u64,
    actual: u64,
    both: u64,
}

/// All metrics of a multi-label model in one pass and constant memory.
#[derive(Debug, Clone)]
pub struct MultiLabel {
    threshold: f64,
    rows: u64,
    /// Rows whose labels were all predicted right.
    exact: u64,
    labels: Vec<Counts>,
    log_loss: LogLoss,
}

impl MultiLabel {
    /// No rows yet; a label is predicted from `threshold` up.
    pub fn new(labels: usize, threshold: f64) -> MultiLabel {
        MultiLabel {
            threshold,
            rows: 0,
            exact: 0,
            labels: vec![Counts::default(); labels],
            log_loss: LogLoss::default(),
        }
    }

    /// Takes one row in: each label's probability, and whether it applies.
    ///
    /// # Errors
    /// [`Error::Length`] when there are not as many as labels, [`Error::NotAProbability`].
    pub fn push(&mut self, pairs: impl ExactSizeIterator<Item = (f64, bool)>) -> Result<(), Error> {
        if pairs.len() != self.labels.len() {
            return Err(Error::Length {
                metric: "evaluation",
                left: self.labels.len(),
                right: pairs.len(),
            });
        }
        let mut exact = true;
        for (label, (probability, actual)) in self.labels.iter_mut().zip(pairs) {
            self.log_loss.push(probability, actual)?;
            let predicted = is_positive(probability, self.threshold);
            label.predicted += u64::from(predicted);
            label.actual += u64::from(actual);
            label.both += u64::from(predicted && actual);
            exact &= predicted == actual;
        }
        self.exact += u64::from(exact);
        self.rows += 1;
        Ok(())
    }

    /// Takes in all rows of another of as many labels and the same threshold.
    pub fn merge(&mut self, other: &MultiLabel) {
        self.rows += other.rows;
        self.exact += other.exact;
        for (label, more) in self.labels.iter_mut().zip(&other.labels) {
            label.predicted += more.predicted;
            label.actual += more.actual;
            label.both += more.both;
        }
        self.log_loss.merge(&other.log_loss);
    }

    /// accuracy (the share of rows with all labels right), precision, recall and f1 as the mean
    /// over all labels (0 for a label for which one is not defined), log_loss as the mean over
    /// labels, and hamming_loss (the share of labels that are wrong), in this order.
    pub fn finish(&self) -> Vec<(&'static str, Option<f64>)> {
        let labels = self.labels.len() as f64;
        let defined = |value: f64| (self.rows > 0 && !self.labels.is_empty()).then_some(value);
        let mean = |part: fn(&Counts) -> (u64, u64)| {
            let sum: f64 = self
                .labels
                .iter()
                .map(part)
                .filter(|(_, whole)| *whole > 0)
                .map(|(part, whole)| part as f64 / whole as f64)
                // An empty sum() of floats is −0.
                .fold(0.0, |sum, share| sum + share);
            defined(sum / labels)
        };
        let wrong: u64 = self
            .labels
            .iter()
            .map(|l| l.predicted + l.actual - 2 * l.both)
            .sum();
        let rows = self.rows as f64;
        vec![
            ("accuracy", defined(self.exact as f64 / rows)),
            ("precision", mean(|l| (l.both, l.predicted))),
            ("recall", mean(|l| (l.both, l.actual))),
            ("f1", mean(|l| (2 * l.both, l.predicted + l.actual))),
            ("log_loss", self.log_loss.value()),
            ("hamming_loss", defined(wrong as f64 / (rows * labels))),
        ]
    }
}

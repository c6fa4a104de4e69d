//! Losses, by PyTorch's formulas.
//!
//! A loss is a sum over rows; the mean that training reports divides it by the sum of the rows'
//! weights, as `torch.nn.CrossEntropyLoss` does with class weights. A row with several outputs
//! counts as the mean over them.

use super::architecture_resolve::Head;
use super::error::Error;
use super::math;
use super::network::Network;
use super::processor::{Processor, Task};
use super::range::Range;

/// A loss as the user asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum LossSpec {
    /// (p - y)².
    Mse,
    /// |p - y|.
    Mae,
    /// (p - y)² / 2 where |p - y| ≤ delta, else delta (|p - y| - delta / 2).
    Huber {
        /// Where the parabola becomes a line, in the target's scaled units; above 0.
        delta: f32,
    },
    /// The pinball loss, max(q (y - p), (q - 1) (y - p)) (Koenker and Bassett, 1978); one output
    /// for each quantile of the one target.
    Quantile {
        /// The quantiles, each in (0, 1).
        quantiles: Vec<f32>,
    },
    /// The cross-entropy of two classes, or of each of several labels.
    BinaryCrossentropy,
    /// The cross-entropy of any number of classes.
    CategoricalCrossentropy,
}

impl LossSpec {
    /// The range of huber's `delta`.
    pub const DELTA: Range = Range::Positive;
    /// The range of the share of a label that is spread over all classes.
    pub const LABEL_SMOOTHING: Range = Range::BelowOne;

    /// The loss a task takes when none is asked for.
    pub fn default_for(head: Head) -> LossSpec {
        match head {
            Head::Regression { .. } => LossSpec::Mse,
            Head::Binary | Head::MultiLabel { .. } => LossSpec::BinaryCrossentropy,
            Head::Multiclass { .. } => LossSpec::CategoricalCrossentropy,
        }
    }

    /// All losses with their default settings.
    pub fn all() -> [LossSpec; 6] {
        [
            LossSpec::Mse,
            LossSpec::Mae,
            LossSpec::Huber { delta: 1.0 },
            LossSpec::Quantile {
                quantiles: vec![0.5],
            },
            LossSpec::BinaryCrossentropy,
            LossSpec::CategoricalCrossentropy,
        ]
    }

    /// The name in options.
    pub fn name(&self) -> &'static str {
        match self {
            LossSpec::Mse => "mse",
            LossSpec::Mae => "mae",
            LossSpec::Huber { .. } => "huber",
            LossSpec::Quantile { .. } => "quantile",
            LossSpec::BinaryCrossentropy => "binary_crossentropy",
            LossSpec::CategoricalCrossentropy => "categorical_crossentropy",
        }
    }

    /// The loss of this name, without regard to case, with its default settings.
    pub fn parse(name: &str) -> Option<LossSpec> {
        let name = name.to_lowercase();
        LossSpec::all().into_iter().find(|loss| loss.name() == name)
    }

    /// Whether it is one of the task's.
    pub fn fits(&self, head: Head) -> bool {
        match self {
            LossSpec::Mse | LossSpec::Mae | LossSpec::Huber { .. } | LossSpec::Quantile { .. } => {
                matches!(head, Head::Regression { .. })
            }
            LossSpec::BinaryCrossentropy => {
                matches!(head, Head::Binary | Head::MultiLabel { .. })
            }
            LossSpec::CategoricalCrossentropy => {
                matches!(head, Head::Binary | Head::Multiclass { .. })
            }
        }
    }

    /// The names of the task's losses, as a sentence has them: `mse, mae, huber or quantile`.
    pub fn names_for(head: Head) -> String {
        let all = LossSpec::all();
        let fitting = all.iter().filter(|loss| loss.fits(head));
        let names: Vec<&str> = fitting.map(LossSpec::name).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

/// A loss over the logits of a network or, where it has several members, of one of them.
#[derive(Debug, Clone)]
pub struct Loss {
    form: Form,
    units: usize,
    smoothing: f32,
    /// One weight a class, or for the presence of each label; empty: all 1.
    class_weights: Vec<f32>,
}

#[derive(Debug, Clone)]
enum Form {
    Mse,
    Mae,
    Huber {
        delta: f32,
    },
    Quantile {
        quantiles: Vec<f32>,
    },
    /// One unit, the positive class's logit.
    Sigmoid,
    /// One unit a class.
    Softmax,
    /// One unit a label, its logit.
    Sigmoids,
}

impl Loss {
    /// The loss of a network's logits.
    ///
    /// `label_smoothing` in [0, 1) spreads that share of a label evenly over the classes;
    /// `class_weights` holds a weight for each class (of two: negative, positive), or for the
    /// presence of each label (`pos_weight` of `torch.nn.BCEWithLogitsLoss`).
    ///
    /// # Errors
    /// A loss that does not fit the task, or a setting out of range.
    pub fn from_spec(
        spec: &LossSpec,
        network: &Network,
        class_weights: Option<&[f32]>,
        label_smoothing: f32,
    ) -> Result<Loss, Error> {
        let units = network.output_units();
        let classes = match network.head() {
            Head::Regression { .. } => None,
            Head::Binary => Some(2),
            Head::Multiclass { classes } => Some(classes),
            Head::MultiLabel { labels } => Some(labels),
        };
        let form = match (spec, network.head()) {
            (LossSpec::Mse, Head::Regression { .. }) => Form::Mse,
            (LossSpec::Mae, Head::Regression { .. }) => Form::Mae,
            (LossSpec::Huber { delta }, Head::Regression { .. }) => {
                if !LossSpec::DELTA.contains(f64::from(*delta)) {
                    return Err(Error::option(
                        format!("delta must be {}, not {delta}", LossSpec::DELTA.words()),
                        "Give the error at which the huber loss becomes linear, such as 1.0.",
                    ));
                }
                Form::Huber { delta: *delta }
            }
            (LossSpec::Quantile { quantiles }, Head::Regression { .. }) => {
                quantile(quantiles, units)?
            }
            (LossSpec::BinaryCrossentropy | LossSpec::CategoricalCrossentropy, Head::Binary) => {
                if units == 1 {
                    Form::Sigmoid
                } else {
                    Form::Softmax
                }
            }
            (LossSpec::CategoricalCrossentropy, Head::Multiclass { .. }) => Form::Softmax,
            (LossSpec::BinaryCrossentropy, Head::MultiLabel { .. }) => Form::Sigmoids,
            (_, head) => {
                let fit = LossSpec::names_for(head);
                return Err(Error::option(
                    format!("the loss {} does not fit the task", spec.name()),
                    format!("Leave \"loss\" out, or choose one that fits: {fit}."),
                ));
            }
        };
        let smoothing = LossSpec::LABEL_SMOOTHING;
        if !smoothing.contains(f64::from(label_smoothing)) {
            let must = smoothing.words();
            return Err(Error::option(
                format!("label_smoothing must be {must}, not {label_smoothing}"),
                "It is the share of a label spread evenly over all classes, such as 0.1.",
            ));
        }
        if classes.is_none() && (label_smoothing > 0.0 || class_weights.is_some()) {
            return Err(Error::option(
                "label_smoothing and class_weights are for classification",
                "Leave them out for a regression; sample_weight weights rows.",
            ));
        }
        let class_weights = class_weights.unwrap_or_default().to_vec();
        if !class_weights.is_empty()
            && (Some(class_weights.len()) != classes
                || !class_weights
                    .iter()
                    .all(|weight| *weight >= 0.0 && weight.is_finite())
                || class_weights.iter().all(|weight| *weight == 0.0))
        {
            return Err(Error::option(
                format!(
                    "class_weights must be {} numbers of at least 0",
                    classes.unwrap_or(0)
                ),
                "Give each class a weight, not all of them 0.",
            ));
        }
        Ok(Loss {
            form,
            units,
            smoothing: label_smoothing,
            class_weights,
        })
    }

    /// Number of values a row of targets holds: the outputs of a regression, the labels, else 1.
    pub fn targets(&self) -> usize {
        match self.form {
            Form::Mse | Form::Mae | Form::Huber { .. } | Form::Sigmoids => self.units,
            Form::Quantile { .. } | Form::Sigmoid | Form::Softmax => 1,
        }
    }

    /// The sum over rows of the weighted losses.
    ///
    /// `logits` is [rows, units]; `y` is [rows, targets], classes as their index; `weight` has one
    /// value a row.
    pub fn value(&self, logits: &[f32], y: &[f32], weight: Option<&[f32]>, rows: usize) -> f64 {
        self.sum(logits, y, weight, rows, None)
    }

    /// [`Loss::value`]; puts its gradient with respect to the logits into `dlogits`.
    pub fn value_and_gradient(
        &self,
        logits: &[f32],
        y: &[f32],
        weight: Option<&[f32]>,
        rows: usize,
        dlogits: &mut [f32],
    ) -> f64 {
        self.sum(logits, y, weight, rows, Some(dlogits))
    }

    /// What a mean over these rows divides by: the sum of their weights, each times the weight of
    /// its class. Labels' weights do not count, as in PyTorch.
    pub fn weight_sum(&self, y: &[f32], weight: Option<&[f32]>, rows: usize) -> f64 {
        let by_class = !self.class_weights.is_empty() && !matches!(self.form, Form::Sigmoids);
        if weight.is_none() && !by_class {
            return rows as f64;
        }
        (0..rows)
            .map(|row| {
                let own = weight.map_or(1.0, |weight| f64::from(weight[row]));
                match by_class {
                    false => own,
                    true => own * f64::from(self.class_weight(self.class(y[row]))),
                }
            })
            .sum()
    }

    fn sum(
        &self,
        logits: &[f32],
        y: &[f32],
        weight: Option<&[f32]>,
        rows: usize,
        dlogits: Option<&mut [f32]>,
    ) -> f64 {
        let mut total = 0.0;
        Processor::detect().run(SumRows {
            loss: self,
            logits,
            y,
            weight,
            rows,
            dlogits,
            total: &mut total,
        });
        total
    }

    /// [`Loss::sum`] within a task.
    #[inline(always)]
    fn sum_inlined(
        &self,
        logits: &[f32],
        y: &[f32],
        weight: Option<&[f32]>,
        rows: usize,
        mut dlogits: Option<&mut [f32]>,
    ) -> f64 {
        if let Form::Sigmoid = self.form {
            return self.sum_of_sigmoids(&logits[..rows], &y[..rows], weight, dlogits);
        }
        let targets = self.targets();
        let mut total = 0.0;
        for row in 0..rows {
            let here = row * self.units..(row + 1) * self.units;
            let weight = weight.map_or(1.0, |weight| weight[row]);
            let gradient = match &mut dlogits {
                Some(dlogits) => &mut dlogits[here.clone()],
                None => &mut [],
            };
            let y = &y[row * targets..][..targets];
            total += f64::from(weight) * self.row(&logits[here], y, weight, gradient);
            gradient
                .iter_mut()
                .for_each(|slope| *slope = worth_learning(*slope, weight));
        }
        total
    }

    /// The sum over rows of one logit each: sixteen rows as one vector.
    #[inline(always)]
    fn sum_of_sigmoids(
        &self,
        z: &[f32],
        y: &[f32],
        weight: Option<&[f32]>,
        mut dlogits: Option<&mut [f32]>,
    ) -> f64 {
        // What falls to each class of a label of the first and of the second class.
        let shares = [0, 1].map(|class| [0, 1].map(|k| self.share(k, class, 2)));
        let mut total = 0.0;
        for start in (0..z.len()).step_by(LANES) {
            let count = LANES.min(z.len() - start);
            let (mut logits, mut labels, mut weights) = ([0.0; LANES], [0.0; LANES], [1.0; LANES]);
            logits[..count].copy_from_slice(&z[start..start + count]);
            labels[..count].copy_from_slice(&y[start..start + count]);
            if let Some(weight) = weight {
                weights[..count].copy_from_slice(&weight[start..start + count]);
            }
            let (mut losses, mut slopes) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                let [negative, positive] = if labels[i] >= 1.0 {
                    shares[1]
                } else {
                    shares[0]
                };
                let (loss, slope) = sigmoid(logits[i], negative, positive);
                losses[i] = weights[i] * loss;
                slopes[i] = weights[i] * worth_learning(slope, 1.0);
            }
            if let Some(dlogits) = &mut dlogits {
                dlogits[start..start + count].copy_from_slice(&slopes[..count]);
            }
            for &loss in &losses[..count] {
                total += f64::from(loss);
            }
        }
        total
    }

    /// The unweighted loss of a row; its weighted gradient if there is room for it.
    #[inline(always)]
    fn row(&self, p: &[f32], y: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
        match &self.form {
            Form::Mse => each(p, |i| y[i], weight, gradient, |d| (d * d, 2.0 * d)),
            Form::Mae => each(p, |i| y[i], weight, gradient, |d| (d.abs(), sign(d))),
            Form::Huber { delta } => each(
                p,
                |i| y[i],
                weight,
                gradient,
                |d| {
                    if d.abs() <= *delta {
                        (0.5 * d * d, d)
                    } else {
                        (delta * (d.abs() - 0.5 * delta), delta * sign(d))
                    }
                },
            ),
            Form::Quantile { quantiles } => {
                let scale = 1.0 / p.len() as f32;
                let mut total = 0.0;
                for (i, (p, q)) in p.iter().zip(quantiles).enumerate() {
                    let d = y[0] - p;
                    total += f64::from((q * d).max((q - 1.0) * d));
                    if let Some(gradient) = gradient.get_mut(i) {
                        // At zero PyTorch's max gives the mean of both slopes.
                        let slope = if d > 0.0 {
                            -q
                        } else if d < 0.0 {
                            1.0 - q
                        } else {
                            0.5 - q
                        };
                        *gradient = weight * scale * slope;
                    }
                }
                total * f64::from(scale)
            }
            Form::Sigmoid | Form::Sigmoids => {
                let scale = 1.0 / p.len() as f32;
                let mut total = 0.0;
                for (k, (z, y)) in p.iter().zip(y).enumerate() {
                    let even = 0.5 * self.smoothing;
                    let positive = y * (1.0 - self.smoothing) + even;
                    let negative = (1.0 - y) * (1.0 - self.smoothing) + even;
                    let (loss, slope) = sigmoid(*z, negative, positive * self.class_weight(k));
                    total += f64::from(loss);
                    if let Some(gradient) = gradient.get_mut(k) {
                        *gradient = weight * scale * slope;
                    }
                }
                total * f64::from(scale)
            }
            Form::Softmax => self.softmax(p, self.class(y[0]), weight, gradient),
        }
    }

    /// The cross-entropy of one logit a class.
    #[inline(always)]
    fn softmax(&self, z: &[f32], class: usize, weight: f32, gradient: &mut [f32]) -> f64 {
        let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        if gradient.is_empty() {
            for z in z {
                sum += f64::from(math::exp(z - max));
            }
        } else {
            for (gradient, z) in gradient.iter_mut().zip(z) {
                *gradient = math::exp(z - max);
                sum += f64::from(*gradient);
            }
        }
        let ln_sum = sum.ln();
        let nll = |k: usize| ln_sum - (f64::from(z[k]) - f64::from(max));
        let (mut loss, mut shares) = (0.0, 0.0_f32);
        if self.smoothing == 0.0 {
            shares = self.share(class, class, z.len());
            loss = f64::from(shares) * nll(class);
        } else {
            for k in 0..z.len() {
                let share = self.share(k, class, z.len());
                loss += f64::from(share) * nll(k);
                shares += share;
            }
        }
        // Each class's share s_k pulls: the gradient is p_k Σs - s_k.
        let scale = (f64::from(shares) / sum) as f32;
        for (k, gradient) in gradient.iter_mut().enumerate() {
            *gradient = weight * (*gradient * scale - self.share(k, class, z.len()));
        }
        loss
    }

    /// The part of a label of `class` that falls to class `k`, times that class's weight.
    #[inline(always)]
    fn share(&self, k: usize, class: usize, classes: usize) -> f32 {
        let own = if k == class {
            1.0 - self.smoothing
        } else {
            0.0
        };
        (own + self.smoothing / classes as f32) * self.class_weight(k)
    }

    #[inline(always)]
    fn class_weight(&self, class: usize) -> f32 {
        self.class_weights.get(class).copied().unwrap_or(1.0)
    }

    /// A class from its encoding, whatever that is: within the classes.
    #[inline(always)]
    fn class(&self, y: f32) -> usize {
        (y as usize).min(self.units.max(2) - 1)
    }
}

/// Rows of one logit that are computed together.
const LANES: usize = 16;

/// [`Loss::sum`], compiled for the processor's vectors.
struct SumRows<'a> {
    loss: &'a Loss,
    logits: &'a [f32],
    y: &'a [f32],
    weight: Option<&'a [f32]>,
    rows: usize,
    dlogits: Option<&'a mut [f32]>,
    total: &'a mut f64,
}

impl Task for SumRows<'_> {
    #[inline(always)]
    fn run(self) {
        *self.total =
            self.loss
                .sum_inlined(self.logits, self.y, self.weight, self.rows, self.dlogits);
    }
}

/// The slope of a row of that weight, or 0 where nothing can be learnt from it.
///
/// A row that the network is sure of, and right about, has a slope like e⁻⁸⁰. Times a weight or two
/// of the network that is a number too small for single precision to hold in full, and processors
/// take some hundred cycles for each multiplication of those: measured with a network 20-64-64-1 on
/// classes that can be told apart, the fifth epoch took three times as long as the first. A step
/// that divides by the root of the squared slopes, as Adam's does, adds 1e-8 to it.
#[inline(always)]
fn worth_learning(slope: f32, weight: f32) -> f32 {
    const LEAST: f32 = 1e-20;
    if slope.abs() < LEAST * weight {
        0.0
    } else {
        slope
    }
}

/// The cross-entropy of two classes from the logit `z` of the positive one, and its slope, where
/// these shares of the label fall to each.
#[inline(always)]
fn sigmoid(z: f32, negative: f32, positive: f32) -> (f32, f32) {
    let magnitude = z.abs();
    let tail = math::exp(-magnitude);
    // softplus(-|z|); -ln σ(z) = softplus(-z), and -ln(1 - σ(z)) = softplus(z).
    let softplus = math::ln_1p_exp(-magnitude);
    let loss = positive * (0.5 * (magnitude - z) + softplus)
        + negative * (0.5 * (magnitude + z) + softplus);
    let above = 1.0 / (1.0 + tail);
    let below = tail * above;
    let (p, rest) = if z >= 0.0 {
        (above, below)
    } else {
        (below, above)
    };
    (loss, negative * p - positive * rest)
}

/// Mean over a row's outputs of a function of the error, and its gradient.
#[inline(always)]
fn each(
    p: &[f32],
    y: impl Fn(usize) -> f32,
    weight: f32,
    gradient: &mut [f32],
    f: impl Fn(f32) -> (f32, f32),
) -> f64 {
    let scale = 1.0 / p.len() as f32;
    let mut total = 0.0;
    for (i, p) in p.iter().enumerate() {
        let (value, slope) = f(p - y(i));
        total += f64::from(value);
        if let Some(gradient) = gradient.get_mut(i) {
            *gradient = weight * scale * slope;
        }
    }
    total * f64::from(scale)
}

fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn quantile(quantiles: &[f32], units: usize) -> Result<Form, Error> {
    if quantiles.is_empty() || !quantiles.iter().all(|q| *q > 0.0 && *q < 1.0) {
        return Err(Error::option(
            "quantiles must be numbers between 0 and 1",
            "Give them as a list such as [0.1, 0.5, 0.9].",
        ));
    }
    if quantiles.len() != units {
        return Err(Error::option(
            format!(
                "{} quantiles need as many outputs, not {units}",
                quantiles.len()
            ),
            "The quantile loss takes one target column and gives one output a quantile.",
        ));
    }
    Ok(Form::Quantile {
        quantiles: quantiles.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_nothing_only_where_it_is_small_for_the_rows_weight() {
        assert_eq!(worth_learning(-1e-21, 1.0), 0.0);
        assert_eq!(worth_learning(-1e-19, 1.0), -1e-19);
        assert_eq!(worth_learning(1e-21, 1e-10), 1e-21);
        assert_eq!(worth_learning(0.0, 0.0), 0.0);
        assert!(worth_learning(f32::NAN, 1.0).is_nan());
    }
}

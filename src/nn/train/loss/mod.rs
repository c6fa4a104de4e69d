//! Losses, by PyTorch's formulas.
//!
//! A loss is a sum over rows; the mean that training reports divides it by the sum of the rows'
//! weights, as `torch.nn.CrossEntropyLoss` does with class weights. A row with several outputs
//! counts as the mean over them.

mod rows;
mod slopes;

use crate::nn::base::error::Error;
use crate::nn::base::range::Range;
use crate::nn::layer::head::Head;
use crate::nn::network::Network;

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

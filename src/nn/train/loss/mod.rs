//! Losses, by PyTorch's formulas.
//!
//! A loss is a sum over rows; the mean that training reports divides it by the sum of the rows'
//! weights, as `torch.nn.CrossEntropyLoss` does with class weights. A row with several outputs
//! counts as the mean over them.

mod rows;
mod slopes;

use crate::nn::base::error::Error;
use crate::nn::base::range::Range;
use crate::nn::layer::head::{Head, Link};
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
    /// The cross-entropy of two classes, of each of several labels, or of a share from 0 to 1.
    BinaryCrossentropy,
    /// The cross-entropy of any number of classes.
    CategoricalCrossentropy,
    /// m - y ln m of counts, m their mean: `torch.nn.PoissonNLLLoss` of the logarithm of m.
    Poisson,
    /// y / m + ln m of numbers above 0: half the gamma deviance, without what does not depend on m.
    Gamma,
    /// y m^(1 - p) / (p - 1) + m^(2 - p) / (2 - p): half the deviance of Tweedie's distributions whose
    /// variance is as m^p, without what does not depend on m. Numbers of at least 0, many of them 0.
    Tweedie {
        /// The power p; between 1, as of `Poisson`, and 2, as of `Gamma`.
        power: f32,
    },
    /// The cross-entropy of classes that have an order, by cumulative logits (McCullagh, 1980).
    Ordinal,
}

impl LossSpec {
    /// The range of huber's `delta`.
    pub const DELTA: Range = Range::Positive;
    /// The range of the share of a label that is spread over all classes.
    pub const LABEL_SMOOTHING: Range = Range::BelowOne;
    /// Tweedie's power where none is given, as in LightGBM and XGBoost.
    pub const TWEEDIE_POWER: f32 = 1.5;

    /// The loss a task takes when none is asked for.
    pub fn default_for(head: Head) -> LossSpec {
        match head {
            Head::Regression { .. } => LossSpec::Mse,
            Head::Binary | Head::MultiLabel { .. } | Head::Mean(Link::Logit) => {
                LossSpec::BinaryCrossentropy
            }
            Head::Multiclass { .. } => LossSpec::CategoricalCrossentropy,
            Head::Mean(Link::Log) => LossSpec::Poisson,
            Head::Ordinal { .. } => LossSpec::Ordinal,
        }
    }

    /// All losses with their default settings.
    pub fn all() -> [LossSpec; 10] {
        [
            LossSpec::Mse,
            LossSpec::Mae,
            LossSpec::Huber { delta: 1.0 },
            LossSpec::Quantile {
                quantiles: vec![0.5],
            },
            LossSpec::BinaryCrossentropy,
            LossSpec::CategoricalCrossentropy,
            LossSpec::Poisson,
            LossSpec::Gamma,
            LossSpec::Tweedie {
                power: LossSpec::TWEEDIE_POWER,
            },
            LossSpec::Ordinal,
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
            LossSpec::Poisson => "poisson",
            LossSpec::Gamma => "gamma",
            LossSpec::Tweedie { .. } => "tweedie",
            LossSpec::Ordinal => "ordinal",
        }
    }

    /// The loss of this name, without regard to case, with its default settings. `cross_entropy` is
    /// LightGBM's name of that of a share.
    pub fn parse(name: &str) -> Option<LossSpec> {
        let name = name.to_lowercase();
        if name == "cross_entropy" {
            return Some(LossSpec::BinaryCrossentropy);
        }
        LossSpec::all().into_iter().find(|loss| loss.name() == name)
    }

    /// The power by which the variance grows with the mean, of those that learn a mean's logarithm.
    pub fn power(&self) -> Option<f32> {
        match self {
            LossSpec::Poisson => Some(1.0),
            LossSpec::Gamma => Some(2.0),
            LossSpec::Tweedie { power } => Some(*power),
            _ => None,
        }
    }

    /// Whether it is one of those for a head, which may follow from the loss.
    pub fn fits(&self, head: Head) -> bool {
        match self {
            LossSpec::Mse | LossSpec::Mae | LossSpec::Huber { .. } | LossSpec::Quantile { .. } => {
                matches!(head, Head::Regression { .. })
            }
            LossSpec::BinaryCrossentropy => {
                matches!(
                    head,
                    Head::Binary | Head::MultiLabel { .. } | Head::Mean(Link::Logit)
                )
            }
            LossSpec::CategoricalCrossentropy => {
                matches!(head, Head::Binary | Head::Multiclass { .. })
            }
            LossSpec::Poisson | LossSpec::Gamma | LossSpec::Tweedie { .. } => {
                head == Head::Mean(Link::Log)
            }
            LossSpec::Ordinal => matches!(head, Head::Ordinal { .. }),
        }
    }

    /// The names of the losses that a target of this kind can be learnt with, as a sentence has them:
    /// `binary_crossentropy or categorical_crossentropy`.
    pub fn names_for(head: Head) -> String {
        let heads: &[Head] = match head {
            Head::Regression { outputs: 1 } | Head::Mean(_) => &[
                Head::Regression { outputs: 1 },
                Head::Mean(Link::Log),
                Head::Mean(Link::Logit),
            ],
            Head::Multiclass { classes } | Head::Ordinal { classes } => {
                &[Head::Multiclass { classes }, Head::Ordinal { classes }]
            }
            head => &[head],
        };
        let all = LossSpec::all();
        let fitting = all
            .iter()
            .filter(|loss| heads.iter().any(|head| loss.fits(*head)));
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
    /// One unit, the positive class's logit; targets are that class's share, from 0 to 1.
    Sigmoid,
    /// One unit a class.
    Softmax {
        /// Whether targets are a share for each class, not the class's number.
        shares: bool,
    },
    /// One unit a label, its logit.
    Sigmoids,
    /// One unit, the logarithm of a mean with which the variance grows by this power.
    Log {
        power: f32,
    },
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
            Head::Regression { .. } | Head::Mean(_) => None,
            Head::Binary => Some(2),
            Head::Multiclass { classes } | Head::Ordinal { classes } => Some(classes),
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
                    Form::Softmax { shares: false }
                }
            }
            (LossSpec::CategoricalCrossentropy, Head::Multiclass { .. })
            | (LossSpec::Ordinal, Head::Ordinal { .. }) => Form::Softmax { shares: false },
            (LossSpec::BinaryCrossentropy, Head::Mean(Link::Logit)) => Form::Sigmoid,
            (LossSpec::Poisson | LossSpec::Gamma, Head::Mean(Link::Log)) => Form::Log {
                power: spec.power().unwrap_or(LossSpec::TWEEDIE_POWER),
            },
            (LossSpec::Tweedie { power }, Head::Mean(Link::Log)) => {
                if !(*power > 1.0 && *power < 2.0) {
                    return Err(Error::option(
                        format!("tweedie_variance_power must be between 1 and 2, not {power}"),
                        "At 1 it is the loss poisson, at 2 the loss gamma.",
                    ));
                }
                Form::Log { power: *power }
            }
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

    /// The same loss of classes held against shares, as of a teacher's probabilities: of one unit the
    /// positive class's share, else a share for each unit in a row of targets. They sum to 1.
    ///
    /// # Errors
    /// A loss that is not of classes, or whose outputs do not compete.
    pub fn of_shares(mut self) -> Result<Loss, Error> {
        match &mut self.form {
            Form::Sigmoid => {}
            Form::Softmax { shares } => *shares = true,
            _ => {
                return Err(Error::option(
                    "shares of classes are learnt by a cross-entropy of classes only",
                    "Choose binary_crossentropy or categorical_crossentropy.",
                ));
            }
        }
        Ok(self)
    }

    /// Number of values a row of targets holds: the outputs of a regression, the labels, the classes
    /// whose shares are learnt, else 1.
    pub fn targets(&self) -> usize {
        match self.form {
            Form::Mse
            | Form::Mae
            | Form::Huber { .. }
            | Form::Sigmoids
            | Form::Softmax { shares: true } => self.units,
            Form::Quantile { .. }
            | Form::Sigmoid
            | Form::Softmax { shares: false }
            | Form::Log { .. } => 1,
        }
    }

    /// The sum over rows of the weighted losses.
    ///
    /// `logits` is [rows, units]; `y` is [rows, targets], classes as their index, of two the positive
    /// one's share; `weight` has one value a row.
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
        let targets = self.targets();
        (0..rows)
            .map(|row| {
                let own = weight.map_or(1.0, |weight| f64::from(weight[row]));
                match by_class {
                    false => own,
                    true => own * self.weight_of_classes(&y[row * targets..][..targets]),
                }
            })
            .sum()
    }

    /// What a row's target weighs: the mean of the classes' weights by its shares of them.
    fn weight_of_classes(&self, y: &[f32]) -> f64 {
        let weight = |class: usize| f64::from(self.class_weight(class));
        match self.form {
            Form::Sigmoid => {
                let share = f64::from(y[0]);
                (1.0 - share) * weight(0) + share * weight(1)
            }
            Form::Softmax { shares: true } => {
                let shares = y.iter().enumerate();
                shares.map(|(k, share)| f64::from(*share) * weight(k)).sum()
            }
            _ => weight(self.class(y[0])),
        }
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

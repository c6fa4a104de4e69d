//! The `options` of a training: every knob that is not an argument of its own, checked.

use serde_json::{Map, Value};

use super::error::Error;
use super::option_values::{
    ClassWeights, Deploy, ValidationSplit, at_most, boolean, class, class_weights, column, columns,
    deploy, initializer, levels, loss, number, quantiles, scale, schedule, tweedie_power,
    validation_split, whole,
};
use crate::features::{Scale, Task};
use crate::nn::architecture::MAX_MEMBERS;
use crate::nn::{Initializer, LossSpec, OptimizerSpec, Range, ScheduleSpec, TrainOptions};

/// Arguments of `neural.train` that are easily taken for options.
const ARGUMENTS: &[&str] = &[
    "task",
    "architecture",
    "features",
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "validation",
    "seed",
];

/// Declares the options, one a line: what it is for, its name, its type, and what reads its value.
macro_rules! options {
    ($($(#[$about:meta])+ $name:ident: $kind:ty = $read:expr;)+) => {
        /// The options of `neural.train`; `None` is "not given".
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Options {
            $($(#[$about])+ pub $name: Option<$kind>,)+
        }

        impl Options {
            /// The known keys, in the order of the documentation.
            const KEYS: &[&str] = &[$(stringify!($name)),+];

            /// Reads the values of keys that are all known; JSON null is "not given".
            fn read(map: &Map<String, Value>) -> Result<Options, Error> {
                let given = |key: &'static str| {
                    map.get(key).filter(|value| !value.is_null()).map(|value| (key, value))
                };
                Ok(Options {
                    $($name: match given(stringify!($name)) {
                        Some((key, value)) => Some($read(key, value)?),
                        None => None,
                    },)+
                })
            }
        }
    };
}

options! {
    /// Factor of the sum of absolute weights.
    l1: f64 = number(TrainOptions::PENALTY);
    /// Factor of the sum of squared weights.
    l2: f64 = number(TrainOptions::PENALTY);
    /// Decoupled decay, in PyTorch's sense.
    weight_decay: f64 = number(TrainOptions::PENALTY);
    /// Rate of the dropout after each hidden layer of the default architecture.
    dropout: f64 = number(Range::BelowOne);
    /// How many networks are trained side by side; the prediction is the mean of theirs.
    members: usize = at_most(MAX_MEMBERS);
    /// Momentum of `sgd` and `rmsprop`.
    momentum: f64 = number(OptimizerSpec::SMOOTHING);
    /// Nesterov's form of momentum.
    nesterov: bool = boolean;
    /// Decay of `rmsprop`'s mean square.
    rho: f64 = number(OptimizerSpec::SMOOTHING);
    /// Decay of `adam`'s first moment.
    beta1: f64 = number(OptimizerSpec::SMOOTHING);
    /// Decay of `adam`'s second moment.
    beta2: f64 = number(OptimizerSpec::SMOOTHING);
    /// What keeps a denominator from zero.
    epsilon: f64 = number(OptimizerSpec::EPSILON);
    /// The learning rate's schedule, its settings aside.
    schedule: ScheduleSpec = schedule;
    /// Factor of the schedules that decay.
    gamma: f64 = number(ScheduleSpec::GAMMA);
    /// Epochs between the steps of `step`, or of patience in `reduce_on_plateau`.
    step_size: usize = whole(1);
    /// How long the learning rate first rises: below 1 a share of all steps, else epochs.
    warmup: f64 = number(TrainOptions::WARMUP);
    /// Largest norm of the whole gradient.
    gradient_clip: f64 = number(TrainOptions::GRADIENT_CLIP);
    /// Epochs without a better validation loss after which training ends; 0 never.
    early_stopping: usize = whole(0);
    /// Whether the weights of the best epoch are kept rather than the last one's.
    restore_best: bool = boolean;
    /// Whether each epoch has an order of its own.
    shuffle: bool = boolean;
    /// How weights start.
    initializer: Initializer = initializer;
    /// How the classes weigh.
    class_weights: ClassWeights = class_weights;
    /// The column that holds each row's weight.
    sample_weight: String = column;
    /// Share of the target spread evenly over the classes.
    label_smoothing: f64 = number(LossSpec::LABEL_SMOOTHING);
    /// The loss, its settings aside.
    loss: LossSpec = loss;
    /// Where `huber` turns from square to straight.
    delta: f64 = number(LossSpec::DELTA);
    /// The quantiles of the quantile loss, one output each.
    quantiles: Vec<f64> = quantiles;
    /// The power by which the variance of the tweedie loss grows with the mean.
    tweedie_variance_power: f64 = tweedie_power;
    /// The column of what each row's number is over.
    exposure: String = column;
    /// The classes of the ordinal loss, the least first.
    levels: Vec<String> = levels;
    /// How a numeric target is scaled.
    target_scale: Scale = scale;
    /// Which rows are held out.
    validation_split: ValidationSplit = validation_split;
    /// The column whose values stay on one side of the split.
    validation_group: String = column;
    /// The columns whose values tell sequences apart: rows that agree in all of them are the steps
    /// of one.
    sequence_by: Vec<String> = columns;
    /// The columns by which the steps of a sequence are ordered, oldest first.
    order_by: Vec<String> = columns;
    /// Most steps of a sequence.
    sequence_length: usize = whole(1);
    /// The probability from which a row belongs to the positive class.
    threshold: f64 = number(Range::Share);
    /// The class whose probability `predict` gives.
    positive_class: String = class;
    /// Whether the new version is deployed.
    deploy: Deploy = deploy;
    /// Whether training starts from the deployed version.
    warm_start: bool = boolean;
    /// The columns that become features beside those of the deployed version, whose weights the
    /// training starts from.
    add_features: Vec<String> = columns;
    /// Whether the optimizer's state is kept in the version, for a warm start.
    keep_optimizer: bool = boolean;
    /// Epochs between two times that a job keeps how far it is.
    checkpoint: usize = whole(1);
    /// Whether notices are given.
    verbose: bool = boolean;
    /// Training threads, instead of the setting.
    threads: usize = whole(0);
}

impl Options {
    /// Reads the JSON of `options`.
    ///
    /// # Errors
    /// When it is not an object, a key is unknown (the nearest known one is named) or a value is
    /// of the wrong type or out of range.
    pub fn parse(json: &Value) -> Result<Options, Error> {
        let Value::Object(map) = json else {
            return Err(Error::OptionsNotObject);
        };
        for key in map.keys() {
            if ARGUMENTS.contains(&key.as_str()) {
                return Err(Error::Value {
                    name: format!("option \"{key}\""),
                    problem: "is an argument of neural.train by itself".into(),
                    hint: Some(format!("Write {key} => … in the call.")),
                });
            }
            if !Options::KEYS.contains(&key.as_str()) {
                return Err(Error::UnknownOption {
                    key: key.clone(),
                    known: Options::KEYS,
                });
            }
        }
        let options = Options::read(map)?;
        options.check_sequences()?;
        if options.add_features.is_some() && options.warm_start == Some(false) {
            return Err(Error::option(
                "add_features",
                "starts from the deployed version's weights, and \"warm_start\" is false",
            ));
        }
        Ok(options)
    }

    /// The task that the loss implies: counts and amounts are numbers however few they are, and what
    /// has an order are classes.
    pub fn implied_task(&self) -> Option<Task> {
        match self.loss.as_ref()? {
            LossSpec::Ordinal => Some(Task::Classification),
            loss if loss.power().is_some() => Some(Task::Regression),
            _ => None,
        }
    }

    /// Whether the training goes on from the deployed version's weights.
    pub fn goes_on(&self) -> bool {
        self.warm_start == Some(true) || self.add_features.is_some()
    }

    /// The option given that needs rows held out, if one does.
    pub(super) fn needs_validation(&self) -> Option<&'static str> {
        match (self.early_stopping, self.restore_best) {
            (Some(1..), _) => Some("early_stopping"),
            (_, Some(true)) => Some("restore_best"),
            _ => None,
        }
    }

    /// Sequences need both, what tells them apart and what orders their steps.
    fn check_sequences(&self) -> Result<(), Error> {
        let (given, missing, hint) = match (&self.sequence_by, &self.order_by) {
            (Some(_), None) => (
                "sequence_by",
                "order_by",
                "Name the column that orders the steps of a sequence, such as a date: a query's \
                 rows have no order by themselves.",
            ),
            (None, Some(_)) => (
                "order_by",
                "sequence_by",
                "Name the column whose value the steps of a sequence share, such as a customer's \
                 number.",
            ),
            (None, None) if self.sequence_length.is_some() => (
                "sequence_length",
                "sequence_by",
                "Name the column whose value the steps of a sequence share, and with order_by the \
                 one that orders them.",
            ),
            _ => return Ok(()),
        };
        Err(Error::Value {
            name: format!("option \"{given}\""),
            problem: format!("needs option \"{missing}\""),
            hint: Some(hint.into()),
        })
    }

    /// The columns of the query that the options name for a purpose of their own, so that they are
    /// no features: option and column.
    pub fn named_columns(&self) -> Vec<(&'static str, &str)> {
        let mut named = Vec::new();
        if let Some(column) = &self.sample_weight {
            named.push(("sample_weight", column.as_str()));
        }
        if let Some(column) = &self.exposure {
            named.push(("exposure", column.as_str()));
        }
        if let Some(ValidationSplit::Column(column)) = &self.validation_split {
            named.push(("validation_split", column.as_str()));
        }
        if let Some(column) = &self.validation_group {
            named.push(("validation_group", column.as_str()));
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Options::parse(&json!({"weight_dekay": 1})).unwrap_err();
        assert!(
            error.hint().unwrap_or_default().contains("weight_decay"),
            "{error}"
        );
    }

    #[test]
    fn values_are_checked() {
        for bad in [
            json!([]),
            json!({"l1": -1}),
            json!({"momentum": 1}),
            json!({"gamma": 0}),
            json!({"epsilon": 0}),
            json!({"gradient_clip": 0}),
            json!({"threshold": 1.5}),
            json!({"loss": "mze"}),
            json!({"target_scale": "wide"}),
            json!({"dropout": 1.0}),
            json!({"nesterov": 1}),
            json!({"quantiles": [0.9, 0.1]}),
            json!({"tweedie_variance_power": 1}),
            json!({"tweedie_variance_power": 2.0}),
            json!({"exposure": 3}),
            json!({"levels": "low"}),
            json!({"levels": ["low", "high"]}),
            json!({"levels": ["low", "middle", "low"]}),
            json!({"levels": [1, null, 2]}),
            json!({"class_weights": "even"}),
            json!({"early_stopping": 1.5}),
            json!({"members": 0}),
            json!({"members": 65}),
            json!({"sequence_by": "customer"}),
            json!({"order_by": "at"}),
            json!({"sequence_by": [], "order_by": "at"}),
            json!({"sequence_by": ["a", "a"], "order_by": "at"}),
            json!({"sequence_by": 1, "order_by": "at"}),
            json!({"sequence_length": 3}),
            json!({"sequence_by": "a", "order_by": "at", "sequence_length": 0}),
        ] {
            assert!(Options::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_read() {
        let options = Options::parse(&json!({
            "weight_decay": 0.01, "early_stopping": 5, "quantiles": 0.5, "positive_class": 1,
            "class_weights": {"bad": 5}, "validation_split": "held_out", "l2": null
        }))
        .unwrap();
        assert_eq!(options.weight_decay, Some(0.01));
        assert_eq!(options.quantiles, Some(vec![0.5]));
        assert_eq!(options.positive_class.as_deref(), Some("1"));
        assert_eq!(options.named_columns(), [("validation_split", "held_out")]);
        assert_eq!(options.l2, None);
    }
}

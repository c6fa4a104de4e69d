//! The `options` of a training: every knob that is not an argument of its own, checked.

use serde_json::{Map, Value};

use super::error::Error;
use crate::nn::architecture::MAX_MEMBERS;

/// The known keys, in the order of the documentation.
const KEYS: &[&str] = &[
    "l1",
    "l2",
    "weight_decay",
    "dropout",
    "members",
    "momentum",
    "nesterov",
    "rho",
    "beta1",
    "beta2",
    "epsilon",
    "schedule",
    "gamma",
    "step_size",
    "warmup",
    "gradient_clip",
    "early_stopping",
    "restore_best",
    "shuffle",
    "initializer",
    "class_weights",
    "sample_weight",
    "label_smoothing",
    "loss",
    "delta",
    "quantiles",
    "target_scale",
    "validation_split",
    "validation_group",
    "sequence_by",
    "order_by",
    "sequence_length",
    "threshold",
    "positive_class",
    "deploy",
    "warm_start",
    "add_features",
    "keep_optimizer",
    "verbose",
    "threads",
];

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

/// How the classes weigh in the loss.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Inversely to their frequency among the training rows: rows / (classes · rows of the class).
    Balanced,
    /// By name; a class that is not named weighs 1.
    Named(Vec<(String, f64)>),
}

/// Whether a new version becomes the deployed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deploy {
    /// It does.
    #[default]
    Always,
    /// It is stored only.
    Never,
    /// If it was judged better than the deployed one, or none is deployed.
    IfBetter,
}

/// Which rows are held out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ValidationSplit {
    /// By lot, each class in proportion (for regression: by lot).
    #[default]
    Stratified,
    /// By lot.
    Random,
    /// The last rows in the query's order.
    Last,
    /// The rows in which this boolean column is true.
    Column(String),
}

/// The options of `neural.train`; `None` is "not given".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Factor of the sum of absolute weights.
    pub l1: Option<f64>,
    /// Factor of the sum of squared weights.
    pub l2: Option<f64>,
    /// Decoupled decay, in PyTorch's sense.
    pub weight_decay: Option<f64>,
    /// Rate of the dropout after each hidden layer of the default architecture.
    pub dropout: Option<f64>,
    /// How many networks are trained side by side; the prediction is the mean of theirs.
    pub members: Option<usize>,
    /// Momentum of `sgd` and `rmsprop`.
    pub momentum: Option<f64>,
    /// Nesterov's form of momentum.
    pub nesterov: Option<bool>,
    /// Decay of `rmsprop`'s mean square.
    pub rho: Option<f64>,
    /// Decay of `adam`'s first moment.
    pub beta1: Option<f64>,
    /// Decay of `adam`'s second moment.
    pub beta2: Option<f64>,
    /// What keeps a denominator from zero.
    pub epsilon: Option<f64>,
    /// The learning rate's schedule.
    pub schedule: Option<String>,
    /// Factor of the schedules that decay.
    pub gamma: Option<f64>,
    /// Epochs between the steps of `step`, or of patience in `reduce_on_plateau`.
    pub step_size: Option<usize>,
    /// How long the learning rate first rises: below 1 a share of all steps, else epochs.
    pub warmup: Option<f64>,
    /// Largest norm of the whole gradient.
    pub gradient_clip: Option<f64>,
    /// Epochs without a better validation loss after which training ends; 0 never.
    pub early_stopping: Option<usize>,
    /// Whether the weights of the best epoch are kept rather than the last one's.
    pub restore_best: Option<bool>,
    /// Whether each epoch has an order of its own.
    pub shuffle: Option<bool>,
    /// How weights start.
    pub initializer: Option<String>,
    /// How the classes weigh.
    pub class_weights: Option<ClassWeights>,
    /// The column that holds each row's weight.
    pub sample_weight: Option<String>,
    /// Share of the target spread evenly over the classes.
    pub label_smoothing: Option<f64>,
    /// The loss's name.
    pub loss: Option<String>,
    /// Where `huber` turns from square to straight.
    pub delta: Option<f64>,
    /// The quantiles of the quantile loss, one output each.
    pub quantiles: Option<Vec<f64>>,
    /// How a numeric target is scaled.
    pub target_scale: Option<String>,
    /// Which rows are held out.
    pub validation_split: Option<ValidationSplit>,
    /// The column whose values stay on one side of the split.
    pub validation_group: Option<String>,
    /// The columns whose values tell sequences apart: rows that agree in all of them are the steps
    /// of one.
    pub sequence_by: Option<Vec<String>>,
    /// The columns by which the steps of a sequence are ordered, oldest first.
    pub order_by: Option<Vec<String>>,
    /// Most steps of a sequence.
    pub sequence_length: Option<usize>,
    /// The probability from which a row belongs to the positive class.
    pub threshold: Option<f64>,
    /// The class whose probability `predict` gives.
    pub positive_class: Option<String>,
    /// Whether the new version is deployed.
    pub deploy: Option<Deploy>,
    /// Whether training starts from the deployed version.
    pub warm_start: Option<bool>,
    /// The columns that become features beside those of the deployed version, whose weights the
    /// training starts from.
    pub add_features: Option<Vec<String>>,
    /// Whether the optimizer's state is kept in the version, for a warm start.
    pub keep_optimizer: Option<bool>,
    /// Whether notices are given.
    pub verbose: Option<bool>,
    /// Training threads, instead of the setting.
    pub threads: Option<usize>,
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
            if !KEYS.contains(&key.as_str()) {
                return Err(Error::UnknownOption {
                    key: key.clone(),
                    nearest: nearest(key, KEYS),
                });
            }
        }
        let read = Reader { map };
        let options = Options {
            l1: read.number("l1", 0.0, f64::MAX)?,
            l2: read.number("l2", 0.0, f64::MAX)?,
            weight_decay: read.number("weight_decay", 0.0, f64::MAX)?,
            dropout: read
                .number("dropout", 0.0, 1.0)?
                .map(below_one("dropout"))
                .transpose()?,
            members: match read.whole("members", 1)? {
                Some(members) if members > MAX_MEMBERS => {
                    return Err(Error::option(
                        "members",
                        &format!("must be at most {MAX_MEMBERS}"),
                    ));
                }
                members => members,
            },
            momentum: read.number("momentum", 0.0, 1.0)?,
            nesterov: read.boolean("nesterov")?,
            rho: read.number("rho", 0.0, 1.0)?,
            beta1: read
                .number("beta1", 0.0, 1.0)?
                .map(below_one("beta1"))
                .transpose()?,
            beta2: read
                .number("beta2", 0.0, 1.0)?
                .map(below_one("beta2"))
                .transpose()?,
            epsilon: read.number("epsilon", 0.0, f64::MAX)?,
            schedule: read.name("schedule")?,
            gamma: read.number("gamma", 0.0, 1.0)?,
            step_size: read.whole("step_size", 1)?,
            warmup: read.number("warmup", 0.0, f64::MAX)?,
            gradient_clip: read.number("gradient_clip", f64::MIN_POSITIVE, f64::MAX)?,
            early_stopping: read.whole("early_stopping", 0)?,
            restore_best: read.boolean("restore_best")?,
            shuffle: read.boolean("shuffle")?,
            initializer: read.name("initializer")?,
            class_weights: read.class_weights()?,
            sample_weight: read.name("sample_weight")?,
            label_smoothing: read
                .number("label_smoothing", 0.0, 1.0)?
                .map(below_one("label_smoothing"))
                .transpose()?,
            loss: read.name("loss")?,
            delta: read.number("delta", f64::MIN_POSITIVE, f64::MAX)?,
            quantiles: read.quantiles()?,
            target_scale: read.name("target_scale")?,
            validation_split: read
                .name("validation_split")?
                .map(|text| match text.as_str() {
                    "stratified" => ValidationSplit::Stratified,
                    "random" => ValidationSplit::Random,
                    "last" => ValidationSplit::Last,
                    _ => ValidationSplit::Column(text),
                }),
            validation_group: read.name("validation_group")?,
            sequence_by: read.columns("sequence_by")?,
            order_by: read.columns("order_by")?,
            sequence_length: read.whole("sequence_length", 1)?,
            threshold: read.number("threshold", 0.0, 1.0)?,
            positive_class: read.class_name("positive_class")?,
            deploy: read.deploy()?,
            warm_start: read.boolean("warm_start")?,
            add_features: read.columns("add_features")?,
            keep_optimizer: read.boolean("keep_optimizer")?,
            verbose: read.boolean("verbose")?,
            threads: read.whole("threads", 0)?,
        };
        options.check_sequences()?;
        if options.add_features.is_some() && options.warm_start == Some(false) {
            return Err(Error::option(
                "add_features",
                "starts from the deployed version's weights, and \"warm_start\" is false",
            ));
        }
        Ok(options)
    }

    /// Whether the training goes on from the deployed version's weights.
    pub fn goes_on(&self) -> bool {
        self.warm_start == Some(true) || self.add_features.is_some()
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
        if let Some(ValidationSplit::Column(column)) = &self.validation_split {
            named.push(("validation_split", column.as_str()));
        }
        if let Some(column) = &self.validation_group {
            named.push(("validation_group", column.as_str()));
        }
        named
    }
}

/// The known word most like `word`, if one is like it at all.
pub(crate) fn nearest(word: &str, known: &[&str]) -> Option<String> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(&word, k), *k))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k.to_string())
}

fn below_one(key: &'static str) -> impl Fn(f64) -> Result<f64, Error> {
    move |value| {
        if value < 1.0 {
            Ok(value)
        } else {
            Err(Error::option(key, "must be less than 1"))
        }
    }
}

struct Reader<'a> {
    map: &'a Map<String, Value>,
}

impl Reader<'_> {
    /// The value of a key; JSON null is "not given".
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn number(&self, key: &'static str, low: f64, high: f64) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
            Some(_) if high == f64::MAX && low > 0.0 => {
                Err(Error::option(key, "must be a number greater than 0"))
            }
            Some(_) if high == f64::MAX => {
                Err(Error::option(key, "must be a number of at least 0"))
            }
            Some(_) => Err(Error::option(
                key,
                &format!("must be between {low} and {high}"),
            )),
            None => Err(Error::option(key, "must be a number")),
        }
    }

    fn whole(&self, key: &'static str, low: usize) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_u64()
            .filter(|&number| number >= low as u64 && number <= u64::from(u32::MAX))
            .map(|number| Some(number as usize))
            .ok_or_else(|| Error::option(key, &format!("must be a whole number of at least {low}")))
    }

    fn deploy(&self) -> Result<Option<Deploy>, Error> {
        match self.get("deploy") {
            None => Ok(None),
            Some(Value::Bool(true)) => Ok(Some(Deploy::Always)),
            Some(Value::Bool(false)) => Ok(Some(Deploy::Never)),
            Some(Value::String(text)) if text == "if_better" => Ok(Some(Deploy::IfBetter)),
            Some(_) => Err(Error::option(
                "deploy",
                "must be true, false or \"if_better\"",
            )),
        }
    }

    fn boolean(&self, key: &'static str) -> Result<Option<bool>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| Error::option(key, "must be true or false"))
    }

    fn name(&self, key: &'static str) -> Result<Option<String>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(|text| Some(text.to_string()))
            .ok_or_else(|| Error::option(key, "must be a string"))
    }

    /// The name of a column, or a list of some.
    fn columns(&self, key: &'static str) -> Result<Option<Vec<String>>, Error> {
        let bad = || {
            Error::option(
                key,
                "must be a column's name or a list of different columns' names",
            )
        };
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let list = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut columns: Vec<String> = Vec::with_capacity(list.len());
        for name in list {
            match name.as_str() {
                Some(name) if !columns.iter().any(|known| known == name) => {
                    columns.push(name.to_owned());
                }
                _ => return Err(bad()),
            }
        }
        if columns.is_empty() {
            return Err(bad());
        }
        Ok(Some(columns))
    }

    /// A class may be written as the value it is in the table: `1`, `true`, `"bad"`.
    fn class_name(&self, key: &'static str) -> Result<Option<String>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(_) => Err(Error::option(key, "must be a class's name")),
        }
    }

    fn class_weights(&self) -> Result<Option<ClassWeights>, Error> {
        let bad = || {
            Error::option(
                "class_weights",
                "must be \"balanced\" or an object from class to a weight of at least 0",
            )
        };
        match self.get("class_weights") {
            None => Ok(None),
            Some(Value::String(text)) if text == "balanced" => Ok(Some(ClassWeights::Balanced)),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(class, weight)| match weight.as_f64() {
                    Some(weight) if weight.is_finite() && weight >= 0.0 => {
                        Ok((class.clone(), weight))
                    }
                    _ => Err(bad()),
                })
                .collect::<Result<Vec<_>, _>>()
                .map(|weights| Some(ClassWeights::Named(weights))),
            Some(_) => Err(bad()),
        }
    }

    fn quantiles(&self) -> Result<Option<Vec<f64>>, Error> {
        let bad = || {
            Error::option(
                "quantiles",
                "must be a rising list of numbers between 0 and 1, both excluded",
            )
        };
        let Some(value) = self.get("quantiles") else {
            return Ok(None);
        };
        let list = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let quantiles: Vec<f64> = list
            .iter()
            .map(|q| q.as_f64().ok_or_else(bad))
            .collect::<Result<_, _>>()?;
        let inside = quantiles.iter().all(|&q| q > 0.0 && q < 1.0);
        let rising = quantiles.windows(2).all(|pair| pair[0] < pair[1]);
        if quantiles.is_empty() || quantiles.len() > 100 || !inside || !rising {
            return Err(bad());
        }
        Ok(Some(quantiles))
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
            json!({"dropout": 1.0}),
            json!({"nesterov": 1}),
            json!({"quantiles": [0.9, 0.1]}),
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

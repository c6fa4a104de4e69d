//! What the views show of a version.

use serde_json::{Map, Value, json};

use crate::artifact::Model;
use crate::nn::Network;
use crate::pg::error::{Report, Result};

/// What only a model's owner sees of a feature.
pub(super) const OWNERS_ONLY: [&str; 2] = ["fitted", "profile"];

/// What `neural.models` shows of a version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    /// What every version of a model shares: the task, the features' names and types in call
    /// order, and whether they are those of a sequence's steps.
    pub(crate) signature: Value,
    pub(crate) target: Option<String>,
    pub(crate) classes: Option<Vec<String>>,
    pub(crate) positive_class: Option<String>,
    /// An array in call order of objects with `name`, `type`, `treatment`, the shape of arrays and,
    /// for the features of a sequence's steps, `sequence`, which every reader of the model sees;
    /// whatever else they hold only the owner does.
    pub(crate) features: Value,
    /// An object from each column that is no feature, or that is one and not used, to the reason.
    pub(crate) left_out: Value,
    pub(crate) architecture: Value,
    /// Number of trained parameters.
    pub(crate) parameters: usize,
    /// Multiplications that a row takes, about.
    pub(crate) products: usize,
}

impl Description {
    /// Describes a model. Weights that were imported may have no name for their target: then it
    /// is empty, and NULL in the view.
    pub(crate) fn of(model: &Model) -> Result<Self> {
        Self::with(model, &model.network()?)
    }

    /// The same of a model whose parameters may be elsewhere.
    pub(crate) fn with(model: &Model, network: &Network) -> Result<Self> {
        let Model {
            features,
            target,
            architecture,
            ..
        } = model;
        let names: Vec<Value> = features
            .features
            .iter()
            .map(|feature| json!({"name": feature.name, "type": feature.sql_type}))
            .collect();
        let classes = target.classes();
        let broken = |error: serde_json::Error| Report::internal(error.to_string());
        let described = features
            .features
            .iter()
            .map(|feature| {
                let mut described = feature.public(features.steps.as_ref());
                let fitted = serde_json::to_value(&feature.treatment).map_err(broken)?;
                let profile = serde_json::to_value(&feature.profile).map_err(broken)?;
                for (key, value) in OWNERS_ONLY.into_iter().zip([fitted, profile]) {
                    described.insert(key.into(), value);
                }
                Ok(Value::Object(described))
            })
            .collect::<Result<Vec<Value>>>()?;
        let unused = features
            .features
            .iter()
            .filter_map(|feature| Some((feature.name.clone(), feature.reason()?.to_owned())));
        let left_out: Map<String, Value> = features
            .left_out
            .iter()
            .map(|left_out| (left_out.column.clone(), left_out.reason.clone()))
            .chain(unused)
            .map(|(column, reason)| (column, reason.into()))
            .collect();
        let mut signature = json!({"task": target.task().name(), "features": names});
        if features.steps.is_some() {
            signature["sequences"] = true.into();
        }
        if target.is_array() {
            signature["array"] = true.into();
        }
        Ok(Self {
            signature,
            target: Some(target.column())
                .filter(|column| !column.is_empty())
                .map(str::to_owned),
            classes: (!classes.is_empty()).then(|| classes.to_vec()),
            positive_class: target.positive_class().map(str::to_owned),
            features: described.into(),
            left_out: left_out.into(),
            architecture: architecture.to_json(),
            parameters: network.parameter_count(),
            products: network.products(),
        })
    }
}

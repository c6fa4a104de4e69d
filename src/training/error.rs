//! What can be wrong with a training before, in and after its loop.

use serde_json::json;

use crate::features::features_argument;
use crate::memory::Refused;
use crate::nearest::{self, nearest, perhaps};
use crate::{artifact, features, metrics, models, nn};

/// Why a model could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `options` is not a JSON object.
    #[error("options must be a JSON object")]
    OptionsNotObject,
    /// A key of `options` that is not known.
    #[error("unknown option \"{key}\"")]
    UnknownOption {
        /// The key.
        key: String,
        /// Those that are known.
        known: &'static [&'static str],
    },
    /// A value that an option or an argument cannot take.
    #[error("{name} {problem}")]
    Value {
        /// The option or argument at fault.
        name: String,
        /// What is wrong.
        problem: String,
        /// What to do, if that is not plain.
        hint: Option<String>,
    },
    /// There is nothing to train on.
    #[error("{0}")]
    NoRows(String),
    /// A column that the options name is not there.
    #[error("column \"{column}\" does not exist in the query's result")]
    NoColumn {
        /// The column asked for.
        column: String,
        /// What asked for it.
        asked_by: String,
        /// The column of the query whose name is most like it.
        nearest: Option<String>,
    },
    /// Later versions keep the first one's features, types and task.
    #[error("{0}")]
    Signature(String),
    /// A column that the model's earlier versions do not have.
    #[error("column \"{column}\" is no feature of the model's earlier versions")]
    NewColumn {
        /// The column.
        column: String,
    },
    /// No shipped architecture has this name.
    #[error("architecture \"{name}\" does not exist")]
    NoArchitecture {
        /// The name.
        name: String,
    },
    /// Working memory would pass the limit.
    #[error("training would need about {needed} kB, more than the limit of {limit} kB")]
    Memory {
        /// What is needed, in kB.
        needed: usize,
        /// What may be used, in kB.
        limit: usize,
    },
    /// What was kept of a training is not of this one.
    #[error("the checkpoint is that of other rows, or of another start")]
    Checkpoint,
    /// What was kept of a training is not what was kept.
    #[error("the checkpoint is damaged")]
    DamagedCheckpoint,
    /// The system refused memory.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// An error of the network or its training loop.
    #[error(transparent)]
    Network(#[from] nn::Error),
    /// An error of the features or the target.
    #[error(transparent)]
    Features(#[from] features::Error),
    /// An error of the stored form.
    #[error(transparent)]
    Artifact(#[from] artifact::Error),
    /// An error of the metrics.
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
}

impl Error {
    /// A value that an option cannot take.
    pub fn option(key: &str, problem: &str) -> Error {
        Error::Value {
            name: format!("option \"{key}\""),
            problem: problem.to_string(),
            hint: None,
        }
    }

    /// A name that is none of those known, such as `"cosin"`, which is no schedule.
    pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
        Error::Value {
            name: format!("\"{name}\""),
            problem: format!("is no {what} that is known"),
            hint: Some(nearest::hint(name, known.iter().copied())),
        }
    }

    /// An option that goes with something else than is asked for, and would do nothing.
    pub(super) fn idle(option: &str, problem: &str, hint: &str) -> Error {
        Error::Value {
            name: format!("option \"{option}\""),
            problem: problem.to_owned(),
            hint: Some(hint.to_owned()),
        }
    }

    /// A value that an argument cannot take.
    pub fn argument(name: &str, problem: &str) -> Error {
        Error::Value {
            name: name.to_string(),
            problem: problem.to_string(),
            hint: None,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::OptionsNotObject => {
                Some("Write options as an object, for example {\"weight_decay\": 0.01}.".into())
            }
            Error::UnknownOption { key, known } => {
                Some(match nearest(key, known.iter().copied()) {
                    Some(nearest) => perhaps(Some(nearest), ""),
                    None => format!("Known are {}.", known.join(", ")),
                })
            }
            Error::Value {
                hint: None, name, ..
            } => Some(format!(
                "Give {name} another value, or leave it out for the default."
            )),
            Error::Value { hint, .. } => hint.clone(),
            Error::NoRows(_) => {
                Some("Check the query's WHERE clause and the target's NULLs.".into())
            }
            Error::NoColumn {
                asked_by, nearest, ..
            } => Some(perhaps(
                nearest.as_deref(),
                &format!("The {asked_by} names it; add it to the query or correct the name."),
            )),
            Error::Signature(_) => Some(
                "Versions of a model keep its columns, types, task and positive class; train under \
                 another name."
                    .into(),
            ),
            Error::NewColumn { column } => Some(format!(
                "Leave it out of the query, give {}, train under another name, or make a version \
                 that has it with options => '{}'.",
                features_argument(column, &"ignore".into()),
                json!({"add_features": [column]}).to_string().replace('\'', "''"),
            )),
            Error::NoArchitecture { name } => {
                let names: Vec<&str> = models::shipped()
                    .iter()
                    .map(|shipped| shipped.name.as_str())
                    .collect();
                Some(perhaps(
                    nearest(name, names.iter().copied()),
                    &format!("Shipped are {}. Or write it as JSON.", names.join(", ")),
                ))
            }
            Error::Memory { .. } => {
                Some("Raise neural.max_memory, or use a smaller network or batch.".into())
            }
            Error::Checkpoint => Some(
                "Its query gives other rows, or in another order, or the version that it starts from is \
                 another; begin anew with neural.train_async."
                    .into(),
            ),
            Error::DamagedCheckpoint => Some("Begin anew with neural.train_async.".into()),
            Error::Refused(refused) => Some(refused.hint()),
            Error::Network(error) => error.hint(),
            Error::Features(error) => error.hint(),
            Error::Artifact(error) => error.hint(),
            Error::Metrics(error) => error.hint(),
        }
    }
}

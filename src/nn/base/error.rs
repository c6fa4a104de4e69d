//! What can be wrong with an architecture, a network or its training.

use std::sync::Arc;

use crate::memory::Refused;
use crate::nearest::perhaps;

/// An error of the network core; its text is the user's message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The architecture's text is no JSON, or nested too deeply.
    #[error("the architecture is not valid JSON: {message}")]
    Json {
        /// What the JSON reader said, with line and column.
        message: String,
    },
    /// The architecture as a whole is wrong.
    #[error("{message}")]
    Architecture {
        /// The user's message.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A layer's type is not known.
    #[error("layer {position}: unknown type \"{given}\"")]
    UnknownType {
        /// The layer's place, from 1.
        position: usize,
        /// The type as written.
        given: String,
        /// The known type nearest to it, if one is near.
        nearest: Option<String>,
        /// All known types, for the hint.
        known: String,
    },
    /// A layer has a setting its type does not know.
    #[error("{layer}: unknown setting \"{given}\"")]
    UnknownSetting {
        /// The layer at fault.
        layer: String,
        /// The setting as written.
        given: String,
        /// The known setting nearest to it, if one is near.
        nearest: Option<String>,
        /// All settings of the layer's type, for the hint.
        known: String,
    },
    /// A layer is wrong: a setting's value, its inputs, or the shapes that meet there.
    #[error("{layer}: {message}")]
    Layer {
        /// The layer at fault.
        layer: String,
        /// What is wrong with it.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A training option is wrong.
    #[error("{message}")]
    Option {
        /// The user's message, which names the option.
        message: String,
        /// What to do.
        hint: String,
    },
    /// More memory would be needed than is allowed.
    #[error("{what} would take {needed} bytes of memory, more than the {limit} allowed")]
    Memory {
        /// What needs the memory.
        what: String,
        /// Bytes needed.
        needed: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The system refused memory.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A parameter buffer has another length than the network's parameters.
    #[error("the network has {expected} parameters, but {given} were given")]
    ParameterCount {
        /// Parameters of the network.
        expected: usize,
        /// Parameters given.
        given: usize,
    },
    /// A block of packed weights is another network's.
    #[error("the network has {expected} lines of packed weights, but {given} were given")]
    PackedWeights {
        /// Lines of the network.
        expected: usize,
        /// Lines given.
        given: usize,
    },
    /// The library that training computes with cannot be loaded.
    #[error("could not load OpenBLAS, with which networks are trained: {message}")]
    Library {
        /// What the system said, with the library's name.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// Reading the rows failed.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// No network can be trained on so many rows.
    #[error("a network cannot be trained on {rows} rows")]
    RowCount {
        /// How many there are.
        rows: usize,
    },
    /// What was asked for contradicts itself, or a source of rows gave others than were asked for:
    /// a mistake of the program that calls.
    #[error("{message}")]
    Misused {
        /// What is wrong.
        message: String,
    },
    /// The caller asked to stop.
    #[error("it was interrupted")]
    Interrupted,
    /// The loss became NaN or infinite.
    #[error("the loss became NaN or infinite in epoch {epoch}")]
    NotFinite {
        /// The epoch, from 1.
        epoch: usize,
    },
}

/// Why a source could not read its rows: its own error, which whoever called may look at.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct RowsError(Arc<dyn std::error::Error + Send + Sync>);

impl RowsError {
    /// An error of a source.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> RowsError {
        RowsError(Arc::new(error))
    }

    /// The source's error, if it is of this type.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

/// By what they say.
impl PartialEq for RowsError {
    fn eq(&self, other: &RowsError) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Error {
    /// A full sentence saying what to do, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Json { .. } => Some(
                "Give an object such as {\"layers\": [{\"type\": \"dense\", \"units\": 64, \
                 \"activation\": \"relu\"}]}, or the name of a shipped architecture."
                    .to_owned(),
            ),
            Error::Architecture { hint, .. }
            | Error::Layer { hint, .. }
            | Error::Option { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Error::UnknownType { nearest, known, .. } => Some(perhaps(
                nearest.as_deref(),
                &format!("Known types are {known}."),
            )),
            Error::UnknownSetting { nearest, known, .. } => Some(perhaps(
                nearest.as_deref(),
                &format!("Known settings are {known}."),
            )),
            Error::Memory { .. } => {
                Some("Raise neural.max_memory, or make the network or the batch smaller.".into())
            }
            Error::Refused(refused) => Some(refused.hint()),
            Error::ParameterCount { .. } => {
                Some("Use the parameters that belong to this architecture.".into())
            }
            Error::NotFinite { .. } => Some(
                "Lower learning_rate, set gradient_clip, or scale the features and the target."
                    .into(),
            ),
            Error::PackedWeights { .. } => Some("Pack the network again.".into()),
            Error::Library { hint, .. } => Some((*hint).to_owned()),
            Error::RowCount { .. } => {
                Some("Give at least one row, and fewer than four billion.".into())
            }
            Error::Rows(_) | Error::Misused { .. } | Error::Interrupted => None,
        }
    }

    pub(crate) fn architecture(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Architecture {
            message: message.into(),
            hint: hint.into(),
        }
    }

    pub(crate) fn layer(
        layer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Error::Layer {
            layer: layer.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A wrong training option.
    pub fn option(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Option {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

//! What can be wrong with features and targets, as values.

use thiserror::Error;

use crate::memory::Refused;
use crate::nearest;

/// Why features could not be understood, fitted or encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A treatment, setting, column or value that does not make sense.
    #[error("{message}")]
    Invalid {
        /// The whole message, naming the thing at fault.
        message: String,
        /// A sentence saying what to do.
        hint: Option<String>,
    },
    /// A column whose type does not allow what is asked of it.
    #[error("{message}")]
    Type {
        /// The whole message, naming the column and its type.
        message: String,
        /// A sentence saying what to do.
        hint: Option<String>,
    },
    /// A value that would take more memory than is allowed.
    #[error("{message}")]
    Memory {
        /// The whole message, naming the column and the limit.
        message: String,
    },
    /// The system refused memory.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nothing to learn from.
    #[error("there are no rows to train on")]
    NoRows,
    /// A classification without a choice.
    #[error("the target \"{column}\" has only one class, {class:?}, in the training rows")]
    OneClass {
        /// The target column.
        column: String,
        /// The text of the only class.
        class: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Interrupted,
    /// A fitted description that is damaged.
    #[error("the description of the features is damaged: {0}")]
    Damaged(String),
    /// The rows could not be read.
    #[error("could not read the rows: {0}")]
    Read(#[from] std::io::Error),
}

impl Error {
    pub(super) fn invalid(message: impl Into<String>) -> Error {
        Error::Invalid {
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn type_mismatch(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Type {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    pub(super) fn with_hint(self, sentence: impl Into<String>) -> Error {
        let sentence = Some(sentence.into());
        match self {
            Error::Invalid { message, .. } => Error::Invalid {
                message,
                hint: sentence,
            },
            Error::Type { message, .. } => Error::Type {
                message,
                hint: sentence,
            },
            other => other,
        }
    }

    /// A full sentence saying what to do, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Invalid { hint, .. } | Error::Type { hint, .. } => hint.clone(),
            Error::Memory { .. } => Some(
                "Raise neural.max_memory, or make the values smaller before they are stored."
                    .to_owned(),
            ),
            Error::Refused(refused) => Some(refused.hint()),
            Error::NoRows => {
                Some("The query must return rows whose target is not NULL.".to_owned())
            }
            Error::OneClass { .. } => Some(
                "Classification needs rows of at least two classes; check the query's WHERE \
                 clause and the split."
                    .to_owned(),
            ),
            Error::Damaged(_) => Some("Import the model again from an intact export.".to_owned()),
            Error::Interrupted | Error::Read(_) => None,
        }
    }
}

/// An error about an unknown word, whose hint names the nearest known one and the others.
pub(super) fn unknown<'a>(
    what: &str,
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Error {
    Error::invalid(format!("unknown {what} \"{word}\"")).with_hint(nearest::hint(word, known))
}

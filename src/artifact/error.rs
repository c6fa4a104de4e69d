//! What can be wrong with a model's bytes.

use crate::memory::Refused;

/// Why bytes are not a model, or a model cannot become bytes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a safetensors file at all.
    #[error("not a safetensors file: {why}")]
    NotSafetensors {
        /// What gave it away.
        why: String,
        /// What to do with a file of the format that it has, where that is known.
        way: Option<&'static str>,
    },
    /// A safetensors file, but from elsewhere.
    #[error("the file holds no description of a pg_neural model")]
    Foreign,
    /// Written by a later release.
    #[error("the model has format {format}, and this release reads formats up to {known}")]
    Newer {
        /// The file's format.
        format: u64,
        /// The newest format known here.
        known: u64,
    },
    /// The system refused memory.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A part is missing, surplus, or not what it must be.
    #[error("{part} is damaged: {why}")]
    Damaged {
        /// The part at fault.
        part: String,
        /// What is wrong with it.
        why: String,
    },
    /// Whoever asked for it does not wait any more.
    #[error("it was interrupted")]
    Interrupted,
}

impl Error {
    pub(super) fn not_safetensors(why: impl Into<String>) -> Error {
        Error::NotSafetensors {
            why: why.into(),
            way: None,
        }
    }

    pub(super) fn damaged(part: impl Into<String>, why: impl Into<String>) -> Error {
        Error::Damaged {
            part: part.into(),
            why: why.into(),
        }
    }

    /// A sentence that says what to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Error::Interrupted => return None,
                Error::NotSafetensors { way: Some(_), .. } => {
                    "A model comes back from what neural.export_model returned; weights of other \
                     software are for neural.import_weights."
                }
                Error::NotSafetensors { .. } | Error::Foreign => {
                    "Give the bytes that neural.export_model returned, unchanged."
                }
                Error::Newer { .. } => {
                    "Install the pg_neural release that wrote it, or a later one."
                }
                Error::Refused(refused) => return Some(refused.hint()),
                Error::Damaged { .. } => {
                    "Export the model again from where it was trained, or train it anew."
                }
            }
            .to_string(),
        )
    }
}

/// A name from a file, cut to what a message can carry.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

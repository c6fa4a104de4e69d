//! What can be wrong with weights from elsewhere.

use crate::memory::Refused;
use crate::{artifact, features, nn, training};

/// Why weights did not become a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument, an option, or tensors that do not fit the network.
    #[error("{message}")]
    Invalid {
        /// The user's message.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Whoever asked for it does not wait any more.
    #[error("it was interrupted")]
    Interrupted,
    /// The architecture, the features, the options or the stored form.
    #[error(transparent)]
    Other(#[from] training::Error),
}

impl Error {
    pub(super) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Invalid {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Invalid { hint, .. } => Some(hint.clone()),
            Error::Interrupted => None,
            Error::Other(error) => error.hint(),
        }
    }
}

impl From<nn::Error> for Error {
    fn from(error: nn::Error) -> Error {
        Error::Other(error.into())
    }
}

impl From<features::Error> for Error {
    fn from(error: features::Error) -> Error {
        Error::Other(error.into())
    }
}

impl From<Refused> for Error {
    fn from(error: Refused) -> Error {
        Error::Other(error.into())
    }
}

impl From<artifact::Error> for Error {
    /// Of the file, which is no export of ours.
    fn from(error: artifact::Error) -> Error {
        match error {
            artifact::Error::Interrupted => return Error::Interrupted,
            artifact::Error::NotSafetensors { way: Some(way), .. } => {
                return Error::invalid(error.to_string(), way);
            }
            artifact::Error::Refused(refused) => return refused.into(),
            _ => {}
        }
        Error::invalid(
            error.to_string(),
            "Save the state_dict by safetensors.torch.save_file, and give the file's bytes \
             unchanged.",
        )
    }
}

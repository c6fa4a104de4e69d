//! A version that was found.

use crate::encryption::KeyId;
use crate::pg::access::Right;

/// A stored version, found by name or by its bytes' hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) model_id: i64,
    pub(crate) version_id: i64,
    pub(crate) number: i32,
    pub(crate) sha256: [u8; 32],
    /// The key that its bytes are encrypted with, if they are.
    pub(crate) key: Option<KeyId>,
    /// Length of the artifact.
    pub(crate) size: usize,
    /// Multiplications that a row takes, about.
    pub(crate) products: usize,
    /// Whether the transaction at hand stored it, so that it goes if that is undone.
    pub(crate) undoable: bool,
    /// The model's name when it was resolved, for messages.
    pub(crate) model: String,
    /// Whether the invoker may do everything with the model, or only use it.
    pub(crate) right: Right,
}

impl Resolved {
    /// How messages name it.
    pub(crate) fn label(&self) -> &str {
        &self.model
    }

    /// The same with its number.
    pub(crate) fn full_label(&self) -> String {
        format!("version {} of model \"{}\"", self.number, self.model)
    }
}

//! The arguments of `neural.train`.

use crate::training::Arguments;

/// What the caller of `neural.train` asked for.
pub(super) struct Order<'a> {
    pub(super) model: &'a str,
    pub(super) query: &'a str,
    pub(super) target: &'a str,
    pub(super) task: Option<&'a str>,
    pub(super) architecture: Option<&'a str>,
    pub(super) features: Option<serde_json::Value>,
    pub(super) options_json: serde_json::Value,
    pub(super) arguments: Arguments,
}

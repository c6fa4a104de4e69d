//! Calling a model from SQL.

pub(crate) mod answer;
mod arguments;
mod site;
mod snapshot;
mod steps;

pub use arguments::Convert;
pub use site::{Answer, Site};

//! Calling a model from SQL, a row at a time.

mod arguments;
mod site;
mod snapshot;
mod steps;

pub use arguments::Convert;
pub use site::{Answer, Site};

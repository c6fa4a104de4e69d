//! Calling a model from SQL.

pub(crate) mod answer;
mod arguments;
mod composite;
mod convert;
mod kept;
mod positional;
mod rows;
mod site;
mod snapshot;
mod step_order;
mod steps;
mod wrong_count;

pub use convert::Convert;
pub use rows::Rows;
pub use site::Site;

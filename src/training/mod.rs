//! From the typed rows of a query to a stored model: what `neural.train` does, without
//! PostgreSQL.

mod defaults;
mod error;
mod judge;
mod options;
mod plan;
mod run;
mod source;

pub use defaults::Arguments;
pub use error::Error;
pub use judge::{Judge, Truth, metrics_json, positive_probability};
pub use options::{ClassWeights, Options, ValidationSplit};
pub use plan::{Given, Plan, Read};
pub use run::{DEFAULT_ARCHITECTURE, Job, Observer, Outcome, check, run};

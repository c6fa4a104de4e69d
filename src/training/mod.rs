//! From the typed rows of a query to a stored model: what `neural.train` does, without
//! PostgreSQL.

mod announce;
pub mod better;
mod build;
mod builder;
mod calendars;
mod call_order;
mod check;
mod checkpoint;
mod choose_architecture;
mod choose_family;
mod choose_target;
mod copies;
mod data_hash;
mod default_architecture;
mod defaults;
mod error;
mod fit;
mod fit_rows;
mod fitting;
mod forms;
mod identity;
mod idle;
mod job;
mod judge;
mod judge_rows;
mod keep;
mod memory_source;
mod mixed_rows;
mod normalizing;
mod option_values;
mod options;
mod outcome;
mod plan;
mod read;
mod remarks;
mod roles;
mod room;
mod run;
mod seen;
mod sides;
mod source;
mod split;
mod student;
mod train;
mod traps;
mod trial;

pub use check::check;
pub use checkpoint::Kept;
pub use data_hash::data_hash;
pub(crate) use default_architecture::read_architecture;
pub use default_architecture::{Reading, default_architecture};
pub use defaults::Arguments;
pub use error::Error;
pub use job::{Job, Observer, Outcome};
pub use judge::{Judge, Truth, metrics_json};
pub use option_values::{ClassWeights, Deploy, ValidationSplit};
pub use options::Options;
pub use plan::{Parts, Plan, Read};
pub use roles::{Given, SequencePlan};
pub use run::run;
pub use seen::{
    Found, Known, Learnt, RowHashes, RowTruth, Seen, SeenRows, Side, Tally, features_hash, row_hash,
};

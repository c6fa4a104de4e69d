//! Rows of a query as the core's typed values, kept in memory or in a temporary file.

mod array;
mod column_plan;
mod elements;
mod grouping;
mod query;
mod reading;
mod sources;
mod spill;
mod statement_context;
mod value;

pub use array::ArrayReader;
pub use column_plan::ColumnPlan;
pub use elements::Elements;
pub use grouping::{Grouping, Row};
pub(crate) use query::set_local;
pub use query::{Query, ResultColumn, with_query};
pub use reading::{Table, read_table};
pub use sources::Source;
pub use spill::Lifetime;
pub use value::Reader;

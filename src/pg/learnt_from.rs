//! Which columns of tables a version was trained from, kept with the version.
//!
//! A table and a column can be renamed after that, so their OID and number count; a dump that is
//! restored has other OIDs, so their names count, too.

use std::ffi::CStr;

use pgrx::pg_sys;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rows::Source;
use crate::artifact::Model;
use crate::training::Options;

/// What a column of the training query is for its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Target,
    Feature,
    /// A column that an option names.
    Option,
}

/// A column of a table that a column of the training query was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LearntFrom {
    /// The name of the query's column.
    pub(crate) column: String,
    pub(crate) part: Part,
    /// Of the table's column: its name, its table and the table's schema.
    name: String,
    table: String,
    schema: String,
    /// The table's OID and the column's number in it.
    oid: u32,
    number: i16,
    /// In which database that is the OID.
    database: String,
}

/// A column of a table as it is now.
#[derive(Debug)]
pub(crate) struct TableColumn {
    source: Source,
    name: String,
    table: String,
    schema: String,
}

impl TableColumn {
    /// That of a number; `None` where it is gone.
    pub(crate) fn of(source: Source) -> Option<TableColumn> {
        // SAFETY: look-ups that give null where nothing is found, else palloc'ed C strings.
        unsafe {
            let text = |found: *mut std::ffi::c_char| {
                (!found.is_null()).then(|| CStr::from_ptr(found).to_string_lossy().into_owned())
            };
            let schema = pg_sys::get_rel_namespace(source.table);
            Some(TableColumn {
                source,
                name: text(pg_sys::get_attname(source.table, source.number, true))?,
                table: text(pg_sys::get_rel_name(source.table))?,
                schema: text(pg_sys::get_namespace_name(schema))?,
            })
        }
    }
}

impl LearntFrom {
    fn new(column: &str, part: Part, from: Source) -> Option<LearntFrom> {
        let TableColumn {
            source,
            name,
            table,
            schema,
        } = TableColumn::of(from)?;
        Some(LearntFrom {
            column: column.to_owned(),
            part,
            name,
            table,
            schema,
            oid: source.table.to_u32(),
            number: source.number,
            database: this_database(),
        })
    }

    /// Whether this is the column: the one of its name, or of its number in the table. In another
    /// database, such as one that was upgraded, an OID may be another table's, and counts where one of
    /// the names is still the same.
    pub(crate) fn is(&self, other: &TableColumn) -> bool {
        let same_table = self.table == other.table && self.schema == other.schema;
        let same_name = self.name == other.name;
        let same_number =
            self.oid == other.source.table.to_u32() && self.number == other.source.number;
        (same_table && same_name)
            || same_number && (same_table || same_name || self.database == this_database())
    }

    /// What is kept of a version.
    pub(crate) fn all_from(stored: Value) -> Vec<LearntFrom> {
        serde_json::from_value(stored).unwrap_or_default()
    }
}

/// What is to be kept of a version that was trained with a query whose columns have these sources.
pub(crate) fn record(model: &Model, options: &Options, columns: &[(String, Vec<Source>)]) -> Value {
    let named: Vec<&str> = options
        .named_columns()
        .into_iter()
        .map(|(_, column)| column)
        .chain(options.sequence_by.iter().flatten().map(String::as_str))
        .chain(options.order_by.iter().flatten().map(String::as_str))
        .collect();
    let part = |column: &str| match () {
        () if column == model.target.column() => Some(Part::Target),
        () if model.features.position(column).is_some() => Some(Part::Feature),
        () if named.contains(&column) => Some(Part::Option),
        () => None,
    };
    let kept: Vec<LearntFrom> = columns
        .iter()
        .filter_map(|(column, sources)| Some((column, part(column)?, sources)))
        .flat_map(|(column, part, sources)| {
            let kept = |&source| LearntFrom::new(column, part, source);
            sources.iter().filter_map(kept).collect::<Vec<_>>()
        })
        .collect();
    json!(kept)
}

/// What tells this database from all others.
fn this_database() -> String {
    // SAFETY: both are known in every backend.
    unsafe {
        format!(
            "{}/{}",
            pg_sys::GetSystemIdentifier(),
            pg_sys::MyDatabaseId.to_u32()
        )
    }
}

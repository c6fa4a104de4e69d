//! Which columns of tables a version was trained from, kept with the version.
//!
//! A table and a column can be renamed after that, so their OID and number count; a dump that is
//! restored has other OIDs, so their names count, too.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::generated::{Generated, generated_in};
use super::inheritance::inheritors;
use super::rows::Source;
use crate::artifact::Model;
use crate::training::Options;

/// Columns of partitions and heirs that are kept for a model at most.
const MOST_HEIRS: usize = 10_000;

/// What a column of the training query is for its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Target,
    Feature,
    /// A column that an option names, as the weight of a row or the group that is held out with it.
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
    /// The same column in the table's partitions and heirs, by their OIDs and its numbers there: one
    /// that is detached is a table of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heirs: Vec<(u32, i16)>,
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
            heirs: Vec::new(),
        })
    }

    /// Whether this is the column: the one of its name, or of its number in the table. In another database, such as one that was upgraded, an OID may be another table's,
    /// and counts where one of the names is still the same.
    pub(crate) fn is(&self, other: &TableColumn) -> bool {
        let same_table = self.table == other.table && self.schema == other.schema;
        let same_name = self.name == other.name;
        let number = (other.source.table.to_u32(), other.source.number);
        let same_number = (self.oid, self.number) == number;
        (same_table && same_name)
            || same_number && (same_table || same_name || self.database == this_database())
    }

    /// Whether one of these was the column in a partition or heir.
    pub(crate) fn was_in(&self, others: &HashSet<Source>) -> bool {
        let source = |&(table, number): &(u32, i16)| Source {
            table: table.into(),
            number,
        };
        self.heirs.iter().any(|heir| others.contains(&source(heir)))
            && self.database == this_database()
    }

    /// What is kept of a version or model.
    pub(crate) fn all_from(stored: Value) -> Vec<LearntFrom> {
        serde_json::from_value(stored).unwrap_or_default()
    }

    /// Whether that can be read.
    pub(crate) fn is_readable(stored: &Value) -> bool {
        Vec::<LearntFrom>::deserialize(stored).is_ok()
    }

    /// Whether the two are of one column of a table, and for the same.
    fn is_same(&self, other: &LearntFrom) -> bool {
        let numbers = |of: &LearntFrom| (of.oid, of.number, of.part);
        let same = |text: fn(&LearntFrom) -> &String| text(self) == text(other);
        numbers(self) == numbers(other)
            && same(|of| &of.name)
            && same(|of| &of.table)
            && same(|of| &of.schema)
            && same(|of| &of.database)
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
    // What joins tables is a source of all their columns, and kept once.
    let mut known = HashSet::new();
    let mut families = Families::new();
    let mut kept = Vec::new();
    for (column, sources) in columns {
        let Some(part) = part(column) else {
            continue;
        };
        let mut left = sources.clone();
        left.reverse();
        while let Some(from) = left.pop() {
            if known.insert((part, from)) {
                left.extend(generated_from(from, &mut families));
                kept.extend(LearntFrom::new(column, part, from));
            }
        }
    }
    // Where there are too many heirs, the target's are kept.
    kept.sort_by_key(|from| from.part);
    add_heirs(&mut kept, &mut families);
    json!(kept)
}

/// A table, its partitions and heirs, with what is generated in each.
type Families = HashMap<pg_sys::Oid, Vec<(pg_sys::Oid, Vec<Generated>)>>;

fn family(table: pg_sys::Oid, families: &mut Families) -> &[(pg_sys::Oid, Vec<Generated>)] {
    families.entry(table).or_insert_with(|| {
        let heirs = inheritors(table, pg_sys::NoLock).into_iter();
        heirs.map(|heir| (heir, generated_in(heir))).collect()
    })
}

/// The columns that a column is generated from, in the table or in its partitions and heirs: it may be
/// dropped, and they are there.
fn generated_from(from: Source, families: &mut Families) -> Vec<Source> {
    // SAFETY: gives null where nothing is found, else a palloc'ed C string.
    let name = unsafe { pg_sys::get_attname(from.table, from.number, true) };
    let mut found = Vec::new();
    if name.is_null() {
        return found;
    }
    for (table, generated) in family(from.table, families) {
        if generated.is_empty() {
            continue;
        }
        // SAFETY: a look-up that gives 0 where nothing is found.
        let number = unsafe { pg_sys::get_attnum(*table, name) };
        let of_number = generated.iter().filter(|column| column.number == number);
        let bases = of_number.flat_map(|column| &column.from);
        found.extend(bases.filter(|&&base| base > 0).map(|&number| Source {
            table: *table,
            number,
        }));
    }
    found
}

/// Notes the partitions and heirs of the tables.
fn add_heirs(kept: &mut [LearntFrom], families: &mut Families) {
    let mut room = MOST_HEIRS;
    for from in kept {
        let name = CString::new(from.name.as_str()).unwrap_or_default();
        let number = |&(heir, _): &(pg_sys::Oid, Vec<Generated>)| {
            // SAFETY: a look-up that gives 0 where nothing is found.
            let number = unsafe { pg_sys::get_attnum(heir, name.as_ptr()) };
            (number > 0).then(|| (heir.to_u32(), number))
        };
        let heirs = family(from.oid.into(), families).iter();
        let heirs = heirs.filter(|(heir, _)| heir.to_u32() != from.oid);
        from.heirs = heirs.filter_map(number).take(room).collect();
        room -= from.heirs.len();
    }
}

/// What is kept of a model, of which a version is dropped, with what was kept of that version.
pub(crate) fn with_dropped(of_model: Option<Value>, of_version: Value) -> Value {
    let mut kept = LearntFrom::all_from(of_model.unwrap_or_default());
    for dropped in LearntFrom::all_from(of_version) {
        match kept.iter_mut().find(|from| from.is_same(&dropped)) {
            Some(from) => {
                let new = |heir: &&(u32, i16)| !from.heirs.contains(heir);
                let new: Vec<_> = dropped.heirs.iter().filter(new).copied().collect();
                from.heirs.extend(new);
            }
            None => kept.push(dropped),
        }
    }
    let here = this_database();
    let mut room = MOST_HEIRS;
    for from in &mut kept {
        // Partitions come and go.
        let is_there = |&(table, number): &(u32, i16)| {
            let table = table.into();
            from.database != here || TableColumn::of(Source { table, number }).is_some()
        };
        from.heirs.retain(is_there);
        from.heirs.truncate(room);
        room -= from.heirs.len();
    }
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

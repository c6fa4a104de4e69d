//! The table that is scored: what must be true of it, and the statements that run on it.

use pgrx::spi::{quote_identifier, quote_literal, quote_qualified_identifier};
use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::extent::{Pages, heirs};
use super::order::Order;
use super::output::Output;
use super::receiver::own_column;
use super::statement::{Written, count, run};
use crate::hex::hex;
use crate::pg::error::{Report, Result};
use crate::pg::rows::ResultColumn;
use crate::pg::scoring::find_features;
use crate::pg::type_name::type_name;

/// Most features that a call of `neural.predict` has room for: PostgreSQL's limit less the model.
const MOST_FEATURES: usize = pg_sys::FUNC_MAX_ARGS as usize - 1;

/// Which rows a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// All but those that have their score of this call; only those without a score where the
    /// call asks for no others.
    All,
    /// Those that another session has made or changed since the last walk began; or again only
    /// those without a score.
    Changed,
}

/// A table as it is in this transaction, locked against changes of its definition.
pub(super) struct Target {
    /// Its name with its schema, quoted.
    pub(super) name: String,
    /// The column's name, quoted.
    pub(super) column: String,
    pub(super) output: Output,
    /// A row's features, in SQL.
    arguments: String,
    /// What the column becomes, in SQL.
    value: String,
    only_missing: bool,
    /// Whether an UPDATE may set off others of the same table, or write something else.
    pub(super) has_triggers: bool,
}

/// A column of the table, not dropped.
struct Column {
    result: ResultColumn,
    modifier: i32,
    generated: bool,
    always_identity: bool,
}

impl Target {
    /// Locks the table as an UPDATE does, and checks that it can be scored.
    ///
    /// # Errors
    /// 42P01 when it was dropped, 42809 when it is no table, 42703 and 42804 for columns that are
    /// not there or not of a fitting type.
    pub(super) fn open(order: &Order) -> Result<Self> {
        let (name, columns) = describe(order.table)?;
        let output = find_output(order, &name, &columns)?;
        let arguments = arguments(order, &name, columns)?;
        let value = output.of(&call(order, &output, &arguments));
        Ok(Self {
            name,
            column: quote_identifier(&order.column),
            output,
            arguments,
            value,
            only_missing: order.only_missing,
            has_triggers: heirs(order.table).into_iter().any(has_triggers),
        })
    }

    /// Statements that score the table by a function that is pinned to the version.
    pub(super) fn pinned_update(&self, order: &Order) -> String {
        let resolved = &order.resolved;
        let name = format!("{}_v{}", resolved.model, resolved.number);
        let function = quote_identifier(&name);
        let returns = match self.output.function() {
            "predict_class" => ", returns => 'class'",
            "predict_proba" => ", returns => 'proba'",
            _ => "",
        };
        format!(
            "Use UPDATE with a function of the version, on every server of which the model has to \
             be: SELECT neural.create_function({}, {}, version => {}{returns}); UPDATE {} AS scored \
             SET {} = {};",
            quote_literal(&function),
            quote_literal(&resolved.model),
            resolved.number,
            self.name,
            self.column,
            self.output.of(&format!("{function}({})", self.arguments)),
        )
    }

    /// Lets PostgreSQL say before any work what it has against the UPDATE: mostly that the invoker
    /// may not do it. (EXPLAIN fires no triggers.)
    pub(super) fn check_rights(&self, written: &Written) -> Result<()> {
        let sql = format!("EXPLAIN {}", self.update(&self.conditions(Rows::All)));
        run(&sql, written)?;
        Ok(())
    }

    /// Scores the rows of these pages, or of the whole table, and returns how many.
    pub(super) fn score(&self, rows: Rows, pages: Option<Pages>, written: &Written) -> Result<u64> {
        let mut conditions = self.conditions(rows);
        if rows == Rows::Changed && (self.only_missing || !self.has_triggers) {
            // Most that changed had its score before and needs no other one. Two calls at once for
            // two columns would write each other's rows without end.
            conditions = format!("{conditions} AND {}", self.differs());
        }
        if let Some(Pages { from, to }) = pages {
            let tid = |page| format!("'({page},0)'::pg_catalog.tid");
            conditions = format!(
                "scored.ctid OPERATOR(pg_catalog.>=) {} AND scored.ctid OPERATOR(pg_catalog.<) {} \
                 AND {conditions}",
                tid(from),
                tid(to)
            );
        }
        run(&self.update(&conditions), written)
    }

    /// Whether a row has another value than the right one.
    fn differs(&self) -> String {
        let column = format!("scored.{}", self.column);
        self.output.differs(&column, &self.value)
    }

    fn update(&self, conditions: &str) -> String {
        format!(
            "UPDATE {} AS scored SET {} = {} WHERE {conditions}",
            self.name, self.column, self.value
        )
    }

    /// How many rows there are to score, up to `most`.
    pub(super) fn count(&self, rows: Rows, most: u64, written: &Written) -> Result<u64> {
        count(
            &format!(
                "SELECT pg_catalog.count(*) FROM (SELECT FROM {} AS scored WHERE {} LIMIT {most}) \
                 AS s",
                self.name,
                self.conditions(rows)
            ),
            written,
        )
    }

    /// Where `$1` are the transactions of this call, and `$2` is the oldest transaction that ran
    /// when the last walk began. (What an older one wrote was there from that beginning.)
    fn conditions(&self, rows: Rows) -> String {
        if self.only_missing {
            return format!("scored.{} IS NULL", self.column);
        }
        let unwritten = "scored.xmin OPERATOR(pg_catalog.<>) ALL ($1)";
        let since = "pg_catalog.age(scored.xmin) OPERATOR(pg_catalog.<=) pg_catalog.age($2)";
        match rows {
            Rows::All => unwritten.to_owned(),
            // The call's own transactions are younger, and count with the others.
            Rows::Changed if self.has_triggers => format!("{since} AND {}", self.differs()),
            Rows::Changed => format!("{since} AND {unwritten}"),
        }
    }
}

/// Locks a table; its quoted name and its columns.
fn describe(table: pg_sys::Oid) -> Result<(String, Vec<Column>)> {
    // SAFETY: a missing relation is null; the lock stays when it is closed. The descriptor is read
    // while it is open.
    unsafe {
        let relation = pg_sys::try_relation_open(table, pg_sys::RowExclusiveLock as i32);
        if relation.is_null() {
            return Err(Report::new(
                Code::ERRCODE_UNDEFINED_TABLE,
                format!("the table with OID {} does not exist", table.to_u32()),
            )
            .hint("It may have been dropped meanwhile."));
        }
        let row = &*(*relation).rd_rel;
        let name = qualified_name(row);
        let kind = row.relkind as u8;
        let columns = pgrx::PgTupleDesc::from_pg_unchecked((*relation).rd_att)
            .iter()
            .filter(|attribute| !attribute.attisdropped)
            .map(|attribute| Column {
                result: ResultColumn {
                    name: attribute.name().to_owned(),
                    type_oid: attribute.atttypid,
                    type_name: type_name(attribute.atttypid),
                },
                modifier: attribute.atttypmod,
                generated: attribute.attgenerated != 0,
                always_identity: attribute.attidentity as u8 == pg_sys::ATTRIBUTE_IDENTITY_ALWAYS,
            })
            .collect();
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        if !matches!(
            kind,
            pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE
        ) {
            return Err(Report::new(
                Code::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{name} is not a table"),
            )
            .hint(match kind {
                pg_sys::RELKIND_FOREIGN_TABLE | pg_sys::RELKIND_VIEW => {
                    "Score the table behind it, or use UPDATE with neural.predict."
                }
                _ => "Name a table.",
            }));
        }
        Ok((name, columns))
    }
}

/// Whether an UPDATE of a table runs triggers or rules that users have made. (Triggers of foreign
/// keys write nothing where the column is none.)
fn has_triggers(table: pg_sys::Oid) -> bool {
    // SAFETY: the relation is locked; its triggers are there while it is open.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::NoLock as i32);
        let triggers = match (*relation).trigdesc.as_ref() {
            Some(all) => std::slice::from_raw_parts(all.triggers, all.numtriggers as usize),
            None => &[],
        };
        let fires = |trigger: &pg_sys::Trigger| {
            !trigger.tgisinternal
                && trigger.tgenabled as u8 != pg_sys::TRIGGER_DISABLED
                && trigger.tgtype as u32 & pg_sys::TRIGGER_TYPE_UPDATE != 0
        };
        let found = triggers.iter().any(fires) || !(*relation).rd_rules.is_null();
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        found
    }
}

/// # Safety
/// The row of an open relation.
unsafe fn qualified_name(row: &pg_sys::FormData_pg_class) -> String {
    // SAFETY: as the caller says; a relation's schema is there as long as the relation is.
    unsafe {
        let schema = std::ffi::CStr::from_ptr(pg_sys::get_namespace_name(row.relnamespace));
        let name = pg_sys::name_data_to_str(&row.relname);
        quote_qualified_identifier(schema.to_string_lossy().as_ref(), name)
    }
}

/// What the output column, which must be fit to be written, takes of the model.
fn find_output(order: &Order, table: &str, columns: &[Column]) -> Result<Output> {
    let name = &order.column;
    let label = order.resolved.label();
    let Some(column) = columns.iter().find(|column| column.result.name == *name) else {
        let quoted = std::ffi::CString::new(name.as_str()).unwrap_or_default();
        // SAFETY: looks a name up among a few constants.
        if !unsafe { pg_sys::SystemAttributeByName(quoted.as_ptr()) }.is_null() {
            return Err(Report::new(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("column \"{name}\" is a system column and cannot be written"),
            )
            .hint("Name a column of your own."));
        }
        return Err(Report::new(
            Code::ERRCODE_UNDEFINED_COLUMN,
            format!("column \"{name}\" of table {table} does not exist"),
        )
        .hint(format!(
            "Make it first: ALTER TABLE {table} ADD COLUMN {} {}.",
            quote_identifier(name),
            Output::usual_type(&order.model)
        )));
    };
    if column.generated || column.always_identity {
        return Err(Report::new(
            Code::ERRCODE_GENERATED_ALWAYS,
            format!("column \"{name}\" of table {table} is generated and cannot be written"),
        )
        .hint("Name an ordinary column."));
    }
    if order.model.target.column() == name {
        return Err(Report::invalid(format!(
            "column \"{name}\" of table {table} is what model \"{label}\" has learnt to predict, and \
             answers would take the place of what is known"
        ))
        .hint(own_column(order, table)));
    }
    let mut features = order.model.features.features.iter();
    if features.any(|feature| feature.name == *name) {
        return Err(Report::invalid(format!(
            "column \"{name}\" of table {table} is a feature of model \"{label}\""
        ))
        .hint("Name a column that the model does not read."));
    }
    Output::for_column(&column.result, column.modifier, table, order)
}

/// The call of the model for a row of the table: by its bytes, so that neither a deployment nor
/// another model of its name mixes two versions.
fn call(order: &Order, output: &Output, arguments: &str) -> String {
    let hash = hex(&order.resolved.sha256);
    format!(
        "neural.{}_pinned({}::pg_catalog.bytea, {arguments})",
        output.function(),
        quote_literal(format!("\\x{hash}"))
    )
}

/// A row's features in call order, or the row as one value.
fn arguments(order: &Order, table: &str, columns: Vec<Column>) -> Result<String> {
    let (model, resolved) = (&order.model, &order.resolved);
    let columns: Vec<ResultColumn> = columns.into_iter().map(|column| column.result).collect();
    let missing = |feature: &str| {
        Report::new(
            Code::ERRCODE_UNDEFINED_COLUMN,
            format!(
                "column \"{feature}\", a feature of model \"{}\", does not exist in table {table}",
                resolved.label()
            ),
        )
        .hint("Score a table that has every feature of the model by name.")
    };
    let places = find_features(&columns, model, resolved, missing)?;
    let features = &model.features.features;
    if features.len() > MOST_FEATURES {
        if let Some(feature) = features
            .iter()
            .find(|feature| columns.iter().all(|column| column.name != feature.name))
        {
            return Err(missing(&feature.name));
        }
        // The row as one value, its columns found by name.
        return Ok("scored.*".to_owned());
    }
    let mut arguments = vec!["NULL".to_owned(); features.len()];
    for (feature, ..) in places {
        arguments[feature] = format!("scored.{}", quote_identifier(&features[feature].name));
    }
    Ok(arguments.join(", "))
}

//! A user's query, run with the user's rights through a cursor, a thousand rows at a time.

use std::ffi::CString;
use std::time::{Duration, Instant};

use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use super::sources::{Source, read_by, sources_of};
use super::statement_context::{Part, StatementContext};
use crate::pg::error::Report;
use crate::pg::interrupt;
use crate::pg::type_name::type_name;
use pgrx::PgSqlErrorCode as Code;

/// Rows a fetch. A thousand was the fastest measured: more leaves the caches, fewer pays per fetch.
const FETCH_ROWS: usize = 1000;
/// Bytes of rows a fetch, about: large arrays must not be fetched by the thousand.
const FETCH_BYTES: usize = 8 << 20;
/// Rows of the first fetch, which tells how large they are.
const FIRST_ROWS: usize = 64;

/// A column of a query's result.
#[derive(Debug, Clone)]
pub struct ResultColumn {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    /// The type as [`type_name`] gives it.
    pub type_name: String,
}

/// An open query. Lives inside an SPI connection ([`with_query`] makes both).
pub struct Query {
    statement: CString,
    plan: pg_sys::SPIPlanPtr,
    portal: pg_sys::Portal,
    columns: Vec<ResultColumn>,
    /// Who is told now and then how many rows have been read.
    told: Option<fn(u64)>,
}

/// Between two times that the number of rows read is told.
const TOLD: Duration = Duration::from_secs(1);

/// Runs `body` over the open query `text`: a statement that returns rows, or the name of a table
/// or view. Sequential scans start at the first row, so that a table's rows come in one order.
pub fn with_query<R>(
    text: &str,
    body: impl FnOnce(&mut Query) -> Result<R, Report>,
) -> Result<R, Report> {
    let statement = match relation_name(text) {
        Some(name) => format!("SELECT * FROM {name}"),
        None => text.to_string(),
    };
    let statement = CString::new(statement).map_err(|_| {
        Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            "the query holds a zero byte",
        )
        .hint("Give a SELECT, or the name of a table or view.")
    })?;
    pgrx::Spi::connect(|_| {
        // SAFETY: settings changed at a nest level of their own are restored by AtEOXact_GUC, or by
        // the end of the transaction when an error passes through here.
        let nest_level = unsafe { pg_sys::NewGUCNestLevel() };
        set_local(c"synchronize_seqscans", c"off");
        let mut query = Query::open(statement)?;
        let result = body(&mut query)?;
        // SAFETY: the portal was opened in this SPI connection and is still open.
        unsafe {
            pg_sys::SPI_cursor_close(query.portal);
            // Settings that the query itself made stay, as they do after a function's SET.
            pg_sys::AtEOXact_GUC(true, nest_level);
        }
        Ok(result)
    })
}

/// Sets a setting until the nesting level that is open is closed.
pub(crate) fn set_local(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    // SAFETY: both strings are constants of ours; the call copies them.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// `text` itself if it reads as a possibly qualified name of a relation rather than as a query.
fn relation_name(text: &str) -> Option<&str> {
    let text = text.trim();
    let mut rest = text;
    loop {
        rest = if let Some(quoted) = rest.strip_prefix('"') {
            let mut end = 0;
            loop {
                end += quoted[end..].find('"')? + 1;
                match quoted[end..].strip_prefix('"') {
                    Some(_) => end += 1,
                    None => break,
                }
            }
            &quoted[end..]
        } else {
            let first = rest.chars().next()?;
            if !(first.is_alphabetic() || first == '_') {
                return None;
            }
            rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        };
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return rest.is_empty().then_some(text),
        }
    }
}

impl Query {
    fn open(statement: CString) -> Result<Query, Report> {
        let (plan, portal) = open_portal(&statement)?;
        // SAFETY: the portal has just been opened; nothing has been run yet of a statement that
        // changes rows.
        if !unsafe { only_reads(portal) } {
            return Err(changes_rows());
        }
        // SAFETY: the same.
        unsafe {
            let descriptor = pgrx::PgTupleDesc::from_pg_unchecked((*portal).tupDesc);
            let columns: Vec<ResultColumn> = descriptor
                .iter()
                .map(|attribute| ResultColumn {
                    name: attribute.name().to_string(),
                    type_oid: attribute.atttypid,
                    type_name: type_name(attribute.atttypid),
                })
                .collect();
            for (i, column) in columns.iter().enumerate() {
                if columns[..i].iter().any(|other| other.name == column.name) {
                    return Err(Report::new(
                        Code::ERRCODE_DUPLICATE_COLUMN,
                        format!("the query returns two columns named \"{}\"", column.name),
                    )
                    .hint("Give each column of the query a name of its own with AS."));
                }
            }
            Ok(Query {
                statement,
                plan,
                portal,
                columns,
                told: None,
            })
        }
    }

    /// The columns of the result, in the query's order.
    pub fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    /// The columns of tables that each column of the result is made from.
    pub fn sources(&self) -> Vec<Vec<Source>> {
        // SAFETY: the plan is there as long as SPI's connection.
        unsafe { sources_of(self.plan, self.columns.len()) }
    }

    /// Has the number of rows that have been read told about once a second.
    pub fn tell(&mut self, told: Option<fn(u64)>) {
        self.told = told;
    }

    /// Whether it reads a temporary table, or a view that is one.
    pub fn reads_temporary(&self) -> bool {
        // SAFETY: the plan is there as long as SPI's connection.
        unsafe { read_by(self.plan) }.into_iter().any(|relation| {
            // SAFETY: a catalog look-up by OID.
            let persistence = unsafe { pg_sys::get_rel_persistence(relation) };
            persistence == pg_sys::RELPERSISTENCE_TEMP as std::ffi::c_char
        })
    }

    /// Begins anew with the rows sorted by the columns at the places `by`, then by those at
    /// `order`. Texts sort in C collation, so that their order is the same everywhere, and rows
    /// that agree in all of these columns stay in the query's own order.
    pub fn sort(&mut self, by: &[usize], order: &[usize]) -> Result<(), Report> {
        let name = |place: usize| quote_identifier(&self.columns[place].name);
        let mut ordinal = String::from("ordinal");
        while self.columns.iter().any(|column| column.name == ordinal) {
            ordinal.push('_');
        }
        let keys = by.iter().chain(order).map(|&place| {
            // SAFETY: a catalog look-up by OID.
            let collation = unsafe { pg_sys::get_typcollation(self.columns[place].type_oid) };
            let collate = if collation == pg_sys::InvalidOid {
                ""
            } else {
                " COLLATE pg_catalog.\"C\""
            };
            format!("q.{}{collate}", name(place))
        });
        let columns = (0..self.columns.len()).map(|place| format!("q.{}", name(place)));
        let columns: Vec<String> = columns.collect();
        let keys: Vec<String> = keys.collect();
        // On a line of its own, since the query may end in a comment.
        let sorted = format!(
            "SELECT {} FROM (SELECT q.*, pg_catalog.row_number() OVER () AS {ordinal} FROM (\n{}\n) \
             AS q) AS q ORDER BY {}, q.{ordinal}",
            columns.join(", "),
            self.bare_select()?,
            keys.join(", "),
        );
        self.statement = CString::new(sorted).map_err(|_| not_rows())?;
        // SAFETY: the portal is open and of no use any more.
        unsafe { pg_sys::SPI_cursor_close(self.portal) };
        (self.plan, self.portal) = open_portal(&self.statement)?;
        Ok(())
    }

    /// The statement without what may follow it, such as a semicolon.
    fn bare_select(&self) -> Result<&str, Report> {
        let not_select = || {
            Report::new(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "the rows of this statement cannot be sorted into sequences",
            )
            .hint("Give a SELECT, or the name of a table or view.")
        };
        // SAFETY: the statement has been parsed before; the parser's list holds RawStmts.
        let (location, length) = unsafe {
            let list = pg_sys::raw_parser(
                self.statement.as_ptr(),
                pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
            );
            let raw: *const pg_sys::RawStmt = pg_sys::list_nth(list, 0).cast();
            if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_SelectStmt {
                return Err(not_select());
            }
            ((*raw).stmt_location, (*raw).stmt_len)
        };
        // A length of zero means up to the end.
        let text = self.statement.to_str().map_err(|_| not_select())?;
        let start = usize::try_from(location).unwrap_or(0);
        let rest = text.get(start..).ok_or_else(not_select)?;
        match usize::try_from(length) {
            Ok(length) if length > 0 => rest.get(..length).ok_or_else(not_select),
            _ => Ok(rest),
        }
    }

    /// Calls `row` with the values and null flags of every row, in the query's order. Memory that
    /// `row` pallocs is freed after each fetch of at most a thousand rows; interrupts are taken as
    /// often.
    pub fn for_each(
        &mut self,
        mut row: impl FnMut(&[pg_sys::Datum], &[bool]) -> Result<(), Report>,
    ) -> Result<u64, Report> {
        let width = self.columns.len();
        let mut values = vec![pg_sys::Datum::from(0usize); width];
        let mut nulls = vec![false; width];
        let mut total = 0;
        let mut wanted = FIRST_ROWS;
        let mut last = Instant::now();
        loop {
            interrupt::check();
            // SAFETY: the portal is open; the tuple table belongs to this fetch until it is freed.
            unsafe {
                {
                    let _context = StatementContext::enter(&self.statement, Part::Fetching);
                    pg_sys::SPI_cursor_fetch(self.portal, true, wanted as _);
                }
                let fetched = pg_sys::SPI_processed as usize;
                let table = pg_sys::SPI_tuptable;
                if table.is_null() || fetched == 0 {
                    if !table.is_null() {
                        pg_sys::SPI_freetuptable(table);
                    }
                    return Ok(total);
                }
                // What a row pallocs goes with the fetch's own context.
                let outer = pg_sys::MemoryContextSwitchTo((*table).tuptabcxt);
                let mut bytes = 0;
                let result = (0..fetched).try_for_each(|i| {
                    bytes += (**(*table).vals.add(i)).t_len as usize;
                    pg_sys::heap_deform_tuple(
                        *(*table).vals.add(i),
                        (*table).tupdesc,
                        values.as_mut_ptr(),
                        nulls.as_mut_ptr(),
                    );
                    row(&values, &nulls)
                });
                pg_sys::MemoryContextSwitchTo(outer);
                pg_sys::SPI_freetuptable(table);
                result?;
                total += fetched as u64;
                if let Some(told) = self.told
                    && last.elapsed() >= TOLD
                {
                    last = Instant::now();
                    told(total);
                }
                wanted = (FETCH_BYTES / (bytes / fetched).max(1)).clamp(1, FETCH_ROWS);
            }
        }
    }
}

/// Opens a cursor of a statement that returns rows; the plan that it runs, too.
fn open_portal(statement: &CString) -> Result<(pg_sys::SPIPlanPtr, pg_sys::Portal), Report> {
    let _context = StatementContext::enter(statement, Part::Planning);
    // SAFETY: called inside an SPI connection; errors of the user's query pass on as they are.
    unsafe {
        let plan = pg_sys::SPI_prepare_cursor(statement.as_ptr(), 0, std::ptr::null_mut(), 0);
        if plan.is_null() || !pg_sys::SPI_is_cursor_plan(plan) {
            return Err(not_rows());
        }
        let portal = pg_sys::SPI_cursor_open(
            std::ptr::null(),
            plan,
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
        );
        Ok((plan, portal))
    }
}

/// Whether a statement is a query that changes nothing by itself. (A function that it calls may.)
///
/// # Safety
/// The portal is open.
unsafe fn only_reads(portal: pg_sys::Portal) -> bool {
    // SAFETY: as the caller says; the statements of a portal are planned ones.
    unsafe {
        let statements = (*portal).stmts;
        let count = if statements.is_null() {
            0
        } else {
            (*statements).length
        };
        (0..count).all(|place| {
            let statement: *const pg_sys::PlannedStmt = pg_sys::list_nth(statements, place).cast();
            match (*statement).commandType {
                pg_sys::CmdType::CMD_SELECT => !(*statement).hasModifyingCTE,
                pg_sys::CmdType::CMD_UTILITY => matches!(
                    (*(*statement).utilityStmt).type_,
                    pg_sys::NodeTag::T_FetchStmt | pg_sys::NodeTag::T_VariableShowStmt
                ),
                _ => false,
            }
        })
    }
}

fn changes_rows() -> Report {
    Report::new(
        Code::ERRCODE_FEATURE_NOT_SUPPORTED,
        "the query does not only read rows",
    )
    .hint("Give a SELECT without INSERT, UPDATE, DELETE or MERGE in it, or the name of a table or view.")
}

fn not_rows() -> Report {
    Report::new(
        Code::ERRCODE_INVALID_PARAMETER_VALUE,
        "the query returns no rows",
    )
    .hint("Give a SELECT, or the name of a table or view.")
}

#[cfg(test)]
mod tests {
    use super::relation_name;

    #[test]
    fn names_and_queries_are_told_apart() {
        for name in ["t", "public.t", "\"Odd \"\"name\"", " s.\"T\" ", "übung"] {
            assert!(relation_name(name).is_some(), "{name}");
        }
        for query in [
            "SELECT 1",
            "TABLE t",
            "(SELECT 1)",
            "",
            "t;",
            "\"open",
            "a.b c",
        ] {
            assert!(relation_name(query).is_none(), "{query}");
        }
    }
}

//! Which columns of tables the columns of a query are made from.

use std::collections::HashSet;
use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

use crate::pg::tree::{Next, is_deep, walk};

/// Subqueries within each other, and views over views, beyond which nothing is looked for.
const MOST_LEVELS: usize = 100;

/// A column of a table that a column of a query is made from, unchanged or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The table, or foreign table.
    pub table: pg_sys::Oid,
    /// The column's number in it.
    pub number: pg_sys::AttrNumber,
}

/// The sources of each column of a statement's result, in order. Views, materialized ones, subqueries
/// and CTEs are looked through; functions that return rows are not.
///
/// # Safety
/// A plan of SPI's that is still there.
pub(super) unsafe fn sources_of(plan: pg_sys::SPIPlanPtr, columns: usize) -> Vec<Vec<Source>> {
    // SAFETY: as the caller says: its queries are analysed and rewritten.
    unsafe {
        let plans = list::<pg_sys::CachedPlanSource>(pg_sys::SPI_plan_get_plan_sources(plan));
        let queries = plans.last().map(|&last| (*last).query_list);
        let queries = queries.map(|queries| list::<pg_sys::Query>(queries));
        let query = queries.and_then(|queries| queries.last().copied());
        (1..=columns)
            .map(|place| {
                let Some(query) = query else {
                    return Vec::new();
                };
                let mut search = Search::default();
                search.output(&Scope { query, above: None }, place as i32);
                search.found
            })
            .collect()
    }
}

/// A query, and the one in which it is a subquery.
#[derive(Clone, Copy)]
struct Scope<'a> {
    query: *const pg_sys::Query,
    above: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// The query so many levels up.
    fn up(&'a self, levels: pg_sys::Index) -> Option<&'a Scope<'a>> {
        let mut scope = self;
        for _ in 0..levels {
            scope = scope.above?;
        }
        Some(scope)
    }
}

/// What an expression reads.
enum Reads {
    /// A column of an entry of the range table of the query so many levels up.
    Column {
        up: pg_sys::Index,
        entry: i32,
        number: pg_sys::AttrNumber,
    },
    /// The first column of a subquery.
    Subquery(*const pg_sys::Query),
}

#[derive(Default)]
struct Search {
    found: Vec<Source>,
    /// Columns of queries that have been looked at: a CTE may read itself.
    seen: HashSet<(*const pg_sys::Query, i32)>,
    level: usize,
}

impl Search {
    /// Looks at a column of a query's result, counted from 1.
    ///
    /// # Safety
    /// An analysed query, as all in this impl.
    unsafe fn output(&mut self, scope: &Scope<'_>, place: i32) {
        if self.level >= MOST_LEVELS || !self.seen.insert((scope.query, place)) {
            return;
        }
        self.level += 1;
        // SAFETY: as the caller says.
        unsafe {
            let query = &*scope.query;
            if query.setOperations.is_null() {
                for entry in list::<pg_sys::TargetEntry>(query.targetList) {
                    if i32::from((*entry).resno) == place && !(*entry).resjunk {
                        self.expression(scope, (*entry).expr.cast());
                    }
                }
            } else {
                let mut parts = Vec::new();
                leaves(query.setOperations, &mut parts);
                for part in parts {
                    self.column(scope, part, place as pg_sys::AttrNumber);
                }
            }
        }
        self.level -= 1;
    }

    unsafe fn expression(&mut self, scope: &Scope<'_>, expression: *mut pg_sys::Node) {
        // SAFETY: as the caller says. What is read is looked at when the walk is over.
        unsafe {
            if is_deep(expression) {
                return;
            }
            let mut reads = Vec::new();
            walk(expression, &mut |node| read(node, &mut reads));
            for read in reads {
                match read {
                    Reads::Column { up, entry, number } => {
                        if let Some(scope) = scope.up(up) {
                            self.column(scope, entry, number);
                        }
                    }
                    Reads::Subquery(query) => {
                        let above = Some(scope);
                        self.output(&Scope { query, above }, 1);
                    }
                }
            }
        }
    }

    /// Looks at a column of an entry of a query's range table.
    unsafe fn column(&mut self, scope: &Scope<'_>, entry: i32, number: pg_sys::AttrNumber) {
        // SAFETY: as the caller says; what an entry is tells which of its fields it has.
        unsafe {
            let entries = list::<pg_sys::RangeTblEntry>((*scope.query).rtable);
            let Some(&entry) = entries.get((entry - 1) as usize) else {
                return;
            };
            // The whole row, or a system column.
            if number <= 0 {
                return;
            }
            let part_of = |parts: *mut pg_sys::List| {
                let part = list::<pg_sys::Node>(parts)
                    .get((number - 1) as usize)
                    .copied();
                part.filter(|part| !part.is_null())
            };
            match (*entry).rtekind {
                pg_sys::RTEKind::RTE_RELATION => self.relation((*entry).relid, number),
                pg_sys::RTEKind::RTE_SUBQUERY => {
                    let scope = Scope {
                        query: (*entry).subquery,
                        above: Some(scope),
                    };
                    self.output(&scope, number.into());
                }
                pg_sys::RTEKind::RTE_JOIN => {
                    if let Some(part) = part_of((*entry).joinaliasvars) {
                        self.nested(scope, part);
                    }
                }
                #[cfg(feature = "pg18")]
                pg_sys::RTEKind::RTE_GROUP => {
                    if let Some(part) = part_of((*entry).groupexprs) {
                        self.nested(scope, part);
                    }
                }
                pg_sys::RTEKind::RTE_FUNCTION => self.nested(scope, (*entry).functions.cast()),
                pg_sys::RTEKind::RTE_VALUES => {
                    for row in list::<pg_sys::List>((*entry).values_lists) {
                        if let Some(part) = part_of(row) {
                            self.nested(scope, part);
                        }
                    }
                }
                pg_sys::RTEKind::RTE_CTE => {
                    let Some(above) = scope.up((*entry).ctelevelsup) else {
                        return;
                    };
                    let name = CStr::from_ptr((*entry).ctename);
                    for cte in list::<pg_sys::CommonTableExpr>((*above.query).cteList) {
                        if CStr::from_ptr((*cte).ctename) == name {
                            let scope = Scope {
                                query: (*cte).ctequery.cast(),
                                above: Some(above),
                            };
                            self.output(&scope, number.into());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Looks at an expression in an entry of the range table.
    unsafe fn nested(&mut self, scope: &Scope<'_>, expression: *mut pg_sys::Node) {
        if self.level >= MOST_LEVELS {
            return;
        }
        self.level += 1;
        // SAFETY: as the caller says.
        unsafe { self.expression(scope, expression) };
        self.level -= 1;
    }

    unsafe fn relation(&mut self, table: pg_sys::Oid, number: pg_sys::AttrNumber) {
        // SAFETY: the statement that was planned holds a lock on the relation, or on the
        // materialized view that is made from it.
        unsafe {
            let kind = pg_sys::get_rel_relkind(table) as u8;
            if !matches!(kind, pg_sys::RELKIND_VIEW | pg_sys::RELKIND_MATVIEW) {
                let source = Source { table, number };
                if !self.found.contains(&source) {
                    self.found.push(source);
                }
                return;
            }
            let lock = pg_sys::AccessShareLock as i32;
            let view = pg_sys::try_relation_open(table, lock);
            if view.is_null() {
                return;
            }
            let query = pg_sys::get_view_query(view);
            self.output(&Scope { query, above: None }, number.into());
            pg_sys::relation_close(view, pg_sys::NoLock as i32);
        }
    }
}

/// Notes what a node reads.
///
/// # Safety
/// A node of an analysed query's expression.
unsafe fn read(node: *mut pg_sys::Node, reads: &mut Vec<Reads>) -> Next {
    // SAFETY: as the caller says; the tag tells the type.
    unsafe {
        let column = |var: *const pg_sys::Var, number| Reads::Column {
            up: (*var).varlevelsup,
            entry: (*var).varno,
            number,
        };
        match (*node).type_ {
            pg_sys::NodeTag::T_Var => {
                let var: *const pg_sys::Var = node.cast();
                reads.push(column(var, (*var).varattno));
            }
            pg_sys::NodeTag::T_FieldSelect => {
                let field: *const pg_sys::FieldSelect = node.cast();
                let row: *const pg_sys::Var = (*field).arg.cast();
                if (*row).xpr.type_ != pg_sys::NodeTag::T_Var || (*row).varattno != 0 {
                    return Next::Into;
                }
                reads.push(column(row, (*field).fieldnum));
                return Next::Past;
            }
            pg_sys::NodeTag::T_Query => {
                reads.push(Reads::Subquery(node.cast()));
                return Next::Past;
            }
            _ => {}
        }
        Next::Into
    }
}

/// The entries of the range table that a set operation is of.
///
/// # Safety
/// A tree of set operations.
unsafe fn leaves(tree: *const pg_sys::Node, entries: &mut Vec<i32>) {
    let mut left = vec![tree];
    while let Some(node) = left.pop() {
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            if (*node).type_ == pg_sys::NodeTag::T_RangeTblRef {
                entries.push((*node.cast::<pg_sys::RangeTblRef>()).rtindex);
            } else if (*node).type_ == pg_sys::NodeTag::T_SetOperationStmt {
                let operation: *const pg_sys::SetOperationStmt = node.cast();
                left.push((*operation).larg);
                left.push((*operation).rarg);
            }
        }
    }
}

/// The items of a list of pointers.
///
/// # Safety
/// Null or a list of such.
unsafe fn list<T>(list: *mut pg_sys::List) -> Vec<*mut T> {
    // SAFETY: as the caller says.
    unsafe { PgList::<T>::from_pg(list) }.iter_ptr().collect()
}

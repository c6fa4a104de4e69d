//! What chooses among rows that are joined, and so which row of one table a row of another one gets.
//!
//! In a query of one table the same only decides which rows there are.

use std::collections::HashSet;
use std::rc::Rc;

use pgrx::pg_sys;

use super::query_tree::{
    arms, columns, condition as condition_of, conjuncts, entries, entry_of, list, parts,
};
use super::reads::{Fields, Reads, reads};
use super::search::{Behind, Scope, Search};

impl Search<'_> {
    /// Whether rows of a query, or of one that it is made from, are put together from several.
    pub(super) unsafe fn is_joined(&mut self, scope: &Rc<Scope>) -> bool {
        let mut left = vec![Rc::clone(scope)];
        let mut seen = HashSet::new();
        while let Some(scope) = left.pop() {
            if !seen.insert(scope.query) {
                continue;
            }
            // SAFETY: as the caller says.
            unsafe {
                if rows_come_from(&*scope.query).len() > 1 {
                    return true;
                }
                left.extend(self.queries_in(&scope));
            }
        }
        false
    }

    /// Looks at what chooses the row of an entry that goes with those of the query's others.
    pub(super) unsafe fn choices_of_partner(&mut self, scope: &Rc<Scope>, entry: i32) {
        // SAFETY: as the caller says; what an entry is tells which of its fields it has.
        unsafe {
            let query = &*scope.query;
            let others = rows_come_from(query).iter().any(|&other| other != entry);
            let Some(entry) = entry_of(query, entry) else {
                return;
            };
            let Some(inner) = self.query_in(scope, entry) else {
                return;
            };
            // One that is run anew for each row of the others, as a subquery in an expression is.
            if (*entry).rtekind == pg_sys::RTEKind::RTE_SUBQUERY
                && pg_sys::contain_vars_of_level(inner.query.cast(), 1)
            {
                return self.rows(&inner);
            }
            if !others {
                return;
            }
            let mut left = vec![inner];
            while let Some(scope) = left.pop() {
                if self.seen_partners.insert(scope.query) {
                    self.choices(&scope);
                    left.extend(self.queries_in(&scope));
                }
            }
        }
    }

    /// Looks at what chooses among the rows of a query.
    pub(super) unsafe fn choices(&mut self, scope: &Rc<Scope>) {
        if !self.seen_choices.insert(scope.query) {
            return;
        }
        // SAFETY: as the caller says.
        unsafe {
            let query = &*scope.query;
            if !query.jointree.is_null() {
                for part in parts(query.jointree.cast()) {
                    for one in conjuncts(condition_of(part)) {
                        if self.chooses(scope, one) {
                            self.expression(scope, one, Fields::new(), None);
                        }
                    }
                }
            }
            for part in [query.havingQual, query.limitOffset, query.limitCount] {
                self.expression(scope, part, Fields::new(), None);
            }
            if query.hasDistinctOn || !query.limitCount.is_null() || !query.limitOffset.is_null() {
                self.sorted_by(scope, query.distinctClause);
                self.sorted_by(scope, query.sortClause);
            }
        }
    }

    /// Whether a condition compares a row with others, by a window, an aggregate or a subquery, where
    /// others look at that row alone.
    unsafe fn chooses(&mut self, scope: &Rc<Scope>, condition: *mut pg_sys::Node) -> bool {
        let mut left = vec![Part::Expression(Rc::clone(scope), condition)];
        let (mut seen_columns, mut seen_queries) = (HashSet::new(), HashSet::new());
        while let Some(part) = left.pop() {
            // SAFETY: as the caller says; the tag tells the type.
            unsafe {
                match part {
                    Part::Expression(scope, expression) => {
                        for read in reads(expression, Fields::new()) {
                            match read {
                                Reads::Window(_) | Reads::Group { .. } => return true,
                                Reads::Column {
                                    up, entry, number, ..
                                } => {
                                    if let Some(scope) = scope.up(up) {
                                        left.push(Part::Column(scope, entry, number));
                                    }
                                }
                                Reads::Subquery(link, _) => {
                                    let query: *mut pg_sys::Query = (*link).subselect.cast();
                                    if pg_sys::contain_vars_of_level(query.cast(), 1) {
                                        return true;
                                    }
                                    let test = (*link).testexpr;
                                    left.push(Part::Query(scope.within(query)));
                                    left.push(Part::Expression(Rc::clone(&scope), test));
                                }
                            }
                        }
                    }
                    Part::Column(scope, entry, number) => {
                        if seen_columns.insert((scope.query, entry, number)) {
                            left.extend(self.parts_of_column(&scope, entry, number));
                        }
                    }
                    Part::Query(scope) => {
                        if !seen_queries.insert(scope.query) {
                            continue;
                        }
                        let query = &*scope.query;
                        if compares_rows(query) {
                            return true;
                        }
                        if !query.jointree.is_null() {
                            for part in parts(query.jointree.cast()) {
                                let condition = condition_of(part);
                                left.push(Part::Expression(Rc::clone(&scope), condition));
                            }
                        }
                        left.extend(self.queries_in(&scope).into_iter().map(Part::Query));
                    }
                }
            }
        }
        false
    }

    /// What a column of an entry of a query's range table is made from.
    unsafe fn parts_of_column(
        &mut self,
        scope: &Rc<Scope>,
        entry: i32,
        number: pg_sys::AttrNumber,
    ) -> Vec<Part> {
        let mut found = Vec::new();
        // SAFETY: as the caller says.
        unsafe {
            match self.behind(scope, entry, number) {
                Some(Behind::Outputs(inner, places)) => {
                    let query = &*inner.query;
                    for arm in arms(query) {
                        let column = |&place: &i32| {
                            let place = place as pg_sys::AttrNumber;
                            Part::Column(Rc::clone(&inner), arm, place)
                        };
                        found.extend(places.iter().map(column));
                    }
                    if query.setOperations.is_null() {
                        for column in columns(query) {
                            if places.contains(&(*column).resno.into()) {
                                let made = (*column).expr.cast();
                                found.push(Part::Expression(Rc::clone(&inner), made));
                            }
                        }
                    }
                }
                Some(Behind::Expressions(expressions)) => {
                    let made = expressions.into_iter();
                    found.extend(made.map(|made| Part::Expression(Rc::clone(scope), made)));
                }
                Some(Behind::Functions(functions)) => {
                    found.push(Part::Expression(Rc::clone(scope), functions));
                }
                Some(Behind::Table(_)) | None => {}
            }
        }
        found
    }

    /// The queries that a query is made from.
    unsafe fn queries_in(&mut self, scope: &Rc<Scope>) -> Vec<Rc<Scope>> {
        // SAFETY: as the caller says.
        unsafe {
            let query = &*scope.query;
            let of = entries_of(query).into_iter().chain(arms(query));
            let of = of.filter_map(|entry| entry_of(query, entry));
            of.filter_map(|entry| self.query_in(scope, entry)).collect()
        }
    }
}

/// What is to be looked at for whether it compares rows.
enum Part {
    Expression(Rc<Scope>, *mut pg_sys::Node),
    Column(Rc<Scope>, i32, pg_sys::AttrNumber),
    Query(Rc<Scope>),
}

/// The entries of the range table that a query's FROM clause is of.
///
/// # Safety
/// An analysed query.
unsafe fn entries_of(query: &pg_sys::Query) -> Vec<i32> {
    match query.jointree.is_null() {
        true => Vec::new(),
        // SAFETY: as the caller says.
        false => unsafe { entries(query.jointree.cast()) },
    }
}

/// Whether which rows a query has depends on other rows of what it is made from.
fn compares_rows(query: &pg_sys::Query) -> bool {
    query.hasAggs
        || query.hasWindowFuncs
        || query.hasDistinctOn
        || !query.limitCount.is_null()
        || !query.limitOffset.is_null()
}

/// Those of these entries that may bring several rows each.
///
/// # Safety
/// An analysed query.
unsafe fn rows_come_from(query: &pg_sys::Query) -> Vec<i32> {
    // SAFETY: as the caller says.
    unsafe {
        let mut entries = entries_of(query);
        entries.retain(|&entry| {
            entry_of(query, entry).is_some_and(|entry| may_have_several_rows(entry))
        });
        entries
    }
}

/// Whether an entry may bring several rows to each of the others.
///
/// # Safety
/// An entry of an analysed query's range table.
unsafe fn may_have_several_rows(entry: *const pg_sys::RangeTblEntry) -> bool {
    // SAFETY: as the caller says; what the entry is tells which of its fields it has.
    unsafe {
        match (*entry).rtekind {
            pg_sys::RTEKind::RTE_RESULT => false,
            pg_sys::RTEKind::RTE_VALUES => list::<pg_sys::List>((*entry).values_lists).len() > 1,
            pg_sys::RTEKind::RTE_FUNCTION => {
                let functions = list::<pg_sys::RangeTblFunction>((*entry).functions);
                let mut functions = functions.into_iter();
                functions.any(|function| pg_sys::expression_returns_set((*function).funcexpr))
            }
            pg_sys::RTEKind::RTE_SUBQUERY => {
                let query = &*(*entry).subquery;
                let aggregated =
                    query.hasAggs && query.groupClause.is_null() && query.groupingSets.is_null();
                let of_one_row =
                    query.setOperations.is_null() && (aggregated || entries_of(query).is_empty());
                !of_one_row || query.hasTargetSRFs
            }
            _ => true,
        }
    }
}
